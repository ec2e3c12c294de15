"""The integer grid: every update becomes integers before anything else happens to it.

All schemes add integers, so what they reveal is the same bit for bit, and can be hashed,
compared, signed and settled. A grid has a step of 2^-fraction_bits and a signed range that
is symmetric, so that the negative of a grid value is one too.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .errors import UnsafeParameters, UpdateOutOfRange

# Beyond this the products and sums of grid values would leave float64's exact integers.
_LARGEST_VALUE_BITS = 40


@dataclass(frozen=True, slots=True)
class Grid:
    """Signed multiples of 2^-fraction_bits that fit in value_bits bits.

    Raises:
        UnsafeParameters: fewer than 2 or more than 40 value bits, or fraction bits that are
            negative or above 52.
    """

    fraction_bits: int
    value_bits: int

    def __post_init__(self) -> None:
        if not 2 <= self.value_bits <= _LARGEST_VALUE_BITS:
            raise UnsafeParameters(
                f"value bits {self.value_bits} are outside 2..{_LARGEST_VALUE_BITS}"
            )
        if not 0 <= self.fraction_bits <= 52:
            raise UnsafeParameters(f"fraction bits {self.fraction_bits} are outside 0..52")

    @property
    def largest(self) -> int:
        """The largest grid integer: 2^(value_bits-1) - 1; the smallest is its negative."""
        return (1 << (self.value_bits - 1)) - 1

    def to_grid(self, vector: NDArray[np.float64]) -> NDArray[np.int64]:
        """Round each coordinate to the nearest grid integer, ties to even.

        Args:
            vector: shape (d,), float64, in the model's units.

        Returns:
            Shape (d,), int64, in grid steps.

        Raises:
            UpdateOutOfRange: a coordinate is not finite, or rounds outside the range. Nothing
                is ever saturated: a clipped coordinate would be a silent error in the sum.
        """
        require_finite(vector)
        # Multiplying by a power of two is exact, so the only rounding is rint's; what
        # overflows becomes infinite and is refused with the rest.
        with np.errstate(over="ignore"):
            steps = np.rint(np.ldexp(vector.astype(np.float64), self.fraction_bits))
        outside = int(np.count_nonzero(np.abs(steps) > self.largest))
        if outside:
            raise UpdateOutOfRange(
                f"{outside} of {vector.size} coordinates leave the grid of {self.value_bits} "
                f"bits with step 2^-{self.fraction_bits}; clip lower or plan more value bits"
            )
        return steps.astype(np.int64)

    def from_grid(self, steps: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return grid integers, or a sum of them, in the model's units (exact below 2^53)."""
        return np.ldexp(steps.astype(np.float64), -self.fraction_bits)


def require_finite(vector: NDArray[np.float64]) -> None:
    """Refuse a vector with NaN or infinity.

    Raises:
        UpdateOutOfRange: a coordinate is not finite.
    """
    bad = int(vector.size - np.count_nonzero(np.isfinite(vector)))
    if bad:
        raise UpdateOutOfRange(
            f"{bad} of {vector.size} coordinates are not finite; the site's training must be "
            "repaired before it can take part"
        )
