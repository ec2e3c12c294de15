"""L2 clipping: the bound on what one update can do to the sum, and so to its privacy."""

import math

import numpy as np
from numpy.typing import NDArray

from .errors import UnsafeParameters, UpdateOutOfRange
from .grid import require_finite


def clip(vector: NDArray[np.float64], bound: float) -> NDArray[np.float64]:
    """Scale a vector down to the L2 bound; a shorter one is returned as it is.

    Args:
        vector: shape (d,), computed in float64 whatever comes in.
        bound: L2 norm in the model's units, finite and above 0.

    Returns:
        Shape (d,), float64, with norm <= bound.

    Raises:
        UpdateOutOfRange: a coordinate is not finite, or their squares overflow.
        UnsafeParameters: the bound is not a finite positive number.
    """
    if not (math.isfinite(bound) and bound > 0):
        raise UnsafeParameters(f"the clipping bound {bound} is not a finite positive number")
    wide = np.asarray(vector, dtype=np.float64)
    require_finite(wide)
    norm = _norm(wide)
    clipped = wide.copy() if norm <= bound else _shrink(wide, norm, bound)
    # The privacy accounting rests on this line, so it is checked rather than believed.
    assert _norm(clipped) <= bound, "clipping left a norm above the bound"
    return clipped


def _norm(vector: NDArray[np.float64]) -> float:
    # Not np.linalg.norm: its sum order depends on the BLAS it finds. The largest coordinate
    # is taken out first, so that squares neither overflow nor vanish.
    largest = float(np.max(np.abs(vector), initial=0.0))
    if largest == 0.0:
        return 0.0
    # Dividing by a power of two is exact while the power is a normal number.
    unit = math.ldexp(1.0, max(math.frexp(largest)[1] - 1, -1022))
    norm = unit * math.sqrt(float(np.sum(np.square(vector / unit))))
    if not math.isfinite(norm):
        raise UpdateOutOfRange("the update's L2 norm is beyond float64")
    return norm


def _shrink(vector: NDArray[np.float64], norm: float, bound: float) -> NDArray[np.float64]:
    # Rounding can leave the result an ulp above the bound; each pass takes off twice as much.
    factor = bound / norm
    clipped = vector * factor
    excess = 2.0**-52
    while _norm(clipped) > bound:
        excess *= 2
        clipped = vector * (factor * (1.0 - excess))
    return clipped
