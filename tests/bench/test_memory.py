"""Peaks of memory, seen from outside, by kind of process."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from veilsum.bench.memory import Peaks, peak_of

MIB = 1 << 20
WAITS = "import sys; held = bytearray({mib} << 20); print('there', flush=True); sys.stdin.read()"
FORGETS = (
    "import sys; held = bytearray(96 << 20); del held; print('there', flush=True); sys.stdin.read()"
)
PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdin=subprocess.PIPE)
sys.stdin.read()
child.communicate()
"""


@contextmanager
def running(*command: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that has said it is there, or whose child has."""
    with subprocess.Popen(
        [sys.executable, "-c", *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout.readline() == b"there\n"
        yield process
        process.stdin.close()


def test_a_peak_stays_when_the_memory_is_given_back() -> None:
    """So looking now and then is enough."""
    with running(FORGETS) as process:
        assert 96 < peak_of(process.pid) < 160


def test_a_process_that_is_gone_has_no_peak() -> None:
    """It may end between the list of processes and the look at it."""
    with running(FORGETS) as process:
        gone = process.pid

    assert peak_of(gone) == 0


def test_kinds_are_told_apart_by_depth() -> None:
    """What an agent's worker holds is not the agent's."""
    peaks = Peaks()

    with running(PARENT, WAITS.format(mib=64)) as process:
        peaks.look({process.pid: ("agent", "worker", "encryptor")})

    assert set(peaks.mib) == {"agent", "worker"}
    assert peaks.mib["agent"] < 64 < peaks.mib["worker"] < 128


def test_what_lies_deeper_counts_as_the_last_kind() -> None:
    """Rather than being lost."""
    peaks = Peaks()

    with running(PARENT, WAITS.format(mib=64)) as process:
        peaks.look({process.pid: ("coordinator",)})

    assert peaks.mib["coordinator"] > 64


@pytest.mark.parametrize("order", [(8, 64), (64, 8)])
def test_the_largest_of_a_kind_counts(order: tuple[int, int]) -> None:
    """Over all its processes and all looks."""
    peaks = Peaks()

    for mib in order:
        with running(WAITS.format(mib=mib)) as process:
            peaks.look({process.pid: ("site",)})

    assert peaks.mib["site"] > 64


def test_pythons_own_helper_is_no_kind() -> None:
    """It runs beside every spawned process, below the one that started it."""
    script = (
        "import sys; from multiprocessing import resource_tracker as tracker; "
        "tracker.ensure_running(); print('there', flush=True); sys.stdin.read()"
    )
    peaks = Peaks()

    with running(script) as process:
        peaks.look({process.pid: ("agent", "worker")})

    assert set(peaks.mib) == {"agent"}


def test_a_fork_that_has_not_become_anything_is_no_kind() -> None:
    """It has its parent's memory still, and would pass for a worker of that size."""
    script = (
        "import os, sys; held = bytearray(64 << 20)\n"
        "if os.fork(): print('there', flush=True)\n"
        "sys.stdin.read()"
    )
    peaks = Peaks()

    with running(script) as process:
        peaks.look({process.pid: ("agent", "worker")})

    assert set(peaks.mib) == {"agent"}


def test_a_child_that_has_ended_is_no_kind() -> None:
    """Nor is one about to become something: neither has a command."""
    script = (
        "import os, sys, time\n"
        "if not (child := os.fork()): os._exit(0)\n"
        "os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)\n"
        "print('there', flush=True); sys.stdin.read()"
    )
    peaks = Peaks()

    with running(script) as process:
        peaks.look({process.pid: ("agent", "worker")})

    assert set(peaks.mib) == {"agent"}
