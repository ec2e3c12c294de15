"""Updates as one seat holds them: on its disk, opened chunk by chunk, whole never in memory."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from privacy.errors import CohortTooSmall, MalformedMessage, StoreUnavailable
from privacy.identifiers import Digest
from privacy.plan import Plan
from privacy.records import SharedContribution, digest_of
from privacy.schemes.keystream import UpdateContext
from privacy.schemes.shares.seat_sum import Blocks, HeldShares, Roots, SeatAddition, takes_payload
from privacy.schemes.shares.sharing import SeatSecrets

from .parts import Part


class Held:
    """One update as this seat holds it: the secrets of two components, and a part on disk.

    Attributes:
        lost: whether what is on the disk turned out to be damaged; it is to be taken again.
    """

    def __init__(
        self, plan: Plan, header: SharedContribution, secrets: SeatSecrets, part: Part
    ) -> None:
        terms = plan.terms
        self.header, self.part = header, part
        self.digest: Digest = digest_of(header)
        self.lost = False
        self._context = UpdateContext(terms.federation, terms.round, header.participant)
        self._secrets = secrets
        self._shares = HeldShares(plan.shares(), plan.arithmetic.dimension, self._context, secrets)

    @property
    def seat(self) -> int:
        """Whose it is: 0, 1 or 2."""
        return self._secrets.seat

    def declared_share(self) -> int:
        """Return this seat's share of the squared norm that the site has declared."""
        return self._secrets.declared_share(self._context)

    def roots_of(self, chunk: int, payload: bytes | None) -> Roots:
        """Return the Merkle roots of both components of a chunk that has just come.

        Raises:
            MalformedMessage: it does not open at its place.
        """
        return self._shares.roots(chunk, payload)

    def blocks(self, chunk: int, out: Blocks | None = None) -> Blocks:
        """Return one chunk of both components, from the disk.

        Raises:
            StoreUnavailable: the disk refuses, or has damaged what it keeps.
        """
        with self._from_disk():
            return self._shares.blocks(chunk, self._payload(chunk), out)

    def check_and_add(self, chunk: int, addition: SeatAddition) -> Roots:
        """Add one chunk to a sum, and return its roots; raises as `blocks`."""
        with self._from_disk():
            return addition.check_and_add(self._shares, self._payload(chunk))

    def lose(self) -> StoreUnavailable:
        """Take note that the disk has damaged this part, and return what to raise."""
        self.lost = True
        return StoreUnavailable(
            f"{self.part.place}: the part of {self.header.participant} is damaged; it is fetched "
            "again; check this disk"
        )

    @contextmanager
    def _from_disk(self) -> Iterator[None]:
        try:
            yield
        except MalformedMessage:
            # It opened when it was taken.
            raise self.lose() from None
        except StoreUnavailable:
            self.lost = True
            raise

    def _payload(self, chunk: int) -> bytes | None:
        return self.part.payload(chunk) if takes_payload(self.seat) else None


@dataclass(frozen=True)
class Holding:
    """The updates of several sites, for questions about them: any chunk of any of them.

    Attributes:
        participants: whose they are, in the order of candidates or cohort.
    """

    plan: Plan
    seat: int
    participants: tuple[str, ...]
    held: Mapping[str, Held] = field(repr=False)

    @classmethod
    def of(cls, plan: Plan, seat: int, held: Sequence[Held]) -> "Holding":
        """Return a holding of these updates, in this order."""
        by_name = {each.header.participant: each for each in held}
        return cls(plan, seat, tuple(by_name), by_name)

    @property
    def chunks(self) -> int:
        """Chunks of each update."""
        return self.plan.arithmetic.chunks

    def blocks(self, chunk: int, participant: str, out: Blocks | None = None) -> Blocks:
        """Return one chunk of both components of one update, each (leaves, 1024).

        Args:
            out: blocks that an earlier call returned, to be written over; new ones by default.

        Raises:
            StoreUnavailable: the disk refuses, or has damaged what it keeps.
        """
        return self.held[participant].blocks(chunk, out)

    def total(self, chunk: int) -> Blocks:
        """Return one chunk of this seat's components of the sum of all of them.

        Raises:
            CohortTooSmall: there is none.
            StoreUnavailable: as for `blocks`.
        """
        if not self.participants:
            raise CohortTooSmall(f"chunk {chunk}: there is no update to add")
        first, *others = self.participants
        total, spare = self.blocks(chunk, first), None
        for participant in others:
            spare = self.blocks(chunk, participant, spare)
            for mine, theirs in zip(total, spare, strict=True):
                np.add(mine, theirs, out=mine)
        return total

    def declared_share(self, participant: str) -> int:
        """Return this seat's share of the squared norm that one site has declared."""
        return self.held[participant].declared_share()
