"""What moves keeps a round waiting; what moves again and again does not."""

import pytest

from coordinator.rounds.moving import STARTS_THAT_COUNT, Moving
from coordinator.rounds.progress import Progress
from tests.fakes import ManualClock

A, B = "hospital-a", "hospital-b"


@pytest.fixture
def counted():
    """A function that gives a payload, and returns whether that was progress."""
    clock = ManualClock()
    moving = Moving(Progress(clock))

    def given(number, caller, stream, chunk, position=0):
        clock.advance(1)
        moving.given(number, caller, stream, chunk, position)
        return moving.progress.quiet(number) == (0, 0)

    for number in (1, 2):
        moving.progress.quiet(number)
    given.moving = moving
    return given


def test_each_payload_counts_by_chunk_and_position(counted):
    """Where a chunk has a payload of each participant, all of them move."""
    places = [(chunk, position) for chunk in range(2) for position in range(3)]

    assert [counted(1, A, "contributions", *place) for place in places] == [True] * 6


def test_a_payload_that_is_not_the_next_does_not_count_again(counted):
    for chunk in (0, 1, 2):
        counted(1, A, "sum", chunk)

    assert [counted(1, A, "sum", chunk) for chunk in (2, 1, 2)] == [False] * 3
    assert counted(1, A, "sum", 3)


def test_a_stream_counts_apart_from_other_streams_callers_and_rounds(counted):
    assert counted(1, A, "sum", 3)
    for other in ((1, A, "contributions"), (1, B, "sum"), (2, A, "sum")):
        assert counted(*other, 3)
    assert not counted(1, A, "sum", 3)


def test_who_begins_again_counts_again_and_not_for_ever(counted):
    """It was killed, and must be able to finish; or it fetches for ever."""
    whole = [[counted(1, A, "sum", chunk) for chunk in range(3)] for _ in range(20)]

    counting = 1 + STARTS_THAT_COUNT
    assert STARTS_THAT_COUNT == 8
    assert whole[:counting] == [[True] * 3] * counting
    assert whole[counting:] == [[False] * 3] * (20 - counting)
    assert counted(1, A, "sum", 3)


def test_nothing_is_remembered_of_a_round_that_is_over(counted):
    for number in (1, 2):
        for _ in range(2):
            counted(number, A, "sum", 0)

    counted.moving.forget(1)

    assert {key[0] for key in counted.moving._reached} == {2}
    assert {key[0] for key in counted.moving._starts} == {2}
