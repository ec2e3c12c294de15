"""One round of the demo's training, without keys, network or processes."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from participant.sending.random_words import Entropy
from participant.site import Site
from participant.training.gradient_sum import gradient_sum
from participant.training.privatise import privatise
from participant.training.train import train
from privacy.distributed_sum import DistributedSum

from .settings import Job


def change(
    job: Job, sites: Sequence[Site], vector: NDArray[np.float64], entropy: Entropy
) -> NDArray[np.float64]:
    """Return what one round over `sites` adds to the global model, shape (d,).

    The same training, clipping, noise and grid as in the demo, and the same step at the end.
    """
    return step_by(job, updates(job, sites, vector, entropy))


def updates(
    job: Job, sites: Sequence[Site], vector: NDArray[np.float64], entropy: Entropy
) -> list[NDArray[np.int64]]:
    """Return what each of `sites` would protect in a round, in grid steps, each of shape (d,)."""
    return [_update(job, site, vector, entropy) for site in sites]


def step_by(job: Job, each: Sequence[NDArray[np.int64]]) -> NDArray[np.float64]:
    """Return what these sites' updates add to the global model, shape (d,)."""
    order = job.training
    parts = order.divisor if isinstance(order, DistributedSum) else len(each)
    step: NDArray[np.float64] = job.grid.from_grid(np.sum(each, axis=0)) / parts
    return float(job.server_learning_rate) * step


def _update(
    job: Job, site: Site, vector: NDArray[np.float64], entropy: Entropy
) -> NDArray[np.int64]:
    order = job.training
    if isinstance(order, DistributedSum):
        return gradient_sum(site, job.shapes, vector, order, job.grid, entropy)
    update = train(site, job.shapes, vector, order, entropy)
    return privatise(update, float(job.clip), job.grid)
