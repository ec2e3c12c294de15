"""A seat's sealed sums on their way: the order of their chunks, and whether all of them came."""

from dataclasses import dataclass, field

from coordinator.announced import Announced, check_chunk
from privacy.errors import MalformedMessage
from privacy.records import SeatSum
from privacy.sealing import CiphertextDigest


@dataclass
class SumUpload:
    """A seat's sealed sums on their way: what came of each of the two, in the order it must.

    `known` says that the same were stated before; nothing is stored again.
    """

    statement: SeatSum
    known: bool
    came: int = 0
    lengths: list[int] = field(default_factory=lambda: [0, 0])
    digests: list[CiphertextDigest] = field(
        default_factory=lambda: [CiphertextDigest(), CiphertextDigest()]
    )

    def __post_init__(self) -> None:
        stated = self.statement
        wholes = tuple(each.ciphertext for each in stated.sums)
        self.announced = Announced(stated.seat, wholes, stated.chunks)

    def announce(self, digests: bytes) -> bool:
        """Take digests of its chunks; return whether those of all are here.

        Raises:
            MalformedMessage: chunks have come already, or as `Announced.add`.
        """
        if self.came:
            raise MalformedMessage(f"{self.statement.seat}: digests behind chunks")
        return self.announced.add(digests)

    def next_digest(self) -> bytes | None:
        """Return what the next chunk must hash to; None if its sender announces nothing."""
        return self.announced.of(*divmod(self.came, self.statement.chunks))

    def check(self, payload: bytes) -> None:
        """Return if a chunk may be the next one.

        Raises:
            MalformedMessage: it is not the one that was announced.
        """
        check_chunk(self.statement.seat, self.came, payload, self.next_digest())

    def next_place(self, position: int) -> int:
        """Return the chunk that must come next, if `position` is that of its sum.

        Raises:
            MalformedMessage: it is not, or both sums are here.
        """
        expected, chunk = divmod(self.came, self.statement.chunks)
        if position != expected or expected > 1:
            raise MalformedMessage(
                f"{self.statement.seat}: a chunk of sum {position} where "
                f"{'none' if expected > 1 else f'one of sum {expected}'} was expected"
            )
        return chunk

    def take(self, position: int, payload: bytes) -> int:
        """Note that a chunk is durable; return how many are."""
        self.digests[position].update(payload)
        self.lengths[position] += len(payload)
        self.came += 1
        return self.came

    def is_whole(self) -> bool:
        """Return whether both sums came, and are those of the statement."""
        stated = [(each.length, each.ciphertext) for each in self.statement.sums]
        found = zip(self.lengths, (each.hexdigest() for each in self.digests), strict=True)
        return self.came == 2 * self.statement.chunks and list(found) == stated
