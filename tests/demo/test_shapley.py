"""Shapley values are those of the definition, and the descent under them goes down the loss."""

from fractions import Fraction
from itertools import permutations
from math import factorial

import numpy as np
import pytest
from torch import from_numpy
from torch.nn.functional import binary_cross_entropy_with_logits

from privacy.initial import initial_vector
from veilsum.demo.clinical_data import HOSPITALS, Patients, held_out, patients_of
from veilsum.demo.descent import descended, gradients, losses
from veilsum.demo.settings import DISTRIBUTED
from veilsum.demo.shapley import by_retraining, values

SMALL_NETWORK = (
    ("hidden.weight", (4, 30)),
    ("hidden.bias", (4,)),
    ("output.weight", (1, 4)),
    ("output.bias", (1,)),
)


def by_orders(worths: np.ndarray, players: int) -> list[float]:
    """The definition: the mean gain over all orders in which players come."""
    gains = [Fraction(0)] * players
    for order in permutations(range(players)):
        before = 0
        for player in order:
            gains[player] += Fraction(worths[before | 1 << player]) - Fraction(worths[before])
            before |= 1 << player
    return [float(gain / factorial(players)) for gain in gains]


@pytest.mark.parametrize("players", [1, 2, 3, 6])
def test_values_are_mean_gains_over_all_orders(players: int) -> None:
    worths = np.random.default_rng(players).normal(size=1 << players)

    found = values(worths)

    assert found == pytest.approx(by_orders(worths, players))
    assert found.sum() == pytest.approx(worths[-1] - worths[0])


def test_the_glove_game_has_the_values_of_the_textbook() -> None:
    """Two left gloves, one right; a pair is worth 1. Source: Shapley values 1/6, 1/6, 4/6."""
    pairs = [float(bool(each & 4) and bool(each & 3)) for each in range(8)]

    assert values(np.array(pairs)) == pytest.approx([1 / 6, 1 / 6, 4 / 6])


@pytest.mark.parametrize("shapes", [DISTRIBUTED.shapes, SMALL_NETWORK], ids=["linear", "hidden"])
def test_gradients_are_slopes_of_the_loss(shapes: tuple) -> None:
    """Differences of the loss, along every coordinate, for two models at once."""
    patients = patients_of("hospital-d")
    start = initial_vector(shapes, "tests")
    vectors = np.stack([start, 2 * start + 0.1])
    everyone = np.ones((2, len(patients)))
    step = 1e-6

    found = gradients(vectors, shapes, patients, everyone)

    for at in range(vectors.shape[1]):
        along = np.zeros(vectors.shape[1])
        along[at] = step
        slope = losses(vectors + along, shapes, patients) - losses(
            vectors - along, shapes, patients
        )
        assert found[:, at] == pytest.approx(slope / (2 * step), abs=1e-7)


def test_the_loss_is_the_one_that_hospitals_train_on() -> None:
    """Of the demo's logistic regression, by torch."""
    patients, shapes = held_out(), DISTRIBUTED.shapes
    vector = initial_vector(shapes, "tests")
    logits = from_numpy(patients.features @ vector[:30] + vector[30])

    found = losses(vector[None], shapes, patients)

    loss = binary_cross_entropy_with_logits(logits, from_numpy(patients.malignant))
    assert found[0] == pytest.approx(float(loss))


def test_a_model_counts_its_own_patients_only_and_stays_where_it_counts_none() -> None:
    """Models of all coalitions descend together and do not touch each other."""
    shapes = DISTRIBUTED.shapes
    one, other = patients_of("hospital-c"), patients_of("hospital-d")
    both = Patients(
        np.concatenate([one.features, other.features]),
        np.concatenate([one.malignant, other.malignant]),
    )
    start = np.tile(initial_vector(shapes, "tests"), (2, 1))
    counted = np.stack([np.zeros(len(both)), np.arange(len(both)) < len(one)]).astype(float)

    found = descended(start, shapes, both, counted, steps=3, rate=0.5)

    alone = descended(start[:1], shapes, one, np.ones((1, len(one))), steps=3, rate=0.5)
    assert np.array_equal(found[0], start[0])
    assert found[1] == pytest.approx(alone[0])


def test_hospitals_with_more_patients_are_worth_more() -> None:
    """The demo's four, and what they are worth together is what their model is."""
    shapes, start = DISTRIBUTED.shapes, initial_vector(DISTRIBUTED.shapes, DISTRIBUTED.model_text)
    hospitals = {name: patients_of(name) for name in HOSPITALS}

    found = by_retraining(hospitals, held_out(), shapes, start)

    assert list(found) == list(HOSPITALS)
    assert sorted(found.values(), reverse=True) == list(found.values())
    assert sum(found.values()) == pytest.approx(0.6135, abs=1e-3)


def test_a_copy_is_worth_as_much_as_what_it_copies() -> None:
    """Shapley values are symmetric: they do not say who was first."""
    patients = {name: patients_of(name) for name in HOSPITALS[:2]}
    shapes, start = DISTRIBUTED.shapes, initial_vector(DISTRIBUTED.shapes, "tests")

    found = by_retraining(patients | {"copy": patients[HOSPITALS[0]]}, held_out(), shapes, start)

    assert found["copy"] == pytest.approx(found[HOSPITALS[0]])
