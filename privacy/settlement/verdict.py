"""What judges are shown of a seat that lied, and what each of them signs.

    evidence   the auditor's signed report of the dispute, with what both seats have signed,
               and a pledge of the seat that it found to have lied: canonical JSON
    verdict    one judge's signature by EIP-712 over (programme, round, account, evidence)

A judge sees no word of an update: arithmetic was judged by the auditor, who runs no seat. What a
judge can check is that everybody has signed what the report says; whether to believe its auditor
is the judge's to decide.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

import msgspec

from privacy import canonical
from privacy.documents import Signed
from privacy.errors import InvalidSignature, SeatLied, WrongContext, WrongIdentity
from privacy.records import DisputeReport, Exhibit, Round, SeatSum
from privacy.roster import Role, Roster
from privacy.signing import Purpose, verify

from . import pledge as pledges
from .commitment import typed_verdict
from .payouts import Address, Domain, Word
from .pledge import Pledge, Signature, SignerOf
from .typed import SignTyped, TypedData

LARGEST_EVIDENCE: Final = 4 << 20
"""Bytes; two statements of 1 MiB in base64, and what is said of them."""


class Evidence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why one seat shall lose its bond.

    Attributes:
        report: how the auditor settled the dispute, and `signature`, by its Ed25519 key.
        pledge: of the accused seat, of that round or an earlier one, and `pledge_signature`.
    """

    report: DisputeReport
    signature: bytes
    pledge: bytes
    pledge_signature: bytes

    def digest(self) -> bytes:
        """Return the SHA-256 of the file, by which a verdict names it: 32 bytes."""
        return sha256(canonical.encode(self)).digest()


@dataclass(frozen=True, slots=True)
class Accused:
    """Whom evidence is against: a seat, and the account that answers for it in a programme."""

    seat: str
    account: str
    domain: Domain
    round: int
    evidence: bytes

    def typed(self) -> TypedData:
        """Return what a judge signs."""
        return typed_verdict(self.domain, self.round, self.account, self.evidence)

    def digest(self) -> bytes:
        """Return the digest of what a judge signs: 32 bytes."""
        return self.typed().digest()


