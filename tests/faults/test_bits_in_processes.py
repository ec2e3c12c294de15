"""A flipped bit, and a real process that starts on it: it says what is damaged, or does without.

The many flips are in `test_bits`, without processes. Here are a few, as an operator sees them.
"""

from pathlib import Path
from typing import Any

import pytest

from coordinator.rounds.state import Phase
from tests.faults.flips import Flip
from tests.faults.killing import LIMITS, PATIENT, check_nothing_was_lost
from tests.processes.federation import STEP_SECONDS, Federation, federation

pytestmark = [pytest.mark.deep, pytest.mark.timeout(300)]

SITES = ("site-a", "site-b", "site-c")


CHUNK = "objects/rounds/000001/contributions/site-b/0/00000001"
PAGE_KIND = 100
"""The byte of SQLite's file that says what the first page is."""


def home_of(made: Federation, name: str) -> Path:
    """Return the state folder of a process."""
    return made.places.coordinator if name == "coordinator" else made.places.site(name)


def refuses(made: Federation, name: str) -> str:
    """Return the last words of a process that ends by itself soon after it has started."""
    path = made.places.logs / f"{name}.log"
    before = path.stat().st_size
    made.start_coordinator() if name == "coordinator" else made.start_site(name)
    status = made.family.running.pop(name).wait(STEP_SECONDS)
    said = path.read_bytes()[before:].decode()
    assert status not in (0, 1), said  # an error with a name; 1 is a traceback's
    return said


def test_a_process_does_not_start_on_what_is_damaged_and_goes_on_when_it_is_whole(
    tmp_path: Path,
) -> None:
    """Who puts the file back from a backup finds everything as it was."""
    rounds: dict[str, Any] = {"wanted": 2, "quorum": 3, "deadline": PATIENT}
    policies = dict.fromkeys(SITES, LIMITS)
    with federation(tmp_path, SITES, policies=policies, **rounds) as made:
        made.start_coordinator("effect.before_aggregate:1=kill")
        for name in SITES:
            made.start_site(name)
        made.wait_for_death("coordinator")
        made.kill("site-b")
        for name, flip, names in (
            ("coordinator", Flip("coordinator.sqlite-wal", 5000, 3), "coordinator.sqlite-wal"),
            ("site-b", Flip("ledger.sqlite-wal", 5000, 3), "ledger.sqlite-wal"),
            ("site-b", Flip("memory.sqlite", PAGE_KIND, 3), "memory"),
        ):
            flip.make(home_of(made, name))
            assert names in refuses(made, name)
            flip.make(home_of(made, name))
        made.run_to_the_end()

        check_nothing_was_lost(made, SITES, 2)


@pytest.mark.deep
def test_a_round_whose_stored_chunk_is_damaged_names_it_and_the_next_one_is_exact(
    tmp_path: Path,
) -> None:
    """Nothing is summed that was not signed."""
    rounds: dict[str, Any] = {"wanted": 1, "quorum": 3, "deadline": PATIENT}
    policies = dict.fromkeys(SITES, LIMITS)
    with federation(tmp_path, SITES, policies=policies, **rounds) as made:
        made.start_coordinator("effect.before_aggregate:1=kill")
        for name in SITES:
            made.start_site(name)
        made.wait_for_death("coordinator")
        Flip(CHUNK, 5000, 3).make(made.places.coordinator)
        made.run_to_the_end()

        first, second = (made.round(number) for number in (1, 2))
        assert first is not None
        assert second is not None
        assert (first.phase, second.phase) == (Phase.ABORTED, Phase.DONE)
        assert "site-b" in first.reason
        assert made.difference(2) == {0}
