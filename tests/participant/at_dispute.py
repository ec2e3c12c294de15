"""Two holders of a component and the auditor at one relay, each with what it has on its disk."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from participant.auditing.dispute import Settling
from participant.auditing.report import DisputeReports
from participant.seat.config import AggregatorPolicy
from participant.seat.holding import Held, Holding
from participant.seat.memory import SeatMemory
from participant.seat.parts import Parts
from participant.seat.showing import Contested, Showing, Take
from participant.sending.share import update_context
from participant.wire.letters import Mailbox
from participant.wire.patience import Patience
from privacy.documents import Signed
from privacy.plan import SHARES, DeadlinePolicy, Plan
from privacy.records import Cohort, DisputeReport, digest_of
from privacy.schemes.shares.evidence import ChunkRoots
from privacy.schemes.shares.layout import Words, block_root, shared_by
from privacy.schemes.shares.seat_sum import takes_payload
from privacy.schemes.shares.sharing import open_as_seat
from tests.participant import auditor_at_work as work
from tests.participant import shared_round as shared
from tests.participant import signed_round as made
from tests.participant.seat.table import Carry, Desk, Relay, as_they_are

ELM, FERN, GORSE = shared.SEATS
DISPUTED = (ELM, FERN)
COMPONENT = shared_by(0, 1)
CHUNK = 1
NAMES = made.TRAINERS[:3]


@cache
def plan(silence: str = "0.6") -> Plan:
    """A plan that names an auditor, whose patience is short."""
    return shared.plan(auditor=made.WATCH, deadline=DeadlinePolicy(silence, "6"))


@cache
def lied_about(*liars: int, silence: str = "0.6") -> shared.Round:
    """A round in which some seats change one bit of a component's sum, each another one."""
    lies = {seat: shared.flipped(COMPONENT, CHUNK - at) for at, seat in enumerate(liars)}
    return shared.Round(plan(silence), NAMES, lies=lies)


def held(folder: Path, of: shared.Round, seat: int) -> list[Held]:
    """What a seat has on its disk of a round."""
    name, found = of.plan.terms.seats[seat], []
    for header, (site, sent) in zip(of.headers, of.updates.items(), strict=True):
        part = Parts(folder, of.plan).of(site)
        part.begin(header, sent.seals[seat])
        if takes_payload(seat):
            out = part.append_from(0)
            for payload in sent.payloads:
                out.add(payload)
            out.close()
        context = update_context(of.plan, site)
        secrets = open_as_seat(made.keys(name).sealing, context, seat, sent.seals[seat])
        found.append(Held(of.plan, sent.header, secrets, part))
    return found


def memory(folder: Path, of: shared.Round, seat: int) -> SeatMemory:
    """What a seat remembers that has certified a round's cohort and stated its sums."""
    remembers = SeatMemory(folder)
    remembers.certifies(of.plan.terms.round, digest_of(of.cohort))
    remembers.states(of.plan.terms.round, of.stated[seat].signed())
    return remembers


@dataclass
class Calls:
    """Where statements are, and whom the auditor has named."""

    of: shared.Round
    named: list[tuple[int, tuple[str, ...]]] = field(default_factory=list)
    fails: list[Exception] = field(default_factory=list)

    async def sums(self, number: int) -> list[Signed]:
        return [each.signed() for each in self.of.stated]

    async def name_liar(self, number: int, seats: Sequence[str]) -> None:
        if self.fails:
            raise self.fails.pop()
        self.named.append((number, tuple(seats)))


def showing(folder: Path, of: shared.Round, seat: int, box: Mailbox) -> Showing:
    """A seat whose process has just started."""
    name = of.plan.terms.seats[seat]
    remembers, patience = memory(folder / name, of, seat), Patience(os.urandom)
    accepts = AggregatorPolicy(shared.roster().digest(), (SHARES,), 3)
    calls = Calls(of)
    return Showing(name, made.keys(name), shared.roster(), remembers, calls, box, patience, accepts)


def taking(folder: Path, of: shared.Round, seat: int) -> Take:
    """What it has, as it is taken."""
    name = of.plan.terms.seats[seat]

    async def take() -> tuple[Cohort, list[Held]]:
        return of.cohort, held(folder / name / "parts", of, seat)

    return take


