"""Scores from two numbers a site, held against exact Shapley values by retraining.

Six sites of 71 patients each, of whose labels 0, 10, … 50 % are turned round. `-s` prints the
figures that docs/contribution.md shows.
"""

from collections.abc import Callable, Iterable
from functools import cache

import numpy as np
import pytest
from scipy.stats import spearmanr

from privacy.contribution.scores import Method
from tests.scored_rounds import (
    LOGISTIC,
    NETWORK,
    NOISY,
    RANDOM_LAST,
    Floats,
    Learning,
    Scoring,
    exact_scores,
    honest,
    paid,
    private,
    rounds,
    sites,
    trusting,
)
from veilsum.demo.clinical_data import held_out
from veilsum.demo.shapley import by_retraining

SEEDS = 20
SCORED = [method for method in Method if method is not Method.PARTICIPATION]


@cache
def oracle(seed: int, how: Learning) -> Floats:
    """What each site is worth by retraining, without noise."""
    exact = by_retraining(sites(seed, NOISY), held_out(), how.shapes, how.start())
    return np.array(list(exact.values()))


def earnings(
    seed: int,
    how: Learning,
    methods: Iterable[Method],
    epsilon: float | None = None,
    score: Scoring = exact_scores,
) -> dict[Method, Floats]:
    """What sites earn by each method, over one training."""
    some = sites(seed, NOISY)
    train = private(some, how, epsilon, seed) if epsilon else trusting(some, how)
    held = rounds(some, how, train, honest)
    return {method: paid(held, list(some), method, score) for method in methods}


def ranked(seed: int, how: Learning, found: dict[Method, Floats]) -> dict[Method, float]:
    """Spearman's correlation of what was earned with what the sites are worth."""
    return {
        method: float(spearmanr(oracle(seed, how), amounts)[0]) for method, amounts in found.items()
    }


def means(what: str, seeds: int, one: Callable[[int], dict[Method, float]]) -> dict[Method, float]:
    """Means over seeds, printed."""
    each = [one(seed) for seed in range(seeds)]
    for method in each[0]:
        all_of_it = [found[method] for found in each]
        print(
            f"{what}, {method}: Spearman {np.mean(all_of_it):.2f} mean, {min(all_of_it):.2f} "
            f"lowest of {seeds}"
        )
    return {method: float(np.mean([found[method] for found in each])) for method in each[0]}


def test_alignment_ranks_sites_as_exact_shapley_values_do() -> None:
    """Logistic regression, no noise, 20 seeds; the other methods are printed beside it."""

    def one(seed: int) -> dict[Method, float]:
        return ranked(seed, LOGISTIC, earnings(seed, LOGISTIC, SCORED))

    found = means("31 values, no noise", SEEDS, one)

    assert found[Method.ALIGNMENT] >= 0.9
    assert found[Method.ALIGNMENT] > found[Method.COSINE] > found[Method.NORM]


def test_a_site_with_random_labels_earns_least() -> None:
    """Beside five sites without a wrong label, and beside five with ever more of them."""
    lowest, share = [], []
    for seed in range(SEEDS):
        for noise in (RANDOM_LAST, NOISY):
            some = sites(seed, noise)
            held = rounds(some, LOGISTIC, trusting(some), honest)
            got = paid(held, list(some), Method.ALIGNMENT, exact_scores)
            lowest.append(int(np.argmin(got)))
            share.append(got[-1] / got.sum())

    print(f"random labels beside five good sites: {np.mean(share[::2]):.1%} of the pay")
    assert set(lowest) == {5}
    assert np.mean(share[::2]) < 0.02


def test_the_same_under_privacy_is_printed() -> None:
    """31 values at epsilon 3 over five rounds: no threshold, for it is the noise that decides."""

    def one(seed: int) -> dict[Method, float]:
        return ranked(seed, LOGISTIC, earnings(seed, LOGISTIC, SCORED, 3.0))

    found = means("31 values, epsilon 3", 5, one)

    assert all(-1 <= each <= 1 for each in found.values())


@pytest.mark.deep
@pytest.mark.parametrize("epsilon", [10.0, 3.0, 1.0])
def test_under_privacy_over_twenty_seeds(epsilon: float) -> None:
    """For the docs; 31 values."""

    def one(seed: int) -> dict[Method, float]:
        return ranked(seed, LOGISTIC, earnings(seed, LOGISTIC, SCORED, epsilon))

    assert means(f"31 values, epsilon {epsilon:g}", SEEDS, one)


@pytest.mark.deep
@pytest.mark.parametrize("epsilon", [None, 3.0], ids=["no noise", "epsilon 3"])
def test_a_network_of_16353_values(epsilon: float | None) -> None:
    """For the docs; half a minute a seed, nearly all of it for 64 retrainings."""

    def one(seed: int) -> dict[Method, float]:
        return ranked(seed, NETWORK, earnings(seed, NETWORK, SCORED, epsilon))

    assert means(f"16,353 values, epsilon {epsilon}", 10, one)
