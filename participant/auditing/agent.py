"""An auditor's agent: it watches the rounds, and audits those whose plans name it."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import structlog

from participant.joining.join import join
from participant.joining.versions import Versions, named_by_plan
from participant.keys import SiteKeys
from participant.policy.plans import check_auditor
from participant.session import Audit, Settle, audits, disputes
from participant.view import View
from participant.wire.connect import connected
from participant.wire.coordinator import Coordinator
from participant.wire.letters import Letters, Mailbox
from participant.wire.patience import Patience
from participant.wire.seat_calls import SeatCalls
from participant.wire.tempo import Tempo
from privacy.errors import ConfigError, IllegalEvent, NotYet, Unavailable, VeilsumError
from privacy.failpoints import Failpoints
from privacy.roster import Roster
from privacy.sealing import Entropy
from veilsum.files import hold
from veilsum.traces.tracing import NoTraces, Tracer

from .accusing import accusing
from .auditor import Auditor
from .config import AuditorConfig
from .dispute import Settling
from .memory import AuditMemory
from .report import DISPUTES, DisputeReports, Reports

log = structlog.get_logger()

HEARTBEAT_SECONDS = 0.5
IDLE_SECONDS = 2.0
RETRY_SECONDS = 0.5


@dataclass
class AuditorAgent:
    """One auditor at work; `run` returns when the programme is over."""

    config: AuditorConfig
    keys: SiteKeys = field(repr=False)
    entropy: Entropy
    failpoints: Failpoints
    clock: Callable[[], float] = time.monotonic
    tracer: Tracer = field(default_factory=NoTraces)
    line: Tempo = field(default_factory=Tempo)

    def __post_init__(self) -> None:
        self._held = hold(self.config.state)
        self._memory = AuditMemory(self.config.state)
        self._reports = Reports(self.config.state / "reports", self.keys.signing)
        self._reports.start()
        self._view = View()
        self._settled: frozenset[int] = frozenset()
        self._ruled: frozenset[Settle] = frozenset()
        self._changed = asyncio.Event()
        self._patience = Patience(self.entropy)
        self._retries: dict[int, Patience] = {}
        self._refusing: set[int] = set()

    async def run(self) -> None:
        """Audit until the programme is over.

        Raises:
            ConfigError, ProtocolError, PrivacyError: this auditor cannot take part.
        """
        step = self.failpoints.hit
        try:
            async with connected(self.config, self.keys, self.entropy, step) as coordinator:
                coordinator.tempo = self.line
                await self.serve(coordinator)
        finally:
            self._memory.close()

    async def serve(self, coordinator: Coordinator) -> None:
        """Audit what `coordinator` shows, until its programme is over."""
        versions = await join(coordinator, self.keys, self.config, check_auditor, self._patience)
        auditor = self._auditor(coordinator, versions.newest)
        watching = asyncio.create_task(self._watch(coordinator))
        try:
            while self._todo() or not self._view.finished:
                for task in self._todo():
                    if isinstance(task, Settle):
                        done = await self._settle(auditor, versions, task)
                    else:
                        done = await self._try(auditor, versions, task.round)
                    if done:
                        break
                else:
                    await self._wait(watching)
        finally:
            watching.cancel()

    def _auditor(self, coordinator: Coordinator, roster: Roster) -> Auditor:
        return Auditor(
            self.config,
            self.keys.signing,
            coordinator,
            roster,
            self._reports,
            Patience(self.entropy),
            self.clock,
            self.failpoints,
        )

    def _todo(self) -> tuple[Audit | Settle, ...]:
        me = self.config.participant
        disputed = disputes(self._view, me, self._ruled)
        return (*audits(self._view, me, self._settled), *disputed)

    async def _watch(self, coordinator: Coordinator) -> None:
        while True:
            try:
                # A round waits as long as whoever it waits for says that it is at work.
                working_on = [task.round for task in self._todo()]
                wait = HEARTBEAT_SECONDS if working_on else IDLE_SECONDS
                self._view = await coordinator.watch(self._view.revision, working_on, wait)
                self._changed.set()
                self._patience.reset()
            except Unavailable as error:
                await self._patience.wait(error)

    async def _wait(self, watching: asyncio.Task[None]) -> None:
        changed = asyncio.create_task(self._changed.wait())
        done, _ = await asyncio.wait({changed, watching}, return_when=asyncio.FIRST_COMPLETED)
        if watching in done:
            await watching  # raises what ended it
        self._changed.clear()

    async def _try(self, auditor: Auditor, versions: Versions, number: int) -> bool:
        """Sign the sum of a round, or refuse the round; return whether it is settled."""
        try:
            with self.tracer.span("task Audit", {"veilsum.round": number}):
                await self._sign_or_refuse(auditor, versions, number)
        except (NotYet, IllegalEvent) as error:
            # The round has moved on, or has not come so far; the next view tells.
            log.info("not_now", round=number, reason=str(error))
            await asyncio.sleep(RETRY_SECONDS / 5)
            return False
        except Unavailable as error:
            await self._retry(number).wait(error)
            return False
        self._settled |= {number}
        self._retries.pop(number, None)
        self._refusing.discard(number)
        auditor.found.pop(number, None)
        return True

    async def _settle(self, auditor: Auditor, versions: Versions, task: Settle) -> bool:
        """Settle a dispute; return whether there is nothing more to do about it."""
        try:
            await self._name_liar(await _under(auditor, versions, task.round), task)
        except (NotYet, IllegalEvent) as error:
            log.info("not_now", round=task.round, reason=str(error))
            await asyncio.sleep(RETRY_SECONDS / 5)
            return False
        except Unavailable as error:
            await self._retry(task.round).wait(error)
            return False
        except ConfigError:
            raise
        except VeilsumError as error:
            # Nothing of it is signed as it must be: the round ends with its time.
            log.error("refused", round=task.round, code=error.code, reason=str(error))
        await self._accuse(auditor, versions, task.round)
        self._ruled |= {task}
        self._retries.pop(task.round, None)
        return True

    async def _accuse(self, auditor: Auditor, versions: Versions, number: int) -> None:
        """Write evidence against who lied, as far as it can be had now; a command does it later."""
        if self.config.settlement is None:
            return
        calls = SeatCalls(auditor.coordinator)
        try:
            # In a thread: libraries of the chain take seconds to load.
            given = self.config, self.keys, calls, versions.admitted
            made = await asyncio.to_thread(accusing, *given)
            await made.accuse(number)
        except NotYet as error:
            log.info("nobody_accused", round=number, reason=str(error))
        except VeilsumError as error:
            log.error("not_accused", round=number, code=error.code, reason=str(error))

    async def _name_liar(self, auditor: Auditor, task: Settle) -> None:
        coordinator = auditor.coordinator
        mailbox = Mailbox(Letters(coordinator), Patience(self.entropy), self.clock)
        settling = asyncio.create_task(self._settling(auditor, mailbox).settle(*_of(task)))
        collecting = asyncio.create_task(mailbox.run())
        both: set[asyncio.Task[Any]] = {settling, collecting}
        try:
            done, _ = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            # Who collects no letters must not take silence for an answer.
            await (collecting if collecting in done else settling)
        finally:
            for each in both:
                each.cancel()
            await asyncio.wait(both)

    def _settling(self, auditor: Auditor, mailbox: Mailbox) -> Settling:
        return Settling(
            self.config,
            self.keys,
            auditor.coordinator,
            SeatCalls(auditor.coordinator),
            mailbox,
            auditor.roster,
            DisputeReports(self.config.state / DISPUTES, self.keys.signing),
            Patience(self.entropy),
            self.clock,
        )

    def _retry(self, number: int) -> Patience:
        fresh = Patience(self.entropy, "will_retry", {"round": number})
        return self._retries.setdefault(number, fresh)

    async def _sign_or_refuse(self, auditor: Auditor, versions: Versions, number: int) -> None:
        try:
            of_round = await _under(auditor, versions, number)
            await of_round.sign(number, self._memory)
            log.info("countersigned", round=number)
        except (NotYet, IllegalEvent, Unavailable, ConfigError):
            raise
        except VeilsumError as error:
            if number not in self._refusing:
                log.error("refused", round=number, code=error.code, reason=str(error))
            self._refusing.add(number)
            await auditor.coordinator.refuse(number, error.code)


async def _under(auditor: Auditor, versions: Versions, number: int) -> Auditor:
    """Return the auditor, under the version of the roster that a round's plan names."""
    named = named_by_plan(await auditor.coordinator.plan(number))
    return replace(auditor, roster=await versions.under(number, named))


def _of(task: Settle) -> tuple[int, tuple[str, ...]]:
    return task.round, task.seats
