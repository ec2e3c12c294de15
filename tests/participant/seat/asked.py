"""Updates that three seats hold in memory, a plan that asks about them, and links in threads."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from msgspec.structs import replace

from participant.seat.link import Session
from privacy.accounting import NeighbouringRelation, UnitOfPrivacy
from privacy.arithmetic import Arithmetic, ModulusRange
from privacy.local_training import LocalTraining
from privacy.plan import (
    NORM_BOUND_RELEASE,
    SCORE_RELEASES,
    SHARES,
    DeadlinePolicy,
    Mechanism,
    Plan,
    PrivacyPlan,
    SharesTerms,
    Terms,
)
from privacy.schemes.shares.layout import (
    BLINDING_WORDS,
    COMPONENTS,
    SEATS,
    VALUE_WORDS,
    Words,
    block_of,
    held_by,
)
from privacy.schemes.shares.seat_sum import Blocks
from tests.participant.seat.table import FEDERATION, roster
from tests.participant.seat.table import SEATS as NAMES
from tests.privacy.mpc.trio import at_once, pair_secrets, three_links

LEAVES = 2
BOUND = 1000


def plan(dimension: int, *, leaves: int = LEAVES, **scheme: Any) -> Plan:
    """A plan of round 3 that bounds norms and asks for scores."""
    asked = {"norm_bound": BOUND, "score_step_log2": 4} | scheme
    releases = ("participation", NORM_BOUND_RELEASE, *SCORE_RELEASES)
    privacy = PrivacyPlan(
        mechanism=Mechanism.LOCAL,
        unit=UnitOfPrivacy.PATIENT,
        neighbouring=NeighbouringRelation.ADD_OR_REMOVE_ONE,
        delta="0.001",
        training=LocalTraining("0.5", "2.75", 6, "1", "1", 50),
        releases=releases,
    )
    terms = Terms(
        federation=FEDERATION,
        round=3,
        model="ab" * 32,
        release=None,
        roster=roster().digest(),
        key_record=None,
        scheme=SharesTerms(1, leaves, 64, ("0" * 64, "1" * 64, "2" * 64), **asked),
        clip="20",
        cohort_minimum=3,
        quorum=3,
        aggregation="mean/1",
        server_learning_rate="0.5",
        privacy=privacy,
        deadline=DeadlinePolicy("20", "60"),
        openers=("amber", "birch"),
        agreement=2,
        rounds_left=1,
        seats=NAMES,
    )
    chunks = -(-dimension // (VALUE_WORDS * leaves))
    ranges = (ModulusRange(0, chunks, 0, 1 << 64),)
    return Plan(Arithmetic(SHARES, dimension, VALUE_WORDS * leaves, 18, 24, ranges), terms)


def with_silence(agreed: Plan, seconds: str) -> Plan:
    """The same plan with another wait for a silent seat."""
    deadline = replace(agreed.terms.deadline, progress_seconds=seconds)
    return Plan(agreed.arithmetic, replace(agreed.terms, deadline=deadline))


def words(values: object, dimension: int) -> Words:
    """A vector that begins with these integers, and is zero then; modulo 2^64."""
    vector = np.zeros(dimension, np.uint64)
    given = [int(each) % (1 << 64) for each in values]
    vector[: len(given)] = np.array(given, np.uint64)
    return vector


def split(vector: Words) -> Words:
    """Three components, shape (3, dimension)."""
    first, second = np.frombuffer(os.urandom(16 * vector.size), np.uint64).reshape(2, -1)
    return np.stack([first, second, vector - first - second])


@dataclass(frozen=True)
class MemoryUpdates:
    """What one seat holds: two components of each update, and its share of what was declared."""

    plan: Plan
    held: Mapping[str, tuple[Words, Words]]
    declared: Mapping[str, int]

    @property
    def participants(self) -> tuple[str, ...]:
        return tuple(self.held)

    def blocks(self, chunk: int, participant: str, out: Blocks | None = None) -> Blocks:
        geometry, parameters = self.plan.geometry(), self.plan.shares()
        leaves = parameters.leaves_in(geometry.values_in(chunk))
        # Words that blind leaves are anything; no norm may count them.
        blinding = np.full((leaves, BLINDING_WORDS), 0xABCDEF, np.uint64)
        first, second = (
            block_of(component[geometry.span(chunk)], blinding, room)
            for component, room in zip(self.held[participant], out or (None, None), strict=True)
        )
        return first, second

    def total(self, chunk: int) -> Blocks:
        blocks = [self.blocks(chunk, name) for name in self.held]
        return sum(first for first, _ in blocks), sum(second for _, second in blocks)

    def declared_share(self, participant: str) -> int:
        return self.declared[participant]


def three_holdings(
    agreed: Plan, vectors: Mapping[str, Words], declared: Mapping[str, int] | None = None
) -> list[MemoryUpdates]:
    """What each seat holds of these updates; sites declare the truth, or what they are told to."""
    told = {
        name: int(np.sum(vector * vector)) if declared is None else declared[name]
        for name, vector in vectors.items()
    }
    parts = {name: split(vector) for name, vector in vectors.items()}
    norms = {name: split(words([norm], 1))[:, 0] for name, norm in told.items()}
    return [
        MemoryUpdates(
            agreed,
            {
                name: (part[held_by(seat)[0]], part[held_by(seat)[1]])
                for name, part in parts.items()
            },
            {name: int(norm[seat]) for name, norm in norms.items()},
        )
        for seat in range(SEATS)
    ]


class ThreadLink:
    """A link between threads that never breaks off."""

    def __init__(self, link: Any) -> None:
        self.send, self.receive = link.send, link.receive
        self.checked = 0

    def check(self) -> None:
        self.checked += 1


def three_sessions() -> list[Session]:
    """A session of three seats in threads of one process; enough for all but comparisons."""
    assert COMPONENTS == SEATS
    links = [ThreadLink(link) for link in three_links()]
    return [
        Session(pairs.seat, b"s" * 32, links[pairs.seat], pairs)  # type: ignore[arg-type]
        for pairs in pair_secrets()
    ]


def each_seat(work: Any) -> list[Any]:
    """Run `work(session)` at three seats, in threads; return what each returned or raised."""
    return at_once(*[lambda session=session: work(session) for session in three_sessions()])


def within_in_the_clear(seat: Any, question: bytes, shares: Words, largest: Words) -> Any:
    """Compare in the open; `before_shares` comes where it does in `privacy.mpc`."""
    seat.before_shares()
    others = [other for other in range(SEATS) if other != seat.number]
    for other in others:
        seat.link.send(other, shares.tobytes())
    values = shares.copy()
    for other in others:
        values += np.frombuffer(seat.link.receive(other), np.uint64).reshape(shares.shape)
    return (values <= largest).all(axis=1)
