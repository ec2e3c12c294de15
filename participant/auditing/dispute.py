"""An auditor's part of a dispute: two seats state different sums of one component; who is wrong?

It checks all that is signed: the cohort, its certificate, every site's header, both seats'
statements. Then it asks both holders, at the same time, for hashes down to the first leaf in
which they differ, and for that leaf of each site and of their sums; what sites have signed
decides. Who does not show what it must within the plan's time withholds it.

A liar is proven by what two parties have signed. That a seat withholds something is only what
the auditor sees from where it stands: a coordinator that drops or garbles letters can make an
honest seat one of these, and never a liar. It gains nothing that it had not by dropping that
seat's statement: either way the round goes on with the two others.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Protocol

import msgspec
import structlog

from participant.keys import SiteKeys
from participant.opening.frozen import check_frozen_cohort
from participant.policy import plans as policies
from participant.wire.coordinator import Coordinator
from participant.wire.disputing import TOPICS, Case, check_statement, component_between, root_in
from participant.wire.letters import Mailbox
from participant.wire.patience import Patience
from participant.wire.planned import planned
from privacy import canonical
from privacy.certificate import check_certificate
from privacy.documents import Signed
from privacy.errors import (
    IllegalEvent,
    NotYet,
    PrivacyError,
    ProtocolError,
    SeatLied,
    SeatsDisagree,
)
from privacy.plan import Plan
from privacy.records import (
    Cohort,
    DisputeReport,
    Exhibit,
    SeatSum,
    SharedContribution,
    digest_of,
)
from privacy.roster import Roster
from privacy.schemes.shares.dispute import Dispute
from privacy.schemes.shares.evidence import Place

from .config import AuditorConfig
from .inquiry import Found, Holder, Inquiry, Limits
from .report import DisputeReports

log = structlog.get_logger()


class Statements(Protocol):
    """Where seats' statements are, and where the auditor's word goes; as `SeatCalls`."""

    async def sums(self, number: int) -> list[Signed]:
        """Return the signed statements of a round's seats."""
        ...

    async def name_liar(self, number: int, seats: Sequence[str]) -> None:
        """Say which seats' sums do not count."""
        ...


@dataclass(frozen=True)
class Signatories:
    """What a dispute is about, every signature checked: cohort, headers, both statements."""

    plan: Plan
    cohort: Cohort
    headers: Mapping[str, SharedContribution]
    statements: Mapping[str, tuple[Signed, SeatSum]]
    component: int

    def dispute(self) -> Dispute:
        """Return the case in terms of the scheme.

        Raises:
            MalformedMessage: both state the same sum, and there is none.
        """
        sums = {
            self.plan.terms.seats.index(seat): bytes.fromhex(root_in(statement, self.component))
            for seat, (_, statement) in self.statements.items()
        }
        sites = {
            name: bytes.fromhex(header.roots[self.component])
            for name, header in self.headers.items()
        }
        return Dispute(
            self.plan.shares(), self.plan.arithmetic.dimension, self.component, sums, sites
        )

    def case(self, seat: str, auditor: str) -> Case:
        """Return what every letter to and from one holder names."""
        return Case(
            federation=self.plan.terms.federation,
            round=self.plan.terms.round,
            plan=self.plan.digest(),
            cohort=digest_of(self.cohort),
            component=self.component,
            seat=seat,
            auditor=auditor,
        )

    def exhibits(self) -> tuple[Exhibit, ...]:
        """Return what both have signed."""
        return tuple(
            Exhibit(seat, signed.body, signed.signatures[seat])
            for seat, (signed, _) in self.statements.items()
        )


