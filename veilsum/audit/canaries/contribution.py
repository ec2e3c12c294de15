"""What a site contributes to an audited round: the product's own training and privatising."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from participant.sending.random_words import Entropy
from participant.site import Site, model_shapes
from participant.training.gradient_sum import gradient_sum
from participant.training.privatise import privatise
from participant.training.train import train
from privacy.distributed_sum import DistributedSum
from privacy.mechanism import Training
from privacy.plan import Plan

Contribute: TypeAlias = Callable[[Site, Plan, NDArray[np.float64], Entropy], NDArray[np.int64]]
"""From site, plan, global model and entropy to grid integers, shape (d,).

An audit is given one of these; the weakened ones that it must catch are in `weakened`.
"""


def contribute(
    site: Site, plan: Plan, vector: NDArray[np.float64], entropy: Entropy
) -> NDArray[np.int64]:
    """Return what a site's worker makes of its data in a round, shape (d,), grid integers."""
    return contribute_under(plan.terms.privacy.training, site, plan, vector, entropy)


def contribute_under(
    order: Training, site: Site, plan: Plan, vector: NDArray[np.float64], entropy: Entropy
) -> NDArray[np.int64]:
    """Return what a site contributes that follows this order, whatever the plan's is."""
    shapes = model_shapes(site)
    if isinstance(order, DistributedSum):
        return gradient_sum(site, shapes, vector, order, plan.grid(), entropy)
    update = train(site, shapes, vector, order, entropy)
    return privatise(update, float(plan.terms.clip), plan.grid())
