"""The bound of Steinke et al. against its formula, in other arithmetic, and published figures."""

import math
from fractions import Fraction

import pytest

from veilsum.audit.canaries.guesses import Guesses
from veilsum.audit.canaries.one_run import lower_bound, p_value


def binomial(count, chance, among):
    """P[Bin(among, chance) = count], exactly."""
    return math.comb(among, count) * chance**count * (1 - chance) ** (among - count)


def by_formula(guesses, odds, delta):
    """beta + 2 m delta alpha of theorem 5.2, term by term, in fractions; odds = e^epsilon."""
    chance, made, right = Fraction(odds) / (1 + Fraction(odds)), guesses.made, guesses.right
    beta = sum(binomial(count, chance, made) for count in range(right, made + 1))
    alpha = max(
        sum(binomial(count, chance, made) for count in range(right - i, right)) / i
        for i in range(1, right + 1)
    )
    return min(1.0, float(beta + 2 * guesses.canaries * Fraction(delta) * alpha))


@pytest.mark.parametrize("delta", [0, 1e-5, 1e-3])
@pytest.mark.parametrize("odds", [1, 3, 20])
@pytest.mark.parametrize("right", [12, 17, 20])
def test_the_p_value_is_the_theorems(right, odds, delta):
    """No step of ours may make the evidence look stronger than the proof allows."""
    guesses = Guesses(canaries=50, made=20, right=right)

    found = p_value(guesses, math.log(odds), delta)

    assert found == pytest.approx(by_formula(guesses, odds, delta), rel=1e-9)


def test_all_right_is_the_closed_form():
    """With delta 0 and no mistake, p is (e^eps / (1 + e^eps))^r: 5 % at a known epsilon."""
    chance = 0.05 ** (1 / 100)

    found = lower_bound(Guesses(1000, 100, 100), 0.0, 0.95)

    assert found == pytest.approx(math.log(chance / (1 - chance)), abs=1e-5)


@pytest.mark.parametrize(
    ("right", "expected"), [(100, 3.47), (90, 1.63)], ids=["all of them", "nine in ten"]
)
def test_bounds_are_those_of_another_implementation(right, expected):
    """1,000 canaries, 100 guesses, delta 1e-5: figures of jax_privacy's `epsilon_one_run`."""
    found = lower_bound(Guesses(1000, 100, right), 1e-5, 0.95)

    assert round(found, 2) == expected


def test_half_right_is_no_evidence():
    """A coin's worth of guesses refutes nothing."""
    assert lower_bound(Guesses(1000, 100, 50), 1e-5, 0.95) == 0.0
    assert lower_bound(Guesses(1000, 100, 0), 1e-5, 0.95) == 0.0


def test_more_right_guesses_show_more():
    """The bound never falls when an attack does better."""
    bounds = [lower_bound(Guesses(400, 40, right), 1e-5, 0.95) for right in range(41)]

    assert bounds == sorted(bounds)
    assert bounds[-1] > 2.0
