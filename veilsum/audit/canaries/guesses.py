"""Guess of each canary whether it was in the data, from its score alone.

How many guesses are made is fixed before the run: whoever chooses it afterwards proves nothing.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Guesses:
    """What was guessed of the canaries of one run.

    Attributes:
        canaries: how many could have been in the data, each with probability one half.
        made: guesses; of the other canaries nothing is said.
        right: guesses that were right.
    """

    canaries: int
    made: int
    right: int


def guess(scores: NDArray[np.float64], included: NDArray[np.bool_], count: int) -> Guesses:
    """Guess "in" of the highest scores and "out" of the lowest, `count` in all, and compare.

    Args:
        scores: shape (m,); a canary that was in the data has a higher one.
        included: shape (m,), which were.
        count: even, at most m.

    Source: Steinke, Nasr and Jagielski (2023), arXiv:2305.08846, algorithm 1.
    """
    order = np.argsort(scores, kind="stable")
    low, high = order[: count // 2], order[scores.size - count // 2 :]
    right = int(np.count_nonzero(included[high])) + int(np.count_nonzero(~included[low]))
    return Guesses(scores.size, 2 * (count // 2), right)
