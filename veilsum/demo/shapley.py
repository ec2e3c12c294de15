"""Exact Shapley values of sites: a model is trained again by every coalition of them.

It is what measured scores are held against, and what nobody could compute in earnest: it needs
all data in one place, without privacy, and 2^n trainings.

Source: Shapley, "A Value for n-Person Games", 1953; as a value of data, Ghorbani and Zou, "Data
Shapley: Equitable Valuation of Data for Machine Learning", ICML 2019.
"""

from collections.abc import Mapping
from math import comb
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from privacy.vectors import Shapes

from .clinical_data import Patients
from .descent import descended, losses

Floats: TypeAlias = NDArray[np.float64]

_STEPS: Final = 60
_RATE: Final = 0.5
_VALUES_AT_ONCE: Final = 1 << 21


def by_retraining(
    sites: Mapping[str, Patients], judged_on: Patients, shapes: Shapes, start: Floats
) -> dict[str, float]:
    """Return each site's exact Shapley value, where a coalition is worth the model it trains.

    A coalition pools its patients and takes the same steps of plain gradient descent from the
    same first model. It is worth how much lower than the first model's its loss is.

    Args:
        sites: at most a dozen, whose patients are counted one by one.
        judged_on: patients that no site has.
        start: the first model, shape (d,), from which all coalitions start.
    """
    return dict(zip(sites, values(_worths(sites, judged_on, shapes, start)).tolist(), strict=True))


def values(worths: Floats) -> Floats:
    """Return the Shapley value of each of n players, shape (n,), from what coalitions are worth.

    Args:
        worths: shape (2^n,); bit i of an index says whether player i is in the coalition.
    """
    players = len(worths).bit_length() - 1
    coalitions = np.arange(len(worths))
    sizes = np.bitwise_count(coalitions)
    chance = np.array([1.0 / (players * comb(players - 1, size)) for size in range(players)])
    found = np.zeros(players)
    for player in range(players):
        without = coalitions[coalitions >> player & 1 == 0]
        gains = worths[without | 1 << player] - worths[without]
        found[player] = np.sum(chance[sizes[without]] * gains)
    return found


def _worths(
    sites: Mapping[str, Patients], judged_on: Patients, shapes: Shapes, start: Floats
) -> Floats:
    pooled = Patients(
        np.concatenate([each.features for each in sites.values()]),
        np.concatenate([each.malignant for each in sites.values()]),
    )
    owner = np.repeat(np.arange(len(sites)), [len(each) for each in sites.values()])
    found = []
    # All models of all coalitions, each over all patients, would not fit in memory.
    together = max(1, _VALUES_AT_ONCE // (len(pooled) * _units(shapes)))
    for first in range(0, 1 << len(sites), together):
        coalitions = np.arange(first, min(first + together, 1 << len(sites)))
        counted = (coalitions[:, None] >> owner & 1).astype(np.float64)
        models = np.tile(start, (len(coalitions), 1))
        models = descended(models, shapes, pooled, counted, steps=_STEPS, rate=_RATE)
        found.append(losses(models, shapes, judged_on))
    each = np.concatenate(found)
    worths: Floats = each[0] - each
    return worths


def _units(shapes: Shapes) -> int:
    """Return how many values the output layer sees."""
    return dict(shapes)["output.weight"][1]
