"""An auditor's part of a round: check all that is signed, add again, sign one sum or none."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from participant.opening import keying
from participant.opening.frozen import Frozen, check_frozen
from participant.pace import Pace, say_in_log
from participant.policy import plans as policies
from participant.sending.sign import read_header
from participant.training.worker import error_of
from participant.wire.coordinator import Coordinator
from participant.wire.patience import Patience
from participant.wire.planned import planned
from privacy.documents import Signed
from privacy.errors import (
    FalseSum,
    IllegalEvent,
    MalformedMessage,
    NotYet,
    OpeningRefused,
    PrivacyError,
    ProtocolError,
    RootMismatch,
    Unavailable,
    VeilsumError,
)
from privacy.failpoints import Failpoints
from privacy.growth import SeenOf
from privacy.identifiers import COORDINATOR
from privacy.plan import SHARES, Plan
from privacy.records import AuditReport, DisputeReport, Fault, Header, digest_of
from privacy.roster import Roster
from privacy.signing import Purpose, sign

from .audit import Audit
from .config import AuditorConfig
from .locate import locate
from .memory import AuditMemory
from .report import Reports, words_of

log = structlog.get_logger()


@dataclass(frozen=True)
class Shown:
    """What the coordinator shows of a round, every signature checked; its sum is not yet."""

    plan: Plan
    frozen: Frozen
    manifest: Signed
    headers: tuple[Header, ...]


@dataclass(frozen=True)
class Auditor:
    """What an auditor does for one round; it needs no key that opens anything, and has none.

    Promises openers that it signs one sum of a round, ever, and only one that it has added again
    itself from contributions whose signatures and roots it has checked.

    Attributes:
        found: what adding has found, by round, until the round is settled: a disk that refuses
            the report is no reason to add again.
    """

    config: AuditorConfig
    key: Ed25519PrivateKey = field(repr=False)
    coordinator: Coordinator
    roster: Roster
    reports: Reports
    patience: Patience
    clock: Callable[[], float]
    failpoints: Failpoints = field(default_factory=Failpoints)
    found: dict[int, AuditReport] = field(default_factory=dict)

    async def sign(self, number: int, memory: AuditMemory) -> None:
        """Sign the sum of a round if it is that of its contributions; else say why not, for good.

        Raises:
            FalseSum, RootMismatch: it is not, now or when it was added before.
            OpeningRefused: another sum of this round was signed before.
            StoreUnavailable: the disk refuses; at the next try nothing is added again.
            ProtocolError, PrivacyError: something is not as plan, roster and policy need it.
            IllegalEvent, NotYet: the round is not there to be audited now.
        """
        report = self._false_before(number) or await self._decide(number, memory)
        if report.code:
            self.reports.keep(report)
            raise refusal(report)
        self.failpoints.hit("audit.before_sign")
        await self.coordinator.countersign(number, sign(self.key, Purpose.SUM, report.manifest))

    async def check(self, number: int, seen: SeenOf) -> AuditReport:
        """Return what there is to say of a round now; nothing is recorded, and nothing signed.

        Args:
            seen: how far this auditor has seen the sites' ledgers.

        Raises:
            IllegalEvent, NotYet: the round is not there to be audited now.
        """
        shown = await self._shown(number, seen)
        return shown if isinstance(shown, AuditReport) else await self._added(shown)

    def _false_before(self, number: int) -> AuditReport | None:
        found = self.found.get(number)
        unwritten = found if found is not None and found.fault is not None else None
        return unwritten or self.reports.false_sum(number)

    async def _decide(self, number: int, memory: AuditMemory) -> AuditReport:
        """Return a report without a code for one sum of the round only, recorded before."""
        shown = await self._shown(number, memory.ledgers_seen())
        if isinstance(shown, AuditReport):
            return shown
        memory.sees_ledgers(shown.headers)
        if memory.countersigned(number) is None:
            report = await self._added_once(shown)
            if report.code:
                return report
            self.reports.keep(report)
            self.failpoints.hit("audit.before_record")
        try:
            memory.countersigns(number, digest_of(shown.frozen.cohort), digest_of(shown.frozen.sum))
        except OpeningRefused as refused:
            return self._report(shown, refused.code, str(refused))
        self.failpoints.hit("audit.after_record")
        return self._report(shown)

    # -- what is signed -------------------------------------------------------------

    async def _shown(self, number: int, seen: SeenOf) -> Shown | AuditReport:
        """Return what the coordinator shows of a round, or the report of what it must not be."""
        try:
            return await self._checked(number, seen)
        except IllegalEvent:
            raise
        except (ProtocolError, PrivacyError) as error:
            me, federation = self.config.participant, self.roster.federation
            return AuditReport(federation, number, me, error.code, str(error))

    async def _checked(self, number: int, seen: SeenOf) -> Shown:
        plan = await planned(self.coordinator, self.roster, number)
        if plan.arithmetic.scheme == SHARES:
            raise IllegalEvent(
                f"round {number}: under {SHARES} seats vouch for a sum, and an auditor for what "
                "they dispute; nothing was disputed"
            )
        policy = self.config.policy
        policies.check_audit(plan, self.config.participant, policy, self.roster)
        await self._check_key(plan)
        cohort, headers = await self.coordinator.cohort(number)
        async with self.coordinator.sum(number) as (manifest, _):
            frozen = check_frozen(plan, policy, self.roster, cohort, headers, manifest, seen)
        return Shown(plan, frozen, manifest, tuple(read_header(each.body) for each in headers))

    async def _check_key(self, plan: Plan) -> None:
        state = await self.coordinator.key(plan.terms.round)
        if state.record is None:
            raise NotYet(f"round {plan.terms.round} shows no key")
        record = keying.check_vouched(state.record, plan, state.public_key, self.roster)
        keying.check_recipients(record)

    # -- what is added --------------------------------------------------------------

    async def _added_once(self, shown: Shown) -> AuditReport:
        """Return what adding has found, now or at an earlier try, of the same plan and sum."""
        number = shown.plan.terms.round
        before = self.found.get(number)
        if before is None or _audited(before) != (shown.plan.digest(), shown.manifest.body):
            self.found[number] = await self._added(shown, self._keep_proof)
        return self.found[number]

    def _keep_proof(self, report: AuditReport) -> None:
        self.found[report.round] = report
        self.reports.keep(report)

    async def _added(
        self, shown: Shown, proven: Callable[[AuditReport], object] = lambda _: None
    ) -> AuditReport:
        """Return what adding a round's contributions again has found.

        Args:
            proven: is given the proof of a false sum, before anything more is asked of who
                made it.
        """
        number, began = shown.plan.terms.round, self.clock()
        audit = Audit(shown.plan, shown.frozen.cohort)
        try:
            fault = await self._add(audit, number) or audit.spoiled()
        except MalformedMessage as error:
            return self._report(shown, error.code, str(error))
        code = "" if fault is None else RootMismatch.code
        if fault is None and audit.root() != shown.frozen.sum.root:
            code = FalseSum.code
            somewhere = Fault(participant="")
            found = {"chunks": audit.chunk, "length": audit.length, "found": audit.root()}
            reason = _reason(number, somewhere)
            proven(self._report(shown, code, reason, fault=somewhere, **found))
            fault = await locate(self.coordinator, number, audit, self.patience)
        report = self._report(
            shown,
            code,
            "" if fault is None else _reason(number, fault),
            chunks=audit.chunk,
            length=audit.length,
            seconds=f"{self.clock() - began:.3f}",
            found=audit.root() if audit.complete else "",
            fault=fault,
        )
        log.info("audited", round=number, code=code or "equal", seconds=report.seconds)
        return report

    async def _add(self, audit: Audit, number: int) -> Fault | None:
        """Add what the coordinator streams; go on from the chunk reached where a stream breaks."""
        pace = Pace(audit.chunks, say_in_log("auditing", number), clock=self.clock)
        while not audit.complete:
            reached = audit.chunk
            try:
                fault = await self._add_stream(audit, number, pace)
                if fault is not None:
                    return fault
                if not audit.complete and audit.chunk == reached:
                    raise MalformedMessage(f"round {number}: no contribution to chunk {reached}")
            except NotYet:
                raise
            except Unavailable as error:
                await self.patience.wait(error)
            audit.drop_incomplete()
        self.patience.reset()
        return None

    async def _add_stream(self, audit: Audit, number: int, pace: Pace) -> Fault | None:
        async with self.coordinator.contributions(number, audit.chunk) as payloads:
            async for chunk, participant, payload in payloads:
                before = audit.length
                fault = audit.take(chunk, participant, payload)
                if fault is not None:
                    return fault
                if audit.length > before:
                    pace.step(audit.length - before)
        return None

    def _report(
        self,
        shown: Shown,
        code: str = "",
        reason: str = "",
        **found: Any,  # noqa: ANN401
    ) -> AuditReport:
        return AuditReport(
            federation=self.roster.federation,
            round=shown.plan.terms.round,
            auditor=self.config.participant,
            code=code,
            reason=reason,
            plan=shown.plan.digest(),
            cohort=digest_of(shown.frozen.cohort),
            sum=digest_of(shown.frozen.sum),
            contributions=len(shown.frozen.cohort.entries),
            manifest=shown.manifest.body,
            manifest_signature=shown.manifest.signatures[COORDINATOR],
            **found,
        )


def refusal(report: AuditReport | DisputeReport) -> VeilsumError:
    """Return the error that a report with a code stands for."""
    return error_of(report.code, report.reason)


def _audited(report: AuditReport) -> tuple[str, bytes]:
    return report.plan, report.manifest


def _reason(number: int, fault: Fault) -> str:
    if fault.participant:
        return (
            f"round {number}: {words_of(fault)}, as the coordinator hands it out, does not lead to "
            "the root that was signed"
        )
    return f"round {number}: {words_of(fault)}"
