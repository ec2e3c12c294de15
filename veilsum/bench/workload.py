"""The vectors that are measured: made chunk by chunk, the same ones in every process."""

import hashlib
from dataclasses import dataclass

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from privacy.schemes.base import Geometry, Integers


@dataclass(frozen=True, slots=True)
class Workload:
    """Grid integers of `participants` sites, uniform over the grid, no chunk of them kept.

    Attributes:
        geometry: how each vector is cut.
        participants: contributions in the sum.
        largest: largest magnitude of a value.
        distinct: vectors that differ; contribution p is that of vector p mod distinct.
    """

    geometry: Geometry
    participants: int
    largest: int
    distinct: int

    def values(self, vector: int, chunk: int) -> Integers:
        """Return one chunk of one vector, shape (values_in(chunk),)."""
        key = hashlib.sha256(f"veilsum bench/1 vector {vector}".encode()).digest()
        return uniform(key, chunk, self.geometry.values_in(chunk), self.largest)

    def total(self, chunk: int) -> Integers:
        """Return one chunk of the plaintext sum, shape (values_in(chunk),)."""
        total = np.zeros(self.geometry.values_in(chunk), np.int64)
        for vector in range(self.distinct):
            total += self.times(vector) * self.values(vector, chunk)
        return total

    def times(self, vector: int) -> int:
        """How many contributions are that vector's."""
        return len(range(vector, self.participants, self.distinct))


def uniform(key: bytes, part: int, count: int, largest: int) -> Integers:
    """Return part `part` of a stream of integers from -largest to largest, shape (count,).

    Args:
        key: 32 bytes; they are no secret, the same key gives the same integers everywhere.
    """
    # Each part starts at a counter of its own, far from all others'.
    start = modes.CTR((part << 64).to_bytes(16, "big"))
    stream = Cipher(algorithms.AES(key), start).encryptor().update(bytes(8 * count))
    words = np.frombuffer(stream, "<u8") % np.uint64(2 * largest + 1)
    values: Integers = words.astype(np.int64) - largest
    return values
