"""What a site remembers holds over restarts and kills: one opening a round, ever."""

import signal
import sqlite3
import stat
import subprocess
import sys

import numpy as np
import pytest

from participant.memory import Memory
from privacy.errors import OpeningRefused, StoreUnavailable

FIRST, SECOND = "a" * 64, "b" * 64


@pytest.fixture
def memory(tmp_path):
    memory = Memory(tmp_path / "state")
    yield memory
    memory.close()


def test_the_same_opening_again_is_no_second_one(memory):
    """A crash after the record, or after the opening, repeats it."""
    memory.opens(1, FIRST, SECOND)
    memory.opens(1, FIRST, SECOND)

    assert memory.opening(1) == (FIRST, SECOND)
    assert memory.opening(2) is None


@pytest.mark.parametrize("other", [(SECOND, SECOND), (FIRST, FIRST)])
def test_a_second_cohort_or_sum_is_refused_for_ever(tmp_path, other):
    """The difference of two cohorts' sums is one site's update."""
    memory = Memory(tmp_path)
    memory.opens(1, FIRST, SECOND)

    for _ in range(3):
        with pytest.raises(OpeningRefused, match="shows two"):
            memory.opens(1, *other)
        memory.close()
        memory = Memory(tmp_path)

    assert memory.opening(1) == (FIRST, SECOND)
    memory.opens(2, *other)
    memory.close()


KILLED = """
import os, signal, sys
from pathlib import Path
from participant.memory import Memory
memory = Memory(Path(sys.argv[1]))
memory.opens(1, "a" * 64, "b" * 64)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_kill_after_the_record_does_not_undo_it(tmp_path):
    """The record is on disk when `opens` returns, before anything is opened."""
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)

    memory = Memory(tmp_path)

    assert done.returncode == -signal.SIGKILL
    with pytest.raises(OpeningRefused):
        memory.opens(1, SECOND, SECOND)
    memory.close()


def test_two_processes_do_not_open_two_cohorts(tmp_path):
    """An agent that was started twice has one memory."""
    one, two = Memory(tmp_path), Memory(tmp_path)
    one.opens(1, FIRST, SECOND)

    with pytest.raises(OpeningRefused):
        two.opens(1, SECOND, SECOND)
    one.close()
    two.close()


def test_one_release_of_a_round_is_signed(memory):
    """Two would let the coordinator show each site its own."""
    memory.signs(1, FIRST)
    memory.signs(1, FIRST)

    with pytest.raises(OpeningRefused, match="signed before"):
        memory.signs(1, SECOND)


def test_one_release_of_a_round_is_accepted(memory):
    """And the newest is the one with the highest round."""
    memory.releases(2, SECOND, FIRST)
    memory.releases(1, FIRST, SECOND)
    memory.releases(1, FIRST, SECOND)

    assert memory.newest_release() == (2, SECOND, FIRST)
    with pytest.raises(OpeningRefused):
        memory.releases(1, SECOND, SECOND)


def test_a_model_is_kept_bit_for_bit(memory):
    """Negative zero and the smallest number too."""
    vector = np.array([-0.0, 5e-324, 1 / 3, -1e308])

    memory.keep_model(FIRST, vector)

    kept = memory.model(FIRST)
    assert kept is not None
    assert kept.tobytes() == vector.tobytes()
    assert memory.holds(FIRST)
    assert memory.model(SECOND) is None
    assert not memory.holds(SECOND)


def test_nobody_else_reads_the_memory(memory):
    """Models are for trainers only."""
    memory.keep_model(FIRST, np.ones(3))
    memory.opens(1, FIRST, SECOND)

    for path in memory.folder.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_a_disk_that_refuses_is_nobodys_fault_yet(memory, monkeypatch):
    """Retried with back-off; the model is not half there."""

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("veilsum.files.os.fsync", full)

    with pytest.raises(StoreUnavailable, match="No space"):
        memory.keep_model(FIRST, np.ones(3))
    assert memory.model(FIRST) is None


def test_a_database_that_refuses_opens_nothing(memory):
    """No record, no opening."""
    memory.close()

    with pytest.raises(StoreUnavailable):
        memory.opens(1, FIRST, SECOND)


def test_a_database_that_is_none_is_said_so(tmp_path):
    """Not a traceback of SQLite's."""
    (tmp_path / "memory.sqlite").write_bytes(b"no database" * 100)

    with pytest.raises(StoreUnavailable):
        Memory(tmp_path)


def test_what_is_recorded_is_synchronous(memory):
    """WAL with synchronous=NORMAL could lose the last record with the power."""
    assert memory._database.execute("PRAGMA synchronous").fetchone() == (2,)
    assert isinstance(memory._database, sqlite3.Connection)


def test_a_ledger_that_was_begun_is_remembered(tmp_path):
    """Over restarts, so that its absence is noticed."""
    memory = Memory(tmp_path)
    assert not memory.has_begun_ledger()
    memory.begins_ledger()
    memory.begins_ledger()
    memory.close()

    again = Memory(tmp_path)

    assert again.has_begun_ledger()
    again.close()


MODELS = [letter * 64 for letter in "abcdef"]


def kept(memory):
    return {digest for digest in MODELS if memory.holds(digest)}


def with_releases(memory, *rounds):
    for digest in MODELS:
        memory.keep_model(digest, np.ones(2))
    for number in rounds:
        memory.releases(number, f"{number}" * 64, MODELS[number])


def test_old_models_are_forgotten(memory):
    """The first stays, from which everything follows, and the newest two."""
    with_releases(memory, 1, 2, 4)

    memory.forget_models(MODELS[0])

    assert kept(memory) == {MODELS[0], MODELS[2], MODELS[4]}


def test_nothing_is_forgotten_while_an_opened_sum_has_no_release(memory):
    """The model that its opener made is agreed on later, perhaps after a restart."""
    with_releases(memory, 1, 2, 3)
    memory.opens(4, FIRST, SECOND)

    memory.forget_models(MODELS[0])
    assert kept(memory) == set(MODELS)

    memory.releases(4, "4" * 64, MODELS[4])
    memory.forget_models(MODELS[0])
    assert kept(memory) == {MODELS[0], MODELS[3], MODELS[4]}


def test_before_the_first_release_only_the_first_model_is_kept(memory):
    """And it can be made again from its text."""
    with_releases(memory)

    memory.forget_models(MODELS[0])

    assert kept(memory) == {MODELS[0]}
