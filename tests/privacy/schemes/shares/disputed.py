"""Three seats of which some lie about a sum, and what each shows an auditor of it."""

from collections.abc import Iterable
from functools import cache

import numpy as np
from msgspec.structs import replace

from privacy.schemes.base import Integers
from privacy.schemes.keystream import UpdateContext
from privacy.schemes.shares.dispute import Dispute, Evidence, holders_of, judge
from privacy.schemes.shares.evidence import (
    ChunkRoots,
    LeafHashes,
    Place,
    ShownLeaf,
    first_difference,
    leaf_hashes,
    show,
)
from privacy.schemes.shares.layout import VALUE_WORDS, SharesParameters, Words, block_root
from privacy.schemes.shares.seat_sum import takes_payload
from tests.privacy.schemes.shares.three_seats import Sent, drawn, send

PARAMETERS = SharesParameters(24, 8, leaves_per_chunk=4)
DIMENSION = 2 * 4 * VALUE_WORDS + 1200
LEAVES = (4, 4, 2)
SITES = ("amber", "birch", "cedar")


class Component:
    """All words of one component, of one site or of a sum, chunk by chunk, as somebody has them."""

    def __init__(self, blocks: Iterable[Words]) -> None:
        self.blocks = tuple(blocks)
        self.roots = ChunkRoots(tuple(block_root(at, each) for at, each in enumerate(self.blocks)))
        self.root = self.roots.component_root()

    def hashes(self, chunk: int) -> LeafHashes:
        return leaf_hashes(chunk, self.blocks[chunk])

    def leaf(self, chunk: int, leaf: int) -> ShownLeaf:
        return show(self.roots, chunk, self.blocks[chunk], leaf)

    def changed(self, chunk: int, leaf: int, word: int, by: int = 1) -> "Component":
        """The same with something added to one word."""
        blocks = [block.copy() for block in self.blocks]
        blocks[chunk][leaf, word : word + 1] += np.uint64(by)
        return Component(blocks)


@cache
def sites(component: int, round_: int = 7) -> dict[str, Component]:
    """One component of every site's update, as both of its holders have it."""
    return {site: _received(component, site, round_) for site in SITES}


def update(site: str, round_: int = 7) -> Integers:
    """A site's grid integers."""
    return drawn(PARAMETERS, DIMENSION, 10 * round_ + SITES.index(site))


@cache
def sent(site: str, round_: int) -> Sent:
    """The same in shares."""
    return send(PARAMETERS, update(site, round_), UpdateContext("oncology", round_, site))


def _received(component: int, site: str, round_: int) -> Component:
    # Seat j holds component j first.
    whole = sent(site, round_)
    held = whole.held(PARAMETERS, DIMENSION, component)
    payloads = whole.payloads if takes_payload(component) else [None] * len(LEAVES)
    return Component(held.blocks(at, payload)[0] for at, payload in enumerate(payloads))


@cache
def honest(component: int) -> Component:
    """The sum of one component."""
    chunks = zip(*(each.blocks for each in sites(component).values()), strict=True)
    return Component(np.sum(blocks, axis=0, dtype=np.uint64) for blocks in chunks)


def dispute(component: int, sums: dict[int, Component]) -> Dispute:
    """What the auditor knows when the holders have signed these sums."""
    return Dispute(
        PARAMETERS,
        DIMENSION,
        component,
        {seat: each.root for seat, each in sums.items()},
        {site: each.root for site, each in sites(component).items()},
    )


def evidence(component: int, total: Component, place: Place) -> Evidence:
    """What a holder shows that has this sum, and hides nothing."""
    return Evidence(
        total.leaf(place.chunk, place.leaf),
        {site: each.leaf(place.chunk, place.leaf) for site, each in sites(component).items()},
    )


def find(case: Dispute, sums: dict[int, Component]) -> Place:
    """The first leaf in which the holders differ, from lists that they show."""
    lower, upper = holders_of(case.component)
    for seat, each in sums.items():
        case.check_roots(seat, each.roots)
    chunk = first_difference(sums[lower].roots.roots, sums[upper].roots.roots)
    hashes = {seat: each.hashes(chunk) for seat, each in sums.items()}
    for seat, each in sums.items():
        case.check_hashes(seat, chunk, each.roots, hashes[seat])
    return case.place(chunk, first_difference(hashes[lower].hashes, hashes[upper].hashes))


def settled(component: int, sums: dict[int, Component]):
    """From signed roots to the ruling, with both holders answering."""
    case = dispute(component, sums)
    place = find(case, sums)
    shown = {seat: evidence(component, each, place) for seat, each in sums.items()}
    return judge(case, place, shown)


def forged(shown: ShownLeaf, words: Words) -> ShownLeaf:
    """The same path with other words, shape (1024,)."""
    return replace(shown, words=words.astype("<u8").tobytes())