class SignedVerdict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One judge's verdict against an account.

    Attributes:
        evidence: SHA-256 of the evidence, in hexadecimal.
        judge: the address that has signed.
    """

    domain: Domain
    round: Round
    accused: Address
    evidence: Word
    judge: Address
    signature: Signature


def evidence_of(report: DisputeReport, signature: bytes, pledge: Signed, seat: str) -> Evidence:
    """Return the evidence against a seat that a report calls a liar."""
    return Evidence(report, signature, pledge.body, pledge.signatures[seat])


def decode(body: bytes) -> Evidence:
    """Return what a file of evidence says.

    Raises:
        MalformedMessage: it is no evidence, or not in the one form that verdicts name.
    """
    return canonical.decode(body, Evidence, LARGEST_EVIDENCE)


def examine(evidence: Evidence, roster: Roster, signer_of: SignerOf) -> Accused:
    """Return whom evidence is against, if everybody has signed what it says they have.

    Args:
        roster: the version that the two seats' statements name.

    Raises:
        InvalidSignature: auditor, seat or account has not signed.
        WrongContext: it proves no lie, or its parts are of different rounds.
        WrongIdentity: who reports is no auditor, or the pledge is that of no liar.
        RootMismatch: the pledge is for other roots than the seat has stated.
        MalformedMessage: a part of it is not what it must be.
    """
    report = evidence.report
    _require_auditor(report, evidence.signature, roster)
    statements = {each.seat: _statement(report, each, roster) for each in report.exhibits}
    _require_dispute(report, statements)
    pledge = _pledge(evidence, statements, roster, signer_of)
    return Accused(pledge.seat, pledge.account, pledge.domain, report.round, evidence.digest())


def roster_of(evidence: Evidence) -> str:
    """Return the digest of the roster under which the accused states its sums, unchecked.

    Raises:
        WrongContext: there is no statement of any seat.
    """
    for each in evidence.report.exhibits:
        return canonical.decode(each.statement, SeatSum).roster
    raise WrongContext("the report holds nothing that seats have signed; it is no evidence")


def sign_verdict(accused: Accused, judge: str, by_judge: SignTyped) -> SignedVerdict:
    """Return a judge's verdict.

    Args:
        judge: the address whose key `by_judge` signs with.
    """
    return SignedVerdict(
        domain=accused.domain,
        round=accused.round,
        accused=accused.account,
        evidence=accused.evidence.hex(),
        judge=judge.lower(),
        signature=by_judge(accused.typed()).hex(),
    )


def quorum(
    accused: Accused,
    verdicts: Iterable[SignedVerdict],
    judges: Sequence[str],
    needed: int,
    signer_of: SignerOf,
) -> tuple[bytes, ...]:
    """Return signatures of enough judges over one verdict, as the contract takes them.

    In rising order of the judges' addresses, each of 65 bytes; of each judge one.

    Args:
        judges: addresses in lowercase.
        needed: how many of them make a verdict.

    Raises:
        WrongContext: a verdict is about something else, or by nobody whose verdict counts, or
            fewer judges have signed than are needed.
        InvalidSignature: one is not signed by the judge that it names.
    """
    found = dict(_signature(accused, each, judges, signer_of) for each in verdicts)
    if not needed or len(found) < needed:
        raise WrongContext(
            f"{len(found)} of {len(judges)} judges have signed this verdict, {needed} are needed; "
            "collect the others' files"
        )
    return tuple(found[judge] for judge in sorted(found))


def _signature(
    accused: Accused, verdict: SignedVerdict, judges: Sequence[str], signer_of: SignerOf
) -> tuple[str, bytes]:
    said = (verdict.domain, verdict.round, verdict.accused, verdict.evidence)
    if said != (accused.domain, accused.round, accused.account, accused.evidence.hex()):
        raise WrongContext(
            f"a verdict of {verdict.judge} about something else than this evidence; leave it out"
        )
    if verdict.judge not in judges:
        raise WrongContext(f"{verdict.judge} is no judge of this programme; leave its verdict out")
    signature = bytes.fromhex(verdict.signature)
    if signer_of(accused.digest(), signature) != verdict.judge:
        raise InvalidSignature(
            f"{verdict.judge} has not signed the verdict that is in its name; it must sign again"
        )
    return verdict.judge, signature


def _require_auditor(report: DisputeReport, signature: bytes, roster: Roster) -> None:
    auditor = roster.member(report.auditor)
    if Role.AUDITOR not in auditor.roles or report.auditor in report.seats:
        raise WrongIdentity(f"{report.auditor} reports of a dispute, and is no auditor")
    verify(auditor.signing_key, Purpose.DISPUTE_REPORT, canonical.encode(report), signature)
    if report.federation != roster.federation:
        raise WrongContext(f"a report of federation {report.federation!r}, not of this one")


def _statement(report: DisputeReport, exhibit: Exhibit, roster: Roster) -> SeatSum:
    key = roster.member(exhibit.seat).signing_key
    verify(key, Purpose.SEAT_SUM, exhibit.statement, exhibit.signature)
    stated = canonical.decode(exhibit.statement, SeatSum)
    place = (stated.federation, stated.round, stated.plan, stated.cohort, stated.seat)
    reported = (report.federation, report.round, report.plan, report.cohort, exhibit.seat)
    if place != reported or stated.roster != roster.digest():
        raise WrongContext(
            f"round {report.round}: what {exhibit.seat} has signed is of another round, plan, "
            "cohort or roster than the report"
        )
    return stated


def _require_dispute(report: DisputeReport, statements: Mapping[str, SeatSum]) -> None:
    if report.code != SeatLied.code or set(statements) != set(report.seats):
        raise WrongContext(
            f"round {report.round}: the report proves no lie (code {report.code!r}, "
            f"{len(statements)} statements); what a seat withholds is no ground for a verdict"
        )
    roots = {_root(stated, report.component) for stated in statements.values()}
    if len(roots) != len(statements) or "" in roots:
        raise WrongContext(
            f"round {report.round}: the two seats have not signed different sums of component "
            f"{report.component}; there is nothing to judge"
        )


def _root(stated: SeatSum, component: int) -> str:
    return next((each.root for each in stated.sums if each.component == component), "")


def _pledge(
    evidence: Evidence, statements: Mapping[str, SeatSum], roster: Roster, signer_of: SignerOf
) -> Pledge:
    report = evidence.report
    seat = canonical.decode(evidence.pledge, Pledge).seat
    if seat not in report.liars or seat not in statements:
        raise WrongIdentity(f"round {report.round}: the report does not say that {seat} lied")
    signed = Signed(evidence.pledge, {seat: evidence.pledge_signature})
    pledge = pledges.check(signed, seat, roster.member(seat).signing_key, signer_of)
    if pledge.federation != report.federation or pledge.round > report.round:
        raise WrongContext(
            f"round {report.round}: a pledge of {seat} for round {pledge.round} of "
            f"{pledge.federation!r}; one of this round is needed, or of one before"
        )
    if pledge.round == report.round:
        pledges.require_goes_with(pledge, statements[seat])
    return pledge
