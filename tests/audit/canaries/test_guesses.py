"""Guesses: high scores in, low scores out, nothing said of the rest."""

import numpy as np

from veilsum.audit.canaries.guesses import Guesses, guess


def test_the_highest_are_guessed_in_and_the_lowest_out():
    """By hand: 9 and 8 are guessed in, of which one was; -1 and 0 out, of which both were out."""
    scores = np.array([9.0, 3.0, -1.0, 8.0, 0.0, 4.0])
    included = np.array([True, True, False, False, False, True])

    found = guess(scores, included, 4)

    assert found == Guesses(canaries=6, made=4, right=3)


def test_scores_that_tell_nothing_give_half():
    """With every canary scored alike, the order alone decides, and it is independent of coins."""
    included = np.random.default_rng(1).random(10_000) < 0.5

    found = guess(np.zeros(10_000), included, 4000)

    assert abs(found.right - 2000) < 4 * np.sqrt(1000)


def test_no_guesses_are_no_evidence():
    """The middle of the sort is never an empty slice taken for all."""
    found = guess(np.arange(4.0), np.array([True, True, False, False]), 0)

    assert found == Guesses(4, 0, 0)
