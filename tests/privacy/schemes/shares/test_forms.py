"""The words, containers and paths of `shares` are those that another implementation computes."""

import json
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from privacy import canonical
from privacy.schemes.keystream import UpdateContext
from privacy.schemes.shares.evidence import ChunkRoots, Place, check_shown, leaf_hashes, show
from privacy.schemes.shares.layout import VALUE_WORDS, SharesParameters, block_root
from privacy.schemes.shares.seat_sum import HeldShares, SeatCombiner, takes_payload
from privacy.schemes.shares.seat_total import decode_totals
from privacy.schemes.shares.sharing import SharesProtector, UpdateSecrets
from tests import shares_by_hand as hand

VECTORS = json.loads((Path(__file__).parents[3] / "vectors" / "shares_v1.json").read_text())
SCORED = VECTORS["sharing"][0]
LEAVES = (3, 3, 2)
kinds = pytest.mark.parametrize("of", VECTORS["sharing"], ids=["scored", "packed"])


def parameters(of) -> SharesParameters:
    numbers = VECTORS["parameters"]
    return SharesParameters(
        numbers["value_bits"],
        numbers["cohort_max"],
        of["values_per_word"],
        numbers["leaves_per_chunk"],
    )


def context(site) -> UpdateContext:
    return UpdateContext(VECTORS["context"]["federation"], VECTORS["context"]["round"], site)


def secrets(site) -> UpdateSecrets:
    first, second, third = map(bytes.fromhex, VECTORS["secrets"][site])
    return UpdateSecrets((first, second, third))


def share(of, site):
    """Every chunk of one site's update, by the product."""
    plan, dimension = parameters(of), of["dimension"]
    values = np.array([hand.value(site, at) for at in range(dimension)])
    assert values[:4].tolist() == VECTORS["first_values"][site]
    geometry = plan.geometry(dimension)
    protector = SharesProtector(plan, dimension, context(site), secrets(site))
    return [protector.share(at, values[geometry.span(at)]) for at in range(geometry.chunks)]


def held(of, site, seat) -> HeldShares:
    return HeldShares(parameters(of), of["dimension"], context(site), secrets(site).for_seat(seat))


def total(seat, chunk):
    """What a seat states of the sum of both sites, by the product."""
    addition = SeatCombiner(parameters(SCORED), SCORED["dimension"], seat).begin(chunk)
    for site in hand.SITES:
        payload = share(SCORED, site)[chunk].payload if takes_payload(seat) else None
        addition.add(held(SCORED, site, seat), payload)
    return addition.total()


def test_the_file_is_what_the_pages_alone_say():
    """Computed by code that shares nothing with the product."""
    assert hand.vectors() == VECTORS


@kinds
def test_an_update_is_split_into_the_words_of_the_file(of):
    """Streams, what travels, and every root that the site signs."""
    chunks = share(of, "amber")

    for chunk, expected in zip(chunks, of["chunks"], strict=True):
        assert [root.hex() for root in chunk.roots] == expected["roots"]
        assert len(chunk.payload) == expected["payload_bytes"]
        assert sha256(chunk.payload).hexdigest() == expected["sha256_of_payload"]
    for component in range(3):
        roots = ChunkRoots(tuple(chunk.roots[component] for chunk in chunks))
        assert roots.component_root().hex() == of["component_roots"][component]


@kinds
@pytest.mark.parametrize("seat", range(3))
def test_seats_hold_the_words_of_the_file(of, seat):
    """Values and blinding, from the secrets and what travels."""
    chunks, shares = share(of, "amber"), held(of, "amber", seat)
    components = (seat, (seat + 1) % 3)

    for at, expected in enumerate(of["chunks"]):
        blocks = shares.blocks(at, chunks[at].payload if takes_payload(seat) else None)
        for component, block in zip(components, blocks, strict=True):
            words = block.astype("<u8").tobytes()
            assert sha256(words).hexdigest() == expected["sha256_of_components"][component]
            assert [str(each) for each in block[0, :2]] == expected["first_words"][component]
            blinding = [str(each) for each in block[0, VALUE_WORDS:]]
            assert blinding == expected["blinding_of_leaf_0"][component]


@pytest.mark.parametrize("of", VECTORS["seat_totals"], ids=lambda of: f"{of['seat']}{of['given']}")
def test_a_seats_sum_travels_in_the_bytes_of_the_file(of):
    statement = total(of["seat"], of["chunk"]).only(*of["given"])

    container = statement.encode()

    assert container[:80].hex() == of["header"]
    assert len(container) == of["length"]
    assert sha256(container).hexdigest() == of["sha256"]
    (read,) = decode_totals(container, of["chunk"], LEAVES[of["chunk"]])
    read.require_roots()


@pytest.mark.parametrize(
    "of", VECTORS["shown_leaves"], ids=lambda of: f"component {of['component']}"
)
def test_a_leaf_is_shown_in_the_bytes_of_the_file(of):
    """Lists, paths and documents."""
    component, chunk, leaf = of["component"], of["chunk"], of["leaf"]
    blocks = [total(component, at).blocks[component] for at in range(3)]
    roots = ChunkRoots(tuple(block_root(at, block) for at, block in enumerate(blocks)))

    shown = show(roots, chunk, blocks[chunk], leaf)

    assert canonical.encode(roots).decode() == of["chunk_roots"]
    assert canonical.encode(leaf_hashes(chunk, blocks[chunk])).decode() == of["leaf_hashes"]
    assert [step.hex() for step in shown.leaf_path] == of["leaf_path"]
    assert [step.hex() for step in shown.chunk_path] == of["chunk_path"]
    assert sha256(shown.words).hexdigest() == of["sha256_of_words"]
    assert sha256(canonical.encode(shown)).hexdigest() == of["sha256_of_document"]
    root = bytes.fromhex(of["component_root"])
    check_shown(shown, Place(chunk, 3, leaf, LEAVES[chunk]), root, "seat 0")
