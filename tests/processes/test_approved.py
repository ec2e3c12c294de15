"""A site that wants to approve each plan waits, says so, and goes on when somebody has."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes.federation import Federation, federation

pytestmark = [pytest.mark.slow, pytest.mark.timeout(200)]

ASKS = {"approve_plans": True}


def command(made: Federation, name: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run `veilsum participant approve-plan` as the site's officer does."""
    config = str(made.places.site(name) / "site.toml")
    return subprocess.run(
        [
            *(sys.executable, "-P", "-m", "veilsum", "participant", "approve-plan"),
            *("--config", config, *words),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
    )


@pytest.fixture(scope="module")
def over(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Federation, float]]:
    folder = tmp_path_factory.mktemp("approved")
    sites = ("site-a", "site-b", "site-c")
    policies = {"site-a": ASKS, "site-c": ASKS}
    with federation(folder, sites, policies=policies, openers=sites[:2]) as made:
        made.start_coordinator()
        for name in sites:
            made.start_site(name)
        made.wait_for_log("site-a", "will_retry", task="Contribute")
        made.wait_for_log("site-c", "will_retry", task="Contribute")
        made.wait_for_committed(1, "site-b")
        made.kill("site-a")  # it asks again, and an approval that it has not read yet counts
        assert command(made, "site-c", "1", "--refuse").returncode == 0
        made.wait_for_log("site-c", "declined", round=1)
        assert command(made, "site-a", "1").returncode == 0
        made.start_site("site-a")
        made.wait_for_log("site-a", "joined", count=2)
        began = time.monotonic()
        made.wait_for_committed(1, "site-a")
        took = time.monotonic() - began
        made.wait_for_end()
        yield made, took


def test_the_round_waits_for_who_must_approve(over: tuple[Federation, float]) -> None:
    """Longer than its progress deadline: an agent that waits for a person is not silent."""
    made, _ = over

    assert set(made.cohort(1)) == {"site-a", "site-b"}


def test_it_goes_on_within_seconds(over: tuple[Federation, float]) -> None:
    """Training included: nobody restarts anything."""
    assert over[1] < 30


def test_the_agent_says_by_which_line_it_waits(over: tuple[Federation, float]) -> None:
    """And which command ends the wait."""
    said = over[0].log("site-a", "will_retry")[0]["reason"]

    assert str(said).startswith("site.toml: policy.approve_plans = true: ")
    assert "veilsum participant approve-plan 1" in str(said)


def test_a_refusal_is_the_policys(over: tuple[Federation, float]) -> None:
    """It names who refused, costs nothing, and is on record."""
    made, _ = over
    (declined,) = made.log("site-c", "declined")

    assert declined["code"] == "policy_refusal"
    assert "has refused the plan" in str(declined["reason"])
    assert made.spending("site-c", 1) == []


def test_the_command_lists_what_was_said(over: tuple[Federation, float]) -> None:
    """For people and for programs."""
    made, _ = over

    (mine,) = json.loads(command(made, "site-a", "--list", "--json").stdout)["plans"]
    told = command(made, "site-c", "--list").stdout

    assert (mine["state"], mine["round"]) == ("approved", 1)
    assert mine["by"]
    assert told.startswith("refused by ")


def test_what_was_refused_is_not_approved_later(over: tuple[Federation, float]) -> None:
    """Status 2, and why."""
    late = command(over[0], "site-c", "1")

    assert late.returncode == 2
    assert "was refused" in late.stderr
