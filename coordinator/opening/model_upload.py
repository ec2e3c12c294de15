"""A sealed model on its way: how much of it came, and whether that is what its envelope says."""

from dataclasses import dataclass, field

from coordinator.announced import Announced, check_chunk
from privacy.documents import Signed
from privacy.errors import MalformedMessage
from privacy.records import SealedModel
from privacy.sealing import CiphertextDigest


@dataclass
class ModelUpload:
    """A sealed model on its way, chunk after chunk, behind its signed envelope."""

    sealed: SealedModel
    signed: Signed
    came: int = 0
    length: int = 0
    digest: CiphertextDigest = field(default_factory=CiphertextDigest)

    def __post_init__(self) -> None:
        sealed = self.sealed
        self.announced = Announced(sealed.sealer, (sealed.ciphertext,), sealed.chunks)

    def announce(self, digests: bytes) -> bool:
        """Take digests of its chunks; return whether those of all are here.

        Raises:
            MalformedMessage: chunks have come already, or as `Announced.add`.
        """
        if self.came:
            raise MalformedMessage(f"{self.sealed.sealer}: digests behind chunks")
        return self.announced.add(digests)

    def check(self, payload: bytes) -> None:
        """Return if a chunk may be the next one.

        Raises:
            MalformedMessage: it is one too many, too long, or not the one that was announced.
        """
        sealed = self.sealed
        if self.came >= sealed.chunks or self.length + len(payload) > sealed.length:
            raise MalformedMessage(
                f"a sealed model of more than {sealed.chunks} chunks or {sealed.length} bytes"
            )
        check_chunk(sealed.sealer, self.came, payload, self.announced.of(0, self.came))

    def take(self, payload: bytes) -> None:
        """Note that the next chunk is durable."""
        self.digest.update(payload)
        self.length += len(payload)
        self.came += 1

    def is_whole(self) -> bool:
        """Return whether all of it came, and is what the envelope says."""
        sealed = self.sealed
        found = (self.came, self.length, self.digest.hexdigest())
        return found == (sealed.chunks, sealed.length, sealed.ciphertext)
