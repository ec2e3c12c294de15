"""Gaussian noise: the right law, to the tails, from words that nobody can guess."""

import hashlib

import numpy as np
import pytest
from scipy import stats

from participant.sending.random_words import RandomWords
from participant.training.noise import LARGEST_DEVIATION, from_words, standard_normal

COUNT = 400_000


@pytest.fixture(scope="module")
def sample():
    key = hashlib.sha256(b"noise test").digest()
    return standard_normal(RandomWords(lambda _: key), COUNT)


def test_the_law_is_the_standard_normal(sample):
    """Kolmogorov and Smirnov, at a fixed key: noise of another shape is another epsilon."""
    result = stats.kstest(sample, "norm")

    assert result.pvalue > 0.01


def test_mean_and_variance_are_exact(sample):
    """Half the deviation is twice the epsilon; four standard errors are allowed."""
    assert abs(sample.mean()) < 4 / COUNT**0.5
    assert abs(sample.var() - 1) < 4 * (2 / COUNT) ** 0.5


def test_every_part_of_the_line_is_hit_as_often_as_it_should(sample):
    """Chi-square, tails included: a missing tail is a delta that nobody accounts for."""
    edges = np.array([-np.inf, *np.arange(-4.0, 4.01, 0.25), np.inf])
    found = np.histogram(sample, edges)[0]
    expected = COUNT * np.diff(stats.norm.cdf(edges))

    result = stats.chisquare(found, expected)

    assert result.pvalue > 0.01


def test_values_do_not_follow_one_another(sample):
    """Correlated noise averages out over a layer."""
    for lag in (1, 2, 3, 511):
        correlation = np.mean(sample[:-lag] * sample[lag:])

        assert abs(correlation) < 4 / COUNT**0.5


def test_no_word_gives_zero_or_infinity():
    """The extreme words are the most extreme values; both are finite."""
    words = np.array([0, 1, 2**64 - 2, 2**64 - 1], np.uint64)

    values = from_words(words)

    assert np.isfinite(values).all()
    assert values[0] == -values[1]
    assert 9.0 < values[1] < LARGEST_DEVIATION
    assert abs(values[2]) < 1e-15


def test_a_word_is_its_quantile():
    """The upper tail mirrors the lower, where float64 can still tell numbers apart."""
    words = np.array([2**62, 2**62 + 1, 2**54], np.uint64)

    values = from_words(words)

    # 2^61 of 2^64 points lie below the first: an eighth.
    assert values[0] == pytest.approx(-1.1503493803760079, rel=1e-14)
    assert values[1] == -values[0]
    assert values[2] == pytest.approx(stats.norm.ppf(2.0**-11), rel=1e-13)
