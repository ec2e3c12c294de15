"""What of shares is fixed before a value is split: who holds what, and what a word carries."""

from itertools import combinations

import numpy as np
import pytest

from privacy.errors import MalformedMessage, SumOffGrid, UnsafeParameters
from privacy.schemes.shares.layout import (
    COMPONENTS,
    SEATS,
    SharesParameters,
    block_of,
    clear_tail,
    fitting,
    flat,
    held_by,
    shared_by,
)


def test_every_component_has_two_holders_and_every_seat_lacks_one() -> None:
    """One seat may crash, and none has enough."""
    held = [set(held_by(seat)) for seat in range(SEATS)]

    for component in range(COMPONENTS):
        assert sum(component in each for each in held) == 2
    assert all(len(each) == COMPONENTS - 1 for each in held)


def test_two_seats_have_all_three_and_one_twice() -> None:
    for one, other in combinations(range(SEATS), 2):
        common = shared_by(one, other)

        assert set(held_by(one)) | set(held_by(other)) == set(range(COMPONENTS))
        assert set(held_by(one)) & set(held_by(other)) == {common}


@pytest.mark.parametrize("seats", [(0, 0), (0, 3), (-1, 1)])
def test_there_are_three_seats_and_each_is_one(seats: tuple[int, int]) -> None:
    with pytest.raises(MalformedMessage):
        shared_by(*seats)


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ((1, 8), "value bits 1"),
        ((41, 8), "value bits 41"),
        ((16, 1), "cohort 1"),
        ((16, 8, 0), "values in a word 0"),
        ((16, 8, 5), "values in a word 5"),
        ((16, 8, 1, 0), "leaves in a chunk 0"),
        ((16, 8, 1, 128), "leaves in a chunk 128"),
        ((16, 8, 4), "need 76 bits"),
        ((24, 1000, 2), "need 68 bits"),
    ],
)
def test_what_would_wrap_or_not_fit_is_refused(numbers: tuple[int, ...], said: str) -> None:
    """With the numbers, at plan time."""
    with pytest.raises(UnsafeParameters, match=said):
        SharesParameters(*numbers)


@pytest.mark.parametrize(
    ("value_bits", "cohort", "most"), [(16, 8, 3), (24, 100, 2), (24, 1000, 1), (11, 32, 4)]
)
def test_as_many_values_as_fit_share_a_word_unless_scores_are_wanted(
    value_bits: int, cohort: int, most: int
) -> None:
    """A product of words is none of their values."""
    packed = fitting(value_bits=value_bits, cohort_max=cohort, scored=False)
    scored = fitting(value_bits=value_bits, cohort_max=cohort, scored=True)

    assert (packed.values_per_word, scored.values_per_word) == (most, 1)
    assert scored.scored
    assert packed.scored == (most == 1)


def test_a_sum_that_no_cohort_reaches_is_refused() -> None:
    """Some site has left the grid; one step too far is enough, in any value of a word."""
    parameters = SharesParameters(16, 8, 3)
    furthest = np.full(7, 2 * parameters.largest_value)

    words = parameters.to_words(furthest)
    reached = parameters.from_words(words, 7, 2)

    assert np.array_equal(reached, furthest)
    for at in range(7):
        beyond = furthest.copy()
        beyond[at] += 1
        with pytest.raises(SumOffGrid, match="2 updates"):
            parameters.from_words(parameters.to_words(beyond), 7, 2)


@pytest.mark.parametrize("count", [1, 1019, 1020, 1021, 2040, 2200])
def test_a_block_gives_back_its_words_and_holds_zero_after_them(count: int) -> None:
    """Zeros add nothing to norms and dot products."""
    words = np.arange(1, count + 1, dtype=np.uint64)
    leaves = -(-count // 1020)
    blinding = np.full((leaves, 4), 9, np.uint64)

    block = block_of(words, blinding)
    full = np.ones((leaves, 1024), np.uint64)
    clear_tail(full, count)

    assert np.array_equal(flat(block, count), words)
    assert int(block[:, :1020].sum()) == int(words.sum())
    assert np.array_equal(block[:, 1020:], blinding)
    assert int(full[:, :1020].sum()) == count
    assert np.all(full[:, 1020:] == 1)
