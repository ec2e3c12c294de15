"""Which process of each seat is running, and when a round may be planned."""

import pytest

from coordinator.seats.starts import Starts
from privacy.errors import MalformedMessage
from tests.fakes import ManualClock

SEATS = X, Y, Z = ("seat-x", "seat-y", "seat-z")
ONE, TWO, THREE, NEW = ("1" * 64, "2" * 64, "3" * 64, "4" * 64)
FRESH = 5.0


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def starts(clock):
    return Starts(SEATS, FRESH, clock)


def test_all_three_are_enough_at_once(starts):
    for seat, start in zip(SEATS, (ONE, TWO, THREE), strict=True):
        assert not starts.are_enough(0.0)
        starts.hear(seat, start)

    assert starts.are_enough(0.0)
    assert (starts.away(), starts.of_plan()) == ((), (ONE, TWO, THREE))


def test_two_are_enough_when_the_third_was_waited_for(starts, clock):
    """The round has waited, and so has the second seat."""
    clock.advance(100)
    starts.hear(X, ONE)
    starts.hear(Z, THREE)
    assert not starts.are_enough(100.0)

    clock.advance(FRESH)
    starts.hear(X, ONE)
    starts.hear(Z, THREE)

    assert not starts.are_enough(FRESH - 1)
    assert starts.are_enough(FRESH)
    assert starts.of_plan() == (ONE, "", THREE)


def test_one_is_never_enough(starts, clock):
    """Nobody would certify."""
    starts.hear(Y, TWO)

    clock.advance(1000)

    assert not starts.are_enough(1000.0)
    assert starts.away() == SEATS


def test_a_seat_that_is_not_heard_any_more_is_waited_for(starts, clock):
    """It may be starting again, and its old start would seat nobody."""
    for seat, start in zip(SEATS, (ONE, TWO, THREE), strict=True):
        starts.hear(seat, start)
    clock.advance(FRESH)
    starts.hear(X, ONE)
    starts.hear(Y, TWO)
    assert starts.away() == (Z,)
    assert not starts.are_enough(0.0)

    starts.hear(Z, NEW)

    assert starts.are_enough(0.0)
    assert starts.of_plan() == (ONE, TWO, NEW)


def test_the_start_of_a_seat_that_stays_away_is_the_last_it_said(starts, clock):
    """It may only be slow; if it has ended, it sits the round out as it would with none."""
    for seat, start in zip(SEATS, (ONE, TWO, THREE), strict=True):
        starts.hear(seat, start)

    clock.advance(FRESH)
    starts.hear(X, ONE)
    starts.hear(Z, THREE)

    assert starts.are_enough(FRESH)
    assert starts.of_plan() == (ONE, TWO, THREE)


def test_rounds_wait_while_no_two_seats_are_up(starts, clock):
    """In an outage each round would be planned, fail for want of seats, and halt the programme."""
    for seat, start in zip(SEATS, (ONE, TWO, THREE), strict=True):
        starts.hear(seat, start)

    clock.advance(FRESH)
    starts.hear(X, ONE)

    assert starts.away() == (Y, Z)
    assert not starts.are_enough(1000.0)


@pytest.mark.parametrize("start", ["", "1" * 63, "1" * 65, "G" * 64, "1" * 64 + "\n", "A" * 64])
def test_what_is_no_start_is_refused(starts, start):
    with pytest.raises(MalformedMessage, match=r"seat-x: .* is no start"):
        starts.hear(X, start)
    assert starts.of_plan() == ("", "", "")


def test_the_start_of_another_seat_is_refused(starts):
    """Two machines that draw the same are copies, with the same keys to come."""
    starts.hear(X, ONE)

    with pytest.raises(MalformedMessage, match="its operator must restart it"):
        starts.hear(Y, ONE)
    starts.hear(X, ONE)
    assert starts.of_plan() == (ONE, "", "")


def test_who_has_no_seat_has_no_start(starts):
    """Sites and the auditor make the same call."""
    starts.hear("hospital-a", "")
    starts.hear("hospital-a", ONE)

    assert starts.of_plan() == ("", "", "")
