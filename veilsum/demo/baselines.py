"""What the demo's accuracy is compared with: each hospital alone, and all data in one place."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from participant.random_words import Entropy
from participant.site import Site, Unit
from participant.train import one_thread, train
from privacy.initial import initial_vector
from privacy.vectors import flatten, unflatten

from .clinical_data import all_hospitals
from .hospitals import SITES, Hospital
from .network import accuracy
from .settings import DEMO_SHAPES, DEMO_TRAINING, MODEL_SEED_TEXT, ROUNDS

_POOLED_STEPS = 200
_POOLED_LEARNING_RATE = 0.1


def accuracy_alone(hospital: str, entropy: Entropy) -> float:
    """Return the held-out accuracy of what one hospital gets without the others.

    The comparison is like for like: the same network, first weights, private training,
    number of rounds and so the same epsilon as in the federation; only the averaging is gone.
    """
    site = SITES[hospital]()
    vector = initial_vector(DEMO_SHAPES, MODEL_SEED_TEXT)
    for _ in range(ROUNDS):
        vector = vector + train(site, DEMO_SHAPES, vector, DEMO_TRAINING, entropy)
    return accuracy(vector)


def accuracy_pooled() -> float:
    """Return the held-out accuracy of one model trained on everybody's patients.

    It is what nobody may do: all data in one place and no privacy. Plain full-batch gradient
    descent, same network and first weights; nothing in it is random.
    """
    site = Hospital(all_hospitals())
    with one_thread():
        return accuracy(_plain_descent(site, initial_vector(DEMO_SHAPES, MODEL_SEED_TEXT)))


def _plain_descent(site: Site, vector: NDArray[np.float64]) -> NDArray[np.float64]:
    model = site.model().double()
    model.load_state_dict(
        {name: torch.from_numpy(value) for name, value in unflatten(vector, DEMO_SHAPES).items()}
    )
    features, target = _together(site.records())
    descent = torch.optim.SGD(model.parameters(), lr=_POOLED_LEARNING_RATE)
    for _ in range(_POOLED_STEPS):
        descent.zero_grad()
        site.loss(model(features), target).mean().backward()  # type: ignore[no-untyped-call]
        descent.step()
    weights = {name: value.detach().numpy() for name, value in model.named_parameters()}
    return flatten(weights, DEMO_SHAPES)


def _together(units: Sequence[Unit]) -> Unit:
    features, target = (torch.cat(part) for part in zip(*units, strict=True))
    return features, target
