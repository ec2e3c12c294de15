"""What a federation's auditor has said of a round, read from outside and held against keys."""

from dataclasses import dataclass

from coordinator.archive import with_signatures
from coordinator.rounds.state import Round
from participant.auditing import report as audit_report
from privacy import canonical
from privacy.documents import Signed, check_signer
from privacy.errors import InvalidSignature
from privacy.records import AuditReport, Sum
from privacy.roster import Member, Role, Roster
from privacy.signing import Purpose

from .founding import Places
from .observe import Observer


@dataclass(frozen=True)
class Audits:
    """Reads what auditors have signed, and takes nothing whose signature does not hold."""

    places: Places
    roster: Roster
    observer: Observer

    def countersigned(self, current: Round) -> tuple[str, ...]:
        """Return the auditors whose signature is on the manifest of a round's sum."""
        if not current.sum:
            return ()
        manifest = with_signatures(self.observer.store, "sum", current.sum)
        auditors = [each for each in self.roster.members if Role.AUDITOR in each.roles]
        return tuple(each.participant for each in auditors if _has_signed(manifest, each))

    def reports(self, current: Round, auditor: str) -> tuple[AuditReport, ...]:
        """Return what an auditor has written of a round into its own folder.

        Raises:
            ConfigError: a file there is not a report that it has signed.
        """
        folder, key = self.places.site(auditor) / "reports", self.roster.member(auditor).signing_key
        paths = sorted(folder.glob(f"{current.number:06}*.json"))
        return tuple(audit_report.read(path, key).report for path in paths)

    def has_added_again(self, current: Round, auditor: str) -> bool:
        """Return whether an auditor has found the round's sum to be that of its contributions."""
        reports = self.reports(current, auditor)
        if not reports or not current.sum:
            return False
        body = with_signatures(self.observer.store, "sum", current.sum).body
        total = canonical.decode(body, Sum)
        wanted = ("", current.cohort, current.sum, total.contributions, total.root)
        return all(
            (each.code, each.cohort, each.sum, each.contributions, each.found) == wanted
            for each in reports
        )


def _has_signed(manifest: Signed, member: Member) -> bool:
    try:
        check_signer(manifest, Purpose.SUM, member.participant, member.signing_key)
    except InvalidSignature:
        return False
    return True
