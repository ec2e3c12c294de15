"""Reports are signed, kept for good, and never written over by another finding."""

import json
import stat

import msgspec
import pytest

from participant.auditing.report import DisputeReports, Reports, words_of
from privacy import canonical
from privacy.errors import ConfigError, StoreUnavailable
from privacy.records import AuditReport, DisputeReport, Fault
from privacy.signing import Purpose, verify
from tests.participant import signed_round as made

KEY = made.keys("watch").signing
FAULT = Fault("", 17, 3, 1, 0, 1234, "77", "88")


def report(**said):
    fields = {"round": 2, "code": "", "reason": "", **said}
    return AuditReport(federation=made.FEDERATION, auditor="watch", **fields)


FALSE = report(code="false_sum", reason="chunk 17", fault=FAULT, manifest=b"{}")


@pytest.fixture
def reports(tmp_path):
    return Reports(tmp_path / "reports", KEY)


def test_a_report_is_a_file_that_others_can_check(reports):
    """Canonical JSON with a signature under the auditor's key in the roster."""
    path = reports.keep(FALSE)

    assert path == reports.folder / "000002.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    stored = json.loads(path.read_bytes())
    body = json.dumps(stored["report"], sort_keys=True, separators=(",", ":")).encode()
    signature = msgspec.convert(stored["signature"], bytes)
    verify(made.roster().member("watch").signing_key, Purpose.AUDIT_REPORT, body, signature)
    assert stored["report"]["fault"]["word"] == 1234


def test_a_report_that_somebody_has_changed_is_none(reports):
    """Whoever reads it out must not repeat what the auditor never said."""
    path = reports.keep(FALSE)
    path.write_bytes(path.read_bytes().replace(b"1234", b"1235"))

    with pytest.raises(ConfigError, match="not a report that this auditor has signed"):
        reports.of(2)


def test_the_same_finding_is_kept_once_and_another_beside_it(reports):
    """A crash after the report is written finds the same again, in another time."""
    first = reports.keep(report(seconds="1.5"))

    assert reports.keep(report(seconds="9.9")) == first
    second = reports.keep(report(code="opening_refused", reason="another"))
    assert second == reports.folder / "000002-2.json"
    assert [each.report.code for each in reports.of(2)] == ["", "opening_refused"]
    assert reports.of(2)[0].report.seconds == "1.5"


def test_a_false_sum_is_found_again_among_the_reports_of_its_round(reports):
    """What was wrong once stays wrong; a refusal for other reasons is looked at again."""
    reports.keep(report(code="cohort_too_small", reason="2 organisations"))
    assert reports.false_sum(2) is None

    reports.keep(FALSE)
    assert reports.false_sum(2) == FALSE
    assert reports.false_sum(3) is None
    assert reports.of(3) == ()


@pytest.mark.parametrize("place", ["mkdir", "open", "exists"])
def test_a_disk_that_refuses_is_an_error_of_the_store(reports, monkeypatch, place):
    """It is retried; anything else would end the auditor."""
    of = "os.open" if place == "open" else f"pathlib.Path.{place}"

    def refuses(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(of, refuses)

    with pytest.raises(StoreUnavailable, match="Permission denied; let this process write there"):
        reports.keep(FALSE)


def test_an_auditor_without_a_folder_for_reports_does_not_begin(reports):
    """Not after an hour of adding."""
    reports.folder.touch()

    with pytest.raises(StoreUnavailable, match="reports: File exists"):
        reports.start()

    reports.folder.unlink()
    reports.start()
    assert stat.S_IMODE(reports.folder.stat().st_mode) == 0o700


def test_a_report_says_all_that_it_is_signed_for():
    """Its canonical form comes back as the same value."""
    assert canonical.decode(canonical.encode(FALSE), AuditReport) == FALSE


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Fault("birch"), "one of the chunks of birch's contribution"),
        (Fault("birch", 3), "chunk 3 of birch's contribution"),
        (Fault(""), "one of the chunks of the sum"),
        (Fault("", 3), "chunk 3 of the sum"),
        (
            FAULT,
            "chunk 17 of the sum, ciphertext 3, polynomial 1, modulus 0, word 1234: 88, where the "
            "contributions add up to 77",
        ),
    ],
)
def test_a_fault_is_said_as_far_as_it_is_known(fault, words):
    """Down to the word, where there is one."""
    assert words_of(fault) == words


def dispute(**said):
    fields = {"round": 2, "code": "seat_lied", "reason": "", "component": 1, **said}
    return DisputeReport(
        federation=made.FEDERATION, auditor="watch", seats=("elm", "fern"), **fields
    )


LIED = dispute(liars=("fern",))


@pytest.fixture
def disputes(tmp_path):
    return DisputeReports(tmp_path / "disputes", KEY)


def test_the_report_of_a_dispute_is_a_file_that_others_can_check(disputes):
    """Signed for what it is: no report of a sum passes for it."""
    disputes.keep(LIED)

    path = disputes.folder / "000002-component-1.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    stored = json.loads(path.read_bytes())
    body = json.dumps(stored["report"], sort_keys=True, separators=(",", ":")).encode()
    signature = msgspec.convert(stored["signature"], bytes)
    verify(made.roster().member("watch").signing_key, Purpose.DISPUTE_REPORT, body, signature)


def test_of_a_component_of_a_round_the_first_ruling_counts(disputes):
    """A restart finds it, and does not judge a second time."""
    assert disputes.keep(LIED) == LIED

    assert disputes.keep(dispute(withheld=("elm",))) == LIED
    assert disputes.about(2, 1) == LIED
    assert (disputes.about(2, 0), disputes.about(3, 1)) == (None, None)


def test_of_two_disputes_the_one_that_proves_a_lie_comes_first(disputes):
    """It is what `veilsum audit sum` shows."""
    silent = dispute(component=0, code="seats_disagree", withheld=("elm",))
    disputes.keep(silent)
    disputes.keep(LIED)

    assert [each.report for each in disputes.of(2)] == [LIED, silent]
    assert disputes.of(3) == ()


def test_a_report_of_a_dispute_that_somebody_has_changed_is_none(disputes):
    """It would name another seat."""
    disputes.keep(LIED)
    path = disputes.folder / "000002-component-1.json"
    path.write_bytes(path.read_bytes().replace(b'"liars":["fern"]', b'"liars":["elm"]'))

    with pytest.raises(ConfigError, match="not a report that this auditor has signed"):
        disputes.of(2)


def test_who_is_named_is_a_liar_or_the_one_that_withheld():
    """Where neither has shown anything, the coordinator is as likely to be at fault."""
    assert LIED.named() == ("fern",)
    assert dispute(withheld=("elm",)).named() == ("elm",)
    assert dispute(liars=("fern",), withheld=("elm",)).named() == ("elm", "fern")
    assert dispute(withheld=("elm", "fern")).named() == ()
    assert dispute().named() == ()
