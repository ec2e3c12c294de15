"""The long simulation: as many seeds as `make deep` has patience for."""

import subprocess
import sys

import pytest


@pytest.mark.deep
def test_five_thousand_rounds_keep_every_invariant():
    """Two or three minutes; a failure prints the seed that replays it, and its shortest history."""
    command = [sys.executable, "-m", "tests.simulation", "--rounds", "5000", "--seed", "1"]

    run = subprocess.run(command, capture_output=True, text=True, check=False)

    assert run.returncode == 0, run.stdout[-2000:]
