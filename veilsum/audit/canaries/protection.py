"""Protect, add and open with the product's own roles, on this machine, through an outbox."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from participant.sending.protect import protect
from participant.sending.share import share, update_context
from participant.training.workshop import ckks_revealer, shares_revealer
from privacy.plan import SHARES, Plan
from privacy.schemes.base import Revealer
from privacy.schemes.ckks import make_cohort_key
from privacy.schemes.ckks_sum import CkksCombiner
from privacy.schemes.masks import MASK_SECRET_BYTES
from privacy.schemes.shares.layout import SEATS
from privacy.schemes.shares.seat_sum import HeldShares, SeatCombiner, takes_payload
from privacy.schemes.shares.seat_total import SeatTotal
from privacy.schemes.shares.sharing import UpdateSecrets


def opened_sum(
    plan: Plan, names: Sequence[str], updates: Sequence[NDArray[np.int64]], folder: Path
) -> NDArray[np.int64]:
    """Return the sum of the updates as it opens under the plan's scheme, shape (d,), grid steps.

    Args:
        names: of the sites, one for each update.
        folder: an empty one, for the outboxes.
    """
    outboxes = [folder / name for name in names]
    for outbox in outboxes:
        outbox.mkdir()
    if plan.arithmetic.scheme == SHARES:
        return _by_seats(plan, names, updates, outboxes)
    return _under_a_key(plan, updates, outboxes)


def _under_a_key(
    plan: Plan, updates: Sequence[NDArray[np.int64]], outboxes: Sequence[Path]
) -> NDArray[np.int64]:
    key = make_cohort_key(plan.parameters())
    masks = [os.urandom(MASK_SECRET_BYTES) for _ in updates]
    for mask, update, outbox in zip(masks, updates, outboxes, strict=True):
        protect(plan, key.public, mask, update, outbox)
    combiner = CkksCombiner(plan.parameters(), plan.arithmetic.dimension)
    totals = [
        combiner.combine(chunk, (_sent(outbox, chunk) for outbox in outboxes))
        for chunk in range(plan.arithmetic.chunks)
    ]
    return _opened(ckks_revealer(plan, key.secret, masks), totals, len(updates))


@dataclass(frozen=True, slots=True)
class _InShares:
    name: str
    secrets: UpdateSecrets
    outbox: Path


def _by_seats(
    plan: Plan,
    names: Sequence[str],
    updates: Sequence[NDArray[np.int64]],
    outboxes: Sequence[Path],
) -> NDArray[np.int64]:
    sent = [
        _InShares(name, UpdateSecrets.generate(os.urandom), outbox)
        for name, outbox in zip(names, outboxes, strict=True)
    ]
    for each, update in zip(sent, updates, strict=True):
        share(plan, each.name, each.secrets, update, each.outbox)
    totals = []
    for chunk in range(plan.arithmetic.chunks):
        statements = [_seat_total(plan, seat, chunk, sent) for seat in range(SEATS)]
        totals.append(b"".join(each.encode() for each in statements))
    return _opened(shares_revealer(plan), totals, len(updates))


def _seat_total(plan: Plan, seat: int, chunk: int, sent: Sequence[_InShares]) -> SeatTotal:
    parameters, dimension = plan.shares(), plan.arithmetic.dimension
    addition = SeatCombiner(parameters, dimension, seat).begin(chunk)
    for each in sent:
        context = update_context(plan, each.name)
        held = HeldShares(parameters, dimension, context, each.secrets.for_seat(seat))
        addition.add(held, _sent(each.outbox, chunk) if takes_payload(seat) else None)
    return addition.total()


def _opened(revealer: Revealer, totals: Sequence[bytes], cohort: int) -> NDArray[np.int64]:
    opened = (revealer.reveal(chunk, total, cohort) for chunk, total in enumerate(totals))
    return np.concatenate(list(opened))


def _sent(outbox: Path, chunk: int) -> bytes:
    return (outbox / f"{chunk:08d}").read_bytes()
