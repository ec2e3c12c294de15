"""The reference scheme: no protection at all, for tests to compare the others with.

No plan can name it: it is not among the schemes that a plan's decoder knows, so neither a
coordinator nor a site can be brought to use it.
"""

from collections.abc import Iterable

import numpy as np

from privacy.errors import CohortTooSmall, MalformedMessage
from privacy.merkle import chunk_root

from .base import Geometry, Integers


class PlainProtector:
    """Hides nothing: little-endian integers of 8 bytes."""

    def __init__(self, geometry: Geometry, largest: int) -> None:
        self._geometry = geometry
        self._largest = largest

    def protect(self, chunk: int, values: Integers) -> bytes:
        """Write one chunk's grid integers as they are."""
        self._geometry.require_values(chunk, values, self._largest)
        return values.astype("<i8").tobytes()


class PlainCombiner:
    """Adds integers that it can read."""

    def __init__(self, geometry: Geometry) -> None:
        self._geometry = geometry

    def check(self, chunk: int, payload: bytes) -> bytes:
        """Refuse a chunk of another length, and return its Merkle root."""
        words = _values(self._geometry, chunk, payload).view(np.uint64)
        return chunk_root(chunk, words.reshape(1, 1, -1))

    def combine(self, chunk: int, payloads: Iterable[bytes]) -> bytes:
        """Add the same chunk of each contribution."""
        total = np.zeros(self._geometry.values_in(chunk), np.int64)
        added = 0
        for payload in payloads:
            total += _values(self._geometry, chunk, payload)
            added += 1
        if not added:
            raise CohortTooSmall(f"chunk {chunk}: there is no contribution to add")
        return total.astype("<i8").tobytes()


class PlainRevealer:
    """Reads the sum."""

    def __init__(self, geometry: Geometry) -> None:
        self._geometry = geometry

    def reveal(self, chunk: int, total: bytes, cohort: int) -> Integers:  # noqa: ARG002
        """Read one chunk of the sum; the size of the cohort does not matter here."""
        return _values(self._geometry, chunk, total)


def _values(geometry: Geometry, chunk: int, payload: bytes) -> Integers:
    expected = 8 * geometry.values_in(chunk)
    if len(payload) != expected:
        raise MalformedMessage(f"chunk {chunk} has {len(payload)} bytes, expected {expected}")
    return np.frombuffer(payload, "<i8").astype(np.int64)
