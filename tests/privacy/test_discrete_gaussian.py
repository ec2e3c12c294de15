"""Noise on the grid: exactly the published law, to the tails, and no float decides."""

import hashlib
import math
from collections.abc import Callable
from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats  # type: ignore[import-untyped]

from privacy import discrete_gaussian as module
from privacy.discrete_gaussian import MARGIN, discrete_gaussian
from privacy.errors import UnsafeParameters

COUNT = 200_000

VARIANCES = {
    "1/2": Fraction(1, 4),
    "1": Fraction(1),
    "3.7": Fraction(37, 10) ** 2,
    "4": Fraction(16),
    "sqrt(20)": Fraction(20),
    "1000.25": Fraction(4001, 4) ** 2,
}


class Stream:
    """Words from SHAKE-256 of a text: the same in every run."""

    def __init__(self, text: str) -> None:
        self._text, self._calls = text, 0

    def draw(self, count: int) -> NDArray[np.uint64]:
        self._calls += 1
        stream = hashlib.shake_128(f"{self._text} {self._calls}".encode())
        return np.frombuffer(stream.digest(8 * count), "<u8").astype(np.uint64)


class Given:
    """The words it was made with, and no others."""

    def __init__(self, *words: int) -> None:
        self._words = list(words)

    def draw(self, count: int) -> NDArray[np.uint64]:
        assert len(self._words) >= count
        given, self._words = self._words[:count], self._words[count:]
        return np.array(given, np.uint64)


def sample(variance: Fraction, text: str = "sample", count: int = COUNT) -> NDArray[np.int64]:
    return discrete_gaussian(Stream(f"{text} {variance}"), count, variance)


def law(variance: Fraction) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The values within ten deviations, and the exact probability of each."""
    reach = math.ceil(10 * math.sqrt(variance)) + 1
    values = np.arange(-reach, reach + 1)
    weights = np.exp(-(values.astype(np.float64) ** 2) / (2 * float(variance)))
    return values, weights / weights.sum()


def misfit(found: NDArray[np.int64], variance: Fraction, least: int = 20) -> float:
    """The p-value of a chi-square test over bins that are each expected `least` times or more."""
    values, chances = law(variance)
    expected = found.size * chances
    edges, gathered = [], 0.0
    for value, here in zip(values, expected, strict=True):
        gathered += here
        if gathered >= least:
            edges.append(value)
            gathered = 0.0
    # What is left beyond the last edge belongs to the last bin.
    inner = np.array(edges[:-1])
    bins = np.bincount(np.searchsorted(inner, found), minlength=inner.size + 1)
    wanted = np.bincount(np.searchsorted(inner, values), expected, minlength=inner.size + 1)
    return float(stats.chisquare(bins, wanted).pvalue)


@pytest.mark.parametrize("least", [20, COUNT // 50])
@pytest.mark.parametrize("name", VARIANCES)
def test_the_law_is_the_exact_one_tails_included(name: str, least: int) -> None:
    """Each value as often as it should be: noise of another shape is another epsilon.

    Fine bins see the tails, coarse ones a width that is slightly off.
    """
    variance = VARIANCES[name]

    assert misfit(sample(variance), variance, least) > 0.01


@pytest.mark.parametrize("name", ["1/2", "1"])
def test_the_test_of_the_law_catches_a_rounded_gaussian(name: str) -> None:
    """At small deviations the rounded continuous law is another one; else the test is blind."""
    sigma = math.sqrt(VARIANCES[name])
    uniform = (Stream("rounded").draw(COUNT) >> np.uint64(11)).astype(np.float64) + 0.5
    rounded = np.rint(sigma * stats.norm.ppf(uniform * 2.0**-53)).astype(np.int64)

    assert misfit(rounded, VARIANCES[name]) < 1e-9


def test_the_test_of_the_law_catches_a_deviation_that_is_a_fiftieth_off() -> None:
    """Sensitivity of the test where values are many."""
    assert misfit(sample(Fraction(1000) ** 2), Fraction(1020) ** 2, COUNT // 50) < 1e-9


def test_the_tail_is_there() -> None:
    """A missing tail is a delta that nobody accounts for; 54 beyond four deviations in 10^6."""
    variance = Fraction(16)
    values, chances = law(variance)
    found = np.count_nonzero(np.abs(sample(variance, "tail", 10**6)) > 16)

    expected = 10**6 * chances[np.abs(values) > 16].sum()

    assert abs(found - expected) < 4 * math.sqrt(expected)


@pytest.mark.parametrize("sigma", [4, 1 << 14, 1 << 30])
def test_mean_and_variance_are_those_of_the_law(sigma: int) -> None:
    """Up to the largest grids: half the deviation would be twice the epsilon."""
    scaled = sample(Fraction(sigma) ** 2).astype(np.float64) / sigma

    assert abs(scaled.mean()) < 4 / math.sqrt(COUNT)
    assert abs(scaled.var() - 1) < 4 * math.sqrt(2 / COUNT)


@pytest.mark.parametrize("sites", [2, 3, 8])
def test_parts_of_several_sites_make_the_whole_noise(sites: int) -> None:
    """Each adds a variance over so many; the sum's law is Gaussian, with all of the variance."""
    variance = Fraction(1 << 20)
    parts = [sample(variance / sites, f"site {at}") for at in range(sites)]

    total = np.sum(parts, axis=0) / math.sqrt(variance)

    assert stats.kstest(total, "norm").pvalue > 0.01
    assert abs(total.var() - 1) < 4 * math.sqrt(2 / COUNT)


