"""The sum trees of a round, made again from its contributions, chunk by chunk.

Holds one chunk for each bit of the number of slots, a hash for each chunk, and for each slot the
few hashes of a tree in the making; nothing grows with the model but those.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import numpy as np

from participant.wire.coordinator import Coordinator
from participant.wire.patience import Patience
from privacy.errors import MalformedMessage, NotYet, RootMismatch, Unavailable
from privacy.limbs import Words
from privacy.merkle import WORDS_PER_LEAF, GrowingTree, chunk_leaves, tree_root
from privacy.plan import Plan
from privacy.records import Entry
from privacy.settlement.leaves import ChunkReader
from privacy.settlement.sum_proof import Hashes
from privacy.settlement.sum_tree import ChunkSums, Located, locate, sum_tree


@dataclass(frozen=True, slots=True)
class Recounted:
    """What a round's contributions come to, each of them the one that its site has signed.

    Attributes:
        chunk_roots: of the sum trees, chunk by chunk.
        sum_roots: of the chunks of the sum.
    """

    chunk_roots: Hashes
    sum_roots: Hashes

    def sum_trees(self) -> bytes:
        """Return the root over the sum trees: 32 bytes."""
        return tree_root(self.chunk_roots)

    def sum(self) -> bytes:
        """Return the root of the sum: 32 bytes."""
        return tree_root(self.sum_roots)


class Recount:
    """One round's contributions as they arrive: chunk by chunk, and of each slot by slot."""

    def __init__(self, plan: Plan, entries: Sequence[Entry]) -> None:
        self._plan, self._entries = plan, entries
        self._reader = ChunkReader(plan)
        self._trees = [GrowingTree() for _ in entries]
        self._pending: list[bytes] = []
        self._roots: list[bytes] = []
        self._sum_roots: list[bytes] = []

    def take(self, chunk: int, slot: int, payload: bytes) -> None:
        """Add one contribution's chunk; one that begins again replaces what had come of it.

        Raises:
            MalformedMessage: it is no chunk of this plan.
        """
        if slot == 0:
            self._growing, self._pending = self._reader.begin(chunk, self._see), []
        self._growing.add(self._reader.words(chunk, payload))
        if slot + 1 == len(self._entries):
            self._finish(self._growing.finish())

    def result(self) -> Recounted:
        """Return what all of it comes to.

        Raises:
            RootMismatch: a contribution is not the one that its site has signed.
        """
        for entry, tree in zip(self._entries, self._trees, strict=True):
            if (tree.root().hex(),) != entry.roots:
                raise RootMismatch(
                    f"round {self._plan.terms.round}: the contribution of {entry.participant}, as "
                    "the coordinator hands it out, does not lead to the root that was signed"
                )
        return Recounted(tuple(self._roots), tuple(self._sum_roots))

    def _see(self, level: int, _: int, sums: ChunkSums) -> None:
        if level == 0:
            self._pending.append(sums.root())

    def _finish(self, sums: ChunkSums) -> None:
        for tree, root in zip(self._trees, self._pending, strict=True):
            tree.add(root)
        self._roots.append(sums.root())
        self._sum_roots.append(tree_root([node.own for node in sums.nodes]))


@dataclass
class Contributions:
    """A cohort's contributions as the coordinator hands them to its auditor, again and again.

    What comes after the first time counts only if it hashes to what came then.
    """

    coordinator: Coordinator
    plan: Plan
    entries: Sequence[Entry]
    patience: Patience

    def __post_init__(self) -> None:
        self.reader = ChunkReader(self.plan)

    async def recount(self) -> Recounted:
        """Return what all of them come to.

        Raises:
            RootMismatch: one is not what its site has signed.
            MalformedMessage: they come in another order, or are none of this plan.
            NotYet, IllegalEvent: they are not there, or shown no more.
        """
        count = Recount(self.plan, self.entries)
        async for chunk, slot, payload in self._stream(0, self.plan.arithmetic.chunks):
            count.take(chunk, slot, payload)
        return count.result()

    async def chunk(self, chunk: int, root: bytes) -> ChunkSums:
        """Return the tops of one chunk's sum trees, whose root was found to be `root`."""
        async for _, slot, payload in self._stream(chunk, chunk + 1):
            if slot == 0:
                growing = self.reader.begin(chunk)
            growing.add(self.reader.words(chunk, payload))
        sums = growing.finish()
        self._require_same(sums.root() == root, chunk)
        return sums

    async def column(self, chunk: int, leaf: int, top: bytes) -> Words:
        """Return every contribution's words at a leaf, under the top that was found there.

        Returns:
            shape (slots, words of a leaf).
        """
        rows: dict[int, Words] = {}
        first = leaf * WORDS_PER_LEAF
        async for _, slot, payload in self._stream(chunk, chunk + 1):
            words = self.reader.words(chunk, payload).reshape(-1)
            rows[slot] = words[first : first + WORDS_PER_LEAF].copy()
        found = np.stack([rows[slot] for slot in range(len(self.entries))])
        levels = sum_tree(self.reader.place(chunk, leaf), found)
        self._require_same(levels[-1][0].digest == top, chunk)
        return found

    async def located(self, wanted: int, chunk: int, leaf: int) -> Located:
        """Return where a leaf stands under the root of the contribution in one slot."""
        roots: list[bytes] = []
        leaves: list[bytes] = []
        async for at, slot, payload in self._stream(0, self.plan.arithmetic.chunks):
            if slot == wanted:
                found = chunk_leaves(at, self.reader.words(at, payload))
                roots[at:] = [tree_root(found)]
                leaves = found if at == chunk else leaves
        self._require_same((tree_root(roots).hex(),) == self.entries[wanted].roots, chunk)
        return locate(roots, leaves, chunk, leaf)

    async def _stream(self, first: int, end: int) -> AsyncIterator[tuple[int, int, bytes]]:
        """Yield chunks, each slot by slot; after a stream broke its last chunk begins again."""
        names, chunk, number = [each.participant for each in self.entries], first, self._number()
        while chunk < end:
            slot, reached = 0, chunk
            try:
                async with self.coordinator.contributions(number, chunk) as payloads:
                    async for at, participant, payload in payloads:
                        if (at, participant) != (chunk, names[slot]):
                            raise MalformedMessage(
                                f"round {number}: chunk {at} of {participant} came where chunk "
                                f"{chunk} of {names[slot]} was due"
                            )
                        yield chunk, slot, payload
                        slot += 1
                        if slot == len(names):
                            slot, chunk = 0, chunk + 1
                            self.patience.reset()
                        if chunk == end:
                            return
                if chunk == reached:
                    raise MalformedMessage(
                        f"round {number}: its contributions end in chunk {chunk}"
                    )
            except NotYet:
                raise
            except Unavailable as error:
                await self.patience.wait(error)

    def _number(self) -> int:
        return self.plan.terms.round

    def _require_same(self, same: bool, chunk: int) -> None:
        if not same:
            raise RootMismatch(
                f"round {self._number()}: contributions came again as others in chunk {chunk}"
            )
