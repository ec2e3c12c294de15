"""What a plan needs of a machine: bytes to send, bytes on a disk."""

from dataclasses import dataclass
from typing import Final

from coordinator.config import Settings
from coordinator.rounds.plan import parameters
from privacy.plan import SHARES, Plan
from privacy.schemes.ckks_parameters import CkksParameters
from privacy.schemes.shares.layout import WORD_BYTES, SharesParameters

VALUE_BYTES: Final = 8
"""Models are kept as float64."""


@dataclass(frozen=True)
class Needs:
    """What one round of a plan takes.

    Attributes:
        upload_bytes: what one site sends.
        model_bytes: one model.
        progress_seconds: how long a round waits while nothing moves.
    """

    upload_bytes: int
    model_bytes: int
    progress_seconds: float

    @property
    def site_bytes(self) -> int:
        """On a site's disk: its upload, a sum as large, and models before and after, sealed too."""
        return 2 * self.upload_bytes + 4 * self.model_bytes

    def coordinator_bytes(self, sites: int, models: int) -> int:
        """On a coordinator's disk: uploads and sums of two rounds, and the models kept."""
        return 2 * (sites + 1) * self.upload_bytes + (models + 1) * self.model_bytes


def needs_of_plan(plan: Plan) -> Needs:
    """Return what a signed plan needs."""
    chosen = plan.shares() if plan.arithmetic.scheme == SHARES else plan.parameters()
    deadline = plan.terms.deadline.progress_seconds
    return _needs(chosen, plan.arithmetic.dimension, float(deadline))


def needs_of_settings(settings: Settings) -> Needs:
    """Return what the plans need that a coordinator's settings lead to.

    Raises:
        UnsafeParameters: they lead to none.
    """
    deadline = settings.rounds.deadline.progress_seconds
    return _needs(parameters(settings), settings.model.dimension, float(deadline))


def _needs(chosen: CkksParameters | SharesParameters, dimension: int, seconds: float) -> Needs:
    cut = chosen.geometry(dimension)
    last = _chunk_bytes(chosen, cut.values_in(cut.chunks - 1))
    full = _chunk_bytes(chosen, cut.values_per_chunk)
    return Needs((cut.chunks - 1) * full + last, dimension * VALUE_BYTES, seconds)


def _chunk_bytes(chosen: CkksParameters | SharesParameters, values: int) -> int:
    if isinstance(chosen, SharesParameters):
        return chosen.words_in(values) * WORD_BYTES
    return chosen.chunk_bytes(values)
