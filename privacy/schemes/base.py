"""What every protection scheme promises, and to whom.

A scheme is three roles. Each role is its own type, so that who can see what is visible in a
signature: the coordinator is handed a `Combiner`, and no method on it opens anything.

    participant   Protector.protect   grid integers  -> bytes that travel
    coordinator   Combiner.combine    such bytes     -> bytes of their sum
    opener        Revealer.reveal     the sum        -> grid integers, of the sum only

All of it works chunk by chunk, so that memory does not depend on the model or the cohort.

The law all schemes obey, for every chunk and every cohort that their parameters allow:

    reveal(combine(protect(x_1), ..., protect(x_n))) == x_1 + ... + x_n

exactly. The sum is the same under every scheme; what stays hidden, and from whom, is not:
each scheme's own docstring says that, and each site lists the schemes it accepts.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from privacy.errors import MalformedMessage, UnsafeParameters, UpdateOutOfRange

# The guard's probability is bounded for a round of at most this many values.
LARGEST_DIMENSION: Final = 1 << 30

Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Geometry:
    """How a vector of `dimension` values is cut into chunks of `values_per_chunk`.

    Raises:
        UnsafeParameters: a number below 1, or more than 2^30 values.
    """

    dimension: int
    values_per_chunk: int

    def __post_init__(self) -> None:
        if not 1 <= self.dimension <= LARGEST_DIMENSION:
            raise UnsafeParameters(f"{self.dimension} values are outside 1..{LARGEST_DIMENSION}")
        if self.values_per_chunk < 1:
            raise UnsafeParameters(f"a chunk of {self.values_per_chunk} values")

    @property
    def chunks(self) -> int:
        """Number of chunks."""
        return -(-self.dimension // self.values_per_chunk)

    def values_in(self, chunk: int) -> int:
        """Number of values in one chunk; only the last may hold fewer than the others.

        Raises:
            MalformedMessage: there is no such chunk.
        """
        if not 0 <= chunk < self.chunks:
            raise MalformedMessage(f"there is no chunk {chunk} among {self.chunks}")
        return min(self.values_per_chunk, self.dimension - chunk * self.values_per_chunk)

    def span(self, chunk: int) -> slice:
        """Where one chunk's values lie in the vector."""
        start = chunk * self.values_per_chunk
        return slice(start, start + self.values_in(chunk))

    def require_values(self, chunk: int, values: Integers, largest: int) -> None:
        """Refuse values that do not fill the chunk, or leave the grid.

        Raises:
            UpdateOutOfRange: another shape, or a value above `largest` in magnitude.
        """
        if values.shape != (self.values_in(chunk),):
            raise UpdateOutOfRange(
                f"chunk {chunk} takes {self.values_in(chunk)} values, got shape {values.shape}"
            )
        # Both ends: the magnitude of the smallest int64 is not an int64.
        if values.max() > largest or values.min() < -largest:
            raise UpdateOutOfRange(f"chunk {chunk} has values outside ±{largest}")


class Protector(Protocol):
    """Held by a participant: hides its own values."""

    def protect(self, chunk: int, values: Integers) -> bytes:
        """Hide one chunk's grid integers, shape (values_in(chunk),)."""
        ...


class Combiner(Protocol):
    """Held by whoever adds: checks and adds what it cannot open."""

    def check(self, chunk: int, payload: bytes) -> bytes:
        """Refuse a malformed chunk, and return its Merkle root (32 bytes)."""
        ...

    def combine(self, chunk: int, payloads: Iterable[bytes]) -> bytes:
        """Add one chunk of each participant; holds one of them at a time."""
        ...


class Revealer(Protocol):
    """Held by an opener: learns the sum, and only the sum."""

    def reveal(self, chunk: int, total: bytes, cohort: int) -> Integers:
        """Open one chunk of the sum of `cohort` updates, shape (values_in(chunk),)."""
        ...
