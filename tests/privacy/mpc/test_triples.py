"""Triples multiply bits, are dealt in the order of their use, and run out."""

import os

import numpy as np
import pytest

from privacy.errors import InternalError
from privacy.mpc.compare import Rounded, Within, within
from privacy.mpc.randomness import Draws
from privacy.mpc.triples import Triples, conjunction, conversion, deal, halves, words_of

SHAPES = [(1, 40), (2, 1, 40), (3, 7)]


def dealt(shapes=SHAPES):
    """The triples of seats 0 and 1."""
    first, second = os.urandom(32), os.urandom(32)
    products = deal(shapes, Draws(first), Draws(second))
    seats = Triples(Draws(first)), Triples(Draws(second))
    seats[0].expect(shapes, None)
    seats[1].expect(shapes, products)
    return seats


def test_each_triple_is_a_product():
    """a & b == c, of the shares of the two."""
    first, second = dealt()

    for shape in SHAPES:
        a, b, c = np.array(first.draw(shape)) ^ np.array(second.draw(shape))
        assert a.shape == shape
        assert np.array_equal(a & b, c)
        assert np.any(c)


def test_no_two_triples_are_the_same():
    """A triple that hides two pairs of values shows how they differ."""
    first, _ = dealt([(1, 4)] * 3)

    drawn = [tuple(np.ravel(first.draw((1, 4)))) for _ in range(3)]

    assert len(set(drawn)) == 3


def test_what_the_dealer_sends_is_as_long_as_the_products():
    """A third of a triple, of one of two seats."""
    sent = deal(SHAPES, Draws(bytes(32)), Draws(bytes([1]) * 32))

    assert sent.shape == (words_of(SHAPES),) == (40 + 80 + 21,)


def test_when_triples_run_out_none_are_made():
    """CrypTen would go on with its own."""
    for seat in dealt([(2, 2)]):
        seat.draw((2, 2))

        with pytest.raises(InternalError, match="0 are left"):
            seat.draw((2, 2))


def test_a_triple_of_another_shape_is_refused():
    """The other seat, or the dealer, would go on with another one."""
    first, _ = dealt()

    with pytest.raises(InternalError, match=r"the next of shape \(1, 40\)"):
        first.draw((40,))


def test_triples_left_over_are_an_error():
    """The computation was not the one that was planned."""
    first, _ = dealt()
    first.draw(SHAPES[0])

    with pytest.raises(InternalError, match="2 triples were dealt and not drawn"):
        first.require_spent()
    with pytest.raises(InternalError):
        first.expect(SHAPES, None)


@pytest.mark.parametrize("bits", range(1, 140))
def test_the_tree_joins_all_bits(bits):
    """Every level halves what is left; the last leaves one."""
    left = bits
    for half in halves(bits):
        assert 2 * half in (left, left - 1)
        left -= half

    assert left == 1
    assert sum(halves(bits)) == bits - 1


def test_triples_of_a_question_depend_on_public_sizes_only():
    """So the dealer knows them without a word from the two."""
    circuit = Within(3, np.full(65, 9, np.uint64))

    assert circuit.triples(3) == conversion(390) + conjunction(3, 130)
    assert Rounded(5, 8).triples(5) == [(1, 5)] + [(2, 1, 5)] * 6


def _asked_for(seat, shares, largest):
    """The shapes for which CrypTen asked in a question about three sites."""
    shapes = []
    draw = Triples.draw
    Triples.draw = lambda self, shape: (shapes.append(shape), draw(self, shape))[1]
    try:
        within(seat, b"q", shares, largest)
    finally:
        Triples.draw = draw
    return shapes


@pytest.mark.parametrize("count", [1, 2, 65])
def test_crypten_asks_for_what_was_planned(trio, count):
    """Both seats of the two; the dealer asks for nothing."""
    largest = np.full(count, 9, np.uint64)

    reports = trio.shares(_asked_for, np.zeros((3, count), np.uint64), largest)

    planned = Within(3, largest).triples(3)
    assert [report.result for report in reports] == [planned, planned, []]


def test_a_share_of_a_triple_says_nothing_of_it():
    """Seat 1's word of c is uniform although c is not: three of four bits of a & b are zero."""
    first, second = dealt([(20_000,)])
    ours, theirs = first.draw((20_000,)), second.draw((20_000,))

    def ones(words):
        return float(np.unpackbits(words.view(np.uint8)).mean())

    assert abs(ones(theirs[2]) - 0.5) < 0.003
    assert abs(ones(ours[2] ^ theirs[2]) - 0.25) < 0.003
