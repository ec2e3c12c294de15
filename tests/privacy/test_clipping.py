"""No update leaves with a norm above the bound."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy.clipping import clip
from privacy.errors import UnsafeParameters, UpdateOutOfRange


@given(
    st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=40),
    st.floats(1e-100, 1e100),
)
@settings(deadline=None, max_examples=200)
def test_the_norm_is_within_the_bound(values: list[float], bound: float) -> None:
    """Privacy accounting rests on it, whatever the magnitudes."""
    clipped = clip(np.array(values), bound)

    assert math.hypot(*clipped) <= bound * (1 + 1e-14)


def test_a_long_vector_keeps_its_direction() -> None:
    """Clipping scales; it does not cut coordinates off."""
    clipped = clip(np.array([3.0, -4.0]), 1.0)

    assert clipped == pytest.approx([0.6, -0.8])


def test_a_short_vector_is_not_scaled_up() -> None:
    """The bound is an upper bound only, and the caller's array stays untouched."""
    vector = np.array([0.3, 0.4])

    clipped = clip(vector, 1.0)

    assert np.array_equal(clipped, vector)
    assert clipped is not vector


def test_a_vector_in_float32_is_measured_in_float64() -> None:
    """Squares of many float32 values lose the digits that the bound is about."""
    vector = np.full(1_000_000, 1e-3, np.float32)

    clipped = clip(vector, 0.5)

    assert clipped.dtype == np.float64
    assert math.sqrt(math.fsum(clipped**2)) <= 0.5 * (1 + 1e-12)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused(bad: float) -> None:
    """Scaling would turn it into a vector of NaN."""
    with pytest.raises(UpdateOutOfRange, match="1 of 2"):
        clip(np.array([1.0, bad]), 1.0)


@pytest.mark.parametrize("bound", [0.0, -1.0, np.nan, np.inf])
def test_a_bound_that_bounds_nothing_is_refused(bound: float) -> None:
    """Zero would erase the update, infinity would not clip."""
    with pytest.raises(UnsafeParameters):
        clip(np.array([1.0]), bound)
