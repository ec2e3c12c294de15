"""Updates split in shares, and their sums, by the arithmetic that sites and seats use.

The words are real, and so are their roots, the sums and the opening. What is sealed to seats and
openers is not: a part of random bytes stands for its secrets, and a sum travels in the clear.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from privacy.identifiers import sha256_hex
from privacy.mechanism import events_of
from privacy.merkle import tree_root
from privacy.plan import SHARES, Plan
from privacy.records import SEATS as FOR_SEATS
from privacy.records import (
    Cohort,
    Piece,
    SealedParts,
    SealedWords,
    SeatSum,
    SharedContribution,
    Wrap,
    digest_of,
)
from privacy.roster import Roster
from privacy.schemes.base import Integers
from privacy.schemes.keystream import UpdateContext
from privacy.schemes.shares.layout import COMPONENTS, SharesParameters, block_root, held_by
from privacy.schemes.shares.opening import SharesRevealer
from privacy.schemes.shares.payload import payload_root
from privacy.schemes.shares.seat_sum import HeldShares, SeatCombiner
from privacy.schemes.shares.seat_total import SeatTotal
from privacy.schemes.shares.sharing import SharesProtector, UpdateSecrets
from privacy.sealing import CHUNK_OVERHEAD, CONTENT_KEY_BYTES, SEAL_OVERHEAD, ciphertext_digest
from tests.coordinator.seated_federation import PART_BYTES
from tests.fakes import FEDERATION, ledger_of

DAMAGED = 9
"""The variant of a contribution whose signed roots are not those of its parts."""


@dataclass(frozen=True)
class Update:
    """One site's update as it leaves: what travels, what it signs, and its secrets."""

    payloads: tuple[bytes, ...]
    roots: tuple[str, ...]
    secrets: UpdateSecrets


@dataclass(frozen=True)
class Shape:
    """What decides about the words of an update, of a plan."""

    parameters: SharesParameters
    dimension: int
    chunks: int

    @classmethod
    def of(cls, plan: Plan) -> "Shape":
        """Return the shape that a plan gives to updates."""
        return cls(plan.shares(), plan.arithmetic.dimension, plan.arithmetic.chunks)

    def values(self, chunk: int) -> int:
        """Return how many values one chunk has."""
        return self.parameters.geometry(self.dimension).values_in(chunk)


@lru_cache(maxsize=4096)
def values(shape: Shape, number: int, who: str, variant: int, chunk: int) -> Integers:
    """Return one chunk of an update in the clear, on the grid."""
    seed = f"{who}/{number}/{variant}/{chunk}".encode()
    stream = hashlib.shake_128(seed).digest(4 * shape.values(chunk))
    return np.frombuffer(stream, "<u4").astype(np.int64) % 20_001 - 10_000


def plain_sum(shape: Shape, number: int, members: Sequence[tuple[str, int]], at: int) -> Integers:
    """Return what opening one chunk of a sum must give, added without any share."""
    return sum(values(shape, number, who, variant, at) for who, variant in members)


@lru_cache(maxsize=1024)
def update(shape: Shape, number: int, who: str, variant: int) -> Update:
    """Return a site's update in shares; of one place and variant always the same."""
    draws = [hashlib.sha256(f"{who}/{number}/{variant}/{at}".encode()).digest() for at in range(3)]
    secrets = UpdateSecrets((draws[0], draws[1], draws[2]))
    context = UpdateContext(FEDERATION, number, who)
    protector = SharesProtector(shape.parameters, shape.dimension, context, secrets)
    chunks = [
        protector.share(at, values(shape, number, who, variant, at)) for at in range(shape.chunks)
    ]
    roots = [tree_root([each.roots[at] for each in chunks]).hex() for at in range(COMPONENTS)]
    if variant == DAMAGED:
        roots[0] = sha256_hex(b"nothing that was shared")
    return Update(tuple(each.payload for each in chunks), tuple(roots), secrets)


def parts(plan: Plan, who: str, variant: int) -> tuple[bytes, ...]:
    """Return what stands for the secrets of an update, sealed to each seat."""
    return tuple(
        hashlib.shake_128(f"{plan.digest()}/{who}/{variant}/{seat}".encode()).digest(PART_BYTES)
        for seat in plan.terms.seats
    )


def header(plan: Plan, who: str, variant: int) -> SharedContribution:
    """Return the header of such a contribution."""
    made = update(Shape.of(plan), plan.terms.round, who, variant)
    root = tree_root([payload_root(at, each) for at, each in enumerate(made.payloads)]).hex()
    seals = zip(plan.terms.seats, parts(plan, who, variant), strict=True)
    length = sum(map(len, made.payloads))
    return SharedContribution(
        federation=plan.terms.federation,
        round=plan.terms.round,
        plan=plan.digest(),
        participant=who,
        pieces=(Piece(FOR_SEATS, SHARES, root, len(made.payloads), length),),
        claim=events_of(plan.terms.privacy.training),
        ledger=ledger_of(who, plan.terms.round),
        roots=made.roots,
        seals=tuple(SealedParts(seat, sha256_hex(part)) for seat, part in seals),
    )


