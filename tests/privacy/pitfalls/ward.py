"""A ward whose patients, model and loss a test chooses, and randomness that can be replayed."""

import dataclasses
import hashlib
from itertools import count

import numpy as np
import torch
from torch import nn
from torch.nn.functional import mse_loss

from participant.site import initial_vector, model_shapes
from participant.training.train import train
from privacy.local_training import LocalTraining

ORDER = LocalTraining(
    sampling_rate="1",
    noise_multiplier="1",
    steps=1,
    clip="2",
    learning_rate="0.5",
    divisor=4,
)
SENSITIVITY = 0.5 * 2 / 4
"""What one patient may move one step of `ORDER`: learning rate times clip over divisor."""

FEATURES = 30


def linear():
    return nn.Linear(FEATURES, 1)


def network():
    return nn.Sequential(nn.Linear(FEATURES, 4), nn.Tanh(), nn.Linear(4, 1))


def squared(output, target):
    return mse_loss(output, target, reduction="none").squeeze(1)


@dataclasses.dataclass
class Ward:
    units: list
    build: object = network
    per_row: object = squared

    def model(self):
        return self.build()

    def records(self):
        return self.units

    def loss(self, output, target):
        return self.per_row(output, target)


def patient(seed, rows=1, target=100.0):
    """Features from a hash; a target so far off that the gradient is clipped."""
    text = hashlib.shake_256(b"%d" % seed).digest(rows * FEATURES)
    features = torch.tensor(np.frombuffer(text, np.int8) / 64.0).reshape(rows, FEATURES)
    return features, torch.full((rows, 1), target, dtype=torch.float64)


def constant(value, rows=1):
    """A patient all of whose numbers are `value`."""
    features = torch.full((rows, FEATURES), value, dtype=torch.float64)
    return features, torch.full((rows, 1), value, dtype=torch.float64)


class Replayed:
    """A source of entropy that gives the same keys in every run, and counts what it gave."""

    def __init__(self, text="keys"):
        self.text, self.calls, self.asked = text, count(), []

    def __call__(self, size):
        self.asked.append(size)
        return hashlib.shake_256(f"{self.text} {next(self.calls)}".encode()).digest(size)


def start_of(build=network):
    """The weights that every run begins with."""
    return initial_vector(Ward([], build), "start")


def update_of(units, order=ORDER, text="keys", build=network, vector=None, **parts):
    """One training with the keys that `text` stands for."""
    site = Ward(list(units), build, **parts)
    vector = start_of(build) if vector is None else vector
    return train(site, model_shapes(site), vector, order, Replayed(text))


def length(vector):
    return float(np.sqrt(np.sum(np.square(vector))))


WARD = [patient(seed) for seed in range(5)]

STRANGERS = {
    "ordinary": patient(9),
    "many rows": patient(9, rows=300),
    "all zero": constant(0.0),
    "large": constant(1e8),
    "huge": constant(1e100),
    "norm overflows": constant(1e200),
    "infinite": constant(float("inf")),
    "minus infinite": constant(float("-inf")),
    "not a number": constant(float("nan")),
    "one broken row of fifty": (
        torch.cat([patient(9, rows=49)[0], constant(float("nan"))[0]]),
        torch.cat([patient(9, rows=49)[1], constant(float("nan"))[1]]),
    ),
    "denormal": constant(5e-324),
}
UNUSABLE = [
    (torch.ones((1, FEATURES + 1)).double(), torch.ones((1, 1)).double()),
    (torch.ones((2, FEATURES)).double(), torch.ones((1, 1)).double()),
    (torch.ones((0, FEATURES)).double(), torch.ones((0, 1)).double()),
    (torch.ones((1, FEATURES)).double(), torch.ones((1, 7, 7)).double()),
]
"""Records that model or loss cannot take, or that have no rows."""

MODELS = {"linear": linear, "network": network}


def cancelling(seed, scale, build=linear):
    """A record whose terms cancel, so that rounding alone decides where its gradient points."""
    weights = start_of(build)[:FEATURES]
    features = patient(seed)[0][0].numpy() * scale
    features = features - weights * (features @ weights) / (weights @ weights)
    return torch.tensor(features).reshape(1, -1), torch.zeros((1, 1), dtype=torch.float64)
