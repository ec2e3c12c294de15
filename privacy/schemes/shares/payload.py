"""What anyone can check of an update in shares: its length, and the root over what travels.

Whoever stores the component that travels has no key to it. It can tell that each chunk has
the one length that the plan leaves it, and that all of them are those that the site signed:

    leaf   SHA-256(0x00 || chunk u32, big-endian || payload)
    piece  the RFC 6962 tree over the leaves of all chunks
"""

import struct
from hashlib import sha256
from typing import Final

from privacy.errors import MalformedMessage

from .layout import WORD_BYTES, SharesParameters
from .sharing import TAG_BYTES

_LEAF: Final = struct.Struct(">cI")


def payload_root(chunk: int, payload: bytes) -> bytes:
    """Return the hash of one chunk that travels, bound to its place: 32 bytes."""
    digest = sha256(_LEAF.pack(b"\x00", chunk))
    digest.update(payload)
    return digest.digest()


class PayloadCheck:
    """Checks chunks as they come in; opens none of them, and adds none."""

    def __init__(self, parameters: SharesParameters, dimension: int) -> None:
        self._parameters = parameters
        self._geometry = parameters.geometry(dimension)

    def check(self, chunk: int, payload: bytes) -> bytes:
        """Refuse a chunk of another length than the plan's, and return its hash (32 bytes).

        Raises:
            MalformedMessage: there is no such chunk, or it has another length.
        """
        expected = self.length_of(chunk)
        if len(payload) != expected:
            raise MalformedMessage(f"chunk {chunk} has {len(payload)} bytes, expected {expected}")
        return payload_root(chunk, payload)

    def length_of(self, chunk: int) -> int:
        """Bytes that one chunk has when it travels.

        Raises:
            MalformedMessage: there is no such chunk.
        """
        words = self._parameters.words_in(self._geometry.values_in(chunk))
        return WORD_BYTES * words + TAG_BYTES

    def length(self) -> int:
        """Bytes that all chunks of an update have together."""
        last = self._geometry.chunks - 1
        return last * self.length_of(0) + self.length_of(last)
