"""What a seat does under `shares`: it checks and adds two components of three, and no more.

A seat's type holds secrets of two components. Nothing on it opens an update or a sum: that
takes the third component, which only the two other seats have.
"""

import numpy as np

from privacy.errors import CohortTooSmall, MalformedMessage
from privacy.schemes.keystream import UpdateContext

from .layout import SharesParameters, Words, block_of, block_root, held_by
from .seat_total import SeatTotal
from .sharing import SENT, SeatSecrets, ThirdComponent, component_stream, expand

Blocks = tuple[Words, Words]
"""One chunk of a seat's two components, in the order of `held_by`, each (leaves, 1024)."""

Roots = tuple[bytes, bytes]
"""Their Merkle roots."""


def takes_payload(seat: int) -> bool:
    """True for a seat that holds the component that travels; the other needs secrets only."""
    return SENT in held_by(seat)


class HeldShares:
    """One update as one seat holds it: uniform words, chunk by chunk."""

    def __init__(
        self,
        parameters: SharesParameters,
        dimension: int,
        context: UpdateContext,
        secrets: SeatSecrets,
    ) -> None:
        self._parameters = parameters
        self._geometry = parameters.geometry(dimension)
        self.seat = secrets.seat
        self._held = tuple(
            ThirdComponent(context, secret)
            if component == SENT
            else component_stream(context, component, secret)
            for component, secret in zip(held_by(secrets.seat), secrets.secrets, strict=True)
        )

    def blocks(self, chunk: int, payload: bytes | None, out: Blocks | None = None) -> Blocks:
        """Return one chunk of both components.

        Args:
            payload: what the site sent for this chunk; None for the seat that needs none.
            out: blocks that an earlier call returned, to be written over; new ones by default.

        Raises:
            MalformedMessage: there is no such chunk, or the payload does not open at its place.
        """
        values = self._geometry.values_in(chunk)
        words, leaves = self._parameters.words_in(values), self._parameters.leaves_in(values)
        first, second = (
            _opened(held, chunk, payload, words, leaves, spare)
            if isinstance(held, ThirdComponent)
            else expand(held, chunk, leaves, words, spare)
            for held, spare in zip(self._held, out or (None, None), strict=True)
        )
        return first, second

    def roots(self, chunk: int, payload: bytes | None, out: Blocks | None = None) -> Roots:
        """Return the Merkle roots of one chunk of both components, to compare with the signed.

        Raises:
            MalformedMessage: as for `blocks`.
        """
        return _roots(chunk, self.blocks(chunk, payload, out))


class SeatCombiner:
    """Adds what one seat holds of each update.

    Promises the seat, and whoever adds again, that its sums are a function of the words added
    and nothing else: any order and any interruption give identical words.
    """

    def __init__(self, parameters: SharesParameters, dimension: int, seat: int) -> None:
        self._parameters = parameters
        self._geometry = parameters.geometry(dimension)
        self._seat = seat
        held_by(seat)

    def begin(self, chunk: int) -> "SeatAddition":
        """Begin a sum of one chunk, for updates that arrive one after another.

        Raises:
            MalformedMessage: there is no such chunk.
        """
        self._geometry.values_in(chunk)
        return SeatAddition(self._seat, chunk, self._parameters)


class SeatAddition:
    """The sum of one chunk in the making, of two components."""

    def __init__(self, seat: int, chunk: int, parameters: SharesParameters) -> None:
        self._seat, self._chunk, self._parameters = seat, chunk, parameters
        self._total: Blocks | None = None
        self._added = 0

    def add(self, held: HeldShares, payload: bytes | None, out: Blocks | None = None) -> Blocks:
        """Add one update's chunk, and return its blocks, for questions about that update.

        Args:
            payload, out: as for `HeldShares.blocks`.

        Raises:
            UnsafeParameters: more updates than the parameters hold for.
            MalformedMessage: the payload does not open at its place, or is another seat's.
        """
        if held.seat != self._seat:
            raise MalformedMessage(f"the shares of seat {held.seat} in the sum of {self._seat}")
        blocks = held.blocks(self._chunk, payload, out)
        self._parameters.require_cohort(self._added + 1)
        self._added += 1
        if self._total is None:
            self._total = blocks[0].copy(), blocks[1].copy()
            return blocks
        for total, block in zip(self._total, blocks, strict=True):
            np.add(total, block, out=total)
        return blocks

    def check_and_add(self, held: HeldShares, payload: bytes | None) -> Roots:
        """Add one update's chunk, and return the roots to compare with what its site signed."""
        return _roots(self._chunk, self.add(held, payload))

    def total(self) -> SeatTotal:
        """Return the sums, with their roots.

        Raises:
            CohortTooSmall: nothing was added.
        """
        if self._total is None:
            raise CohortTooSmall(f"chunk {self._chunk}: there is no update to add")
        components = dict(zip(held_by(self._seat), self._total, strict=True))
        return SeatTotal(self._seat, self._chunk, _roots(self._chunk, self._total), components)


def _opened(
    third: ThirdComponent,
    chunk: int,
    payload: bytes | None,
    words: int,
    leaves: int,
    out: Words | None,
) -> Words:
    opened = third.open(chunk, payload or b"", words)
    return block_of(opened, third.blinding(chunk, leaves), out)


def _roots(chunk: int, blocks: Blocks) -> Roots:
    first, second = (block_root(chunk, block) for block in blocks)
    return first, second
