"""Each patient's gradient is the one that autograd gives for that patient alone.

Libraries that compute gradients of single records fast have had wrong norms: of biases where
inputs have three axes, of embeddings, of losses that ignore some rows. Clipped by a wrong
norm, a gradient is longer than the noise was chosen for.
"""

import numpy as np
import pytest
import torch
from torch import nn

from participant.site import model_shapes
from privacy.local_training import LocalTraining

from .ward import FEATURES, Ward, length, patient, start_of, update_of

LOUD = LocalTraining("1", "0.001", 1, "0.5", "1", 1)
WARD = [patient(seed, rows=1 + seed % 3, target=0.3 * seed) for seed in range(5)]


class Sequences(nn.Module):
    """Rows are cut into five steps of six features: inputs of three axes."""

    def __init__(self):
        super().__init__()
        self.embed, self.norm, self.out = nn.Linear(6, 4), nn.LayerNorm(4), nn.Linear(4, 1)

    def forward(self, features):
        steps = torch.tanh(self.norm(self.embed(features.reshape(-1, 5, 6))))
        return self.out(steps).sum(1)


class Convolved(nn.Module):
    """Rows are pictures of one channel, five by six."""

    def __init__(self):
        super().__init__()
        self.filter, self.norm, self.out = nn.Conv2d(1, 4, 3), nn.GroupNorm(2, 4), nn.Linear(4, 1)

    def forward(self, features):
        seen = torch.tanh(self.norm(self.filter(features.reshape(-1, 1, 5, 6))))
        return self.out(seen.mean((2, 3)))


class Embedded(nn.Module):
    """Rows are numbers of words, some of them several times."""

    def __init__(self):
        super().__init__()
        self.words, self.out = nn.Embedding(8, 3), nn.Linear(3, 1)

    def forward(self, features):
        return self.out(self.words((features * 64).long().remainder(8)).sum(1))


BUILDS = {
    "linear": lambda: nn.Linear(FEATURES, 1),
    "three axes": Sequences,
    "convolved": Convolved,
    "embedded": Embedded,
}


def clipped_by_autograd(build, order):
    """Minus the sum of clipped gradients, each from its own pass, over parameters in order."""
    site, start = Ward([], build), start_of(build)
    total = np.zeros_like(start)
    for features, target in WARD:
        model = build().double()
        values = torch.tensor(start)
        for _, parameter in model.named_parameters():
            parameter.data = values[: parameter.numel()].reshape(parameter.shape).clone()
            values = values[parameter.numel() :]
        (model(features) - target).square().mean().backward()
        gradient = np.concatenate([p.grad.numpy().ravel() for p in model.parameters()])
        total -= gradient * min(1.0, float(order.clip) / length(gradient))
    assert [name for name, _ in model_shapes(site)] == [
        name for name, _ in model.named_parameters()
    ]
    return total


@pytest.mark.parametrize("build", BUILDS.values(), ids=BUILDS)
@pytest.mark.parametrize("clip", ["0.5", "1000000"])
def test_a_patients_gradient_is_that_of_autograd(build, clip):
    """Clipped to the right length, and whole where it is short enough."""
    order = LocalTraining("1", "0.001", 1, clip, "1", 1)

    update = update_of(WARD, order, build=build) - update_of([], order, build=build)

    # what is left is Opacus's own guard against dividing by a norm of zero
    np.testing.assert_allclose(update, clipped_by_autograd(build, order), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("build", BUILDS.values(), ids=BUILDS)
def test_every_layer_counts_in_the_one_norm(build):
    """Clipped layer by layer the whole would be longer than its bound."""
    alone = [(features, target + 1e6) for features, target in WARD[:1]]

    update = update_of(alone, LOUD, build=build) - update_of([], LOUD, build=build)

    assert 0.499 < length(update) <= 0.5 + 1e-12
