"""The audit build of a site: a small network, ordinary records, and canaries beside them.

The model is one parameter: the weights of a logistic regression, and then a coordinate for each
canary. A row names the coordinates that it multiplies, and by how much, so that a record costs
one pass through one layer. A canary's only gradient is a huge multiple of its own coordinate's
axis, so that after clipping it is the bound times that axis: what a record can do to the sum at
most, at a place where nothing else does anything. Coordinates that no canary has see noise alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from participant.sending.random_words import Entropy, RandomWords
from participant.site import Unit

FEATURES = 4
NETWORK_VALUES = FEATURES + 1
"""Weights of the ordinary network and its bias; the canaries' coordinates follow in a vector."""

_HUGE = 1e6
_CANARY = 2.0  # a target that no ordinary record has


@dataclass(frozen=True, slots=True)
class AuditSite:
    """A site whose data holds these canaries.

    Attributes:
        coordinates: of the model's parameter for canaries.
        canaries: the coordinates of those that are in the data.
        ordinary: the other records.
    """

    coordinates: int
    canaries: tuple[int, ...]
    ordinary: tuple[Unit, ...]

    def model(self) -> nn.Module:
        """Return the network with the coordinates for canaries beside its own."""
        return _AuditNetwork(NETWORK_VALUES + self.coordinates)

    def records(self) -> Sequence[Unit]:
        """Return the ordinary records, and then the canaries."""
        return (*self.ordinary, *(_canary(coordinate) for coordinate in self.canaries))

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Return an ordinary record's cross entropy; of a canary its own output."""
        canary = target == _CANARY
        label = target.where(~canary, 0.0)
        return output.where(
            canary, binary_cross_entropy_with_logits(output, label, reduction="none")
        )


class _AuditNetwork(nn.Module):
    """Rows are (coordinates, factors); the output is the sum of weights times factors."""

    def __init__(self, coordinates: int) -> None:
        super().__init__()
        self.weights = nn.Embedding(coordinates, 1)

    def forward(self, rows: Tensor) -> Tensor:
        """Return the output of each row, shape (rows,)."""
        coordinates, factors = rows[:, :NETWORK_VALUES].long(), rows[:, NETWORK_VALUES:]
        weights: Tensor = self.weights(coordinates)
        return (weights.squeeze(2) * factors).sum(1)


def ordinary_records(count: int, entropy: Entropy) -> tuple[Unit, ...]:
    """Return records of no one, and a last one whose features are not numbers.

    A site that lets the last one through has a model without numbers, which tells that the
    record is there; one that refuses to go on tells it too.
    """
    words = RandomWords(entropy).draw(count * FEATURES).astype("float64") / 2**64
    drawn = words.reshape(count, FEATURES).tolist()
    records = [_ordinary(each, float(at % 2)) for at, each in enumerate(drawn)]
    return (*records, _ordinary([math.nan] * FEATURES, 1.0))


def has_broken_record(units: Sequence[Unit]) -> bool:
    """Return whether a record's features are not all numbers."""
    return any(not bool(features.isfinite().all()) for features, _ in units)


def _ordinary(features: Sequence[float], label: float) -> Unit:
    return _row(range(NETWORK_VALUES), (*features, 1.0), label)


def _canary(coordinate: int) -> Unit:
    # The others are multiplied by zero, and its own is one of them.
    own = [NETWORK_VALUES + coordinate] * NETWORK_VALUES
    return _row(own, (_HUGE, *[0.0] * FEATURES), _CANARY)


def _row(coordinates: Sequence[int], factors: Sequence[float], target: float) -> Unit:
    row = torch.tensor([[*coordinates, *factors]], dtype=torch.float64)
    return row, torch.tensor([target], dtype=torch.float64)
