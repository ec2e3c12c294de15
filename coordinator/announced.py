"""The digests that a sender announces of its chunks, before it sends those that are missing.

A signed document names one digest of all chunks: SHA-256 over that of each. So who announces each
chunk's own can announce no other ones, and no chunk is stored that is another: what is stored
under a document is right or damaged, goes on wherever it stopped, and is never deleted because
its sender sent something else.
"""

import hashlib
from dataclasses import dataclass, field
from typing import Final

from privacy.errors import MalformedMessage

DIGEST_BYTES: Final = 32
MOST_ANNOUNCED: Final = 1 << 17
"""Chunks of one upload whose digests are held: 4 MiB of them, for up to 128 GiB."""


@dataclass
class Announced:
    """What each chunk of one upload must be, once all of it is announced.

    Attributes:
        sender: who is named if it is wrong.
        wholes: for each stream of the upload, the signed digest of its chunks.
        count: how many chunks each has.
    """

    sender: str
    wholes: tuple[str, ...]
    count: int
    _digests: bytearray = field(default_factory=bytearray, repr=False)

    def is_taken(self) -> bool:
        """Return whether so many chunks may be announced at all."""
        return self._bytes <= MOST_ANNOUNCED * DIGEST_BYTES

    def has_begun(self) -> bool:
        """Return whether anything is announced."""
        return bool(self._digests)

    def is_whole(self) -> bool:
        """Return whether all chunks are announced."""
        return len(self._digests) == self._bytes

    def add(self, digests: bytes) -> bool:
        """Take the next digests; return whether all are here, and those of the signed document.

        Raises:
            MalformedMessage: they are no digests, too many, or of other chunks.
        """
        room = self._bytes - len(self._digests)
        if not self.is_taken() or len(digests) % DIGEST_BYTES or not 0 < len(digests) <= room:
            raise MalformedMessage(
                f"{self.sender}: {len(digests)} bytes of digests, where {room} were expected"
            )
        self._digests += digests
        if self.is_whole():
            self._check()
        return self.is_whole()

    def of(self, stream: int, chunk: int) -> bytes | None:
        """Return the digest of one chunk; None if its sender announces nothing.

        Raises:
            MalformedMessage: some of the digests are here, and not all.
        """
        if not self.has_begun():
            return None
        if not self.is_whole():
            raise MalformedMessage(f"{self.sender}: a chunk before the last of the digests")
        at = (stream * self.count + chunk) * DIGEST_BYTES
        return bytes(self._digests[at : at + DIGEST_BYTES])

    @property
    def _bytes(self) -> int:
        return len(self.wholes) * self.count * DIGEST_BYTES

    def _check(self) -> None:
        length = self.count * DIGEST_BYTES
        for stream, whole in enumerate(self.wholes):
            found = hashlib.sha256(self._digests[stream * length : (stream + 1) * length])
            if found.hexdigest() != whole:
                self._digests.clear()
                raise MalformedMessage(
                    f"{self.sender}: digests of other chunks than its signed document names"
                )


def check_chunk(sender: str, chunk: int, payload: bytes, digest: bytes | None) -> None:
    """Return if a chunk is the one that was announced, if any was.

    Raises:
        MalformedMessage: it is another.
    """
    if digest is not None and hashlib.sha256(payload).digest() != digest:
        raise MalformedMessage(f"{sender}: chunk {chunk} is not the one it announced")