def test_coordinates_do_not_follow_one_another() -> None:
    """Correlated noise averages out over a layer."""
    values = sample(Fraction(100)).astype(np.float64) / 10

    for lag in (1, 2, 3, 511):
        assert abs(np.mean(values[:-lag] * values[lag:])) < 4 / math.sqrt(COUNT)
    assert abs(np.corrcoef(np.abs(values[:-1]), np.abs(values[1:]))[0, 1]) < 4 / math.sqrt(COUNT)


@pytest.mark.parametrize("name", VARIANCES)
def test_exact_decisions_give_the_same_values(name: str) -> None:
    """Floats only say early what integers would: with a margin of one, all calls are close."""
    variance = VARIANCES[name]

    quick = discrete_gaussian(Stream(name), 200, variance)
    exact = discrete_gaussian(Stream(name), 200, variance, margin=1.0)

    assert quick.tolist() == exact.tolist()


def test_floats_err_by_far_less_than_the_margin(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every gamma that is used, against 40 digits; the promise that nothing rests on a float."""
    worst = [0.0]
    real = module._happens

    def spy(
        words: module.Words,
        gamma: NDArray[np.float64],
        exactly: Callable[[int], Fraction],
        margin: float,
    ) -> NDArray[np.bool_]:
        with localcontext() as context:
            context.prec = 40
            for at in range(gamma.size):
                exponent = exactly(at)
                chance = (-Decimal(exponent.numerator) / Decimal(exponent.denominator)).exp()
                worst[0] = max(worst[0], abs(float(Decimal(float(np.exp(-gamma[at]))) - chance)))
        return real(words, gamma, exactly, margin)

    monkeypatch.setattr(module, "_happens", spy)
    for variance in (Fraction(1, 4), Fraction(37, 10) ** 2, Fraction(10**9 + 7, 3) ** 2):
        sample(variance, count=300)

    assert 0 < worst[0] < MARGIN / 32


def test_a_close_call_is_decided_by_further_bits() -> None:
    """Where 64 bits do not tell, the next word does: 1/e is 0x5e2d58d8b3bcdf1a.bade… / 2^64."""
    first, second = 0x5E2D58D8B3BCDF1A, 0xBADEC7829054F90D
    with localcontext() as context:
        context.prec = 60
        digits = int(Decimal(-1).exp() * 2**128)
    assert (digits >> 64, digits % 2**64) == (first, second)

    def decided(*words: int) -> bool:
        return bool(module._happens(Given(*words), np.ones(1), lambda _: Fraction(1), MARGIN)[0])

    assert decided(first - 1)
    assert not decided(first + 1)
    assert decided(first, second - 1)
    assert not decided(first, second + 1)
    assert decided(first, second, 0)
    assert not decided(first, second, 2**64 - 1)


@pytest.mark.parametrize(
    ("apart", "exactly"),
    [(1 << 22, True), (-(1 << 22), True), (1 << 26, False), (-(1 << 26), False)],
)
def test_what_is_within_the_margin_is_decided_exactly(
    monkeypatch: pytest.MonkeyPatch, apart: int, exactly: bool
) -> None:
    """2^-42 from 1/e a float is right as well, and is not asked."""
    asked = []

    def spy(words: module.Words, known: int, gamma: Fraction) -> bool:
        asked.append(gamma)
        return apart < 0

    monkeypatch.setattr(module, "_is_below", spy)
    words = Given(0x5E2D58D8B3BCDF1A + apart)

    happened = module._happens(words, np.ones(1), lambda _: Fraction(1), MARGIN)

    assert happened.tolist() == [apart < 0]
    assert asked == ([Fraction(1)] if exactly else [])


def test_an_event_that_is_certain_always_happens() -> None:
    """exp(-0) is one, and no word is as large."""
    gamma = np.zeros(3)
    words = Given(0, 2**63, 2**64 - 1, 7)

    assert module._happens(words, gamma, lambda _: Fraction(0), 1.0).all()


def test_nothing_is_drawn_for_nothing() -> None:
    """An empty vector has no noise, and is no error."""
    assert discrete_gaussian(Given(), 0, Fraction(4)).size == 0


@pytest.mark.parametrize(
    "variance", [Fraction(0), Fraction(-1), Fraction(249, 1000), Fraction(2**80 + 1)]
)
def test_a_variance_that_no_plan_has_is_refused(variance: Fraction) -> None:
    """Little would send the sum itself, or nearly; beyond the other end integers leave float64."""
    with pytest.raises(UnsafeParameters, match="variance"):
        discrete_gaussian(Stream("refused"), 1, variance)
