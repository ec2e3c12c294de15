"""A seat adds what it cannot open, and its sum depends on nothing but what it adds."""

import inspect

import numpy as np
import pytest

from privacy.errors import CohortTooSmall, MalformedMessage, UnsafeParameters
from privacy.schemes.shares import seat_sum
from privacy.schemes.shares.layout import VALUE_WORDS, SharesParameters
from privacy.schemes.shares.seat_sum import SeatCombiner, takes_payload
from tests.privacy.schemes.shares.three_seats import drawn, send

PARAMETERS = SharesParameters(24, 3, leaves_per_chunk=4)
DIMENSION = 4 * VALUE_WORDS + 1200


@pytest.fixture(scope="module")
def updates():
    return [send(PARAMETERS, drawn(PARAMETERS, DIMENSION, seed)) for seed in range(3)]


def added(updates, seat, chunk=0):
    addition = SeatCombiner(PARAMETERS, DIMENSION, seat).begin(chunk)
    for sent in updates:
        held = sent.held(PARAMETERS, DIMENSION, seat)
        addition.add(held, sent.payloads[chunk] if takes_payload(seat) else None)
    return addition.total()


def test_no_type_of_a_seat_opens_anything():
    """Roles are types: what could open is not there to be called by mistake."""
    verbs = {"reveal", "open", "decrypt", "decode", "unseal"}
    types = [each for _, each in inspect.getmembers(seat_sum, inspect.isclass)]
    methods = {
        name
        for each in types
        if each.__module__ == seat_sum.__name__
        for name, _ in inspect.getmembers(each, inspect.isfunction)
    }

    assert methods
    assert not verbs & methods


def test_only_two_seats_need_the_vector_that_travels():
    assert [takes_payload(seat) for seat in range(3)] == [False, True, True]


def test_both_holders_of_a_component_have_the_same_sum(updates):
    """Which is what opening compares."""
    first, second, third = (added(updates, seat) for seat in range(3))

    assert first.root_of(0) == third.root_of(0)
    assert first.root_of(1) == second.root_of(1)
    assert second.root_of(2) == third.root_of(2)
    assert np.array_equal(second.blocks[2], third.blocks[2])


@pytest.mark.parametrize("seat", range(3))
def test_the_order_of_updates_changes_nothing(updates, seat):
    assert added(updates, seat).encode() == added(updates[::-1], seat).encode()


def test_adding_gives_the_roots_that_the_site_signed(updates):
    sent = updates[0]
    addition = SeatCombiner(PARAMETERS, DIMENSION, 1).begin(1)

    roots = addition.check_and_add(sent.held(PARAMETERS, DIMENSION, 1), sent.payloads[1])

    assert roots == sent.roots[1][1:]


def test_the_first_update_is_not_changed_by_those_after_it(updates):
    """Its blocks are used for questions about it."""
    addition = SeatCombiner(PARAMETERS, DIMENSION, 0).begin(0)
    blocks = addition.add(updates[0].held(PARAMETERS, DIMENSION, 0), None)
    before = blocks[0].copy()

    addition.add(updates[1].held(PARAMETERS, DIMENSION, 0), None)

    assert np.array_equal(blocks[0], before)


def test_more_updates_than_the_parameters_hold_for_are_refused(updates):
    """The sum could wrap."""
    with pytest.raises(UnsafeParameters, match="a sum of 4 updates"):
        added([*updates, updates[0]], 0)


def test_another_seats_shares_are_refused(updates):
    addition = SeatCombiner(PARAMETERS, DIMENSION, 0).begin(0)

    with pytest.raises(MalformedMessage, match="seat 1 in the sum of 0"):
        addition.add(updates[0].held(PARAMETERS, DIMENSION, 1), updates[0].payloads[0])


def test_a_payload_that_does_not_open_adds_nothing(updates):
    addition = SeatCombiner(PARAMETERS, DIMENSION, 1).begin(0)

    with pytest.raises(MalformedMessage):
        addition.add(updates[0].held(PARAMETERS, DIMENSION, 1), None)

    with pytest.raises(CohortTooSmall):
        addition.total()


def test_there_is_no_chunk_after_the_last_and_no_fourth_seat():
    with pytest.raises(MalformedMessage, match="no chunk 2"):
        SeatCombiner(PARAMETERS, DIMENSION, 0).begin(2)
    with pytest.raises(MalformedMessage, match="no seat 3"):
        SeatCombiner(PARAMETERS, DIMENSION, 3)
