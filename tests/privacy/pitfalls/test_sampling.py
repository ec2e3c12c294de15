"""The sampler is the accountant's: others look alike and cost several times as much."""

import inspect
import math

import numpy as np
import pytest
from scipy.stats import norm

from participant.site import Site
from privacy.accounting import epsilon_of
from privacy.events import Gaussian, PoissonSampled, SelfComposed

DELTA = 1e-5


def shuffled_at_least(batches, sigma):
    """A lower bound of epsilon of one epoch of shuffled batches.

    Neighbours differ in one example, which is in one batch of an unknown place; the event is
    that the largest of all noisy sums is above a threshold.

    Source: Chua et al. (2024), "How private are DP-SGD implementations?", arXiv:2403.17673.
    """
    threshold = np.linspace(-5.0, 15.0, 4001)
    others = norm.cdf(threshold / sigma) ** (batches - 1)
    with_it = 1 - norm.cdf((threshold - 2) / sigma) * others
    without = 1 - norm.cdf((threshold - 1) / sigma) * others
    low, high = 0.0, 30.0
    for _ in range(60):
        middle = (low + high) / 2
        beyond = float(np.max(with_it - math.exp(middle) * without)) > DELTA
        low, high = (middle, high) if beyond else (low, middle)
    return low


@pytest.mark.parametrize(
    ("batches", "rate", "sigma", "published"),
    [(50, "0.02", "1", 4.21), (50, "0.02", "0.8", 5.65), (1000, "0.001", "0.8", 5.24)],
)
def test_shuffled_batches_would_cost_far_more_than_poisson_ones(batches, rate, sigma, published):
    """The control: with our accountant and another sampler every report would be false."""
    ours = epsilon_of(SelfComposed(batches, PoissonSampled(rate, Gaussian(sigma))), DELTA)

    at_least = shuffled_at_least(batches, float(sigma))

    assert at_least == pytest.approx(published, abs=0.01)
    assert at_least > 1.9 * ours


def test_a_site_has_no_sampler_to_bring():
    """A weighted or a balanced one is not Poisson; data, model and loss are all a site gives."""
    methods = {name for name, _ in inspect.getmembers(Site, inspect.isfunction) if name[0] != "_"}

    assert methods == {"model", "records", "loss"}
