"""The update clipped and on the grid."""

import numpy as np
import pytest

from participant.training.privatise import privatise
from privacy.errors import UnsafeParameters, UpdateOutOfRange
from privacy.grid import Grid

GRID = Grid(fraction_bits=8, value_bits=12)


def test_an_update_within_the_bound_is_only_rounded():
    """Steps of 1/256, to the nearest."""
    steps = privatise(np.array([1.0, -0.5, 0.0021]), 2.0, GRID)

    assert steps.dtype == np.int64
    assert steps.tolist() == [256, -128, 1]


def test_a_long_update_is_shortened_to_the_bound():
    """One site may not move the sum further than the plan says."""
    steps = privatise(np.array([30.0, 40.0]), 5.0, GRID)

    assert steps.tolist() == [3 * 256, 4 * 256]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_an_update_that_is_not_finite_is_refused(value):
    """min(1, bound / nan) is 1 in Python: such an update would pass unclipped."""
    with pytest.raises(UpdateOutOfRange):
        privatise(np.array([1.0, value]), 5.0, GRID)


def test_an_update_outside_the_grid_is_refused():
    """Never wrapped and never cut off: the sum would be wrong without a word."""
    with pytest.raises(UpdateOutOfRange):
        privatise(np.array([9.0, 0.0]), 10.0, GRID)


@pytest.mark.parametrize("bound", [0.0, -1.0, np.nan, np.inf])
def test_a_bound_that_bounds_nothing_is_refused(bound):
    """The unsafe cannot be asked for."""
    with pytest.raises(UnsafeParameters):
        privatise(np.array([1.0]), bound, GRID)