@lru_cache(maxsize=1024)
def held_roots(shape: Shape, number: int, who: str, variant: int, place: int) -> tuple[str, str]:
    """Return the roots of the two components that a seat holds of an update, computed by it."""
    made = update(shape, number, who, variant)
    held = _held(shape, number, who, made, place)
    chunks = [held.roots(at, made.payloads[at]) for at in range(shape.chunks)]
    first, second = (tree_root([each[at] for each in chunks]).hex() for at in range(2))
    return first, second


@lru_cache(maxsize=1024)
def totals(
    shape: Shape, number: int, members: tuple[tuple[str, int], ...], place: int
) -> tuple[SeatTotal, ...]:
    """Return what a seat adds of its two components, chunk by chunk."""
    combiner = SeatCombiner(shape.parameters, shape.dimension, place)
    made = [update(shape, number, who, variant) for who, variant in members]
    held = [
        _held(shape, number, who, each, place) for (who, _), each in zip(members, made, strict=True)
    ]
    found = []
    for at in range(shape.chunks):
        addition = combiner.begin(at)
        for one, each in zip(held, made, strict=True):
            addition.add(one, each.payloads[at])
        found.append(addition.total())
    return tuple(found)


def shifted(total: SeatTotal, component: int, by: int) -> SeatTotal:
    """Return a statement that says something else of one word of a component it holds."""
    blocks = {at: block.copy() for at, block in total.blocks.items()}
    blocks[component][0, 0] += np.uint64(by)
    first, second = (block_root(total.chunk, blocks[at]) for at in held_by(total.seat))
    return SeatTotal(total.seat, total.chunk, (first, second), blocks)


def statement(
    plan: Plan, cohort: Cohort, roster: Roster, seat: str, made: Sequence[SeatTotal]
) -> tuple[SeatSum, tuple[tuple[bytes, ...], tuple[bytes, ...]]]:
    """Return what a seat signs of its sums, and the chunks of both as they travel."""
    place = plan.terms.seats.index(seat)
    first, second = (
        tuple(each.only(at).encode() + bytes(CHUNK_OVERHEAD) for each in made)
        for at in held_by(place)
    )
    stated = tuple(
        SealedWords(
            component=at,
            root=tree_root([each.root_of(at) for each in made]).hex(),
            ciphertext=ciphertext_digest(chunks),
            length=sum(map(len, chunks)),
        )
        for at, chunks in zip(held_by(place), (first, second), strict=True)
    )
    wraps = tuple(
        Wrap(each.participant, bytes(SEAL_OVERHEAD + CONTENT_KEY_BYTES))
        for each in roster.trainers()
    )
    said = SeatSum(
        federation=cohort.federation,
        round=cohort.round,
        plan=cohort.plan,
        cohort=digest_of(cohort),
        seat=seat,
        roster=roster.digest(),
        chunks=plan.arithmetic.chunks,
        sums=stated,
        wraps=wraps,
    )
    return said, (first, second)


def opened(shape: Shape, chunk: int, seats: Sequence[tuple[bytes, bytes]], cohort: int) -> Integers:
    """Open one chunk of a sum from the words of two seats or three, as any trainer does."""
    revealer = SharesRevealer(shape.parameters, shape.dimension)
    totals = []
    for first, second in seats:
        one, other = (revealer.decode(chunk, each[:-CHUNK_OVERHEAD])[0] for each in (first, second))
        blocks = {**one.blocks, **other.blocks}
        totals.append(SeatTotal(one.seat, chunk, one.roots, blocks))
    return revealer.open(chunk, totals, cohort)


def roots_of(shape: Shape, number: int, members: Mapping[str, int]) -> tuple[str, str, str]:
    """Return the root of each component of a sum that nobody has lied about."""
    named = tuple(sorted(members.items()))
    found = {}
    for place in (0, 1):
        made = totals(shape, number, named, place)
        for at in held_by(place):
            found[at] = tree_root([each.root_of(at) for each in made]).hex()
    return found[0], found[1], found[2]


def _held(shape: Shape, number: int, who: str, made: Update, place: int) -> HeldShares:
    context = UpdateContext(FEDERATION, number, who)
    secrets = made.secrets.for_seat(place)
    return HeldShares(shape.parameters, shape.dimension, context, secrets)
