"""A coin that no seat can choose: not who shows last, not who copies, not who tells two tales."""

import os

import pytest

from privacy.errors import MalformedMessage, SeatsDisagree
from privacy.schemes.shares.coin import check_echo, commitment, seed

CONTEXT = b"candidates of round 3"
VALUES = [bytes([seat]) * 32 for seat in (7, 8, 9)]
COMMITMENTS = [commitment(CONTEXT, seat, value) for seat, value in enumerate(VALUES)]


def test_a_seed_depends_on_every_value():
    """One honest seat is enough: with its value unknown the seed is."""
    first = seed(CONTEXT, COMMITMENTS, VALUES)

    for seat in range(3):
        values = [*VALUES]
        values[seat] = os.urandom(32)
        others = [commitment(CONTEXT, at, value) for at, value in enumerate(values)]
        assert seed(CONTEXT, others, values) != first


@pytest.mark.parametrize("seat", range(3))
def test_who_shows_last_cannot_choose(seat):
    """It knows the two other values, and can show its own or nothing."""
    for _ in range(50):
        values = [*VALUES]
        values[seat] = os.urandom(32)

        with pytest.raises(MalformedMessage, match=f"seat {seat} shows another value"):
            seed(CONTEXT, COMMITMENTS, values)


def test_another_seats_commitment_cannot_be_handed_on():
    """A copy opened with the copied value would cancel it in a weaker coin, or repeat it."""
    copied = [COMMITMENTS[0], COMMITMENTS[1], COMMITMENTS[0]]

    with pytest.raises(MalformedMessage, match="seat 2 shows another value"):
        seed(CONTEXT, copied, [VALUES[0], VALUES[1], VALUES[0]])


def test_a_commitment_of_another_toss_is_none():
    old = [commitment(b"candidates of round 2", at, value) for at, value in enumerate(VALUES)]

    with pytest.raises(MalformedMessage, match="seat 0 shows another value"):
        seed(CONTEXT, old, VALUES)


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_value_has_32_bytes(length):
    """A short value could be guessed from its commitment."""
    with pytest.raises(MalformedMessage, match=f"seat 1 shows {length} bytes"):
        commitment(CONTEXT, 1, bytes(length))


@pytest.mark.parametrize("maker", range(3))
def test_a_seat_that_told_two_others_different_things_is_noticed(maker):
    """With two commitments it could choose which to open, and split the seeds."""
    echoed = [*COMMITMENTS]
    echoed[maker] = commitment(CONTEXT, maker, os.urandom(32))

    with pytest.raises(SeatsDisagree, match=f"seat 1 has heard another commitment of seat {maker}"):
        check_echo(COMMITMENTS, 1, echoed)


def test_an_echo_of_the_same_passes():
    check_echo(COMMITMENTS, 1, list(COMMITMENTS))
