"""The grid rounds to nearest, keeps integers exact, and never saturates."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy.errors import UnsafeParameters, UpdateOutOfRange
from privacy.grid import Grid

GRID = Grid(fraction_bits=12, value_bits=16)


@given(st.lists(st.integers(-GRID.largest, GRID.largest), min_size=1, max_size=50))
@settings(deadline=None, max_examples=50)
def test_grid_integers_survive_the_way_to_floats_and_back(steps: list[int]) -> None:
    """A sum that was rounded to the grid is read back as the same integers."""
    integers = np.array(steps, np.int64)

    back = GRID.to_grid(GRID.from_grid(integers))

    assert np.array_equal(back, integers)


def test_rounding_is_to_the_nearest_step_and_ties_to_even() -> None:
    """The error is at most half a step, and has no drift."""
    vector = np.array([0.5, 1.5, 2.5, -0.5, -1.5, 0.49, 0.51]) * 2.0**-12

    steps = GRID.to_grid(vector)

    assert steps.tolist() == [0, 2, 2, 0, -2, 0, 1]


def test_the_range_is_symmetric() -> None:
    """The negative of a grid value is one, and one step further is refused."""
    edge = GRID.largest * 2.0**-12

    assert GRID.to_grid(np.array([edge, -edge])).tolist() == [32767, -32767]
    for beyond in (32768, -32768):
        with pytest.raises(UpdateOutOfRange, match="1 of 2"):
            GRID.to_grid(np.array([0.0, beyond * 2.0**-12]))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e308, -1e308])
def test_what_is_no_grid_value_is_refused(bad: float) -> None:
    """Saturating would put a silent error into the sum."""
    with pytest.raises(UpdateOutOfRange):
        GRID.to_grid(np.array([0.0, bad]))


@pytest.mark.parametrize(("fraction", "value"), [(-1, 16), (53, 16), (12, 1), (12, 41)])
def test_a_grid_that_floats_cannot_hold_is_refused(fraction: int, value: int) -> None:
    """Beyond these, sums and products would no longer be exact."""
    with pytest.raises(UnsafeParameters):
        Grid(fraction, value)
