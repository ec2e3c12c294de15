"""The command: exit statuses, what may be chosen, and that controls count."""

import json

import msgspec
import pytest
from msgspec.structs import replace
from typer.testing import CliRunner

from privacy.errors import ConfigError
from privacy.plan import CKKS, SHARES, Mechanism
from veilsum.audit.canaries.result import PrivacyAudits, Verdict
from veilsum.audit.canaries.run import EXIT, chosen, run
from veilsum.cli import app

from .sample_audits import CAUGHT, PASSED, VIOLATED, WEAK


def audits(*shipped, controls=()):
    return PrivacyAudits(tuple(shipped), tuple(controls), 1.0)


@pytest.mark.parametrize(
    ("result", "verdict"),
    [
        (audits(PASSED), Verdict.PASSED),
        (audits(PASSED, controls=[CAUGHT]), Verdict.PASSED),
        (audits(PASSED, WEAK), Verdict.TOO_WEAK),
        (audits(WEAK, VIOLATED), Verdict.VIOLATED),
        (audits(PASSED, controls=[CAUGHT, replace(CAUGHT, verdict=Verdict.PASSED)]), "too weak"),
        (audits(PASSED, controls=[replace(CAUGHT, verdict=Verdict.TOO_WEAK)]), "too weak"),
        (audits(VIOLATED, controls=[PASSED]), Verdict.VIOLATED),
    ],
)
def test_the_gravest_verdict_counts_and_a_missed_control_is_weakness(result, verdict):
    """An audit that lets a known defect pass has not shown that there is none."""
    assert result.verdict == verdict


def test_each_verdict_has_an_exit_status_of_its_own():
    """A script must not take `too weak` for a pass."""
    assert len({EXIT[verdict] for verdict in Verdict}) == 3
    assert EXIT[Verdict.PASSED] == 0


def test_everything_is_audited_unless_one_is_named():
    """Both mechanisms under both schemes."""
    assert chosen("", "") == (tuple(Mechanism), (CKKS, SHARES))
    assert chosen("distributed", "shares") == ((Mechanism.DISTRIBUTED,), (SHARES,))


@pytest.mark.parametrize("names", [("global", ""), ("", "plain")])
def test_a_name_that_is_none_is_refused_with_the_choices(names):
    """The operator is told what there is."""
    with pytest.raises(ConfigError, match="choose among"):
        chosen(*names)


def test_an_audit_is_told_as_it_ends():
    """A minute without a word looks like a hang."""
    told = []

    result = run((Mechanism.DISTRIBUTED,), (SHARES,), canaries=200, say=told.append)

    assert tuple(told) == result.audits
    assert result.verdict is Verdict.TOO_WEAK


def test_the_command_prints_json_and_ends_with_the_status_of_its_verdict():
    """What a pipeline reads: the object on stdout, the progress on stderr."""
    words = ["audit", "privacy", "--mechanism", "distributed", "--scheme", "ckks"]

    found = CliRunner().invoke(app, [*words, "--canaries", "200", "--json"])

    assert found.exit_code == 3
    assert json.loads(found.stdout)["audits"][0]["verdict"] == "too weak"
    assert msgspec.json.decode(found.stdout, type=PrivacyAudits).audits[0].scheme == CKKS
    assert "distributed, ckks/1: as shipped: too weak" in found.stderr


def test_the_command_refuses_what_it_does_not_know():
    """With the status of a wrong configuration, before anything is trained."""
    found = CliRunner().invoke(app, ["audit", "privacy", "--scheme", "plain"])

    assert found.exit_code == 2
    assert "choose among ckks, shares" in found.stderr
