"""The demo's models by plain gradient descent in numpy: many at once, no noise, no torch.

Vectors of models have the shape (m, d). Each model counts some of the same patients, given as
`counted`, shape (m, n): its weight of each. So the models of all coalitions of some sites, or of
all sites of a round, are trained together.
"""

from collections.abc import Mapping
from math import prod
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from privacy.vectors import Shapes

from .clinical_data import Patients

Floats: TypeAlias = NDArray[np.float64]
_Tensors: TypeAlias = Mapping[str, Floats]


def descended(
    vectors: Floats,
    shapes: Shapes,
    patients: Patients,
    counted: Floats,
    *,
    steps: int,
    rate: float,
) -> Floats:
    """Return the models, shape (m, d), after so many steps along their own mean gradient.

    A model that counts nobody stays as it is.
    """
    for _ in range(steps):
        vectors = vectors - rate * gradients(vectors, shapes, patients, counted)
    return vectors


def gradients(vectors: Floats, shapes: Shapes, patients: Patients, counted: Floats) -> Floats:
    """Return the gradient of each model's mean loss over the patients it counts, shape (m, d)."""
    tensors = _tensors(vectors, shapes)
    hidden = _hidden(tensors, patients.features)
    errors = _chances(tensors, hidden) - patients.malignant
    errors = counted * errors / np.maximum(counted.sum(1, keepdims=True), 1.0)
    found = _output_gradients(errors, hidden)
    if "hidden.weight" in tensors:
        found |= _hidden_gradients(errors, hidden, tensors, patients.features)
    return np.concatenate([found[name].reshape(len(vectors), -1) for name, _ in shapes], axis=1)


def losses(vectors: Floats, shapes: Shapes, patients: Patients) -> Floats:
    """Return each model's mean cross-entropy over all the patients, shape (m,)."""
    tensors = _tensors(vectors, shapes)
    logits = _logits(tensors, _hidden(tensors, patients.features))
    each = np.logaddexp(0.0, logits) - patients.malignant * logits
    mean: Floats = each.mean(axis=1)
    return mean


def _tensors(vectors: Floats, shapes: Shapes) -> _Tensors:
    cuts = np.cumsum([prod(shape) for _, shape in shapes])[:-1]
    parts = np.split(vectors, cuts, axis=1)
    return {
        name: part.reshape(-1, *shape) for (name, shape), part in zip(shapes, parts, strict=True)
    }


def _hidden(tensors: _Tensors, features: Floats) -> Floats:
    """Return what the output layer sees, shape (m, n, units): of a linear model the features."""
    if "hidden.weight" not in tensors:
        return np.broadcast_to(features, (len(tensors["output.bias"]), *features.shape))
    bent: Floats = np.tanh(
        features @ tensors["hidden.weight"].transpose(0, 2, 1) + tensors["hidden.bias"][:, None]
    )
    return bent


def _logits(tensors: _Tensors, hidden: Floats) -> Floats:
    logits: Floats = np.einsum("mnu,mu->mn", hidden, tensors["output.weight"][:, 0])
    return logits + tensors["output.bias"]


def _chances(tensors: _Tensors, hidden: Floats) -> Floats:
    # The logistic function by tanh, which overflows nowhere.
    chances: Floats = 0.5 + 0.5 * np.tanh(0.5 * _logits(tensors, hidden))
    return chances


def _output_gradients(errors: Floats, hidden: Floats) -> dict[str, Floats]:
    weight = np.einsum("mn,mnu->mu", errors, hidden)
    return {"output.weight": weight[:, None], "output.bias": errors.sum(1, keepdims=True)}


def _hidden_gradients(
    errors: Floats, hidden: Floats, tensors: _Tensors, features: Floats
) -> dict[str, Floats]:
    back = errors[:, :, None] * tensors["output.weight"] * (1.0 - hidden * hidden)
    return {"hidden.weight": back.transpose(0, 2, 1) @ features, "hidden.bias": back.sum(axis=1)}
