"""What a seat shows the auditor where the other holder of a component states another sum.

Roots and hashes first, then one leaf: the words of its own sum, and those of every site, each
sealed to the auditor in a letter of its own. One leaf of a component in a round, ever: it is
recorded before it is shown, and after a restart the same leaf is shown again and no other.
Of a component the auditor has so one leaf from each of its two holders, which are two different
ones if it asks for them. Enough of them, and a third seat that works with the auditor would have
the updates.

What it shows is made again from the parts on its disk, all of them once, chunk by chunk;
meanwhile it says that it is at work. In memory are 32 bytes for each chunk of each site.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np
import structlog

from participant.keys import SiteKeys
from participant.policy import plans as policies
from participant.policy.refusing import line
from participant.wire.disputing import (
    ASK,
    SHOWN,
    WORKING,
    Case,
    Shows,
    Wanted,
    check_statement,
    component_between,
    read_ask,
    root_in,
    show,
)
from participant.wire.letters import Letter, Mailbox
from participant.wire.patience import Patience
from privacy.documents import Signed
from privacy.errors import (
    FoldInterrupted,
    NotYet,
    OpeningRefused,
    PrivacyError,
    ProtocolError,
    RootMismatch,
    StoreUnavailable,
    Unavailable,
    WrongContext,
)
from privacy.plan import Plan
from privacy.records import Cohort, SeatSum, digest_of
from privacy.roster import Roster
from privacy.schemes.shares import evidence
from privacy.schemes.shares.evidence import ChunkRoots, Place, leaf_hashes
from privacy.schemes.shares.layout import Words, block_root, held_by

from .config import AggregatorPolicy
from .holding import Held, Holding
from .memory import SeatMemory

log = structlog.get_logger()

WORKING_SECONDS: Final = 1.0
"""How often a seat says that it is at work: more often than any auditor's patience ends."""


Take = Callable[[], Awaitable[tuple[Cohort, Sequence[Held]]]]
"""Returns a certified cohort, and what a seat holds of all its contributions."""


class States(Protocol):
    """Where seats' statements are, as `SeatCalls` has them."""

    async def sums(self, number: int) -> list[Signed]:
        """Return the signed statements of a round's seats."""
        ...


@dataclass(frozen=True)
class Contested:
    """A disputed component as this seat holds it: roots of its sum, and of every site.

    Promises the seat that what it shows leads to what it and the sites have signed.
    """

    holding: Holding
    component: int
    total: ChunkRoots
    sites: Mapping[str, ChunkRoots]

    def place(self, wanted: Wanted) -> Place | None:
        """Return the leaf that is wanted, None if it is hashes.

        Raises:
            MalformedMessage: there is no such chunk or leaf.
        """
        if wanted.chunk is None or wanted.leaf is None:
            return None
        leaves = self._plan.shares().leaves_in(self._plan.geometry().values_in(wanted.chunk))
        return Place(wanted.chunk, self.holding.chunks, wanted.leaf, leaves)

    def shows(self, wanted: Wanted) -> Iterator[tuple[str | None, Shows]]:
        """Yield what is wanted, and of which site it is; of the sum itself first.

        Raises:
            MalformedMessage: there is no such chunk.
            StoreUnavailable: the disk refuses, or has damaged what it keeps.
            RootMismatch: what the disk has is not what led to the roots.
        """
        place = self.place(wanted)
        if place is not None:
            yield from self._leaf(place)
        elif wanted.chunk is None:
            yield None, self.total
        else:
            yield None, leaf_hashes(wanted.chunk, self._total(wanted.chunk))

    def _leaf(self, place: Place) -> Iterator[tuple[str | None, Shows]]:
        chunk, leaf = place.chunk, place.leaf
        yield None, evidence.show(self.total, chunk, self._total(chunk), leaf)
        for site, roots in self.sites.items():
            block = self.holding.blocks(chunk, site)[self._at]
            yield site, evidence.show(roots, chunk, block, leaf)

    def _total(self, chunk: int) -> Words:
        return self.holding.total(chunk)[self._at]

    @property
    def _plan(self) -> Plan:
        return self.holding.plan

    @property
    def _at(self) -> int:
        return held_by(self.holding.seat).index(self.component)


