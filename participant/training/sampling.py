"""Poisson sampling: each unit of privacy is in a batch or not, independently, at a public rate.

The accountant assumes exactly this. Shuffled batches, batches of a fixed size and
samplers that skip an empty batch all cost more than it would say (Chua et al. 2024).
"""

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from participant.sending.random_words import RandomWords
from privacy.local_training import require_rate
from privacy.uniform import below


def poisson_batch(words: RandomWords, units: int, rate: Fraction) -> NDArray[np.int64]:
    """Return the indices of the sampled units, rising; there may be none.

    Args:
        words: where the chance comes from.
        units: how many there are to choose from, 0 or more.
        rate: chance of each, exactly; above 0, at most 1.

    Raises:
        UnsafeParameters: the rate is out of its range, or its denominator above 2^40.
    """
    require_rate(rate)
    chance = below(words, units, rate.denominator)
    return np.flatnonzero(chance < np.uint64(rate.numerator)).astype(np.int64)
