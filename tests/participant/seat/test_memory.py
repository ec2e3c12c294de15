"""A seat's memory: what it has signed of a round stays the only one, over restarts."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor

import pytest

from participant.seat.memory import MOST_SESSIONS, MOST_UNSENT, SeatMemory
from privacy.documents import Signed
from privacy.errors import ConfigError, OpeningRefused, StoreUnavailable

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


def test_scores_are_unsent_until_they_are_taken(tmp_path):
    """Also by the next process; and the oldest of very many never more."""
    first = SeatMemory(tmp_path)
    first.scores(1, ONE)
    first.scores(2, TWO)
    first.handed(1)
    first.close()

    memory = SeatMemory(tmp_path)

    assert memory.unsent() == {2}
    for number in range(3, MOST_UNSENT + 3):
        memory.scores(number, ONE)
    assert memory.unsent() == {*range(3, MOST_UNSENT + 3)}
    memory.close()


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


def test_of_a_round_and_stage_three_sessions_are_asked(memory):
    """Each is one more bit for a seat that shifts its share."""
    for _ in range(MOST_SESSIONS):
        memory.asks(1, "norms", "a" * 64)

    with pytest.raises(OpeningRefused, match="norms were asked 3 times, and no more"):
        memory.asks(1, "norms", "a" * 64)
    memory.asks(1, "scores", "a" * 64)
    memory.asks(2, "norms", "a" * 64)


def test_of_a_round_and_stage_one_context_is_asked_about(memory):
    """Other candidates could be the same updates with one beside them."""
    memory.asks(1, "norms", "a" * 64)

    with pytest.raises(OpeningRefused, match="the coordinator shows two"):
        memory.asks(1, "norms", "b" * 64)
    memory.asks(1, "norms", "a" * 64)


def test_sessions_are_counted_over_restarts_and_from_any_thread(tmp_path):
    """Who kills a seat gains none; and work runs in a thread."""
    for _ in range(MOST_SESSIONS):
        memory = SeatMemory(tmp_path)
        with ThreadPoolExecutor(1) as threads:
            threads.submit(memory.asks, 1, "norms", "a" * 64).result()
        memory._database = sqlite3.connect(":memory:")  # killed: nothing is closed

    again = SeatMemory(tmp_path)

    with pytest.raises(OpeningRefused):
        again.asks(1, "norms", "a" * 64)
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


def test_a_damaged_file_is_the_operators_to_mend_and_not_a_matter_of_time(tmp_path):
    """By its path; with an empty one instead, this seat could sign a second cohort."""
    (tmp_path / "seat.sqlite").write_bytes(b"no database at all" * 100)

    with pytest.raises(ConfigError, match=r"seat\.sqlite is damaged .*restore it, or admit new"):
        SeatMemory(tmp_path)


def test_a_file_that_is_damaged_inside_is_found_when_it_is_read(tmp_path):
    """Its head is whole; what is behind it is not."""
    first = SeatMemory(tmp_path)
    for number in range(1, 200):
        first.judges(number, ONE)
    first.close()
    path = tmp_path / "seat.sqlite"
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))

    with pytest.raises(ConfigError, match="is damaged"):
        SeatMemory(tmp_path).verdict(7)
