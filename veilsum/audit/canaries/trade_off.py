"""The bound of Mahloujifar, Melis and Chaudhuri: right guesses against a Gaussian's trade-off.

Tighter than `one_run`, because it knows what kind of mechanism it looks at: it refutes that
the run is as private as a Gaussian mechanism of some mu, and says that as an epsilon at delta.
For full batches every claim here is a Gaussian's, so what it refutes is the claim. For samples
it is not quite: a sampled Gaussian's trade-off curve is another one.

Source: arXiv:2410.22235, algorithm with abstention ("with cap"); Dong, Roth and Su (2022),
"Gaussian differential privacy", corollary 2.13, for epsilon from mu.
"""

import math
from functools import lru_cache

from scipy.special import log_ndtr, ndtr, ndtri  # type: ignore[import-untyped]

from .guesses import Guesses
from .search import largest

_LARGEST_MU = 32.0


def refuted(guesses: Guesses, mu: float, confidence: float) -> bool:
    """Return whether so many right guesses are too many, at `confidence`, for mu-GDP.

    Walks down from the observed number: `wrong` and `right` bound from below what probability
    wrong and right guesses hold of all canaries, and together cannot exceed the part guessed.
    """
    rare, made = 1 - confidence, guesses.made
    right = rare * guesses.right / guesses.canaries
    wrong = rare * (made - guesses.right) / guesses.canaries
    for count in range(guesses.right - 1, -1, -1):
        at_least = float(ndtr(ndtri(right) - mu))
        if at_least <= wrong:
            # Neither bound moves any more.
            break
        right = min(1.0, right + count / (made - count) * (at_least - wrong))
        wrong = at_least
    return right + wrong > made / guesses.canaries


@lru_cache(maxsize=4096)
def lower_bound(guesses: Guesses, delta: float, confidence: float) -> float:
    """Return epsilon at delta of the least private Gaussian mechanism that is refuted."""
    if guesses.right == 0:
        return 0.0
    # `refuted` asks for more privacy than was seen, so it holds for small mu and then no more.
    mu = largest(lambda mu: refuted(guesses, mu, confidence), _LARGEST_MU)
    return epsilon_of_gaussian(mu, delta)


def epsilon_of_gaussian(mu: float, delta: float) -> float:
    """Return the least epsilon for which a mu-GDP mechanism is (epsilon, delta)-DP, exactly."""
    if mu == 0.0:
        return 0.0
    return largest(lambda epsilon: delta_of_gaussian(mu, epsilon) > delta, 2048.0)


def delta_of_gaussian(mu: float, epsilon: float) -> float:
    """Return the least delta of a mu-GDP mechanism at epsilon."""
    above = float(log_ndtr(-epsilon / mu + mu / 2))
    below = epsilon + float(log_ndtr(-epsilon / mu - mu / 2))
    return math.exp(above) * -math.expm1(min(0.0, below - above))
