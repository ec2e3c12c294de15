"""A seat's memory: what it has signed of a round stays the only one, over restarts."""

import sqlite3

import pytest

from participant.seat.memory import SeatMemory
from privacy.documents import Signed
from privacy.errors import OpeningRefused, StoreUnavailable

ONE = Signed(b"one", {"north": b"s"})
TWO = Signed(b"two", {"north": b"t"})


@pytest.fixture
def memory(tmp_path):
    found = SeatMemory(tmp_path)
    yield found
    found.close()


def test_of_a_round_one_cohort_is_remembered(memory):
    """The first; the same again is no second one."""
    memory.certifies(1, "a" * 64)
    memory.certifies(1, "a" * 64)

    with pytest.raises(OpeningRefused, match="the coordinator shows two"):
        memory.certifies(1, "b" * 64)
    assert memory.certified(1) == "a" * 64


@pytest.mark.parametrize(
    ("record", "read"), [("judges", "verdict"), ("states", "statement"), ("scores", "scored")]
)
def test_the_first_document_of_a_round_is_the_one_that_counts(memory, record, read):
    """Whatever is made later; it is what was sent, or may have been."""
    assert getattr(memory, record)(1, ONE) == ONE
    assert getattr(memory, record)(1, TWO) == ONE
    assert getattr(memory, read)(1) == ONE
    assert getattr(memory, read)(2) is None


def test_the_newest_round_is_that_of_the_newest_cohort(memory):
    """What it tells a seat that asks; 0 before the first."""
    assert memory.newest() == 0

    memory.certifies(3, "a" * 64)
    memory.certifies(2, "b" * 64)
    memory.judges(7, ONE)

    assert memory.newest() == 3


def test_it_is_all_there_after_a_restart(tmp_path):
    """And only its owner reads it."""
    first = SeatMemory(tmp_path)
    first.certifies(1, "a" * 64)
    first.states(1, ONE)
    first.close()

    again = SeatMemory(tmp_path)

    assert (again.certified(1), again.statement(1)) == ("a" * 64, ONE)
    assert (tmp_path / "seat.sqlite").stat().st_mode & 0o777 == 0o600
    again.close()


def test_every_commit_is_on_the_disk(memory):
    """A signature leaves right after it."""
    [(level,)] = memory._database.execute("PRAGMA synchronous").fetchall()

    assert level == 2


def test_a_database_that_refuses_is_a_matter_of_time(memory):
    """The operator's disk; nothing is signed meanwhile."""
    memory._database.close()

    with pytest.raises(StoreUnavailable, match="memory of this seat"):
        memory.certifies(1, "a" * 64)
    memory._database = sqlite3.connect(":memory:")
