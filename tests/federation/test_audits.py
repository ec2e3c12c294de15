"""What auditors have said is believed only under their own keys, and of the round's own sum."""

from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace

from coordinator.adapters.sql.store import open_store
from coordinator.archive import Archive
from coordinator.rounds.state import Phase, Round, Rules
from participant.auditing.report import Reports
from privacy import canonical
from privacy.errors import ConfigError
from privacy.records import AuditReport, Fault, Sum, digest_of
from privacy.roster import Member, Role, Roster
from privacy.signing import Purpose, sign
from veilsum.federation.audits import Audits
from veilsum.federation.founding import Places
from veilsum.federation.observe import observe

NUMBER = 3
SUM = Sum("tests", NUMBER, "aa" * 32, "bb" * 32, 2, "cc" * 32, 1, 1000)
KEYS = {name: Ed25519PrivateKey.generate() for name in ("coordinator", "site", "watch")}


@dataclass
class Seen:
    """A round whose sum the coordinator has signed, and nobody else so far."""

    audits: Audits
    archive: Archive
    current: Round
    reports: Reports

    def signs(self, name: str, key: str, body: bytes | None = None) -> None:
        """Keep a signature in a member's name."""
        body = canonical.encode(SUM) if body is None else body
        signature = sign(KEYS[key], Purpose.SUM, body)
        self.archive.keep_signature("sum", digest_of(SUM), name, signature)

    def added_again(self) -> bool:
        """What is said of the round's one auditor."""
        return self.audits.has_added_again(self.current, "watch")


def member(name: str, role: Role) -> Member:
    key = KEYS[name].public_key().public_bytes_raw()
    return Member(name, f"Organisation {name}", (role,), key, key * 38)


@pytest.fixture
def seen(tmp_path: Path) -> Seen:
    places = Places(tmp_path)
    places.coordinator.mkdir()
    members = (member("site", Role.TRAINER), member("watch", Role.AUDITOR))
    roster = Roster("tests", 0, KEYS["coordinator"].public_key().public_bytes_raw(), members)
    archive = Archive(open_store(places.database), KEYS["coordinator"])
    archive.state("sum", SUM)
    rules = Rules(("site",), ("site",), 2, 2, 3.0, 60.0, "watch")
    current = Round(NUMBER, rules, Phase.DONE, cohort="bb" * 32, sum=digest_of(SUM))
    audits = Audits(places, roster, observe(places.database))
    return Seen(audits, archive, current, Reports(places.site("watch") / "reports", KEYS["watch"]))


def report(**changes: object) -> AuditReport:
    """Return the report of an auditor that found the sum to be right."""
    right = AuditReport(
        "tests", NUMBER, "watch", "", "", "aa" * 32, "bb" * 32, digest_of(SUM), 2, 1, 2000, "0.1",
        "cc" * 32,
    )  # fmt: skip
    return replace(right, **changes)


def test_the_auditor_that_signed_the_sum_is_named(seen: Seen) -> None:
    """From the coordinator's database, where openers get it."""
    assert seen.audits.countersigned(seen.current) == ()

    seen.signs("watch", "watch")

    assert seen.audits.countersigned(seen.current) == ("watch",)


def test_a_signature_counts_under_the_auditors_key_over_this_sum_only(seen: Seen) -> None:
    """Whoever holds the database could have put any bytes there."""
    seen.signs("watch", "coordinator")
    assert seen.audits.countersigned(seen.current) == ()


def test_a_signature_on_another_sum_does_not_count(seen: Seen) -> None:
    """The auditor's own, but of something else."""
    seen.signs("watch", "watch", canonical.encode(replace(SUM, root="dd" * 32)))

    assert seen.audits.countersigned(seen.current) == ()


def test_a_trainer_is_no_auditor_whatever_it_signs(seen: Seen) -> None:
    """Its role stands in the roster."""
    seen.signs("site", "site")

    assert seen.audits.countersigned(seen.current) == ()


def test_a_round_without_a_sum_was_countersigned_by_nobody(seen: Seen) -> None:
    """It was given up before."""
    seen.reports.keep(report())
    early = replace(seen.current, cohort="", sum="")

    assert seen.audits.countersigned(early) == ()
    assert not seen.audits.has_added_again(early, "watch")


def test_a_report_of_this_very_sum_is_believed(seen: Seen) -> None:
    """Nothing is assumed where there is none."""
    assert not seen.added_again()

    seen.reports.keep(report())

    assert seen.added_again()
    assert seen.audits.reports(seen.current, "watch") == (report(),)


@pytest.mark.parametrize(
    "changes",
    [
        {"code": "false_sum", "fault": Fault(participant="", chunk=0)},
        {"sum": "ee" * 32},
        {"cohort": "ee" * 32},
        {"found": "ee" * 32},
        {"found": ""},
        {"contributions": 1},
    ],
    ids="+".join,
)
def test_a_report_of_something_else_is_not_enough(seen: Seen, changes: dict[str, object]) -> None:
    """Even beside one that is right: the auditor was shown two things."""
    seen.reports.keep(report(**changes))
    alone = seen.added_again()
    seen.reports.keep(report())

    assert not alone
    assert not seen.added_again()


def test_a_report_that_the_auditor_has_not_signed_is_refused(seen: Seen) -> None:
    """The coordinator cannot write one for it."""
    Reports(seen.reports.folder, KEYS["coordinator"]).keep(report())

    with pytest.raises(ConfigError, match="not a report that this auditor has signed"):
        seen.added_again()
