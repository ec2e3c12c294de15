"""The whole update clipped to the plan's L2 bound and put on the integer grid.

What arrives is already private (mechanism `local`), so this costs nothing; it bounds what
one site can do to the sum, and makes the sum exact.
"""

import numpy as np
from numpy.typing import NDArray

from privacy.clipping import clip
from privacy.grid import Grid


def privatise(update: NDArray[np.float64], bound: float, grid: Grid) -> NDArray[np.int64]:
    """Return the update as grid integers, shape (d,).

    Args:
        update: shape (d,), in the model's units.
        bound: largest L2 norm, in the model's units.
        grid: the plan's.

    Raises:
        UpdateOutOfRange: a value is not finite, or leaves the grid.
        UnsafeParameters: the bound is not a finite number above 0.
    """
    return grid.to_grid(clip(update, bound))
