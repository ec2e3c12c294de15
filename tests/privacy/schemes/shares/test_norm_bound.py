"""The bound check passes honest updates and none that uses the modulus against it."""

import os

import numpy as np
import pytest

from privacy.errors import UnsafeParameters
from privacy.schemes.shares import norm_bound
from privacy.schemes.shares.layout import VALUE_WORDS, WORDS_PER_LEAF, SharesParameters, block_of
from privacy.schemes.shares.norm_bound import LEAVES_IN_GROUP, PROJECTIONS, NormBound, Projections
from tests.privacy.schemes.shares.three_seats import drawn, send

DIMENSION = 3000
BOUND = NormBound(1 << 20)
TRIES = 128


def block(vector):
    """Words of a vector that no site's grid would hold, in one block."""
    words = np.zeros(DIMENSION, np.uint64)
    words[: len(vector)] = np.array(vector, np.uint64)
    return block_of(words, np.zeros((-(-DIMENSION // VALUE_WORDS), 4), np.uint64))


def squared_norm(vector):
    return sum(int(value) ** 2 for value in vector) % 2**64


def accepted(vector, tries=TRIES):
    """How many of so many independent draws accept."""
    one = block(vector)
    return sum(
        BOUND.accepts(squared_norm(vector), Projections(os.urandom(32)).project(0, [one])[0])
        for _ in range(tries)
    )


def accepted_with_signs_only(vector, tries=TRIES):
    """The same with coefficients +1 and -1: the control."""
    words = np.array(vector, np.uint64)
    passed = 0
    for _ in range(tries):
        bits = np.frombuffer(os.urandom(PROJECTIONS * len(vector)), np.uint8) & 1
        signs = bits.reshape(PROJECTIONS, -1).astype(np.uint64) * np.uint64(2) - np.uint64(1)
        projections = (signs * words).sum(axis=1, dtype=np.uint64)
        passed += BOUND.accepts(squared_norm(vector), projections)
    return passed


HONEST = {
    "one coordinate at the bound": [1 << 20],
    "the same, negative": [2**64 - (1 << 20)],
    "four equal ones at the bound": [1 << 19] * 4,
    "zero": [0],
    "many small ones": [1 << 14] * 2900,
}


@pytest.mark.parametrize("name", HONEST)
def test_honest_updates_pass(name):
    """At the bound itself too: the accepted range is eight times wider."""
    assert accepted(HONEST[name]) == TRIES


def test_one_coordinate_of_two_to_the_32_fools_the_norm_and_not_the_check():
    """Its square is zero modulo 2^64, of any number of such coordinates."""
    for vector in ([1 << 32], [1 << 32] * 100):
        assert squared_norm(vector) == 0
        assert accepted(vector) == 0


@pytest.mark.parametrize("count", [2, 4, 100])
def test_halves_of_the_modulus_fool_signs_every_time_and_not_the_check(count):
    """An even number of coordinates of 2^63: their sum and all their differences are zero."""
    vector = [1 << 63] * count

    assert squared_norm(vector) == 0
    assert accepted_with_signs_only(vector) == TRIES
    assert accepted(vector) == 0


@pytest.mark.parametrize(
    "vector",
    [
        [1 << 63],
        [(1 << 20) + 1],
        [1 << 19, 1 << 19, 1 << 19, 1 << 19, 1],
        [1 << 24],
        [2**64 - (1 << 32)],
        [1 << 31] * 4,
        [1 << 28] * 256,
    ],
    ids=[
        "2^63",
        "one step",
        "one step in many",
        "16 times",
        "-2^32",
        "2^64 in four",
        "2^64 in 256",
    ],
)
def test_updates_over_the_bound_do_not_pass(vector):
    """By a step, or by so much that the squared norm comes back to zero."""
    assert accepted(vector, 16) == 0


def test_a_single_row_lets_half_of_them_through():
    """Why there are 64: each row sees a coordinate of 2^63 with probability one half."""
    passed = 0
    for _ in range(64):
        row = Projections(os.urandom(32)).project(0, [block([1 << 63, 1 << 63])])[0]
        passed += int(np.count_nonzero(row == 0))

    assert abs(passed / (64 * PROJECTIONS) - 0.5) < 0.05  # six deviations


def test_projections_of_components_add_up_to_those_of_the_update():
    """Each seat projects its own, over several chunks and groups of leaves."""
    parameters = SharesParameters(24, 4, leaves_per_chunk=LEAVES_IN_GROUP + 3)
    dimension = 2 * VALUE_WORDS * (LEAVES_IN_GROUP + 3) + 1600
    update = drawn(parameters, dimension, 1)
    sent, rows = send(parameters, update), Projections(bytes(32))
    total = np.zeros(PROJECTIONS, np.uint64)
    for chunk in range(3):
        first, second = sent.held(parameters, dimension, 0).blocks(chunk, None)
        _, third = sent.held(parameters, dimension, 1).blocks(chunk, sent.payloads[chunk])
        total += rows.project(chunk, [first, second, third]).sum(axis=0, dtype=np.uint64)

    expected = np.zeros(PROJECTIONS, np.int64)
    geometry = parameters.geometry(dimension)
    for chunk in range(3):
        part = update[geometry.span(chunk)]
        for group, start in enumerate(range(0, part.size, VALUE_WORDS * LEAVES_IN_GROUP)):
            values = part[start : start + VALUE_WORDS * LEAVES_IN_GROUP]
            coefficients = rows.coefficients(chunk, group, -(-values.size // VALUE_WORDS))
            expected += values @ coefficients[: values.size].astype(np.int64)
    assert np.array_equal(total.view(np.int64), expected)


@pytest.mark.parametrize("largest", [1, 1 << 30])
def test_sites_are_projected_alike_together_and_alone(monkeypatch, largest):
    """However the product of matrices is cut: exact, so the order does not matter."""
    blocks = [block([7, 2**64 - 5, 1 << 40]), block([1 << 63, 3])]
    rows = Projections(bytes(32))
    alone = [rows.project(4, [each])[0] for each in blocks]
    monkeypatch.setattr(norm_bound, "_LARGEST_PRODUCT", largest)

    together = rows.project(4, blocks)

    assert np.array_equal(together, np.stack(alone))


def test_the_largest_words_are_projected_exactly():
    """All at 2^64 - 1, which is -1: the projection is minus the row's sum."""
    rows = Projections(bytes(32))
    words = np.full((LEAVES_IN_GROUP, WORDS_PER_LEAF), 2**64 - 1, np.uint64)

    (found,) = rows.project(0, [words])

    sums = rows.coefficients(0, 0, LEAVES_IN_GROUP).sum(axis=0).astype(np.int64)
    assert np.array_equal(found.view(np.int64), -sums)


def test_coefficients_are_zero_half_of_the_time_and_balanced():
    """Within six deviations; and each row, chunk, group and seed has its own."""
    rows = Projections(bytes(32))
    drawn_ = rows.coefficients(0, 0, LEAVES_IN_GROUP)

    shares = [float((drawn_ == value).mean()) for value in (-1, 0, 1)]
    others = [rows.coefficients(1, 0, LEAVES_IN_GROUP), rows.coefficients(0, 1, LEAVES_IN_GROUP)]
    others.append(Projections(bytes([1]) + bytes(31)).coefficients(0, 0, LEAVES_IN_GROUP))

    assert np.allclose(shares, [0.25, 0.5, 0.25], atol=0.008)
    assert abs(np.corrcoef(drawn_.T) - np.eye(PROJECTIONS)).max() < 0.15
    for other in others:
        assert 0.3 < float((drawn_ == other).mean()) < 0.45  # 3/8 by chance


def test_a_smaller_group_has_the_first_rows_of_a_larger():
    """So that a short last chunk asks for no more than it needs."""
    rows = Projections(bytes(32))

    smaller, larger = rows.coefficients(0, 0, 1), rows.coefficients(0, 0, LEAVES_IN_GROUP)

    assert np.array_equal(smaller, larger[:VALUE_WORDS])


@pytest.mark.parametrize("norm", [0, -1, (1 << 24) + 1])
def test_a_bound_that_the_probabilities_do_not_cover_is_refused(norm):
    with pytest.raises(UnsafeParameters, match="outside"):
        NormBound(norm)


@pytest.mark.parametrize("at", [0, 63])
def test_the_accepted_range_ends_at_eight_times_the_bound(at):
    """On both sides, in every row."""
    bound = NormBound(1000)
    for edge, passes in ((8000, True), (8001, False), (-8000, True), (-8001, False)):
        projections = np.zeros(PROJECTIONS, np.int64)
        projections[at] = edge
        assert bound.accepts(0, projections.view(np.uint64)) == passes
    zeros = np.zeros(PROJECTIONS, np.uint64)
    assert bound.accepts(1000**2, zeros)
    assert not bound.accepts(1000**2 + 1, zeros)
    assert not bound.accepts(-1, zeros)
