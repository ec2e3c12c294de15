"""What one seat brings to a question: a link to the others, secrets with each, and entropy."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from privacy.schemes.shares.replicated import PairSecrets
from privacy.sealing import Entropy


class Link(Protocol):
    """Carries messages between seats, whole, in order, to and from whom it says.

    It authenticates and encrypts: who writes to a link can change an answer, and who reads
    those of two seats has what the two have.

    One link can carry many questions, one after the other. After one that failed, messages of
    it may still be under way; then a new link is needed.
    """

    def send(self, to_seat: int, body: bytes) -> None:
        """Take a message for a seat; two seats send to each other before either receives.

        So it returns when the message is taken, and does not wait until it is received.
        """
        ...

    def receive(self, from_seat: int) -> bytes:
        """Return the next message from a seat; wait for it."""
        ...


@dataclass(frozen=True, slots=True)
class Seat:
    """One of the three seats, as a computation between them sees it.

    Attributes:
        pairs: the secrets that it has with each of the others, of any age.
        entropy: random bytes from the operating system, so that no question's keys are
            those of another, even under the same name.
        before_shares: called when all three seats are ready, and before anything leaves that
            comes from a share. It records that, or raises if nothing may leave.
    """

    link: Link
    pairs: PairSecrets = field(repr=False)
    entropy: Entropy
    before_shares: Callable[[], None]

    @property
    def number(self) -> int:
        """0, 1 or 2."""
        return self.pairs.seat
