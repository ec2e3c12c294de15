"""Poisson sampling, exactly as the accountant assumes."""

import hashlib
from fractions import Fraction

import numpy as np
import pytest
from scipy import stats

from participant.sending.random_words import RandomWords
from participant.training.sampling import poisson_batch
from privacy.errors import UnsafeParameters


class _Words:
    """Gives the words it was made with."""

    def __init__(self, *words):
        self._words = list(words)

    def draw(self, count):
        given, self._words = self._words[:count], self._words[count:]
        return np.array(given, np.uint64)


def stream(text):
    key = hashlib.sha256(text.encode()).digest()
    return RandomWords(lambda _: key)


def test_each_unit_is_sampled_at_the_rate():
    """Chi-square over the units; a favoured one has a larger epsilon than it is told."""
    words = stream("units")
    counts = np.zeros(20)
    for _ in range(4000):
        counts[poisson_batch(words, 20, Fraction(1, 10))] += 1

    result = stats.chisquare(counts, np.full(20, counts.mean()))

    assert result.pvalue > 0.01
    assert abs(counts.mean() - 400) < 4 * (400 * 0.9 / 20) ** 0.5


def test_batch_sizes_follow_the_binomial_law():
    """Shuffled batches all have one size, and cost several times what Poisson batches do."""
    words = stream("sizes")
    sizes = [len(poisson_batch(words, 8, Fraction(1, 4))) for _ in range(4000)]
    found = np.bincount(sizes, minlength=9)
    expected = 4000 * stats.binom.pmf(np.arange(9), 8, 0.25)

    result = stats.chisquare([*found[:5], found[5:].sum()], [*expected[:5], expected[5:].sum()])

    assert result.pvalue > 0.01


def test_a_batch_may_be_empty():
    """Skipping it would tell that nobody was in it."""
    assert len(poisson_batch(stream("empty"), 3, Fraction(1, 10**6))) == 0
    assert len(poisson_batch(stream("nobody"), 0, Fraction(1, 2))) == 0


def test_rate_one_takes_everybody():
    """A full batch is the case without amplification, not a rounding of it."""
    assert poisson_batch(stream("all"), 5, Fraction(1)).tolist() == [0, 1, 2, 3, 4]


def test_the_rate_is_exact_to_the_last_word():
    """Of the words modulo ten, exactly 0, 1 and 2 are in at 0.3; the ragged end is drawn again."""
    ragged = 2**64 - 6
    words = _Words(0, 9, ragged, 4, 12, 2**64 - 7)

    batch = poisson_batch(words, 5, Fraction(3, 10))

    # 2^64 is 6 modulo 10: the last six words are beyond the last whole ten.
    assert batch.tolist() == [0, 3]


@pytest.mark.parametrize(
    "rate", [Fraction(0), Fraction(-1, 2), Fraction(11, 10), Fraction(1, 2**41)]
)
def test_an_unusable_rate_is_refused(rate):
    """A rate that cannot be met exactly is not met at all."""
    with pytest.raises(UnsafeParameters):
        poisson_batch(stream("x"), 3, rate)
