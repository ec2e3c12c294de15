"""Tests of the run against its own numbers: how much noise, how large a step, who took part.

A bound on epsilon stays far below the claim also where half of the noise is missing. These
tests are no attack and no proof of privacy, but see such a defect at fifteen deviations.
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri  # type: ignore[import-untyped]
from scipy.stats import chi2  # type: ignore[import-untyped]

from .result import Test

_LEAST_TAIL = 1e-300


def noise(values: NDArray[np.float64], deviation: float) -> Test:
    """Compare the values' root mean square with the standard deviation that is claimed.

    Args:
        values: at coordinates that no canary has; at least one.
        deviation: the claim, above 0.
    """
    squares = float(np.mean(np.square(values / deviation)))
    # A chi-square over its degrees of freedom, near enough to normal from a thousand on.
    spread = math.sqrt(2 / values.size)
    return Test(math.sqrt(squares), (1 - squares) / spread, spread / 2)


def gap(
    inside: NDArray[np.float64], outside: NDArray[np.float64], expected: float, deviation: float
) -> Test:
    """Compare the mean difference between canaries that were in and that were not.

    Args:
        expected: how often each takes part, on average: the steps times the sampling rate.
        deviation: of one canary's value that was in.
    """
    found = float(np.mean(inside) - np.mean(outside))
    spread = deviation * math.sqrt(1 / inside.size + 1 / outside.size)
    return Test(found / expected, (found - expected) / spread, spread / expected)


def dependence(noise_of_honest: NDArray[np.float64], known: NDArray[np.float64]) -> Test:
    """Compare the noise of honest sites with that of colluders; `ratio` is their correlation."""
    correlation = float(np.sum(noise_of_honest * known))
    correlation /= math.sqrt(float(np.sum(noise_of_honest**2)) * float(np.sum(known**2))) or 1.0
    spread = 1 / math.sqrt(known.size)
    return Test(correlation, abs(correlation) / spread, spread)


def participation(
    values: NDArray[np.float64], steps: int, rate: float, noise_multiplier: float
) -> Test:
    """Compare how unevenly canaries took part with what Poisson sampling does.

    Each is in a number of batches that is binomial, so the values of those that were in differ
    by more than noise. Shuffled batches have each record once an epoch: they do not differ.

    Args:
        values: of canaries that were in, summed over `steps`, in clips; little noise.
    """
    binomial = steps * rate * (1 - rate)
    expected = binomial + steps * noise_multiplier**2
    # The fourth moment of a binomial and an independent Gaussian; the binomial's excess is all.
    excess = binomial * (1 - 6 * rate * (1 - rate)) / expected**2
    spread = math.sqrt((2 + excess) / values.size)
    ratio = float(np.var(values, ddof=1)) / expected
    return Test(ratio, abs(ratio - 1) / spread, spread)


def batch_sizes(
    totals: NDArray[np.float64], canaries: int, steps: int, rate: float, noise_multiplier: float
) -> Test:
    """Compare how much the size of batches varies with what Poisson sampling does.

    A batch of a fixed size has a canary take another's place, which no binomial allows.

    Args:
        totals: of each round, the sum of the values of all canaries that were in, in clips.
        canaries: how many were in.
        steps: of each round.
    """
    expected = canaries * steps * (rate * (1 - rate) + noise_multiplier**2)
    squares = float(np.sum((totals - canaries * steps * rate) ** 2)) / expected
    # So few rounds that the chi-square's own tails are needed, on whichever side.
    tail = min(float(chi2.cdf(squares, totals.size)), float(chi2.sf(squares, totals.size)))
    deviations = -float(ndtri(max(tail, _LEAST_TAIL)))
    return Test(squares / totals.size, deviations, math.sqrt(2 / totals.size))


def without_known(
    values: NDArray[np.float64], known: NDArray[np.float64], free: int
) -> NDArray[np.float64]:
    """Take off what the known noise predicts, as a coalition would.

    Args:
        values, known: shape (rounds, D).
        free: from this coordinate on nothing but noise is in `values`.
    """
    scale = float(np.sum(known[:, free:] ** 2))
    if scale == 0.0:
        return values
    slope = float(np.sum(values[:, free:] * known[:, free:])) / scale
    return values - slope * known
