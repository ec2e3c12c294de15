"""An auditor signs one sum of a round, whatever happens to its process in between."""

import stat
import subprocess
import sys

import pytest

from participant.auditing.memory import AuditMemory
from privacy.errors import OpeningRefused, StoreUnavailable

KILLED = """
import os, signal, sys
from pathlib import Path
from participant.auditing.memory import AuditMemory
AuditMemory(Path(sys.argv[1])).countersigns(3, "c" * 64, "s" * 64)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_one_sum_of_a_round_and_that_again(tmp_path):
    """The same again is a retry; each round has its own."""
    memory = AuditMemory(tmp_path)

    memory.countersigns(1, "c1", "s1")
    memory.countersigns(1, "c1", "s1")
    memory.countersigns(2, "c2", "s2")

    assert memory.countersigned(1) == ("c1", "s1")
    assert memory.countersigned(3) is None
    assert stat.S_IMODE((tmp_path / "audits.sqlite").stat().st_mode) == 0o600


@pytest.mark.parametrize(("cohort", "total"), [("c2", "s1"), ("c1", "s2"), ("c2", "s2")])
def test_another_sum_or_cohort_is_refused(tmp_path, cohort, total):
    """Their difference would be one site's update."""
    memory = AuditMemory(tmp_path)
    memory.countersigns(1, "c1", "s1")

    with pytest.raises(OpeningRefused, match="shows two"):
        memory.countersigns(1, cohort, total)
    assert memory.countersigned(1) == ("c1", "s1")


def test_what_was_recorded_is_there_after_kill_9(tmp_path):
    """Recorded before it is signed: a signature without its record could be made twice."""
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)

    memory = AuditMemory(tmp_path)
    assert memory.countersigned(3) == ("c" * 64, "s" * 64)
    with pytest.raises(OpeningRefused):
        memory.countersigns(3, "c" * 64, "t" * 64)


def test_a_store_that_fails_is_unavailable(tmp_path):
    """Nothing is signed; it is tried again."""
    memory = AuditMemory(tmp_path)
    memory.close()

    with pytest.raises(StoreUnavailable, match="memory of this auditor"):
        memory.countersigns(1, "c", "s")
