"""Gaussian noise for DP-SGD, from the operating system's entropy.

What float64 can and cannot promise. Each value is `ndtri(u)` for a `u` of 2^63 equally
likely points in (0, 1/2], with a random sign: no point is 0 or 1, so no value is infinite;
the smallest `u` is 2^-65, so values end at 9.16 standard deviations, which leaves out
a probability of 2^-64. The result is rounded to float64, and the set of float64 numbers
that a sum of gradient and noise can take depends on the gradient: Mironov (2012) turns that
into an attack on the Laplace mechanism and Haney et al. (2022) into one on the Gaussian.
Rounding the clipped update to the plan's grid afterwards drops the low bits that they use,
which helps and proves nothing; what can be proven is an exact discrete Gaussian on the grid.

Source: Mironov (2012), "On significance of the least significant bits for differential
privacy"; Haney, Desfontaines, Hartman, Shrestha and Hay (2022), arXiv 2207.13793.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri  # type: ignore[import-untyped]

from participant.sending.random_words import RandomWords

LARGEST_DEVIATION = 9.2
"""No value is further from zero, in standard deviations."""


def standard_normal(words: RandomWords, count: int) -> NDArray[np.float64]:
    """Return `count` independent values with mean 0 and variance 1, shape (count,), float64."""
    return from_words(words.draw(count))


def from_words(words: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Return the Gaussian value that each 64-bit word stands for.

    The lowest bit is the sign; the other 63 choose a point of the lower half, where
    float64 is fine enough for the tail (near 1 it is not).
    """
    lower_half = ((words >> np.uint64(1)).astype(np.float64) + 0.5) * 2.0**-64
    sign = 1.0 - 2.0 * (words & np.uint64(1)).astype(np.float64)
    value: NDArray[np.float64] = sign * ndtri(lower_half)
    return value
