"""The yardstick: what audits of an ideal mechanism say, against published figures and the claim."""

import numpy as np
import pytest
from scipy.optimize import brentq

from veilsum.audit.canaries.ideal import Run, bounds_of, ideal
from veilsum.audit.canaries.trade_off import delta_of_gaussian


def full_batch(epsilon, canaries=1000, guesses=100):
    """One step of the Gaussian mechanism whose exact epsilon at 1e-5 is the claim."""
    mu = brentq(lambda mu: delta_of_gaussian(mu, epsilon) - 1e-5, 0.01, 20.0)
    return Run(canaries, guesses, 1, 1.0, 1 / mu, 1e-5, 0.95)


@pytest.mark.parametrize(
    ("canaries", "epsilon", "least", "most"),
    [
        (1000, 2.0, 0.42, 0.96),
        (1000, 4.0, 1.10, 1.99),
        (1000, 8.0, 2.32, 3.47),
        (3000, 4.0, 1.41, 2.16),
    ],
)
def test_expected_bounds_are_within_the_published_spread(canaries, epsilon, least, most):
    """5th to 95th percentile of simulations by others, with the best number of guesses."""
    found = ideal(full_batch(epsilon, canaries, canaries // 10), runs=100)

    assert least < found.one_run < most
    assert found.one_run < found.trade_off < epsilon


@pytest.mark.parametrize("epsilon", [0.5, 1.0, 4.0])
def test_both_bounds_hold_in_nineteen_runs_of_twenty(epsilon):
    """What 95 % means: of mechanisms exactly at their claim, one in twenty may exceed it."""
    bounds = np.array(bounds_of(full_batch(epsilon), runs=300, seed=7))

    held = (bounds <= epsilon).mean(axis=0)

    assert (held >= 0.95).all()


def test_expectation_and_floor_are_fixed_before_a_run():
    """From a fixed seed: nobody chooses them after looking, and everybody gets the same."""
    run = full_batch(4.0)

    assert ideal(run, runs=20) == ideal(run, runs=20)
    assert ideal(run, runs=20) != ideal(run, runs=20, seed=1)


def test_the_floor_is_below_every_ideal_run():
    """Four deviations: the product at its claim does not fall below it."""
    run = full_batch(4.0, canaries=3000, guesses=300)

    bounds = np.array(bounds_of(run, runs=500, seed=99))[:, 1]

    assert 0.0 < ideal(run).floor < bounds.min()


def test_a_few_canaries_have_no_floor():
    """At a small epsilon a hundred of them show nothing, and the audit must know that."""
    assert ideal(full_batch(1.0, canaries=100, guesses=10), runs=100).floor == 0.0


def test_a_sampled_mechanism_shows_less_than_a_full_batch():
    """Who took part how often hides among binomials, and the yardstick knows it."""
    whole = Run(1000, 100, 8, 1.0, 2.0, 1e-5, 0.95)
    sampled = Run(1000, 100, 8, 0.5, 2.0, 1e-5, 0.95)

    assert ideal(sampled, runs=50).trade_off < 0.7 * ideal(whole, runs=50).trade_off
