"""A seat's sum travels in one form, and is refused in any other."""

import numpy as np
import pytest

from privacy.errors import MalformedMessage, RootMismatch
from privacy.schemes.shares.layout import (
    MOST_LEAVES,
    VALUE_WORDS,
    WORDS_PER_LEAF,
    SharesParameters,
)
from privacy.schemes.shares.seat_total import SeatTotal, decode_totals
from privacy.sealing import CHUNK_OVERHEAD
from tests.privacy.schemes.shares.three_seats import drawn, send, totals

PARAMETERS = SharesParameters(24, 3, leaves_per_chunk=4)
DIMENSION = VALUE_WORDS + 100
LEAVES = 2
HEADER = 4 + 4 + 4 + 4 + 64


@pytest.fixture(scope="module")
def statements():
    return totals(PARAMETERS, DIMENSION, [send(PARAMETERS, drawn(PARAMETERS, DIMENSION, 3))])


@pytest.mark.parametrize("components", [(0, 1), (1,), ()])
def test_what_is_written_is_read(statements, components):
    """Both components, one, or roots alone."""
    said = statements[0].only(*components)

    (read,) = decode_totals(said.encode(), 0, LEAVES)

    assert (read.seat, read.chunk, read.roots) == (0, 0, said.roots)
    assert set(read.blocks) == set(components)
    assert all(np.array_equal(read.blocks[c], said.blocks[c]) for c in components)
    assert read.encode() == said.encode()
    assert len(said.encode()) == HEADER + len(components) * LEAVES * 8 * WORDS_PER_LEAF


def test_several_follow_each_other(statements):
    joined = b"".join(each.encode() for each in statements)

    assert [each.seat for each in decode_totals(joined, 0, LEAVES)] == [0, 1, 2]


@pytest.mark.parametrize("at", range(16))
def test_no_other_header_is_read(statements, at):
    """Marker, version, seat, components, zero, chunk and leaves: every byte of them counts."""
    payload = bytearray(statements[0].encode())
    payload[at] ^= 4

    with pytest.raises(MalformedMessage):
        decode_totals(bytes(payload), 0, LEAVES)


@pytest.mark.parametrize("length", [1, HEADER - 1, HEADER, HEADER + 8 * WORDS_PER_LEAF, -1])
def test_a_cut_form_is_refused(statements, length):
    with pytest.raises(MalformedMessage):
        decode_totals(statements[0].encode()[:length], 0, LEAVES)


@pytest.mark.parametrize("at", [20, HEADER - 1, HEADER, -1])
def test_words_that_are_not_those_of_the_roots_are_refused(statements, at):
    """A bit of a root, or of a word, blinding included."""
    payload = bytearray(statements[1].encode())
    payload[at] ^= 1
    (read,) = decode_totals(bytes(payload), 0, LEAVES)

    with pytest.raises(RootMismatch, match="seat 1"):
        read.require_roots()


def test_sums_do_not_print(statements):
    assert str(statements[0].blocks[0][0, 0]) not in repr(statements[0])


def test_the_largest_chunk_of_a_plan_is_below_a_mebibyte_when_sealed():
    """What travels as one message; a leaf more would not be."""
    sizes = [
        len(SeatTotal(0, 0, (bytes(32), bytes(32)), {0: block}).encode()) + CHUNK_OVERHEAD
        for leaves in (MOST_LEAVES, MOST_LEAVES + 1)
        for block in [np.zeros((leaves, WORDS_PER_LEAF), np.uint64)]
    ]

    assert sizes[0] < 1 << 20 < sizes[1]
