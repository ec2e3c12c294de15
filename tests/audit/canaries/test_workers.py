"""Processes for audits: the order stays, and whatever ends the command ends them."""

import multiprocessing
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec.structs import replace as changed

from privacy.errors import ConfigError
from privacy.plan import Mechanism
from veilsum.audit.canaries import workers
from veilsum.audit.canaries.workers import Job, audited
from veilsum.process import stopped_by_sigterm

from .small_audit import DISTRIBUTED, SETTINGS

SMALL = replace(SETTINGS[Mechanism.DISTRIBUTED], canaries=200, rounds=1)
LONG = replace(SETTINGS[Mechanism.LOCAL], rounds=2000)


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    """Where an audit writes; empty when it is over."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def two_cores(monkeypatch):
    monkeypatch.setattr(workers.os, "sched_getaffinity", lambda pid: {0, 1})


def started():
    return [each for each in multiprocessing.active_children() if "_Worker" in type(each).__name__]


@pytest.mark.usefixtures("two_cores")
def test_results_come_in_the_order_of_the_jobs(temporary):
    """However long each takes; and each is what was asked for, from a process of its own."""
    jobs = [
        Job(replace(SMALL, rounds=6)),
        Job(SMALL, "half of the noise"),
        Job(SMALL, "a record without numbers"),
    ]

    found = list(audited(jobs))

    assert [each.subject for each in found] == [job.subject for job in jobs]
    assert [each.rounds for each in found] == [6, 1, 1]
    ratios = [re.search(r"noise is (\d\.\d+) of", words) for words in found[1].findings]
    assert [float(each[1]) for each in ratios if each] == [pytest.approx(0.5, abs=0.06)] * 2
    assert any("without numbers stops" in words for words in found[2].findings)
    assert started() == []
    assert list(temporary.iterdir()) == []


def test_one_core_audits_in_this_process(monkeypatch):
    """A process beside it would only take memory."""
    monkeypatch.setattr(workers.os, "sched_getaffinity", lambda pid: {0})
    monkeypatch.setattr(workers, "_workers", None)

    assert len(list(audited([Job(SMALL), Job(SMALL)]))) == 2


@pytest.mark.usefixtures("two_cores")
def test_what_a_process_refuses_is_refused_here():
    """The same error, in the same words, and nobody goes on."""
    few = changed(DISTRIBUTED, units_cap=64)

    with pytest.raises(ConfigError, match="more units than the 64"):
        list(audited([Job(replace(SMALL, training=few, canaries=400)), Job(LONG)]))

    assert started() == []


@pytest.mark.usefixtures("two_cores")
def test_a_process_that_dies_is_told_and_what_to_do():
    """The kernel kills where memory is short; nothing is known of what is left."""
    results = audited([Job(SMALL), Job(LONG)])
    next(results)

    for each in started():
        os.kill(each.pid, signal.SIGKILL)

    with pytest.raises(ConfigError, match="fewer cores"):
        next(results)


@pytest.mark.usefixtures("two_cores")
def test_an_end_waits_until_all_processes_are_born(monkeypatch):
    """One that comes in the middle of a birth left a child that said at length what it missed."""
    born = []

    class Ended(workers.ProcessPoolExecutor):
        def submit(self, *args):
            future = super().submit(*args)
            os.kill(os.getpid(), signal.SIGTERM)
            born.append(future)
            return future

    monkeypatch.setattr(workers, "ProcessPoolExecutor", Ended)

    with pytest.raises(SystemExit), stopped_by_sigterm():
        list(audited([Job(LONG), Job(LONG)]))

    assert len(born) == 2
    assert started() == []


@pytest.fixture
def foreground():
    """Tests that a shell has put in the background ignore SIGINT, and so would all they start."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.timeout(240)
@pytest.mark.usefixtures("foreground")
@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)]
)
def test_no_process_outlives_the_command(number, status, temporary):
    """Ctrl-C goes to the whole group; the others to the command alone, and SIGKILL is no order."""
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("one core, one process")
    command = subprocess.Popen(
        [sys.executable, "-m", "veilsum", "audit", "privacy", "--canaries", "20000"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=os.environ | {"TMPDIR": str(temporary)},
        start_new_session=True,
        text=True,
    )
    # The command, Python's own helper, and two that audit.
    _until(lambda: len(_group(command.pid)) >= 4)

    if number is signal.SIGINT:
        os.killpg(command.pid, number)
    else:
        command.send_signal(number)
    said = command.communicate(timeout=150)[1]

    assert command.returncode == status
    _until(lambda: not _group(command.pid))
    if number is not signal.SIGKILL:
        assert "Traceback" not in said
        assert list(temporary.iterdir()) == []


def _group(number):
    """The processes of a group that are not just waiting to be collected."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, group = stat.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue  # it has ended
        if int(group) == number and state != "Z":
            found.append(stat.parent.name)
    return found


def _until(true, seconds=30.0):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)
