"""An auditor is killed before it has recorded, and before it has signed; each round gets one sum.

One federation, two rounds, three deaths: each test reads what is left of them.
"""

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest

from coordinator.rounds.state import Phase
from participant.auditing.memory import AuditMemory
from tests.processes.federation import Federation, federation

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

AUDITOR = "watch"
POLICY = {"without_auditor": False}
SITES = ("site-a", "site-b", "site-c")


@pytest.fixture(scope="module")
def survived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    folder = tmp_path_factory.mktemp("auditors")
    policies = dict.fromkeys(SITES, POLICY)
    with federation(folder, SITES, policies=policies, auditor=AUDITOR, wanted=2, quorum=3) as made:
        made.start()
        made.start_auditor(AUDITOR, "audit.before_record:1=kill")
        made.wait_for_death(AUDITOR)
        assert _phase(made, 1) is Phase.AUDITING
        made.start_auditor(AUDITOR, "audit.before_sign:1=kill")
        made.wait_for_death(AUDITOR)
        assert _phase(made, 1) is Phase.AUDITING
        made.start_auditor(AUDITOR, "audit.before_sign:2=kill")
        made.wait_for_phase(1, Phase.DONE)
        made.wait_for_death(AUDITOR)
        assert _phase(made, 2) is Phase.AUDITING
        made.start_auditor(AUDITOR)
        made.wait_for_phase(2, Phase.DONE)
        made.run_to_the_end()
        made.wait_for("the auditor's end", lambda: made.family.has_ended(AUDITOR))
        yield made


def _phase(made: Federation, number: int) -> Phase:
    current = made.round(number)
    assert current is not None
    return current.phase


@pytest.mark.parametrize("number", [1, 2])
def test_every_round_has_the_one_sum_that_was_recorded(survived: Federation, number: int) -> None:
    """What the auditor remembers is what the round has."""
    current = survived.round(number)
    memory = AuditMemory(survived.places.site(AUDITOR))

    assert current is not None
    assert memory.countersigned(number) == (current.cohort, current.sum)
    memory.close()


@pytest.mark.parametrize("number", [1, 2])
def test_every_sum_is_that_of_the_updates(survived: Federation, number: int) -> None:
    """To the last integer, at every opener."""
    assert survived.difference(number) == {0}


def test_each_finding_is_kept_once(survived: Federation) -> None:
    """The first round was added twice, since nothing was recorded of it; with one result."""
    reports = survived.places.site(AUDITOR) / "reports"

    assert sorted(path.name for path in reports.iterdir()) == ["000001.json", "000002.json"]
    assert len(survived.log(AUDITOR, "audited")) == 3


def test_the_auditor_ends_with_the_programme(survived: Federation) -> None:
    """By itself, as sites do."""
    assert survived.family.running[AUDITOR].returncode == 0


def test_the_command_shows_the_report_when_the_round_is_over(survived: Federation) -> None:
    """`veilsum audit sum`: the contributions are given to nobody any more."""
    config = survived.places.site(AUDITOR) / "auditor.toml"
    command = ["audit", "sum", "--config", str(config), "--round", "2", "--json"]

    ended = subprocess.run(
        [sys.executable, "-P", "-m", "veilsum", *command],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ended.returncode == 0, ended.stderr
    finding = json.loads(ended.stdout)
    assert (finding["stored"], finding["report"]["code"]) == (True, "")
    assert finding["report"]["contributions"] == 3
