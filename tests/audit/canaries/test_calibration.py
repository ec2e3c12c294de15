"""Tests of calibration: quiet where all is as claimed, loud where it is not, on the right side."""

import numpy as np
import pytest

from veilsum.audit.canaries.calibration import (
    batch_sizes,
    dependence,
    gap,
    noise,
    participation,
    without_known,
)


def draws(seed=0):
    return np.random.default_rng(seed)


def normal(deviation, shape, seed=0):
    return draws(seed).normal(0.0, deviation, shape)


@pytest.mark.parametrize(
    ("factor", "least", "most"),
    [(1.0, -4.0, 4.0), (0.96, 4.0, 7.0), (0.5, 52.0, 54.0), (1.73, -150.0, -130.0)],
    ids=["as claimed", "four hundredths missing", "half missing", "three times the steps"],
)
def test_missing_noise_is_seen_and_on_which_side(factor, least, most):
    """Ten thousand values: (1 - factor^2) times the root of half as many deviations."""
    found = noise(normal(2.4 * factor, (4, 2500), seed=3), 2.4)

    assert least < found.z < most
    assert found.ratio == pytest.approx(factor, rel=0.03)
    assert found.resolution == pytest.approx(0.0071, abs=1e-4)


def test_the_noise_test_has_the_false_alarms_of_a_normal():
    """A threshold in deviations means something only if z is one."""
    z = np.array([noise(normal(1.0, 1000, seed), 1.0).z for seed in range(2000)])

    assert abs(z.mean()) < 0.1
    assert abs(z.std() - 1) < 0.06


def test_a_larger_step_is_seen_and_a_smaller_one_on_the_other_side():
    """By hand: the difference of the means over the expected, and over its deviation."""
    inside, outside = np.full(200, 6.0), np.zeros(50)

    found = gap(inside, outside, expected=4.0, deviation=2.0)

    assert found.ratio == 1.5
    assert found.z == pytest.approx(2.0 / (2.0 * np.sqrt(1 / 200 + 1 / 50)))
    assert gap(inside / 3, outside, 4.0, 2.0).z < -4


def test_noise_of_one_seed_is_dependent():
    """Also where it comes with the other sign, or as a multiple."""
    known, other = normal(1.0, (4, 2500), seed=1), normal(1.0, (4, 2500), seed=2)

    assert dependence(other, known).z < 4
    assert dependence(-2 * known, known).z == pytest.approx(100.0)
    assert dependence(0.1 * known + other, known).z > 6


def test_no_noise_at_all_is_not_divided_by():
    """A defect that leaves zeros must end in a verdict, not in an exception."""
    assert dependence(np.zeros((1, 5)), np.ones((1, 5))).z == 0.0


def test_what_is_known_is_taken_off_at_every_coordinate():
    """Learnt where there are no canaries, and used where there are."""
    known = normal(1.0, (4, 300), seed=1)
    values = 3 * known
    values[:, :100] += 1.0

    left = without_known(values, known, 100)

    assert np.allclose(left[:, :100], 1.0)
    assert np.allclose(left[:, 100:], 0.0)


def test_independent_noise_is_left_as_it_is():
    """The regression must not eat what it should measure."""
    values, known = normal(1.0, (4, 5000), seed=1), normal(1.0, (4, 5000), seed=2)

    left = without_known(values, known, 2500)

    assert np.std(left) == pytest.approx(np.std(values), rel=1e-3)
    assert (without_known(values, np.zeros_like(known), 2500) == values).all()


def taking_part(kind, steps=4, rate=0.5, canaries=1500):
    counts = {
        "poisson": draws().binomial(steps, rate, canaries),
        "shuffled": np.full(canaries, steps * rate),
        "all or nothing": steps * draws().binomial(1, rate, canaries),
    }[kind]
    return counts + normal(0.1 * np.sqrt(steps), canaries, seed=4)


@pytest.mark.parametrize(
    ("kind", "caught"), [("poisson", False), ("shuffled", True), ("all or nothing", True)]
)
def test_participation_that_is_not_poissons_is_seen(kind, caught):
    """Shuffled epochs have no variance; a sample that is kept has too much."""
    found = participation(taking_part(kind), 4, 0.5, 0.1)

    assert (found.z > 4) is caught


def test_the_participation_test_has_the_false_alarms_of_a_normal():
    """Binomials of few steps have light tails, which the deviation knows."""
    ratios = [
        (draws(seed).binomial(2, 0.5, 500) + normal(0.2, 500, seed + 10_000)) for seed in range(800)
    ]

    found = np.array([participation(each, 2, 0.5, 0.2 / np.sqrt(2)).z for each in ratios])

    assert np.sqrt(np.mean(found**2)) == pytest.approx(1.0, abs=0.08)


@pytest.mark.parametrize(
    ("totals", "caught"),
    [
        (draws(3).binomial(1000, 0.5, 24), False),
        (np.full(24, 500), True),
        (draws(3).binomial(2, 0.5, 24) * 500, True),
    ],
    ids=["poisson", "fixed", "in halves"],
)
def test_batches_whose_size_is_not_binomial_are_seen(totals, caught):
    """Sampling without replacement looks right record by record, and is another mechanism."""
    totals = totals + normal(0.1 * np.sqrt(1000), 24, seed=5)

    found = batch_sizes(totals, 500, 2, 0.5, 0.1)

    assert (found.z > 4) is caught


def test_the_batch_size_test_has_the_false_alarms_of_two_sides():
    """Of twenty-four rounds only: the tails are the chi-square's own."""
    z = [
        batch_sizes(normal(np.sqrt(250 + 10), 24, seed) + 500, 500, 2, 0.5, 0.1).z
        for seed in range(3000)
    ]

    assert np.mean(np.array(z) > 2.0) == pytest.approx(2 * 0.02275, abs=0.012)
