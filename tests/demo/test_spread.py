"""The demo's accuracy does not hang on a lucky draw."""

import pytest

from veilsum.demo.spread import accuracies


@pytest.mark.deep
def test_a_hundred_trainings_are_all_accurate_enough():
    """About two minutes; the figures stand in docs/robustness.md."""
    found = list(accuracies(100))

    assert len(found) == 100
    assert min(found) >= 0.90


def test_each_training_draws_anew():
    """A fixed seed would make a hundred runs one run."""
    first, second = accuracies(2)

    assert first >= 0.85
    assert second >= 0.85
