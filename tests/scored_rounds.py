"""Rounds of sites that are worth less and less, and scores as the product makes them of updates.

Training is plain and public here, so every seed gives the same numbers in every run.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from privacy.accounting import smallest_noise_multiplier
from privacy.clipping import clip
from privacy.contribution.scores import Method, earned, weights
from privacy.grid import Grid
from privacy.initial import initial_vector
from privacy.records import Score, Scores
from privacy.vectors import Shapes
from veilsum.demo.clinical_data import Patients, all_hospitals
from veilsum.demo.descent import descended, gradients
from veilsum.demo.settings import DISTRIBUTED, LOCAL

Floats: TypeAlias = NDArray[np.float64]
Updates: TypeAlias = NDArray[np.int64]
Train: TypeAlias = Callable[[Floats, int], Updates]
"""From the global model and the round's number to each site's update."""
Play: TypeAlias = Callable[[Updates, Updates], Updates]
"""What dishonest sites make of a round's updates, once they know the mean step before it."""
Scoring: TypeAlias = Callable[[Updates, Sequence[str]], Scores]

GRID = Grid(fraction_bits=16, value_bits=24)
BUDGET = 1_000_000
"""A round's; what a site earns is in millionths of it."""
PATIENTS = 71
NOISY = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
"""The part of each site's labels that is turned round; half of them turned round are random."""
RANDOM_LAST = (0.0, 0.0, 0.0, 0.0, 0.0, 0.5)


@dataclass(frozen=True)
class Learning:
    """A model and how sites train it."""

    shapes: Shapes = DISTRIBUTED.shapes
    text: str = DISTRIBUTED.model_text
    rounds: int = 5
    steps: int = 5
    rate: float = 0.1
    bound: float = 1.0

    def start(self) -> Floats:
        """Return the first global model."""
        return initial_vector(self.shapes, self.text)


LOGISTIC = Learning()
NETWORK = Learning(LOCAL.shapes, LOCAL.model_text)
"""The demo's two models: of 31 and of 16,353 values."""


def sites(seed: int, noise: Sequence[float] = NOISY) -> dict[str, Patients]:
    """Return sites of 71 patients each, of whose labels so many are wrong."""
    draws = np.random.default_rng(seed)
    everyone = all_hospitals()
    dealt = draws.permutation(len(everyone))[: PATIENTS * len(noise)].reshape(len(noise), -1)
    found = {}
    for at, (rows, part) in enumerate(zip(dealt, noise, strict=True)):
        labels = everyone.malignant[rows].copy()
        wrong = draws.permutation(PATIENTS)[: round(PATIENTS * part)]
        labels[wrong] = 1 - labels[wrong]
        found[f"site-{at}"] = Patients(everyone.features[rows], labels)
    return found


def trained(some: Mapping[str, Patients], vector: Floats, how: Learning) -> Updates:
    """Return each site's update of the global model, clipped and on the grid, shape (n, d)."""
    pooled, counted = _pooled(some)
    start = np.tile(vector, (len(some), 1))
    ends = descended(start, how.shapes, pooled, counted, steps=how.steps, rate=how.rate)
    return np.stack([GRID.to_grid(clip(each - vector, how.bound)) for each in ends])


def noised(
    some: Mapping[str, Patients], vector: Floats, how: Learning, multiplier: float, seed: int
) -> Updates:
    """Return the same of one noisy step over all patients of each site: mechanism `local`."""
    draws, bound = np.random.default_rng(seed), 0.5
    found = []
    for each in some.values():
        of_each = np.vstack([_alone(each, row, vector, how) for row in range(len(each))])
        lengths = np.linalg.norm(of_each, axis=1, keepdims=True)
        total = (of_each * np.minimum(1.0, bound / np.maximum(lengths, 1e-12))).sum(0)
        noise = draws.normal(0.0, multiplier * bound, vector.size)
        found.append(GRID.to_grid(-0.5 * (total + noise) / len(each)))
    return np.stack(found)


def _alone(of: Patients, row: int, vector: Floats, how: Learning) -> Floats:
    """Return the gradient of one patient's loss, shape (1, d)."""
    patient = Patients(of.features[row : row + 1], of.malignant[row : row + 1])
    return gradients(vector[None], how.shapes, patient, np.ones((1, 1)))


def exact_scores(updates: Updates, names: Sequence[str], step_log2: int = 0) -> Scores:
    """Return what seats would open of such updates."""
    total = updates.sum(0)
    pairs = [
        (_rounded(each @ each, step_log2), _rounded(each @ total, step_log2)) for each in updates
    ]
    found = (Score(name, *pair) for name, pair in zip(names, pairs, strict=True))
    return _record(tuple(found), step_log2)


@dataclass(frozen=True)
class Round:
    """What was sent in one round, and the mean step of the round before."""

    updates: Updates
    before: Updates


def rounds(some: Mapping[str, Patients], how: Learning, train: Train, play: Play) -> list[Round]:
    """Return the rounds of a training in which `play` is what some sites send."""
    vector, found = how.start(), []
    step = np.zeros(vector.size, np.int64)
    for number in range(how.rounds):
        updates = play(train(vector, number), step)
        found.append(Round(updates, step))
        step = np.rint(updates.sum(0) / len(some)).astype(np.int64)
        vector = vector + GRID.from_grid(step)
    return found


def paid(of: Sequence[Round], names: Sequence[str], method: Method, score: Scoring) -> Floats:
    """Return the part of all budgets that each site earned, shape (n,)."""
    got = np.zeros(len(names))
    for each in of:
        found = earned(BUDGET, weights(method, names, score(each.updates, names)))
        got += np.array([found[name] for name in names])
    return got / (BUDGET * len(of))


def trusting(some: Mapping[str, Patients], how: Learning = LOGISTIC) -> Train:
    """Return training without noise."""
    return lambda vector, _: trained(some, vector, how)


def private(some: Mapping[str, Patients], how: Learning, epsilon: float, seed: int) -> Train:
    """Return training of which all rounds together cost each site so much, at delta 0.001."""
    multiplier = float(smallest_noise_multiplier("1", how.rounds, 0.001, epsilon))
    return lambda vector, number: noised(some, vector, how, multiplier, 1000 * seed + number)


def honest(updates: Updates, before: Updates) -> Updates:
    """Return what everybody trained."""
    return updates


def _pooled(some: Mapping[str, Patients]) -> tuple[Patients, Floats]:
    features = np.concatenate([each.features for each in some.values()])
    malignant = np.concatenate([each.malignant for each in some.values()])
    own = np.repeat(np.eye(len(some)), [len(each) for each in some.values()], axis=1)
    return Patients(features, malignant), own


def _rounded(value: int, step_log2: int) -> str:
    half = (1 << step_log2) >> 1
    return str((int(value) + half) >> step_log2 << step_log2)


def _record(scores: tuple[Score, ...], step_log2: int) -> Scores:
    return Scores("tests", 1, "0" * 64, "0" * 64, step_log2, scores)
