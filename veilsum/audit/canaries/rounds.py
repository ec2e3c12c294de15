"""Run the rounds of an audit, and keep what a coalition would hold of them.

The attacker is whom the claim is made against: it sees every opened sum, and knows what the
colluding sites sent. Under `local` that is every site but one. It does not know the noise of the
honest sites, nor which canaries are in their data.
"""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from participant.opening.apply import Application
from participant.sending.random_words import Entropy, RandomWords
from privacy.local_training import LocalTraining
from privacy.plan import Plan

from .contribution import Contribute, contribute
from .protection import opened_sum
from .setting import ORDINARY_RECORDS, Setting, plan_of, site_names
from .site import NETWORK_VALUES, AuditSite, ordinary_records


@dataclass(frozen=True, slots=True)
class Observed:
    """What the coalition holds of each round, at the canaries' coordinates, in clips.

    A canary adds one for each step that it was part of. Each array has shape (rounds, D).

    Attributes:
        included: shape (m,): which canaries are in the data; the first m coordinates are theirs.
        sums: the opened sums, less what the colluders sent.
        vector: what the first honest site sent.
        known: the sum of what the colluders sent, which is noise.
    """

    included: NDArray[np.bool_]
    sums: NDArray[np.float64]
    vector: NDArray[np.float64]
    known: NDArray[np.float64]


def observe(
    setting: Setting, make: Contribute = contribute, entropy: Entropy = os.urandom
) -> Observed:
    """Toss a coin for each canary, run the rounds, and return what the coalition holds.

    Args:
        make: what each site contributes; the product's own unless a control replaces it.
        entropy: for coins, training and noise.

    Raises:
        UpdateOutOfRange: an update is not finite; that it was refused tells of a record.
    """
    included = (RandomWords(entropy).draw(setting.canaries) & np.uint64(1)).astype(bool)
    sites = _sites(setting, included, entropy)
    vector, seen = np.zeros(setting.dimension), []
    for number in range(1, setting.rounds + 1):
        plan = plan_of(setting, number)
        updates = [make(site, plan, vector, entropy) for site in sites]
        with tempfile.TemporaryDirectory(prefix="veilsum-audit-") as folder:
            total = opened_sum(plan, site_names(setting), updates, Path(folder))
        vector = _applied(plan, vector, total, len(sites))
        seen.append(_held(setting, plan, updates, total))
    sums, alone, known = (np.stack(each) for each in zip(*seen, strict=True))
    return Observed(included, sums, alone, known)


def _sites(setting: Setting, included: NDArray[np.bool_], entropy: Entropy) -> list[AuditSite]:
    """Return the honest sites, each with every so-many-th canary, and then the colluders."""
    owners: list[tuple[int, ...]] = [
        tuple(at for at in np.flatnonzero(included).tolist() if at % setting.honest == place)
        for place in range(setting.honest)
    ]
    owners += [()] * setting.colluders
    return [
        AuditSite(setting.coordinates, canaries, ordinary_records(ORDINARY_RECORDS, entropy))
        for canaries in owners
    ]


def _applied(
    plan: Plan, vector: NDArray[np.float64], total: NDArray[np.int64], sites: int
) -> NDArray[np.float64]:
    application = Application(plan, sites)
    moved = application.part(vector, total)
    application.check_bound()
    return moved


def _held(
    setting: Setting, plan: Plan, updates: list[NDArray[np.int64]], total: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    known = np.sum(updates[setting.honest :], axis=0)
    return tuple(_in_clips(setting, plan, each) for each in (total - known, updates[0], known))  # type: ignore[return-value]


def _in_clips(setting: Setting, plan: Plan, steps: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return grid integers as multiples of one clipped gradient, uphill."""
    order = setting.training
    one = -float(order.clip)
    if isinstance(order, LocalTraining):
        # Downhill, at the learning rate, over the divisor.
        one *= float(order.learning_rate) / order.divisor
    values: NDArray[np.float64] = plan.grid().from_grid(steps[NETWORK_VALUES:]) / one
    return values
