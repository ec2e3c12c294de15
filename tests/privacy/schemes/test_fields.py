"""Values side by side never run into each other, and with a bit less they do."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from privacy.schemes import fields

# float64 has the integers to 2^53; half a slot of any legal plan is far below.
LARGEST_HALF = 2**53


@st.composite
def legal(draw: st.DrawFn) -> tuple[int, int, int]:
    """The largest value, the cohort and the number of fields of some plan."""
    largest = (1 << (draw(st.integers(2, 40)) - 1)) - 1
    count, rows = draw(st.integers(2, 1 << 20)), draw(st.integers(1, 3))
    width = fields.width_of(largest, count)
    assume(largest * count * fields.weight_of(width, rows) < LARGEST_HALF)
    return largest, count, rows


@given(plan=legal(), data=st.data())
def test_sums_of_joined_values_split_into_the_sums(
    plan: tuple[int, int, int], data: st.DataObject
) -> None:
    """For every legal width: a cohort of which some are alike, at the edges and anywhere."""
    largest, count, rows = plan
    value = st.sampled_from([-largest, -1, 0, 1, largest]) | st.integers(-largest, largest)
    first, second = (
        np.array(data.draw(st.lists(st.tuples(*[value] * rows), min_size=3, max_size=3))).T
        for _ in range(2)
    )
    times = data.draw(st.integers(0, count))
    width = fields.width_of(largest, count)

    joined = times * fields.join(first, width) + (count - times) * fields.join(second, width)

    assert np.array_equal(
        fields.split(joined, width, rows), times * first + (count - times) * second
    )
    assert np.all(np.abs(joined) <= largest * count * fields.weight_of(width, rows))


@given(plan=legal())
def test_the_width_is_the_smallest_that_holds_the_sum(plan: tuple[int, int, int]) -> None:
    """Below 2^(k-1) in magnitude, and not below half of it."""
    largest, count, _ = plan

    width = fields.width_of(largest, count)

    assert 2 ** (width - 2) <= largest * count < 2 ** (width - 1)


@pytest.mark.parametrize(("largest", "count"), [(32_767, 8), (4095, 32), (1023, 100), (127, 1000)])
@pytest.mark.parametrize("sign", [1, -1])
def test_with_one_bit_less_fields_run_into_each_other(largest: int, count: int, sign: int) -> None:
    """So the width above is not wider than it must be, and the test of it can fail."""
    width, values = fields.width_of(largest, count), sign * np.array([[largest], [0]])

    def opened(bits: int) -> list[int]:
        return fields.split(count * fields.join(values, bits), bits, 2)[:, 0].tolist()

    assert opened(width) == [sign * largest * count, 0]
    assert opened(width - 1) == [sign * (largest * count - 2 ** (width - 1)), sign]


def test_a_negative_value_borrows_and_gets_it_back() -> None:
    """-1 beside 5 is one below 5·2^k; a plain shift would read 4."""
    joined = fields.join(np.array([[-1], [5]]), 19)

    assert joined.tolist() == [5 * 2**19 - 1]
    assert (joined >> 19).tolist() == [4]
    assert fields.split(joined, 19, 2).tolist() == [[-1], [5]]


def test_neither_way_changes_what_it_is_given() -> None:
    """The site keeps its update, and an opener its sum."""
    values = np.array([[3, -4], [5, 6]])
    joined = fields.join(values, 10)
    before = joined.copy()

    fields.split(joined, 10, 2)

    assert values.tolist() == [[3, -4], [5, 6]]
    assert np.array_equal(joined, before)
