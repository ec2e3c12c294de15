"""What a programme's terms say of contributions: their arithmetic, and leaves of their chunks."""

from dataclasses import dataclass

from coordinator.config import Settings
from coordinator.rounds import plan
from privacy.merkle import WORDS_PER_LEAF
from privacy.schemes.ckks_parameters import CkksParameters


@dataclass(frozen=True, slots=True)
class Shape:
    """The form of every contribution of a programme.

    Attributes:
        arithmetic: SHA-256 of the arithmetic part of its plans, 32 bytes.
        leaves_per_chunk, last_chunk_leaves: leaves of each chunk but the last, and of the last.
    """

    arithmetic: bytes
    leaves_per_chunk: int
    last_chunk_leaves: int


def shape_of(settings: Settings) -> Shape:
    """Return the shape of what these settings have sites contribute.

    Raises:
        UnsafeParameters: no scheme parameters fit the settings.
    """
    chosen = plan.parameters(settings)
    geometry = chosen.geometry(settings.model.dimension)

    def leaves_in(chunk: int) -> int:
        values = geometry.values_in(chunk)
        if not isinstance(chosen, CkksParameters):
            return chosen.leaves_in(values)
        return ckks_leaves(chosen, values)

    last = geometry.chunks - 1
    return Shape(plan.arithmetic(settings).digest(), leaves_in(0), leaves_in(last))


def ckks_leaves(parameters: CkksParameters, values: int) -> int:
    """Return the leaves of a chunk of so many values under `ckks`."""
    residues = parameters.layout.polynomials * len(parameters.layout.moduli)
    return parameters.ciphertexts_in(values) * residues * parameters.degree // WORDS_PER_LEAF
