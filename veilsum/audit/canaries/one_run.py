"""The bound of Steinke, Nasr and Jagielski: what right guesses say about epsilon, in one run.

It holds for any mechanism and asks nothing of the canaries but that each was in the data by the
toss of a fair coin. It is loose: an audit of an ideal mechanism stays far below its epsilon.

Source: arXiv:2305.08846, theorem 5.2 and appendix D.
"""

from functools import lru_cache

import numpy as np
from scipy.special import expit  # type: ignore[import-untyped]
from scipy.stats import binom  # type: ignore[import-untyped]

from .guesses import Guesses
from .search import largest


def p_value(guesses: Guesses, epsilon: float, delta: float) -> float:
    """Return a bound on the chance of so many right guesses under (epsilon, delta)-DP.

    Under pure DP each guess is right with probability e^epsilon / (1 + e^epsilon) at most,
    whatever the others were; delta adds what it can move of the binomial's upper tail.
    """
    tail = binom(guesses.made, float(expit(epsilon)))
    within = np.cumsum(tail.pmf(np.arange(guesses.right - 1, -1, -1)))
    steepest = float(np.max(within / np.arange(1, guesses.right + 1), initial=0.0))
    return min(1.0, float(tail.sf(guesses.right - 1)) + 2 * guesses.canaries * delta * steepest)


@lru_cache(maxsize=4096)
def lower_bound(guesses: Guesses, delta: float, confidence: float) -> float:
    """Return the largest epsilon that so many right guesses refute; 0.0 if they refute none."""
    return largest(lambda epsilon: p_value(guesses, epsilon, delta) < 1 - confidence)
