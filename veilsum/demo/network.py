"""The demo's network in numpy, to judge a global model without loading torch."""

import numpy as np
from numpy.typing import NDArray

from privacy.vectors import unflatten

from .clinical_data import Patients, held_out
from .settings import DEMO_SHAPES


def accuracy(vector: NDArray[np.float64]) -> float:
    """Return the share of the held-out patients that the model, shape (16353,), gets right."""
    return accuracy_on(vector, held_out())


def accuracy_on(vector: NDArray[np.float64], patients: Patients) -> float:
    """Return the share of `patients` that the model gets right."""
    guessed = _logits(vector, patients.features) > 0
    return float(np.mean(guessed == (patients.malignant > 0.5)))


def _logits(vector: NDArray[np.float64], features: NDArray[np.float64]) -> NDArray[np.float64]:
    weights = unflatten(vector, DEMO_SHAPES)
    hidden = np.tanh(features @ weights["hidden.weight"].T + weights["hidden.bias"])
    logits: NDArray[np.float64] = hidden @ weights["output.weight"][0] + weights["output.bias"]
    return logits
