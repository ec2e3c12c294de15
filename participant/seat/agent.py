"""A seat's agent: it watches the rounds whose plans seat it, and does its part of each.

Tasks run side by side: a question that waits for another seat keeps no contribution waiting.
One that is no longer to be done, because its round has moved on, is cut short.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import structlog

from participant.joining.join import join
from participant.joining.versions import Versions
from participant.keys import SiteKeys
from participant.session import Task
from participant.view import View
from participant.wire.connect import connected
from participant.wire.coordinator import Coordinator
from participant.wire.letters import Letters, Mailbox
from participant.wire.patience import Patience
from participant.wire.seat_calls import SeatCalls
from participant.wire.tempo import Tempo
from privacy.errors import ConfigError, IllegalEvent, NotYet, Unavailable, VeilsumError
from privacy.failpoints import Failpoints
from privacy.roster import Role, Roster
from privacy.schemes.shares.layout import SEATS
from privacy.sealing import Entropy
from veilsum.files import hold
from veilsum.traces.tracing import NoTraces, Tracer

from . import recall
from .answering import answer_norms, answer_scores
from .certifying import certify
from .config import AggregatorConfig
from .disputes import show
from .judging import judge
from .memory import SeatMemory
from .party import Party
from .pledging import Account, Pledging
from .policy import check_aggregator
from .questions import Asking
from .rounds import Sittings
from .scoring import hand_in, score
from .sitting import Questions, Seat
from .stating import state
from .tasks import (
    UNAWAITED,
    Accept,
    AnswerNorms,
    AnswerScores,
    Certify,
    HandIn,
    Judge,
    Score,
    Show,
    Standing,
    State,
    is_over,
    tasks,
    waiting,
)

log = structlog.get_logger()

HEARTBEAT_SECONDS = 0.5
IDLE_SECONDS = 2.0
RETRY_SECONDS = 0.1
START_BYTES = 32

AskingOf = Callable[[Party, SeatMemory], Questions]
"""Returns what asks the other seats on behalf of one, and remembers that it did."""


@dataclass
class AggregatorAgent:
    """One seat at work; `run` returns when the programme is over.

    Attributes:
        account: what answers for its sums on a chain, if anything does.
    """

    config: AggregatorConfig
    keys: SiteKeys = field(repr=False)
    entropy: Entropy
    failpoints: Failpoints
    asking: AskingOf = Asking
    clock: Callable[[], float] = time.monotonic
    tracer: Tracer = field(default_factory=NoTraces)
    line: Tempo = field(default_factory=Tempo)
    account: Account | None = None

    def __post_init__(self) -> None:
        self._held = hold(self.config.state)
        self._memory = SeatMemory(self.config.state, self.failpoints.hit)
        self._view = View()
        unsent = self._memory.unsent()
        self._standing = Standing(self.config.participant, unsent=unsent)
        self._changed = asyncio.Event()
        self._patience = Patience(self.entropy)
        self._running: dict[Task, asyncio.Task[None]] = {}
        self._told: set[Task] = set()
        self._floors: dict[tuple[str, ...], asyncio.Task[int]] = {}
        # Never on the disk: a copy of it must not pass for this process.
        self._start = self.entropy(START_BYTES).hex()

    async def run(self) -> None:
        """Take part until the programme is over.

        Raises:
            ConfigError, ProtocolError, PrivacyError: this seat cannot take part.
        """
        step = self.failpoints.hit
        try:
            async with connected(self.config, self.keys, self.entropy, step) as coordinator:
                coordinator.tempo = self.line
                mailbox = Mailbox(Letters(coordinator), Patience(self.entropy), self.clock)
                await self.serve(coordinator, SeatCalls(coordinator), mailbox)
        finally:
            self._memory.close()

    async def serve(self, coordinator: Coordinator, calls: SeatCalls, mailbox: Mailbox) -> None:
        """Do what `coordinator` shows, until its programme is over."""
        versions = await join(coordinator, self.keys, self.config, check_aggregator, self._patience)
        seat = self._seat(coordinator, calls, mailbox, versions)
        pledging = self._pledging(calls)
        if pledging is not None:
            seat = replace(seat, has_stated=pledging.wake)
        beside = [
            asyncio.create_task(mailbox.run()),
            asyncio.create_task(
                recall.serve(
                    mailbox,
                    lambda: versions.newest,
                    seat.me,
                    self.keys.signing,
                    self._memory.newest,
                )
            ),
            asyncio.create_task(self._watch(coordinator)),
            *([] if pledging is None else [asyncio.create_task(pledging.run())]),
        ]
        try:
            await self._work(Sittings(seat), beside)
        finally:
            await _end([*self._running.values(), *self._floors.values(), *beside])

    def _seat(
        self, coordinator: Coordinator, calls: SeatCalls, mailbox: Mailbox, versions: Versions
    ) -> Seat:
        me, keys = self.config.participant, self.keys

        def floor(seats: tuple[str, ...]) -> asyncio.Task[int]:
            known = self._floors.get(seats)
            if known is None or (known.done() and (known.cancelled() or known.exception())):
                roster, awaited = versions.newest, self._is_awaited
                found = recall.floor(mailbox, roster, me, seats, self.entropy, awaited)
                self._floors[seats] = known = asyncio.create_task(found)
            return known

        signing, sealing = keys.signing, keys.sealing
        party = Party(mailbox, lambda: versions.newest, me, signing, sealing, self.entropy)
        return Seat(
            self.config,
            self.keys,
            self.entropy,
            self.failpoints,
            coordinator,
            calls,
            versions,
            self._memory,
            mailbox,
            self.asking(party, self._memory),
            floor,
            self._start,
        )

    def _pledging(self, calls: SeatCalls) -> Pledging | None:
        if self.account is None:
            return None
        patience = Patience(self.entropy, "pledges_wait")
        return Pledging(self.account, self.keys.signing, self._memory, calls, patience)

    # -- the loop ------------------------------------------------------------------

    async def _watch(self, coordinator: Coordinator) -> None:
        while True:
            try:
                # A round waits as long as whoever it waits for says that it is at work.
                working_on = sorted(
                    {task.round for task in self._todo() if not isinstance(task, UNAWAITED)}
                )
                wait = HEARTBEAT_SECONDS if working_on else IDLE_SECONDS
                self._view = await coordinator.watch(
                    self._view.revision, working_on, wait, self._start
                )
                self._changed.set()
                self._patience.reset()
            except Unavailable as error:
                await self._patience.wait(error)

    def _todo(self) -> tuple[Task, ...]:
        return tasks(self._view, self._standing)

    def _is_awaited(self) -> bool:
        return any(isinstance(task, Certify) for task in self._todo())

    async def _work(self, sittings: Sittings, beside: "list[asyncio.Task[None]]") -> None:
        while not self._view.finished or self._todo() or self._owed():
            self._start_and_cut(sittings)
            await self._wait(beside)
            await self._erase(sittings)
            found, unsent = sittings.found(), self._memory.unsent()
            self._standing = replace(self._standing, found=found, unsent=unsent)
        await self._erase(sittings)

    async def _erase(self, sittings: Sittings) -> None:
        view, owed = self._view, self._owed()
        self._told = {task for task in self._told if not is_over(view, task.round)}
        await sittings.end(lambda number: is_over(view, number) and Score(number) not in owed)

    def _owed(self) -> set[Task]:
        """Return the scores that were begun before their round's model was released.

        A release waits for no scores; but what was begun is ended, if others are there to end it.
        """
        begun = (task for task in self._running if isinstance(task, Score))
        return {task for task in begun if task.round <= self._view.released}

    def _start_and_cut(self, sittings: Sittings) -> None:
        for each in self._view.rounds:
            if self.config.participant in each.seats and _are_seats(
                each.seats, sittings.seat.versions.newest
            ):
                # Before anybody signs for a round, so that what others remember is of earlier ones.
                sittings.seat.floor(each.seats)
        todo = self._todo()
        for task in todo:
            if task not in self._running:
                self._running[task] = asyncio.create_task(self._do(sittings, task))
        for task in set(self._running) - set(todo) - self._owed():
            self._running.pop(task).cancel()

    async def _wait(self, beside: "list[asyncio.Task[None]]") -> None:
        changed = asyncio.create_task(self._changed.wait())
        waited = {changed, *beside, *self._running.values()}
        done, _ = await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        changed.cancel()
        self._changed.clear()
        for task in [task for task, each in self._running.items() if each in done]:
            await self._running.pop(task)  # raises what nobody foresaw
        for each in beside:
            if each in done:
                await each  # raises what ended it

    # -- one task ------------------------------------------------------------------

    async def _do(self, sittings: Sittings, task: Task) -> None:
        """Carry out a task, however often it must be tried, or decline it for good."""
        name = type(task).__name__
        patience = Patience(self.entropy, "will_retry", {"task": name, "round": task.round})
        while True:
            try:
                with self.tracer.span(f"task {name}", {"veilsum.round": task.round}):
                    await self._carry_out(sittings, task)
            except (NotYet, IllegalEvent) as error:
                # The round has moved on, or has not come so far; the next view tells.
                log.info("not_now", task=name, round=task.round, reason=str(error))
                if isinstance(task, HandIn):
                    return self._decline(task)  # its round is over, and tells nothing any more
                await asyncio.sleep(RETRY_SECONDS)
                return None
            except Unavailable as error:
                await patience.wait(error)
            except ConfigError:
                raise
            except VeilsumError as error:
                log.error(
                    "declined", task=name, round=task.round, code=error.code, reason=str(error)
                )
                return self._decline(task)
            else:
                if task in self._standing.declined:
                    return None
                # Once: what is sent again, until the next view shows it, was done before.
                if task not in self._told or isinstance(task, Accept):
                    log.info("done", task=name, round=task.round)
                self._told.add(task)
                # The next view shows it; one that does not makes it to be sent again.
                await asyncio.sleep(RETRY_SECONDS)
                return None

    def _decline(self, task: Task) -> None:
        self._standing = replace(self._standing, declined=self._standing.declined | {task})

    async def _carry_out(self, sittings: Sittings, task: Task) -> None:
        if isinstance(task, HandIn):
            # Of its round there may be no plan any more, and nothing else is wanted of it.
            await hand_in(sittings.seat, task.round)
            return
        sitting = await sittings.of(task.round)
        match task:
            case Accept():
                for participant in waiting(self._view, self._standing, task.round):
                    await sitting.acceptance.accept(participant)
            case Judge():
                await judge(sittings.seat, sitting)
            case AnswerNorms() if sitting.plan.questions().norm_bound is not None:
                await answer_norms(sittings.seat, sitting)
            case AnswerScores() if sitting.plan.questions().score_step_log2 is not None:
                await answer_scores(sittings.seat, sitting)
            case Show():
                await show(sittings.seat, sitting, task.disputed)
            case Certify():
                await certify(sittings.seat, sitting)
            case State():
                await state(sittings.seat, sitting)
            case Score() if sitting.plan.questions().score_step_log2 is not None:
                await score(sittings.seat, sitting)
                scored = self._standing.scored | {task.round}
                self._standing = replace(self._standing, scored=scored)
            case AnswerNorms() | AnswerScores() | Score():
                self._decline(task)  # the plan asks nothing of the kind


def _are_seats(names: tuple[str, ...], roster: Roster) -> bool:
    aggregators = {each.participant for each in roster.members if Role.AGGREGATOR in each.roles}
    return len(names) == SEATS and set(names) <= aggregators


async def _end(running: "Sequence[asyncio.Task[Any]]") -> None:
    for each in running:
        each.cancel()
    for each in running:
        with suppress(asyncio.CancelledError, VeilsumError):
            await each
