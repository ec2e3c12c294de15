"""Clocks that differ, or jump in a round, decide nothing: only monotonic ones do.

Real processes, each with a clock of its own by libfaketime. A certificate's life is the one
thing that a wall clock decides, and a clock that is off by more than that is named.
"""

import json
import os
import signal
import time
from datetime import datetime
from itertools import pairwise
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


JUMPS_AFTER_SECONDS = 15.0


def skewed(seconds: str, **jump: str) -> dict[str, str]:
    """Return the environment of a process whose wall clock is off.

    No file says how far: a process of many threads that reads one for each look at the clock
    dies of libfaketime, one run in ten.
    """
    return {
        "LD_PRELOAD": faketime(),
        "FAKETIME": seconds,
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        **jump,
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


def test_rounds_work_though_clocks_are_ten_minutes_apart_and_two_jump(tmp_path: Path) -> None:
    """In a round, the coordinator's is put back by ten minutes, and so is a site's."""
    policies = dict.fromkeys(SITES, LIMITS)
    after = str(JUMPS_AFTER_SECONDS)
    environments = {
        "coordinator": skewed("+600", FAKETIME_STOP_AFTER_SECONDS=after),
        "site-a": skewed("-600"),
        "site-b": skewed("-600", FAKETIME_START_AFTER_SECONDS=after),
        "site-c": {},
    }
    rounds: dict[str, Any] = {"wanted": 3, "quorum": 3, "deadline": PATIENT}
    with federation(tmp_path, SITES, policies=policies, **rounds) as made:
        for name, environment in environments.items():
            start_under(made, name, environment)
        made.wait_for_log("site-c", "joined")
        made.send("site-c", signal.SIGSTOP)
        made.wait_for_committed(1, "site-a", "site-b")
        time.sleep(JUMPS_AFTER_SECONDS)  # since both began, so that both have jumped
        made.send("site-c", signal.SIGCONT)
        made.wait_for_end()

        check_nothing_was_lost(made, SITES, 3)
        assert went_back(made, "coordinator") == pytest.approx(600, abs=60)
        assert went_back(made, "site-b") == pytest.approx(600, abs=60)
        assert went_back(made, "site-a") < 1


def went_back(made: Federation, name: str) -> float:
    """Return by how many seconds the clock of a process went back at most, as its log has it."""
    lines = (made.places.logs / f"{name}.log").read_text().splitlines()
    said = (json.loads(line) for line in lines if line.startswith("{"))
    times = [datetime.fromisoformat(each["timestamp"]) for each in said if "timestamp" in each]
    return max((before - after).total_seconds() for before, after in pairwise(times))


def test_a_clock_beyond_a_certificates_life_is_named(tmp_path: Path) -> None:
    """The operator of the site is told what its clock says, and what the certificate says."""
    with federation(tmp_path, SITES) as made:
        made.start_coordinator()
        start_under(made, "site-a", skewed("+864000"))

        def said() -> bool:
            events = made.log("site-a", "waiting_for_coordinator")
            return any("clock" in str(each.get("reason")) for each in events)

        made.wait_for("a word about the clock", said)
