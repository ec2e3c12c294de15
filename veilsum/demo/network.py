"""The demo's models in numpy, to judge a global one without loading torch."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from privacy.vectors import Shapes, unflatten

from .clinical_data import Patients, held_out


def accuracy(vector: NDArray[np.float64], shapes: Shapes) -> float:
    """Return the share of the held-out patients that the model, shape (d,), gets right."""
    return accuracy_on(vector, shapes, held_out())


def accuracy_on(vector: NDArray[np.float64], shapes: Shapes, patients: Patients) -> float:
    """Return the share of `patients` that the model gets right."""
    guessed = _logits(unflatten(vector, shapes), patients.features) > 0
    return float(np.mean(guessed == (patients.malignant > 0.5)))


def _logits(
    weights: Mapping[str, NDArray[np.float64]], features: NDArray[np.float64]
) -> NDArray[np.float64]:
    hidden = features
    if "hidden.weight" in weights:
        hidden = np.tanh(features @ weights["hidden.weight"].T + weights["hidden.bias"])
    logits: NDArray[np.float64] = hidden @ weights["output.weight"][0] + weights["output.bias"]
    return logits
