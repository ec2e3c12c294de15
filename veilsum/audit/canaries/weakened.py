"""Defects that an audit must catch: what sites would contribute if the product had them.

Doubles of `contribution.contribute`, put together from the product's own parts under another
plan, other entropy or other data than was claimed. Nothing in the product switches to them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import shake_256
from itertools import count, islice
from typing import TypeAlias

import numpy as np
from msgspec.structs import replace as changed
from numpy.typing import NDArray
from torch import Tensor, nn

from participant.sending.random_words import Entropy, RandomWords
from participant.site import Site, Unit, model_shapes
from participant.training.train import train
from privacy.distributed_sum import DistributedSum
from privacy.events import exact
from privacy.local_training import LocalTraining
from privacy.mechanism import Training
from privacy.plan import Plan

from .contribution import Contribute, contribute, contribute_under
from .site import has_broken_record

_OVER = 3
"""Times the bound; what is not clipped at all has no largest step to put on a grid."""


def halved_noise() -> Contribute:
    """Return sites that add half of the noise."""
    return _under_another_order(lambda order: _noise_over(order, 2))


def not_clipped() -> Contribute:
    """Return sites where a gradient may be three times the bound, with the noise as claimed."""

    def other(order: Training) -> Training:
        clip = _text(_OVER * float(order.clip))
        less = _noise_over(order, _OVER)
        if isinstance(less, DistributedSum):
            return changed(less, clip=clip, units_cap=less.units_cap // _OVER)
        return changed(less, clip=clip)

    return _under_another_order(other)


def share_for_too_many() -> Contribute:
    """Return sites whose part of the noise counts on the colluders' parts too."""

    def other(order: Training) -> Training:
        assert isinstance(order, DistributedSum)  # the control is for that mechanism
        return changed(order, honest=order.honest + order.colluders, colluders=1)

    return _under_another_order(other)


def one_seed(seed: bytes = b"0") -> Contribute:
    """Return sites that all draw their noise from one seed, as `manual_seed(time())` does."""

    def make(site: Site, plan: Plan, vector: NDArray[np.float64], _: Entropy) -> NDArray[np.int64]:
        return contribute(site, plan, vector, _stream(seed + bytes([plan.terms.round])))

    return make


def shuffled() -> Contribute:
    """Return sites that go through shuffled batches, and claim Poisson sampling.

    Of mechanism `local`: an epoch has as many steps as the sampling rate goes into one.
    """
    return _in_batches(_epochs)


def of_fixed_size() -> Contribute:
    """Return sites whose batches all have one size, and claim Poisson sampling; `local` too."""
    return _in_batches(_samples)


def not_a_number_let_through() -> Contribute:
    """Return sites without a guard: one record without numbers makes every weight one.

    What Opacus 1.6.0 does with such a record; the clipping factor min(1, C/NaN) is NaN, too.
    """

    def make(
        site: Site, plan: Plan, vector: NDArray[np.float64], entropy: Entropy
    ) -> NDArray[np.int64]:
        if has_broken_record(site.records()):
            return plan.grid().to_grid(np.full_like(vector, np.nan))
        return contribute(site, plan, vector, entropy)

    return make


def _under_another_order(other: Callable[[Training], Training]) -> Contribute:
    """Return sites that follow another order than the plan's, on the plan's grid."""

    def make(
        site: Site, plan: Plan, vector: NDArray[np.float64], entropy: Entropy
    ) -> NDArray[np.int64]:
        order = other(plan.terms.privacy.training)
        return contribute_under(order, site, plan, vector, entropy)

    return make


def _noise_over(order: Training, times: int) -> Training:
    return changed(order, noise_multiplier=_text(float(exact(order.noise_multiplier)) / times))


def _text(value: float) -> str:
    return f"{value:.9f}".rstrip("0").rstrip(".")


def _stream(seed: bytes) -> Entropy:
    calls = count()
    return lambda size: shake_256(seed + next(calls).to_bytes(4, "big")).digest(size)


@dataclass(frozen=True, slots=True)
class _Batch:
    """A site with only some of its records."""

    whole: Site
    units: Sequence[Unit]

    def model(self) -> nn.Module:
        return self.whole.model()

    def records(self) -> Sequence[Unit]:
        return self.units

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        return self.whole.loss(output, target)


_Draw: TypeAlias = Callable[[int, LocalTraining, Entropy], Iterator[NDArray[np.int64]]]
"""From the number of units to the indices of each step's batch."""


def _in_batches(draw: _Draw) -> Contribute:
    """Return sites that take full-batch steps over batches of their own."""

    def make(
        site: Site, plan: Plan, vector: NDArray[np.float64], entropy: Entropy
    ) -> NDArray[np.int64]:
        order, units = plan.terms.privacy.training, site.records()
        assert isinstance(order, LocalTraining)  # the controls are for that mechanism
        moved, step = vector, changed(order, sampling_rate="1", steps=1)
        for batch in islice(draw(len(units), order, entropy), order.steps):
            of = _Batch(site, [units[at] for at in batch])
            moved = moved + train(of, model_shapes(site), moved, step, entropy)
        return plan.grid().to_grid(moved - vector)

    return make


def _epochs(units: int, order: LocalTraining, entropy: Entropy) -> Iterator[NDArray[np.int64]]:
    while True:
        shuffled = np.argsort(RandomWords(entropy).draw(units))
        yield from np.array_split(shuffled, round(1 / float(order.rate)))


def _samples(units: int, order: LocalTraining, entropy: Entropy) -> Iterator[NDArray[np.int64]]:
    while True:
        yield np.argsort(RandomWords(entropy).draw(units))[: round(units * float(order.rate))]