def gather(
    holding: Holding, component: int, stopped: Callable[[], bool] = lambda: False
) -> Contested:
    """Return one component of all that a seat holds.

    Args:
        stopped: whether nobody waits for it any more.

    Raises:
        FoldInterrupted: it was stopped.
        StoreUnavailable: the disk refuses, or has damaged what it keeps.
        RootMismatch: a site has signed another component.
    """
    at = held_by(holding.seat).index(component)
    total: list[bytes] = []
    sites: dict[str, list[bytes]] = {name: [] for name in holding.participants}
    for chunk in range(holding.chunks):
        if stopped():
            raise FoldInterrupted(f"round {holding.plan.terms.round}: stopped while adding")
        total.append(_add_chunk(holding, at, chunk, sites))
    found = {site: ChunkRoots(tuple(roots)) for site, roots in sites.items()}
    for site, roots in found.items():
        signed = bytes.fromhex(holding.held[site].header.roots[component])
        roots.require(holding.chunks, signed, f"the part of {site} on this disk")
    return Contested(holding, component, ChunkRoots(tuple(total)), found)


@dataclass(frozen=True)
class Showing:
    """A seat's part of a dispute.

    Promises sites that it shows nothing but to the plan's auditor, of the cohort that it has
    certified and stated, of the component whose other holder has signed another sum, and of that
    one leaf in a round, ever.
    """

    me: str
    keys: SiteKeys = field(repr=False)
    roster: Roster
    memory: SeatMemory
    states: States
    mailbox: Mailbox
    patience: Patience
    policy: AggregatorPolicy

    async def serve(self, plan: Plan, disputed: Sequence[str], take: Take) -> None:
        """Answer the auditor about one dispute, for ever; cancelled when the round goes on.

        Args:
            disputed: the two seats, as the coordinator says; checked here.
            take: returns the certified cohort, and this seat's parts of all its contributions.

        Raises:
            OpeningRefused: this seat did not certify the cohort of its sums.
            WrongContext, NotYet: there is no such dispute, or none yet.
            PolicyRefusal: the plan's auditor is not one who may see a leaf.
            RootMismatch: this disk does not give the sum that this seat has signed.
            StoreUnavailable: the disk refuses, or has damaged what it keeps.
        """
        case, root = await self._case(plan, disputed)
        with self.mailbox.waiting(ASK, (case.auditor,)) as waiter:
            contested = await self._while_working(case, self._gathered(plan, case, take))
            contested.total.require(contested.holding.chunks, root, f"{self.me}, on its disk now,")
            log.info("shows_dispute", round=case.round, component=case.component)
            while True:
                await self._answer(contested, case, await waiter.next())

    # -- whether there is anything to show -----------------------------------------

    async def _case(self, plan: Plan, disputed: Sequence[str]) -> tuple[Case, bytes]:
        """Return what may be shown to whom, and the root of this seat's own sum of it."""
        mine = self._stated(plan)
        component = component_between(plan, tuple(disputed))
        if self.me not in disputed:
            raise WrongContext(f"round {plan.terms.round}: {self.me} is in no dispute")
        other = next(seat for seat in disputed if seat != self.me)
        theirs = await self._statement_of(other, plan, mine)
        if root_in(mine, component) == root_in(theirs, component):
            raise WrongContext(
                f"round {plan.terms.round}: {other} has signed the same sum of component "
                f"{component}; there is no dispute to show anything for"
            )
        return self._before_auditor(plan, mine, component), bytes.fromhex(root_in(mine, component))

    def _stated(self, plan: Plan) -> SeatSum:
        number = plan.terms.round
        signed, certified = self.memory.statement(number), self.memory.certified(number)
        if signed is None:
            raise NotYet(f"round {number}: {self.me} has stated no sums")
        if certified is None:
            raise OpeningRefused(f"round {number}: {self.me} has certified no cohort")
        return check_statement(plan, self.roster, self.me, certified, signed)

    async def _statement_of(self, other: str, plan: Plan, mine: SeatSum) -> SeatSum:
        for signed in await self.states.sums(plan.terms.round):
            if other in signed.signatures:
                return check_statement(plan, self.roster, other, mine.cohort, signed)
        raise NotYet(f"round {plan.terms.round}: {other} has stated no sums")

    def _before_auditor(self, plan: Plan, mine: SeatSum, component: int) -> Case:
        terms = plan.terms
        if terms.auditor is None or terms.roster != self.roster.digest():
            raise WrongContext(f"round {terms.round}: the plan names no auditor of this roster")
        policies.check_auditor(terms.auditor, self.roster, line(self.policy, "roster"))
        return Case(
            federation=terms.federation,
            round=terms.round,
            plan=mine.plan,
            cohort=mine.cohort,
            component=component,
            seat=self.me,
            auditor=terms.auditor,
        )

    # -- showing it ----------------------------------------------------------------

    async def _gathered(self, plan: Plan, case: Case, take: Take) -> Contested:
        """Return the component from the parts on this disk."""
        cohort, held = await take()
        if digest_of(cohort) != case.cohort:
            raise OpeningRefused(
                f"round {case.round}: {self.me} has stated sums of another cohort than is shown"
            )
        holding = Holding.of(plan, plan.terms.seats.index(self.me), held)
        _check_holding(holding, cohort)
        stop = threading.Event()
        try:
            return await asyncio.to_thread(gather, holding, case.component, stop.is_set)
        finally:
            stop.set()

    async def _while_working(self, case: Case, work: Awaitable[Contested]) -> Contested:
        """Return what comes of some work, and say meanwhile that it is being done."""
        working = asyncio.ensure_future(work)
        try:
            while not working.done():
                await self._say_working(case.auditor)
                await asyncio.wait({working}, timeout=WORKING_SECONDS)
            return working.result()
        finally:
            working.cancel()

    async def _say_working(self, auditor: str) -> None:
        try:
            await self.mailbox.post(auditor, WORKING, b"")
        except Unavailable as error:
            log.info("not_said", auditor=auditor, reason=str(error))

    async def _answer(self, contested: Contested, case: Case, letter: Letter) -> None:
        """Answer one letter; what it must not show it does not, and says so in the log."""
        try:
            wanted = read_ask(letter.body, case, self.roster.member(case.auditor))
            self._record(contested, case, wanted)
            await self._show(contested, case, wanted)
        except (ProtocolError, PrivacyError, StoreUnavailable) as error:
            log.error("not_shown", round=case.round, code=error.code, reason=str(error))

    def _record(self, contested: Contested, case: Case, wanted: Wanted) -> None:
        place = contested.place(wanted)
        if place is not None:
            self.memory.shows(case.round, case.component, place.chunk, place.leaf)

    async def _show(self, contested: Contested, case: Case, wanted: Wanted) -> None:
        auditor = self.roster.member(case.auditor)
        found = contested.shows(wanted)

        def following() -> bytes | None:
            each = next(found, None)
            return each and show(case, wanted, *each, auditor, self.keys.signing)

        while (body := await asyncio.to_thread(following)) is not None:
            await self._post(case.auditor, body)
        log.info("shown", round=case.round, chunk=wanted.chunk, leaf=wanted.leaf)

    async def _post(self, auditor: str, body: bytes) -> None:
        while True:
            try:
                await self.mailbox.post(auditor, SHOWN, body)
            except Unavailable as error:
                await self.patience.wait(error)
            else:
                return self.patience.reset()


def _check_holding(holding: Holding, cohort: Cohort) -> None:
    found = {name: held.digest for name, held in holding.held.items()}
    if found != {entry.participant: entry.contribution for entry in cohort.entries}:
        raise RootMismatch(f"round {cohort.round}: this seat holds other parts than the cohort's")


def _add_chunk(holding: Holding, at: int, chunk: int, sites: Mapping[str, list[bytes]]) -> bytes:
    """Take note of the root of each site's chunk, and return the root of their sum."""
    total: Words | None = None
    spare = None
    for name in holding.participants:
        spare = holding.blocks(chunk, name, spare)
        block = spare[at]
        sites[name].append(block_root(chunk, block))
        total = block.copy() if total is None else np.add(total, block, out=total)
    assert total is not None  # a cohort has sites
    return block_root(chunk, total)
