"""Clocks that differ, or jump in a round, decide nothing: only monotonic ones do.

Real processes, each with a clock of its own by libfaketime. A certificate's life is the one
thing that a wall clock decides, and a clock that is off by more than that is named.
"""

import os
from pathlib import Path
from typing import Any

import pytest

from tests.faults.killing import LIMITS, PATIENT, check_nothing_was_lost
from tests.missing_tools import missing
from tests.processes.federation import Federation, federation

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(300)]

SITES = ("site-a", "site-b", "site-c")


def faketime() -> str:
    """Return the library that Debian's package `faketime` brings."""
    found = sorted(Path("/usr/lib").glob("**/faketime/libfaketimeMT.so.1"))
    if not found:
        missing("libfaketime is missing: an administrator installs the package faketime")
    return str(found[0])


def skewed(said: Path, seconds: str) -> dict[str, str]:
    """Return the environment of a process whose wall clock is off, as the file says from now on."""
    said.write_text(seconds)
    return {
        "LD_PRELOAD": faketime(),
        "FAKETIME_TIMESTAMP_FILE": str(said),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


def start_under(made: Federation, name: str, environment: dict[str, str]) -> None:
    """Start a process with these variables beside its own."""
    before = dict(os.environ)
    os.environ.update(environment)
    try:
        if name == "coordinator":
            made.start_coordinator()
        else:
            made.start_site(name)
    finally:
        os.environ.clear()
        os.environ.update(before)


def test_rounds_work_though_clocks_are_ten_minutes_apart_and_one_jumps(tmp_path: Path) -> None:
    """The coordinator is ahead, one site behind, and another's is put back in a round."""
    policies = dict.fromkeys(SITES, LIMITS)
    clocks = {"coordinator": "+600", "site-a": "-600", "site-b": "+0", "site-c": "+0"}
    rounds: dict[str, Any] = {"wanted": 3, "quorum": 3, "deadline": PATIENT}
    with federation(tmp_path, SITES, policies=policies, **rounds) as made:
        for name, seconds in clocks.items():
            start_under(made, name, skewed(tmp_path / f"{name}.clock", seconds))
        made.wait_for_committed(1, "site-b")
        (tmp_path / "site-b.clock").write_text("-600")
        (tmp_path / "coordinator.clock").write_text("-300")
        made.wait_for_end()

        check_nothing_was_lost(made, SITES, 3)


def test_a_clock_beyond_a_certificates_life_is_named(tmp_path: Path) -> None:
    """The operator of the site is told what its clock says, and what the certificate says."""
    with federation(tmp_path, SITES) as made:
        made.start_coordinator()
        start_under(made, "site-a", skewed(tmp_path / "site-a.clock", "+864000"))

        def said() -> bool:
            events = made.log("site-a", "waiting_for_coordinator")
            return any("clock" in str(each.get("reason")) for each in events)

        made.wait_for("a word about the clock", said)