@dataclass(frozen=True)
class Settling:
    """What an auditor does about one dispute.

    Promises seats that none is called a liar whose signed sum is that of the sites; and
    everybody that of one component of a round it rules once: what is on disk is its word.
    """

    config: AuditorConfig
    keys: SiteKeys = field(repr=False)
    coordinator: Coordinator
    statements: Statements
    mailbox: Mailbox
    roster: Roster
    reports: DisputeReports
    patience: Patience
    clock: Callable[[], float]

    async def settle(self, number: int, disputed: tuple[str, ...]) -> DisputeReport:
        """Find out who is wrong, keep the report, and name whom the round does not count on.

        Args:
            disputed: the two seats, as the coordinator says; checked here.

        Raises:
            StoreUnavailable: the disk refuses; nobody is named.
            ProtocolError, PrivacyError: the plan is not one to look for anything under.
            IllegalEvent, NotYet: the round is not in dispute now.
        """
        plan = await planned(self.coordinator, self.roster, number)
        component = component_between(plan, disputed)
        report = self.reports.about(number, component)
        if report is None:
            ruled = await self._ruled(plan, component, disputed)
            report = self.reports.keep(ruled)
            log.info("ruled", round=number, code=report.code, reason=report.reason)
        await self.statements.name_liar(number, report.named())
        return report

    async def _ruled(self, plan: Plan, component: int, disputed: tuple[str, ...]) -> DisputeReport:
        """Return what there is to say of a dispute; where nothing can be judged, why."""
        seats = tuple(seat for seat in plan.terms.seats if seat in disputed)
        report = DisputeReport(
            federation=self.roster.federation,
            round=plan.terms.round,
            auditor=self.config.participant,
            code="",
            reason="",
            component=component,
            seats=(seats[0], seats[1]),
            plan=plan.digest(),
        )
        try:
            signatories = await self._checked(plan, component, seats)
            dispute = signatories.dispute()
        except IllegalEvent:
            raise
        except (ProtocolError, PrivacyError) as error:
            return msgspec.structs.replace(report, code=error.code, reason=str(error))
        found = await self._found(signatories, dispute)
        return _with_ruling(report, signatories, found)

    # -- what is signed ------------------------------------------------------------

    async def _checked(self, plan: Plan, component: int, seats: tuple[str, ...]) -> Signatories:
        number, policy = plan.terms.round, self.config.policy
        policies.check_audit(plan, self.config.participant, policy, self.roster)
        signed, headers = await self.coordinator.cohort(number)
        # What is judged is seats: a site whose ledger is an old copy changes nothing about them.
        cohort = check_frozen_cohort(plan, policy, self.roster, signed, headers, seen={})
        check_certificate(signed, plan, self.roster)
        decoded = [canonical.decode(each.body, SharedContribution) for each in headers]
        statements = await self.statements.sums(number)
        return Signatories(
            plan,
            cohort,
            {header.participant: header for header in decoded},
            {seat: self._statement(plan, cohort, seat, statements) for seat in seats},
            component,
        )

    def _statement(
        self, plan: Plan, cohort: Cohort, seat: str, statements: Sequence[Signed]
    ) -> tuple[Signed, SeatSum]:
        for signed in statements:
            if seat in signed.signatures:
                checked = check_statement(plan, self.roster, seat, digest_of(cohort), signed)
                return signed, checked
        raise NotYet(f"round {plan.terms.round}: {seat} has stated no sums")

    # -- what is shown -------------------------------------------------------------

    async def _found(self, signatories: Signatories, dispute: Dispute) -> Found:
        seats = signatories.plan.terms.seats
        with ExitStack() as waiting:
            holders = {
                seats.index(seat): self._holder(signatories, seat, waiting)
                for seat in signatories.statements
            }
            return await Inquiry(dispute, holders).rule()

    def _holder(self, signatories: Signatories, seat: str, waiting: ExitStack) -> Holder:
        return Holder(
            signatories.case(seat, self.config.participant),
            self.roster.member(seat),
            self.keys,
            self.mailbox,
            waiting.enter_context(self.mailbox.waiting(TOPICS, (seat,))),
            self.patience,
            Limits(signatories.plan.terms.deadline, self.clock),
        )


def _with_ruling(report: DisputeReport, signatories: Signatories, found: Found) -> DisputeReport:
    seats, place = signatories.plan.terms.seats, found.place
    liars = tuple(seats[seat] for seat in found.liars)
    withheld = tuple(seats[seat] for seat in found.withheld)
    return msgspec.structs.replace(
        report,
        code=SeatLied.code if liars else SeatsDisagree.code,
        reason=_reason(report, place, liars, withheld),
        cohort=digest_of(signatories.cohort),
        chunk=None if place is None else place.chunk,
        leaf=None if place is None else place.leaf,
        liars=liars,
        withheld=withheld,
        exhibits=signatories.exhibits(),
    )


def _reason(
    report: DisputeReport, place: Place | None, liars: Sequence[str], withheld: Sequence[str]
) -> str:
    where = "" if place is None else f", first in leaf {place.leaf} of chunk {place.chunk}"
    said = [
        f"round {report.round}: {' and '.join(report.seats)} state different sums of component "
        f"{report.component}{where}"
    ]
    if liars:
        said.append(f"the sum of {' and '.join(liars)} is not that of the sites")
    if withheld:
        said.append(f"{' and '.join(withheld)} did not show all it must")
    if not (liars or len(withheld) < len(report.seats)):
        said.append("which is wrong cannot be told")
    return "; ".join(said)
