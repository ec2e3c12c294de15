"""Hide an update, chunk by chunk, on its way into the outbox."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from privacy.merkle import piece_root
from privacy.plan import CKKS, Plan
from privacy.records import COORDINATOR, Piece
from privacy.schemes.base import Protector
from privacy.schemes.ckks_sum import CkksCombiner
from veilsum.files import write_durably


def protect(plan: Plan, protector: Protector, update: NDArray[np.int64], folder: Path) -> Piece:
    """Write the protected chunks of `update` to `folder` and say what they hash to.

    Args:
        update: shape (dimension,), grid integers.
        folder: an empty folder of the outbox.

    Raises:
        UpdateOutOfRange: a value does not fit the plan's grid.
    """
    combiner = CkksCombiner(plan.parameters(), plan.arithmetic.dimension)
    geometry = plan.parameters().geometry(plan.arithmetic.dimension)
    roots, length = [], 0
    for chunk in range(geometry.chunks):
        payload = protector.protect(chunk, update[geometry.span(chunk)])
        # Checked as the coordinator will: what it would refuse must not be committed.
        roots.append(combiner.check(chunk, payload))
        write_durably(folder / f"{chunk:08d}", payload)
        length += len(payload)
    return Piece(COORDINATOR, CKKS, piece_root(roots).hex(), geometry.chunks, length)
