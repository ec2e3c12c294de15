"""Split an update between three seats, chunk by chunk, on its way into the outbox.

What is written is the component that travels, encrypted; the two others are never anywhere but
in this process's memory, one chunk at a time. Making what is split durable takes longer than
splitting it, so that no other process is started for it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from participant.pace import Pace, Say, say_nothing
from privacy.identifiers import Digest
from privacy.merkle import GrowingTree
from privacy.plan import SHARES, Plan
from privacy.records import SEATS, Piece
from privacy.roster import Roster
from privacy.schemes.keystream import UpdateContext
from privacy.schemes.shares.layout import COMPONENTS
from privacy.schemes.shares.payload import PayloadCheck
from privacy.schemes.shares.sharing import SharesProtector, UpdateSecrets, seal_for_seats
from veilsum.files import write_durably

_HALF_BITS = 20
"""Squares of halves of a value of 40 bits add up in 64 bits, however long a chunk is."""


@dataclass(frozen=True, slots=True)
class Shared:
    """An update in shares: what travels, and what is signed and sealed beside it.

    Attributes:
        roots: Merkle roots of components 0, 1 and 2.
        declared_third: the third component of the squared norm that the site declares.
    """

    piece: Piece
    roots: tuple[Digest, Digest, Digest]
    declared_third: int


def update_context(plan: Plan, participant: str) -> UpdateContext:
    """Return what every key and seal of a participant's update in a round is bound to."""
    return UpdateContext(plan.terms.federation, plan.terms.round, participant)


def share(
    plan: Plan,
    participant: str,
    secrets: UpdateSecrets,
    update: NDArray[np.int64],
    folder: Path,
    say: Say = say_nothing,
) -> Shared:
    """Write the chunks of `update` that travel to `folder`, and say what they hash to.

    Args:
        secrets: of this update alone; drawn anew for each try.
        update: shape (dimension,), grid integers.
        folder: an empty folder of the outbox.
        say: is told now and then how far it is.

    Raises:
        UpdateOutOfRange: a value does not fit the plan's grid, or the squared norm that the
            plan asks for does not fit a word.
        StoreUnavailable: the disk refuses; what is in the folder was never finished.
    """
    parameters, dimension, geometry = plan.shares(), plan.arithmetic.dimension, plan.geometry()
    context = update_context(plan, participant)
    protector = SharesProtector(parameters, dimension, context, secrets)
    check = PayloadCheck(parameters, dimension)
    travels, trees = GrowingTree(), [GrowingTree() for _ in range(COMPONENTS)]
    pace, squares = Pace(geometry.chunks, say), 0
    for chunk in range(geometry.chunks):
        values = update[geometry.span(chunk)]
        shared = protector.share(chunk, values)
        write_durably(folder / f"{chunk:08d}", shared.payload)
        # Checked as the coordinator will: what it would refuse must not be committed.
        travels.add(check.check(chunk, shared.payload))
        for tree, root in zip(trees, shared.roots, strict=True):
            tree.add(root)
        squares += squared_norm(values)
        pace.step(len(shared.payload))
    scored = plan.questions().score_step_log2 is not None
    declared_third = secrets.declare(context, squares if scored else 0)
    piece = Piece(SEATS, SHARES, travels.root().hex(), geometry.chunks, check.length())
    first, second, third = (tree.root().hex() for tree in trees)
    return Shared(piece, (first, second, third), declared_third)


def squared_norm(values: NDArray[np.int64]) -> int:
    """Return the squared L2 norm of grid integers of up to 40 bits, exactly."""
    high, low = values >> _HALF_BITS, values & ((1 << _HALF_BITS) - 1)
    squares = int(high @ high), int(high @ low), int(low @ low)
    return (squares[0] << 2 * _HALF_BITS) + (squares[1] << _HALF_BITS + 1) + squares[2]


def seal_parts(
    plan: Plan, roster: Roster, participant: str, secrets: UpdateSecrets, declared_third: int
) -> tuple[bytes, bytes, bytes]:
    """Return what each of the plan's seats is given of an update, sealed to it, in their order.

    Raises:
        UnsafeParameters: two seats have one key, and would hold all three components.
        WrongIdentity: a seat is not in the roster.
    """
    keys: Sequence[bytes] = [roster.member(seat).sealing_key for seat in plan.terms.seats]
    context = update_context(plan, participant)
    first, second, third = seal_for_seats(secrets, context, keys, declared_third)
    return first, second, third
