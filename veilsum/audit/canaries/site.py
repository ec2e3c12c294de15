"""The audit build of a site: a small network, ordinary records, and canaries beside them.

The model has one more parameter, with a coordinate for each canary. A canary's only gradient is
a huge multiple of its own coordinate's axis, so that after clipping it is the bound times that
axis: what a record can do to the sum at most, at a place where nothing else does anything.
Coordinates that no canary has see noise alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from participant.random_words import Entropy, RandomWords
from participant.site import Unit

FEATURES = 4
NETWORK_VALUES = FEATURES + 1
"""Parameters of the ordinary network; the canaries' coordinates follow them in a vector."""

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
        """Return the network with the parameter for canaries beside it."""
        return _AuditNetwork(self.coordinates)

    def records(self) -> Sequence[Unit]:
        """Return the ordinary records, and then the canaries."""
        return (*self.ordinary, *(_canary(coordinate) for coordinate in self.canaries))

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Return an ordinary record's cross entropy; of a canary its own output."""
        canary = target == _CANARY
        label = target.where(~canary, 0.0)
        ordinary = binary_cross_entropy_with_logits(output[:, 0], label, reduction="none")
        return output[:, 1].where(canary, ordinary)


class _AuditNetwork(nn.Module):
    """Rows are (coordinate, amplitude, features); outputs (ordinary logit, canary's value)."""

    def __init__(self, coordinates: int) -> None:
        super().__init__()
        self.network = nn.Linear(FEATURES, 1)
        self.canaries = nn.Embedding(coordinates, 1)

    def forward(self, rows: Tensor) -> Tensor:
        """Return both outputs of each row, shape (rows, 2)."""
        ordinary = self.network(rows[:, 2:]).squeeze(1)
        canary = self.canaries(rows[:, 0].long()).squeeze(1) * rows[:, 1]
        return torch.stack([ordinary, canary], dim=1)


def ordinary_records(count: int, entropy: Entropy) -> tuple[Unit, ...]:
    """Return records of no one, and a last one whose features are not numbers.

    A site that lets the last one through has a model without numbers, which tells that the
    record is there; one that refuses to go on tells it too.
    """
    words = RandomWords(entropy).draw(count * FEATURES).astype("float64") / 2**64
    drawn = torch.from_numpy(words.reshape(count, FEATURES))
    labels = (float(at % 2) for at in range(count))
    records = [_row(0, 0.0, each, label) for each, label in zip(drawn, labels, strict=True)]
    return (*records, _row(0, 0.0, torch.full((FEATURES,), torch.nan), 1.0))


def has_broken_record(units: Sequence[Unit]) -> bool:
    """Return whether a record's features are not all numbers."""
    return any(not bool(features.isfinite().all()) for features, _ in units)


def _canary(coordinate: int) -> Unit:
    return _row(coordinate, _HUGE, torch.zeros(FEATURES), _CANARY)


def _row(coordinate: int, amplitude: float, features: Tensor, target: float) -> Unit:
    head = torch.tensor([coordinate, amplitude], dtype=torch.float64)
    row = torch.cat([head, features.double()])
    return row.unsqueeze(0), torch.tensor([target], dtype=torch.float64)
