"""What a site remembers holds over restarts and kills: one opening a round, ever."""

import signal
import sqlite3
import stat
import subprocess
import sys

import pytest

from participant.memory import Memory
from participant.model.models import Models
from privacy.contribution.products import OpenedSum
from privacy.errors import ConfigError, OpeningRefused, StoreUnavailable
from privacy.ledger import Checkpoint

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


def test_a_key_is_vouched_for_in_one_round_only(tmp_path):
    """Whoever makes keys cannot bring last round's back, over restarts either."""
    memory = Memory(tmp_path)
    memory.vouches(1, FIRST)
    memory.vouches(1, FIRST)
    memory.vouches(1, SECOND)
    memory.close()

    memory = Memory(tmp_path)
    for key in (FIRST, SECOND):
        with pytest.raises(OpeningRefused, match="key of round 1 again"):
            memory.vouches(2, key)
    memory.vouches(2, "c" * 64)
    memory.close()


def test_how_far_the_ledger_was_seen_never_falls(memory):
    """An older copy must not make itself the newest."""
    assert memory.ledger_seen() is None
    memory.ledger_grew(Checkpoint(2, FIRST))
    memory.ledger_grew(Checkpoint(5, SECOND))

    memory.ledger_grew(Checkpoint(3, FIRST))
    memory.ledger_grew(Checkpoint(5, FIRST))

    assert memory.ledger_seen() == Checkpoint(5, SECOND)


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


def test_nobody_else_reads_the_memory(memory):
    """What was opened and signed is the site's own matter."""
    memory.opens(1, FIRST, SECOND)

    for path in memory.folder.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_a_database_that_refuses_opens_nothing(memory):
    """No record, no opening."""
    memory.close()

    with pytest.raises(StoreUnavailable):
        memory.opens(1, FIRST, SECOND)


def test_a_database_that_is_none_is_said_so(tmp_path):
    """Not a traceback of SQLite's, and nothing that is tried again: time does not mend it."""
    (tmp_path / "memory.sqlite").write_bytes(b"no database" * 100)

    with pytest.raises(ConfigError, match=r"memory\.sqlite: the file is damaged"):
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


@pytest.fixture
def models(tmp_path):
    models = Models(tmp_path / "models")
    for digest in MODELS:
        models.path(digest).write_bytes(bytes(16))
    return models


def kept(models):
    return {digest for digest in MODELS if models.holds(digest)}


def released(memory, *rounds):
    for number in rounds:
        memory.releases(number, f"{number}" * 64, MODELS[number])


def test_old_models_are_forgotten(memory, models):
    """The first stays, from which everything follows, and the newest two."""
    released(memory, 1, 2, 4)

    memory.forget_models(models, MODELS[0])

    assert kept(models) == {MODELS[0], MODELS[2], MODELS[4]}


def test_nothing_is_forgotten_while_an_opened_sum_has_no_release(memory, models):
    """The model that its opener made is agreed on later, perhaps after a restart."""
    released(memory, 1, 2, 3)
    memory.opens(4, FIRST, SECOND)

    memory.forget_models(models, MODELS[0])
    assert kept(models) == set(MODELS)

    memory.releases(4, "4" * 64, MODELS[4])
    memory.forget_models(models, MODELS[0])
    assert kept(models) == {MODELS[0], MODELS[3], MODELS[4]}


def test_before_the_first_release_only_the_first_model_is_kept(memory, models):
    """And it can be made again from its text."""
    memory.forget_models(models, MODELS[0])

    assert kept(models) == {MODELS[0]}


@pytest.mark.parametrize("restarted", [False, True])
def test_one_cohort_of_a_round_is_certified_for_ever(tmp_path, restarted):
    """The same one as often as it is asked for; of another round, another."""
    memory = Memory(tmp_path)
    for number in (3, 1, 3):
        memory.certifies(number, "a" * 64)
    if restarted:
        memory.close()
        memory = Memory(tmp_path)

    with pytest.raises(OpeningRefused, match="another cohort was certified"):
        memory.certifies(3, "b" * 64)
    memory.certifies(3, "a" * 64)

    assert memory.newest_certified() == 3


def test_who_has_certified_nothing_says_so(memory):
    """To a seat that asks, before the first round."""
    assert memory.newest_certified() == 0


def test_what_an_opened_sum_says_of_products_is_remembered_for_its_model(tmp_path):
    """Numbers of more bits than a database's integers; of another model there is nothing."""
    memory, opened = Memory(tmp_path), OpenedSum(-(1 << 90), 1 << 100)
    memory.measures(1, FIRST, opened)
    memory.close()

    memory = Memory(tmp_path)
    assert memory.opened_sum(1, FIRST) == opened
    assert memory.opened_sum(1, SECOND) is None
    assert memory.opened_sum(2, FIRST) is None
    memory.close()


def test_scores_of_a_round_are_signed_once(tmp_path):
    memory = Memory(tmp_path)
    memory.scores(1, FIRST)
    memory.close()

    memory = Memory(tmp_path)
    memory.scores(1, FIRST)
    with pytest.raises(OpeningRefused, match="other scores"):
        memory.scores(1, SECOND)
    memory.scores(2, SECOND)
    memory.close()


def test_models_that_kept_updates_need_stay(tmp_path):
    """An update that waits for its score is compared with the model that it was trained from."""
    memory, models = Memory(tmp_path / "state"), Models(tmp_path / "models")
    names = [str(at) * 64 for at in range(5)]
    for at, name in enumerate(names):
        models.path(name).write_bytes(b"")
        memory.releases(at + 1, FIRST, name)

    memory.forget_models(models, FIRST, frozenset({names[0]}))

    assert [models.holds(name) for name in names] == [True, False, False, True, True]
    memory.close()
