"""What a seat brings to all its work, and one round as it sits in it."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from participant.joining.versions import Versions, named_by_plan
from participant.keys import SiteKeys
from participant.wire.coordinator import Coordinator
from participant.wire.letters import Mailbox
from participant.wire.planned import check_planned
from participant.wire.seat_calls import SeatCalls
from privacy.failpoints import Failpoints
from privacy.identifiers import Digest
from privacy.plan import Plan
from privacy.records import Entry, Refused, Scores
from privacy.roster import Roster
from privacy.sealing import Entropy

from .acceptance import Acceptance
from .config import AggregatorConfig
from .holding import Held, Holding
from .memory import SeatMemory
from .norms import Norms
from .parts import FOLDER, Parts
from .policy import check_seating


class Questions(Protocol):
    """What three seats answer together about updates that none of them can open."""

    async def bounded(self, candidates: Digest, held: Holding) -> Norms:
        """Return who was asked about, and whose norm is over the plan's bound.

        Args:
            candidates: digest of the candidates; the coin is drawn over it.
            held: those that this seat has taken.

        Raises:
            PeerUnreachable: another seat is silent, or does not follow the protocol.
            OpeningRefused: there were as many sessions as there may be, or of other candidates.
        """
        ...

    async def scores(self, cohort: Digest, held: Holding, *, checked: bool) -> Scores:
        """Return what is opened about the updates of a cohort, or why there is nothing.

        Args:
            held: the whole cohort.
            checked: whether this seat knows that all their norms were held against the bound.
        """
        ...

    async def knocked(self, plan: Plan, stage: str, context: Digest) -> str:
        """Return the name of another seat as soon as it asks such a question; wait for that."""
        ...

    async def say_alive(self, plan: Plan) -> None:
        """Tell the other seats that this one works on a round, for ever."""
        ...


def _nobody_listens() -> None:
    """Do nothing."""


@dataclass(frozen=True)
class Seat:
    """One seat's keys, memory and connection.

    Attributes:
        versions: of the roster, as this seat knows them.
        floor: asks, for the seats of a plan, once, and returns what says the newest round for
            which anybody remembers a certificate, when enough have answered.
        start: what this process drew when it started, 32 bytes in hex.
        has_stated: is told that a statement of sums is recorded.
    """

    config: AggregatorConfig
    keys: SiteKeys = field(repr=False)
    entropy: Entropy
    failpoints: Failpoints
    coordinator: Coordinator
    calls: SeatCalls
    versions: Versions
    memory: SeatMemory
    mailbox: Mailbox
    questions: Questions
    floor: Callable[[tuple[str, ...]], "asyncio.Future[int]"]
    start: str
    has_stated: Callable[[], None] = _nobody_listens

    @property
    def me(self) -> str:
        """Its name."""
        return self.config.participant

    async def sit(self, number: int) -> "Sitting":
        """Return a round whose plan this seat accepts.

        Raises:
            PolicyRefusal, WrongIdentity, UnsafeParameters: it does not.
            InvalidSignature, WrongContext, NotYet: as for `planned`, and `Versions.under`.
        """
        sent = await self.coordinator.plan(number)
        roster = await self.versions.under(number, named_by_plan(sent))
        plan = check_planned(sent, roster, number)
        place = check_seating(plan, self.me, self.config.policy, roster)
        parts = Parts(self.config.state / FOLDER, plan)
        pair, memory, step = self.keys.sealing, self.memory, self.failpoints.hit
        acceptance = Acceptance(plan, roster, place, pair, self.calls, parts, memory, step)
        return Sitting(plan, roster, place, acceptance)


@dataclass(frozen=True)
class Sitting:
    """One round, as one seat sits in it.

    Attributes:
        roster: the version that the plan names.
        place: which of the three seats it is.
    """

    plan: Plan
    roster: Roster
    place: int
    acceptance: Acceptance

    @property
    def number(self) -> int:
        """The round's."""
        return self.plan.terms.round

    async def take(self, entries: Sequence[Entry]) -> tuple[list[Held], list[Refused]]:
        """Return the contributions that entries name: those taken, and those refused."""
        found = [await self.acceptance.accept_entry(entry) for entry in entries]
        taken = [each for each in found if isinstance(each, Held)]
        return taken, [each for each in found if isinstance(each, Refused)]

    def holding(self, held: Sequence[Held]) -> Holding:
        """Return some of its updates, for questions about them."""
        return Holding.of(self.plan, self.place, held)
