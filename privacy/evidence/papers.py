"""The documents of a bundle: each signed by whom it must be, and found again by its digest."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from privacy import plan as plans
from privacy.canonical import decode
from privacy.errors import (
    InvalidSignature,
    MalformedMessage,
    UnsafeParameters,
    WrongContext,
)
from privacy.identifiers import COORDINATOR
from privacy.plan import Plan, SignedPlan
from privacy.records import (
    PURPOSES,
    AuditReport,
    Cohort,
    Contribution,
    Header,
    Receipt,
    Record,
    Release,
    Scores,
    SharedContribution,
    Sum,
    Verdict,
)
from privacy.signing import Purpose, digest

from .ahead import Ahead
from .bundle import Bundle, Document
from .finding import Check, Finding, Outcome
from .trust import Trust

_KINDS: Final[Mapping[Purpose, type[Record]]] = {
    PURPOSES[kind]: kind
    for kind in (
        *(Contribution, SharedContribution, Receipt, Cohort, Sum),
        *(Release, AuditReport, Verdict, Scores),
    )
} | {Purpose.CERTIFICATE: Cohort}
"""What a document of a round encodes, by what it was signed for; a plan is none of these."""

_BY: Final = {
    purpose: {COORDINATOR}
    for purpose in (Purpose.PLAN, Purpose.RECEIPT, Purpose.COHORT, Purpose.SUM)
}
"""Who must have signed a document, where it does not say so itself."""


@dataclass(frozen=True)
class Papers:
    """What was signed in rounds, by the digest that other documents and ledgers name it by.

    Each value stands behind the number of its entry. Certificates are named by their cohort.
    A plan is read as it was signed: rules for new plans do not make old evidence unreadable.
    """

    plans: dict[str, tuple[int, SignedPlan]] = field(default_factory=dict)
    records: dict[str, tuple[int, Record]] = field(default_factory=dict)
    certificates: dict[str, tuple[int, Document]] = field(default_factory=dict)

    def headers(self) -> Iterator[tuple[str, int, Header]]:
        """Yield each header of a contribution: its digest, entry and value."""
        for name, (at, record) in self.records.items():
            if isinstance(record, Header):
                yield name, at, record

    def refused_today(self) -> Iterator[str]:
        """Yield of each plan why this version would not accept it, if it would not."""
        for _, plan in self.plans.values():
            try:
                Plan(plan.arithmetic, plan.terms)
            except (MalformedMessage, UnsafeParameters) as error:
                yield f"the plan of round {plan.terms.round}: {error}"


def read_papers(
    bundle: Bundle, trust: Trust, papers: Papers, tried: Collection[int] = ()
) -> Iterator[Finding]:
    """Put every document into `papers`, and yield what is wrong with it.

    Args:
        tried: the entries whose signatures are known to hold.
    """
    signed = [each for each in bundle.only(Document) if each[1].purpose is not Purpose.ROSTER]
    if signed and not trust.versions:
        yield Finding(Outcome.INCOMPLETE, signed[0][0], "documents without the roster of who signs")
        return
    checks = [
        Check(at, (lambda: None) if at in tried else partial(check_signatures, one, trust))
        for at, one in signed
    ]
    with Ahead() as ahead:
        # All of them before the first is read: a thread waits for the interpreter while we read.
        whys = list(ahead.run(checks))
    for (at, document), why in zip(signed, whys, strict=True):
        read = _read_plan if document.purpose is Purpose.PLAN else _read_record
        yield from why or read(at, document, bundle.head.federation, papers)


def name_of(document: Document) -> str:
    """Return the digest by which rows and other documents name one: of its bytes.

    A certificate's is that of the cohort that it certifies.
    """
    if document.purpose is Purpose.PLAN:
        return plans.digest_of(*plans.parts(document.body))
    certified = document.purpose is Purpose.CERTIFICATE
    return digest(Purpose.COHORT if certified else document.purpose, document.body)


def check_signatures(document: Document, trust: Trust) -> None:
    """Return if a document is signed by whom it must be.

    Raises:
        InvalidSignature: it is not.
        MalformedMessage: it is none that a bundle has.
    """
    if document.purpose is not Purpose.PLAN and document.purpose not in _KINDS:
        raise MalformedMessage(f"a {document.purpose} is no document of a bundle")
    body = document.body
    if document.purpose is Purpose.PLAN:
        body = bytes.fromhex(name_of(document))
    signers = _BY.get(document.purpose, document.signatures.keys())
    if not document.signatures or not signers <= document.signatures.keys():
        raise InvalidSignature(
            f"{document.purpose} of round {document.round}: not signed by whom it must be"
        )
    for name, signature in document.signatures.items():
        trust.check_signature(name, document.purpose, body, bytes.fromhex(signature))


def _read_plan(at: int, document: Document, home: str, papers: Papers) -> Iterator[Finding]:
    try:
        plan = plans.unpack_signed(document.body)
    except (MalformedMessage, UnsafeParameters) as error:
        why = f"the plan is signed, and this version of Veilsum does not read it: {error}"
        yield Finding(Outcome.INCOMPLETE, at, why)
        return
    papers.plans[name_of(document)] = (at, plan)
    place = (plan.terms.federation, plan.terms.round)
    yield from Check(at, lambda: _check_place(document, home, place)).findings()


def _read_record(at: int, document: Document, home: str, papers: Papers) -> Iterator[Finding]:
    def read() -> None:
        record = decode(document.body, _KINDS[document.purpose])
        _check_place(document, home, (record.federation, record.round))
        _check_signer(document, record)
        if document.purpose is Purpose.CERTIFICATE:
            papers.certificates[name_of(document)] = (at, document)
        else:
            papers.records[name_of(document)] = (at, record)

    yield from Check(at, read).findings()


def _check_place(document: Document, home: str, place: tuple[str, int]) -> None:
    if place != (home, document.round):
        raise WrongContext(
            f"{document.purpose} of round {place[1]} of {place[0]}, where one of round "
            f"{document.round} of {home} is announced"
        )


def _check_signer(document: Document, record: Record) -> None:
    """Return if the one in whose name a record speaks has signed it."""
    match record:
        case Header():
            signer = record.participant
        case AuditReport():
            signer = record.auditor
        case Verdict():
            signer = record.seat
        case _:
            return
    if signer not in document.signatures:
        raise InvalidSignature(
            f"{document.purpose} of round {document.round}: not signed by {signer}"
        )
