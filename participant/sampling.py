"""Poisson sampling: each unit of privacy is in a batch or not, independently, at a public rate.

The accountant assumes exactly this. Shuffled batches, batches of a fixed size and
samplers that skip an empty batch all cost more than it would say (Chua et al. 2024).
"""

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from privacy.errors import UnsafeParameters

from .random_words import RandomWords

_LARGEST_DENOMINATOR = 1 << 40


def poisson_batch(words: RandomWords, units: int, rate: Fraction) -> NDArray[np.int64]:
    """Return the indices of the sampled units, rising; there may be none.

    Args:
        words: where the chance comes from.
        units: how many there are to choose from, 0 or more.
        rate: chance of each, exactly; above 0, at most 1.

    Raises:
        UnsafeParameters: the rate is out of its range, or its denominator above 2^40.
    """
    if not 0 < rate <= 1 or rate.denominator > _LARGEST_DENOMINATOR:
        raise UnsafeParameters(f"sampling rate {rate} is not a usable fraction in (0, 1]")
    chance = _below(words, units, rate.denominator)
    return np.flatnonzero(chance < np.uint64(rate.numerator)).astype(np.int64)


def _below(words: RandomWords, count: int, end: int) -> NDArray[np.uint64]:
    """Return `count` integers, exactly uniform over 0 .. end - 1."""
    # Words beyond the last whole multiple of `end` would favour small remainders.
    last = np.uint64((1 << 64) // end * end - 1)
    kept = np.zeros(0, np.uint64)
    while kept.size < count:
        drawn = words.draw(count - kept.size)
        kept = np.concatenate([kept, drawn[drawn <= last]])
    return kept % np.uint64(end)