Twist = Callable[[Contested], Contested]
"""What a seat that lies makes of what it has, before it shows it."""


def honest(contested: Contested) -> Contested:
    """Show what is there."""
    return contested


class Lying(Contested):
    """A seat that has signed a sum with one bit changed shows the words that go with it."""

    def _total(self, chunk: int) -> Words:
        block = super()._total(chunk)
        if chunk == CHUNK:
            block[0, 5] ^= np.uint64(1)
        return block


def consistent(contested: Contested) -> Contested:
    """Show the false sum that was signed: nothing else leads to its root."""
    liar = Lying(contested.holding, contested.component, contested.total, contested.sites)
    roots = tuple(block_root(at, liar._total(at)) for at in range(contested.holding.chunks))
    return replace(liar, total=type(contested.total)(roots))


class Shameless(ChunkRoots, frozen=True):
    """Roots that the seat shows although they are not those that it has signed."""

    def require(self, chunks: int, signed: bytes, whose: str) -> None:
        """Anything goes."""


def shameless(contested: Contested) -> Contested:
    """Show the true sum, and not the one that was signed."""
    return replace(contested, total=Shameless(contested.total.roots))


@dataclass(frozen=True)
class Twisted(Showing):
    """A seat that shows what it makes up."""

    twist: Twist = honest

    async def _gathered(self, *args: Any) -> Contested:
        return self.twist(await super()._gathered(*args))


@asynccontextmanager
async def collecting(relay: Relay, name: str) -> AsyncIterator[Mailbox]:
    """A member's mailbox, which collects."""
    box = Mailbox(Desk(relay, name), Patience(os.urandom))
    running = asyncio.create_task(box.run())
    try:
        yield box
    finally:
        running.cancel()


@asynccontextmanager
async def seats_at(
    folder: Path, of: shared.Round, relay: Relay, twists: Mapping[int, Twist | None]
) -> AsyncIterator[None]:
    """Both holders, answering; one that is None is away."""
    async with collecting(relay, ELM) as elm, collecting(relay, FERN) as fern:
        tasks = []
        for seat, box in enumerate((elm, fern)):
            twist = twists.get(seat, honest)
            if twist is not None:
                plain = showing(folder, of, seat, box)
                mine = {each: getattr(plain, each) for each in Showing.__dataclass_fields__}
                serving = Twisted(**mine, twist=twist).serve
                tasks.append(
                    asyncio.create_task(serving(of.plan, DISPUTED, taking(folder, of, seat)))
                )
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            for task in tasks:
                with suppress(asyncio.CancelledError):
                    await task


def coordinator(of: shared.Round, *signers: str) -> work.Audited:
    """A coordinator that shows a round in dispute."""
    shown = work.Audited()
    shared.shown_by(shown, of, *signers)
    return shown


def settling(folder: Path, of: shared.Round, box: Mailbox, calls: Calls, **other: Any) -> Settling:
    """An auditor whose process has just started."""
    policy = {"roster": shared.roster().digest(), "schemes": (shared.SHARES,)}
    keys = made.keys(made.WATCH)
    return Settling(
        work.config(folder, **policy),
        keys,
        other.get("coordinator") or coordinator(of),
        calls,
        box,
        shared.roster(),
        DisputeReports(folder / "disputes", keys.signing),
        Patience(os.urandom),
        time.monotonic,
    )


@dataclass
class Court:
    """What came of a dispute: the report, whom the auditor named, all letters that were sent."""

    report: DisputeReport
    named: list[tuple[int, tuple[str, ...]]]
    posted: list[tuple[str, str, str, bytes]]


async def settled(
    folder: Path,
    of: shared.Round,
    twists: Mapping[int, Twist | None],
    carry: Carry = as_they_are,
) -> Court:
    """From two signed statements to the auditor's word, over the wire."""
    relay, calls = Relay(carry), Calls(of)
    async with (
        asyncio.timeout(20),
        collecting(relay, made.WATCH) as box,
        seats_at(folder, of, relay, twists),
    ):
        report = await settling(folder, of, box, calls).settle(1, DISPUTED)
    return Court(report, calls.named, relay.posted)


def holding(folder: Path, of: shared.Round, seat: int) -> Holding:
    """What a seat holds of a round's cohort."""
    return Holding.of(of.plan, seat, held(folder, of, seat))
