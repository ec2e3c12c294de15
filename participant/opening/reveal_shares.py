"""Open a round's sum under `shares` from three sealed streams, one of each component.

Each stream is what one seat sealed of one component, chunk by chunk. Two components of a chunk
are uniform words; only where all three are read together, here, is there a sum.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from privacy.errors import MalformedMessage
from privacy.identifiers import Digest
from privacy.merkle import GrowingTree
from privacy.plan import Plan
from privacy.schemes.shares.layout import COMPONENTS, held_by
from privacy.schemes.shares.opening import SharesRevealer, sum_root
from privacy.schemes.shares.seat_total import SeatTotal, decode_totals
from privacy.sealing import StreamOpener

from .sealed_words import words_context
from .spool import read_chunk


class SealedSum(msgspec.Struct, frozen=True):
    """The sealed sum of one component, as one seat gives it, and the key to it.

    Attributes:
        seat: the seat's name in the plan.
        folder: where its sealed chunks are.
    """

    seat: str
    component: int
    key: bytes
    folder: str

    def __repr__(self) -> str:
        return f"SealedSum({self.seat!r}, {self.component}, …)"


class ComponentOpener:
    """Opens one component's sum, as one seat sealed it, chunk by chunk in any order."""

    def __init__(self, plan: Plan, cohort: Digest, sealed: SealedSum) -> None:
        self._parameters, self._geometry = plan.shares(), plan.geometry()
        self._seat = plan.terms.seats.index(sealed.seat)
        self._sealed = sealed
        context = words_context(plan, cohort, sealed.seat, sealed.component)
        self._stream = StreamOpener(sealed.key, context)

    def check(self, chunk: int, payload: bytes) -> bytes:
        """Refuse a chunk whose words are not those of the root beside them; return the root.

        Raises:
            MalformedMessage: it does not open at its place, or is not of this component.
            RootMismatch: the words have another root.
        """
        total = self.open(chunk, payload)
        total.require_roots()
        return total.root_of(self._sealed.component)

    def read(self, chunk: int) -> SeatTotal:
        """Return one chunk from the folder, its root unchecked.

        Raises:
            MalformedMessage: as for `check`.
            StoreUnavailable: it is not there.
        """
        return self.open(chunk, read_chunk(Path(self._sealed.folder), chunk))

    def open(self, chunk: int, payload: bytes) -> SeatTotal:
        """Return what a sealed chunk says, its root unchecked; as `read`."""
        leaves = self._parameters.leaves_in(self._geometry.values_in(chunk))
        last = chunk == self._geometry.chunks - 1
        totals = decode_totals(self._stream.unseal_at(chunk, payload, last=last), chunk, leaves)
        component = self._sealed.component
        if [(each.seat, set(each.blocks)) for each in totals] != [(self._seat, {component})]:
            raise MalformedMessage(
                f"chunk {chunk} that {self._sealed.seat} sealed is not of component {component}"
            )
        return totals[0]


class SharedChunks:
    """A sum in shares, chunk by chunk: what seats would say of it who say the same.

    Whichever seats gave them, components 0 and 1 are put as seat 0's, and 2 as seat 1's; that
    they are those of the sum's manifest is for `root_of` to find.
    """

    def __init__(self, plan: Plan, cohort: Digest, sums: Sequence[SealedSum]) -> None:
        if [each.component for each in sums] != list(range(COMPONENTS)):
            raise MalformedMessage(f"a sum has one stream for each of {COMPONENTS} components")
        self._openers = [ComponentOpener(plan, cohort, each) for each in sums]
        self._count = plan.arithmetic.chunks

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[bytes]:
        return (self._chunk(index) for index in range(self._count))

    def _chunk(self, index: int) -> bytes:
        totals = [opener.read(index) for opener in self._openers]
        roots = [total.root_of(at) for at, total in enumerate(totals)]
        blocks = [total.blocks[at] for at, total in enumerate(totals)]
        first, second = (
            SeatTotal(seat, index, (roots[one], roots[other]), {at: blocks[at] for at in given})
            for seat, given in ((0, (0, 1)), (1, (2,)))
            for one, other in (held_by(seat),)
        )
        return first.encode() + second.encode()


def root_of(plan: Plan, chunks: Iterable[bytes]) -> Digest:
    """Return the root of a sum in shares, every word of it hashed.

    Raises:
        MalformedMessage, RootMismatch: as `SharesRevealer.decode`.
    """
    revealer = SharesRevealer(plan.shares(), plan.arithmetic.dimension)
    trees = [GrowingTree() for _ in range(COMPONENTS)]
    for index, chunk in enumerate(chunks):
        for total in revealer.decode(index, chunk):
            for component in total.blocks:
                trees[component].add(total.root_of(component))
    return sum_root([tree.root() for tree in trees]).hex()
