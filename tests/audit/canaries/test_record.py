"""A result in a site's evidence: the whole report in a file, and rows that name it."""

import hashlib

import msgspec
import pytest
from msgspec.structs import replace

from privacy.errors import ConfigError
from privacy.ledger import RowType
from tests.audit import state_folder
from veilsum.audit.budget import opened
from veilsum.audit.canaries.record import FOLDER, record, row_of
from veilsum.audit.canaries.result import PrivacyAudits, Verdict
from veilsum.audit.folder import site_of

from .sample_audits import CAUGHT, PASSED, WEAK

DIGEST = "5e" * 32


def clock():
    return 1_800_000_100.0


def rows(folder):
    """What a ledger says of audits."""
    with opened(site_of(folder, None), clock, "test") as ledger:
        bodies = [msgspec.json.decode(body) for body, _ in ledger.entries()]
    return [body["audit"] for body in bodies if body["type"] == RowType.AUDIT_RESULT.value]


def test_each_audit_has_a_row_that_names_the_report(tmp_path):
    """The report lies beside the ledger, under the digest that is in the signed row."""
    state_folder.make(tmp_path)
    result = PrivacyAudits((PASSED, WEAK), (CAUGHT,), 60.0)

    path = record(site_of(tmp_path, None), result, clock)

    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert path == tmp_path / FOLDER / f"{digest}.json"
    assert msgspec.json.decode(path.read_bytes(), type=PrivacyAudits) == result
    assert [(row["report"], row["passed"]) for row in rows(tmp_path)] == [
        (digest, True),
        (digest, False),
    ]


def test_a_row_states_the_claim_rounded_up_and_the_bound_rounded_down():
    """Neither may look better than it is; of the bounds the one that holds for any mechanism."""
    view = replace(PASSED.views[0], one_run=1.70000019, trade_off=2.4)

    row = row_of(replace(PASSED, claimed=3.99999911, views=(view,)), DIGEST)

    assert (row.claimed, row.lower_bound) == ("4", "1.7")
    assert (row.confidence, row.delta, row.canaries) == ("0.95", "0.00001", 5000)


def test_a_row_says_what_was_audited_and_what_was_shown_in_either_view():
    """A report on a release must not take one mechanism's test for another's."""
    sums = replace(PASSED.views[0], one_run=1.5)
    opened = replace(PASSED.views[1], one_run=2.5)

    row = row_of(replace(PASSED, views=(sums, opened)), DIGEST)
    same = row_of(replace(PASSED, views=(sums,)), DIGEST)

    assert (row.mechanism, row.scheme) == ("distributed", "shares/1")
    assert (row.lower_bound, row.vector_lower_bound) == ("1.5", "2.5")
    assert same.vector_lower_bound == same.lower_bound


def test_a_run_that_did_not_end_has_shown_nothing_and_not_passed():
    """Zero is the bound that needs no evidence."""
    row = row_of(CAUGHT, DIGEST)

    assert (row.lower_bound, row.passed) == ("0", False)


def test_nothing_passes_where_a_control_was_missed(tmp_path):
    """An audit that lets a known defect pass says nothing of others."""
    state_folder.make(tmp_path)
    missed = replace(CAUGHT, verdict=Verdict.PASSED)

    record(site_of(tmp_path, None), PrivacyAudits((PASSED,), (missed,), 60.0), clock)

    assert [row["passed"] for row in rows(tmp_path)] == [False]


def test_without_a_ledger_nothing_is_written(tmp_path):
    """A report that no row names is no evidence."""
    state_folder.make(tmp_path)
    (tmp_path / "ledger.sqlite").unlink()

    with pytest.raises(ConfigError):
        record(site_of(tmp_path, None), PrivacyAudits((PASSED,), (), 60.0), clock)

    assert not (tmp_path / FOLDER).exists()
