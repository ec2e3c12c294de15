"""Lines between real processes that are cut, slow or deaf: each round ends as its policy says.

One member reaches its coordinator through a proxy that does what a test tells it to. One of
these runs each time; the others by `make deep`.
"""

from pathlib import Path
from typing import Any

import pytest

from coordinator.rounds.state import Phase
from tests.faults.killing import LIMITS, PATIENT, check_nothing_was_lost
from tests.processes.federation import Federation, federation
from tests.toxic import Toxic, toxic

pytestmark = [pytest.mark.deep, pytest.mark.timeout(300)]

SITES = ("site-a", "site-b", "site-c")
SEATS = ("seat-1", "seat-2", "seat-3")
BRIEF = {"progress_seconds": "3", "abandon_seconds": "60"}


def reaches_by(made: Federation, name: str, line: Toxic) -> None:
    """Let a member's file name the proxy as its coordinator's address."""
    kind = "aggregator.toml" if name in SEATS else "site.toml"
    path = made.places.site(name) / kind
    text = path.read_text()
    assert f"127.0.0.1:{made.port}" in text
    path.write_text(text.replace(f"127.0.0.1:{made.port}", line.address))


def test_a_site_cut_off_in_its_upload_is_waited_for_and_comes_back(tmp_path: Path) -> None:
    """Its round waits as long as the plan says; the rest of its bytes come then."""
    rounds: dict[str, Any] = {"wanted": 2, "quorum": 3, "deadline": PATIENT}
    policies = dict.fromkeys(SITES, LIMITS)
    with (
        federation(tmp_path, SITES, policies=policies, **rounds) as made,
        toxic("127.0.0.1", made.port) as line,
    ):
        reaches_by(made, "site-b", line)
        line.bandwidth(2_000_000, down=False)
        made.start()
        made.wait_for("a chunk", lambda: made.observer.durable_chunks(1, "site-b") == 1)
        line.down()
        made.wait_for_committed(1, "site-a", "site-c")
        line.up()
        line.bandwidth(None)
        made.run_to_the_end()

        check_nothing_was_lost(made, SITES, 2)


@pytest.mark.deep
def test_a_site_that_stays_cut_off_is_left_behind(tmp_path: Path) -> None:
    """The round closes with its quorum after the progress deadline, exactly without it."""
    rounds: dict[str, Any] = {"wanted": 1, "quorum": 2, "deadline": BRIEF}
    with (
        federation(tmp_path, SITES, **rounds) as made,
        toxic("127.0.0.1", made.port) as line,
    ):
        reaches_by(made, "site-b", line)
        line.bandwidth(1_000_000, down=False)
        made.start()
        made.wait_for("a chunk", lambda: made.observer.durable_chunks(1, "site-b") >= 1)
        line.down()
        made.wait_for_phase(1, Phase.DONE)

        assert made.cohort(1) == ("site-a", "site-c")
        assert made.difference(1) == {0}


@pytest.mark.deep
def test_an_opener_cut_off_at_the_opening_is_not_needed(tmp_path: Path) -> None:
    """Two of three agree; the third adopts the model when its line is back."""
    rounds: dict[str, Any] = {"wanted": 1, "quorum": 3, "deadline": BRIEF}
    with (
        federation(tmp_path, SITES, **rounds) as made,
        toxic("127.0.0.1", made.port) as line,
    ):
        reaches_by(made, "site-a", line)
        made.start_coordinator()
        made.start_site("site-a", "reveal.before_record:1=pause")
        for name in SITES[1:]:
            made.start_site(name)
        made.wait_for_log("site-a", "failpoint")
        line.down()
        made.kill("site-a")
        made.wait_for_phase(1, Phase.DONE)
        line.up()
        made.run_to_the_end()

        current = made.round(1)
        assert current is not None
        assert "site-a" not in current.agreed
        assert made.difference(1) == {0}
        assert len({made.newest_release(name) for name in SITES}) == 1


@pytest.mark.deep
def test_a_seat_cut_off_after_the_plan_is_not_needed(tmp_path: Path) -> None:
    """Two seats and the trainers certify the cohort, and state its sums."""
    rounds: dict[str, Any] = {"wanted": 1, "quorum": 3, "deadline": BRIEF}
    with (
        federation(tmp_path, SITES, seats=SEATS, asked={"unchecked": True}, **rounds) as made,
        toxic("127.0.0.1", made.port) as line,
    ):
        reaches_by(made, "seat-2", line)
        made.start()
        made.wait_for_committed(1, "site-a")
        line.down()
        made.wait_for_phase(1, Phase.DONE)
        line.up()
        made.run_to_the_end()

        assert made.cohort(1) == SITES
        assert made.difference(1) == {0}


@pytest.mark.deep
def test_slow_lines_take_longer_and_change_nothing(tmp_path: Path) -> None:
    """A fifth of a second each way, and 4 Mbit/s."""
    rounds: dict[str, Any] = {"wanted": 1, "quorum": 3, "deadline": BRIEF}
    with (
        federation(tmp_path, SITES, **rounds) as made,
        toxic("127.0.0.1", made.port) as line,
    ):
        for name in SITES:
            reaches_by(made, name, line)
        line.latency(0.2, 0.05)
        line.bandwidth(4_000_000)
        made.start()
        made.wait_for_end()

        check_nothing_was_lost(made, SITES, 1)
