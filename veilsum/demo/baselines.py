"""What the demo's accuracy is compared with: each hospital alone, and all data in one place."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from participant.sending.random_words import Entropy
from participant.site import Site, Unit, load_site
from participant.training.train import one_thread
from privacy.distributed_sum import DistributedSum
from privacy.initial import initial_vector
from privacy.plan import Mechanism
from privacy.vectors import Shapes, flatten, unflatten

from .clinical_data import HOSPITALS, all_hospitals
from .hospitals import Hospital
from .logistic_hospitals import LogisticHospital
from .network import accuracy
from .settings import Job
from .training import change

_POOLED: Final[Mapping[Mechanism, type[Hospital]]] = {
    Mechanism.LOCAL: Hospital,
    Mechanism.DISTRIBUTED: LogisticHospital,
}
_POOLED_STEPS = 200
_POOLED_LEARNING_RATE = 0.1


def accuracy_alone(name: str, job: Job, entropy: Entropy) -> float:
    """Return the held-out accuracy of what one hospital gets without the others.

    The comparison is like for like: the same model, first weights, private training,
    number of rounds and so the same epsilon as in the federation; only the others are gone,
    and with them the noise that they would add to a sum.

    Args:
        name: the hospital's class, as the job's module of sites has it.
    """
    site, own = load_site(f"{job.sites}:{name}"), _own(job)
    vector = initial_vector(job.shapes, job.model_text)
    for _ in range(job.rounds):
        vector = vector + change(own, [site], vector, entropy)
    return accuracy(vector, job.shapes)


def _own(job: Job) -> Job:
    """Return the job for one hospital: all of the noise is its own, and so are the patients."""
    order = job.training
    if not isinstance(order, DistributedSum):
        return job
    own = msgspec.structs.replace(order, honest=1, divisor=order.divisor // len(HOSPITALS))
    return replace(job, training=own)


def accuracy_pooled(job: Job) -> float:
    """Return the held-out accuracy of one model trained on everybody's patients.

    It is what nobody may do: all data in one place and no privacy. Plain full-batch gradient
    descent, same model and first weights; nothing in it is random.
    """
    site = _POOLED[job.mechanism](all_hospitals())
    with one_thread():
        start = initial_vector(job.shapes, job.model_text)
        return accuracy(_plain_descent(site, start, job.shapes), job.shapes)


def _plain_descent(site: Site, vector: NDArray[np.float64], shapes: Shapes) -> NDArray[np.float64]:
    model = site.model().double()
    model.load_state_dict(
        {name: torch.from_numpy(value) for name, value in unflatten(vector, shapes).items()}
    )
    features, target = _together(site.records())
    descent = torch.optim.SGD(model.parameters(), lr=_POOLED_LEARNING_RATE)
    for _ in range(_POOLED_STEPS):
        descent.zero_grad()
        site.loss(model(features), target).mean().backward()  # type: ignore[no-untyped-call]
        descent.step()
    weights = {name: value.detach().numpy() for name, value in model.named_parameters()}
    return flatten(weights, shapes)


def _together(units: Sequence[Unit]) -> Unit:
    features, target = (torch.cat(part) for part in zip(*units, strict=True))
    return features, target
