"""The bound of Mahloujifar et al.: hand-made recursion, published figures, a Gaussian's epsilon."""

import math
from statistics import NormalDist

import numpy as np
import pytest

from veilsum.audit.canaries.guesses import Guesses
from veilsum.audit.canaries.trade_off import (
    delta_of_gaussian,
    epsilon_of_gaussian,
    lower_bound,
    refuted,
)

NORMAL = NormalDist()


def by_hand(mu, rare):
    """Three canaries, two guesses, both right: the recursion written out."""
    right, wrong = rare * 2 / 3, 0.0
    first = NORMAL.cdf(NORMAL.inv_cdf(right) - mu)
    right, wrong = right + 1 / (2 - 1) * (first - wrong), first
    second = NORMAL.cdf(NORMAL.inv_cdf(right) - mu)
    return right + second > 2 / 3


@pytest.mark.parametrize("mu", [0.0, 0.2, 0.5, 1.0, 3.0])
@pytest.mark.parametrize("confidence", [0.4, 0.5, 0.7, 0.95])
def test_two_steps_of_the_recursion_are_as_written_out(mu, confidence):
    """With so few guesses only a low confidence refutes anything."""
    found = refuted(Guesses(canaries=3, made=2, right=2), mu, confidence)

    assert found == by_hand(mu, 1 - confidence)


@pytest.mark.parametrize(
    ("right", "expected"), [(100, 5.55), (90, 2.46)], ids=["all of them", "nine in ten"]
)
def test_bounds_are_those_of_another_implementation(right, expected):
    """1,000 canaries, 100 guesses, delta 1e-5: figures of jax_privacy's `epsilon_one_run_fdp`."""
    found = lower_bound(Guesses(1000, 100, right), 1e-5, 0.95)

    assert round(found, 2) == expected


def test_half_right_is_no_evidence():
    """A coin's worth of guesses refutes nothing, nor do none."""
    assert lower_bound(Guesses(1000, 100, 50), 1e-5, 0.95) == 0.0
    assert lower_bound(Guesses(1000, 100, 0), 1e-5, 0.95) == 0.0


def test_more_right_guesses_show_more():
    """The bound never falls when an attack does better."""
    bounds = [lower_bound(Guesses(400, 40, right), 1e-5, 0.95) for right in range(41)]

    assert bounds == sorted(bounds)


def test_epsilon_of_twenty_full_batches_is_the_published_one():
    """Sigma 14.25, 20 steps, delta 1e-4: 0.9998 in closed form, from dp_accounting's PLD too."""
    found = epsilon_of_gaussian(math.sqrt(20) / 14.25, 1e-4)

    assert found == pytest.approx(0.9998, abs=2e-4)


@pytest.mark.parametrize(("mu", "epsilon"), [(0.3, 0.1), (1.0, 1.0), (2.5, 6.0)])
def test_delta_is_the_integral_of_what_exceeds(mu, epsilon):
    """The definition, summed up: the part of one density above e^eps times the other."""
    x = np.linspace(-12, 16, 400_001)
    one, other = (np.exp(-0.5 * (x - at) ** 2) / math.sqrt(2 * math.pi) for at in (mu, 0.0))
    above = np.clip(one - math.exp(epsilon) * other, 0, None)

    found = delta_of_gaussian(mu, epsilon)

    assert found == pytest.approx(float(above.sum() * (x[1] - x[0])), rel=1e-5)
