"""Trees of partial sums over a cohort, built from its stored contributions, chunk by chunk."""

import threading
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from coordinator import object_names as names
from coordinator.ports import ObjectStore, Store
from privacy.errors import ConflictingContribution, MalformedMessage, NotYet, RootMismatch
from privacy.merkle import tree_root
from privacy.plan import SHARES, Plan
from privacy.schemes.ckks_sum import CkksCombiner
from privacy.settlement.sum_proof import Hashes
from privacy.settlement.sum_tree import ChunkTrees, GrowingSums, Seen, unseen

from .shape import ckks_leaves

NO_TREES = bytes(32)
"""The root where there are none: under `shares`, whose words nobody may show."""

KEPT_BYTES: Final = 128 << 20
"""Of trees, in all: those of a chunk of 1 MiB for 1,900 contributions. Where they are larger, those
of some of its leaves are kept."""

TOPS_KEPT: Final = 256

_CHUNK_ROOTS: Final = "sum-trees"
_DIGEST: Final = 32
_NODES_BYTES: Final = 128
"""That the trees at one leaf take for each slot: two nodes, two hashes each."""


@dataclass(frozen=True, slots=True)
class Added:
    """A round whose contributions are still stored: its cohort, in the order of its slots."""

    number: int
    plan: Plan
    participants: tuple[str, ...]

    def leaves_in(self, chunk: int) -> int:
        """Return the leaves of a chunk under `ckks`.

        Raises:
            MalformedMessage: there is no such chunk.
        """
        if not 0 <= chunk < self.plan.arithmetic.chunks:
            raise MalformedMessage(f"round {self.number}: there is no chunk {chunk}")
        values = self.plan.geometry().values_in(chunk)
        return ckks_leaves(self.plan.parameters(), values)

    def require_leaf(self, chunk: int, leaf: int) -> None:
        """Return if there is such a leaf.

        Raises:
            MalformedMessage: there is none.
        """
        if not 0 <= leaf < self.leaves_in(chunk):
            raise MalformedMessage(f"round {self.number}: chunk {chunk} has no leaf {leaf}")


@dataclass
class SumTrees:
    """Builds the trees of a round whose contributions are still stored.

    Holds a chunk for each bit of the number of contributions, whatever the model; and hashes of
    the chunks that were last asked for, `KEPT_BYTES` at most. To build a chunk's trees reads it of
    every contribution: whoever shows them builds one at a time.
    """

    objects: ObjectStore
    store: Store
    _trees: OrderedDict[tuple[int, int, int], ChunkTrees] = field(
        default_factory=OrderedDict, init=False, repr=False
    )
    _tops: OrderedDict[tuple[int, int], Hashes] = field(
        default_factory=OrderedDict, init=False, repr=False
    )
    _one_at_a_time: threading.Lock = field(
        default_factory=threading.Lock, init=False, repr=False, compare=False
    )

    def root(self, number: int, plan: Plan, participants: tuple[str, ...]) -> bytes:
        """Return the root over the trees: 32 bytes, zeros under `shares`.

        The roots of the chunks are kept, so that one chunk can be shown without all others.

        Args:
            participants: the cohort, in the order of its slots.

        Raises:
            NotYet: a contribution is not stored any more.
            MalformedMessage: one has changed.
            StoreUnavailable: the store does not answer.
        """
        if plan.arithmetic.scheme == SHARES:
            return NO_TREES
        added = Added(number, plan, participants)
        roots = [
            tree_root(self._build(added, chunk, unseen)) for chunk in range(plan.arithmetic.chunks)
        ]
        root = tree_root(roots)
        self._keep_roots(_named(number, root), b"".join(roots))
        return root

    def chunk_roots(self, added: Added, root: bytes) -> Hashes:
        """Return the roots of all chunks, which lead to `root`, the committed one.

        Raises:
            RootMismatch: the stored contributions lead to another.
            NotYet, MalformedMessage, StoreUnavailable: as for `root`.
        """
        kept = self._kept_roots(added, root)
        if len(kept) == added.plan.arithmetic.chunks and tree_root(kept) == root:
            return kept
        if self.root(added.number, added.plan, added.participants) != root:
            raise RootMismatch(
                f"round {added.number}: the stored contributions do not lead to the committed sum "
                "trees; the operator must restore the newest backup"
            )
        return self._kept_roots(added, root)

    def tops(self, added: Added, chunk: int) -> Hashes:
        """Return the roots of the sum trees of one chunk.

        Raises:
            MalformedMessage: there is no such chunk; or as for `root`.
            NotYet, StoreUnavailable: as for `root`.
        """
        with self._one_at_a_time:
            if (added.number, chunk) not in self._tops:
                self._note(added, chunk, self._build(added, chunk, unseen))
            return self._tops[added.number, chunk]

    def trees(self, added: Added, chunk: int, leaf: int) -> ChunkTrees:
        """Return the sum trees of one chunk, at some of its leaves, `leaf` among them.

        Raises:
            MalformedMessage: there is no such chunk or leaf; or as for `root`.
            NotYet, StoreUnavailable: as for `root`.
        """
        added.require_leaf(chunk, leaf)
        window = _window(added, chunk, leaf)
        key = (added.number, chunk, window.start)
        with self._one_at_a_time:
            if key not in self._trees:
                trees = ChunkTrees(len(added.participants), window)
                self._note(added, chunk, self._build(added, chunk, trees.see))
                self._trees[key] = trees
                self._let_go()
            self._trees.move_to_end(key)
            return self._trees[key]

    def _note(self, added: Added, chunk: int, tops: Hashes) -> None:
        self._tops[added.number, chunk] = tops
        while len(self._tops) > TOPS_KEPT:
            self._tops.popitem(last=False)

    def _let_go(self) -> None:
        """Forget the trees that were not asked for for longest, beyond what may be kept."""
        while len(self._trees) > 1 and sum(map(_size, self._trees.values())) > KEPT_BYTES:
            self._trees.popitem(last=False)

    def _build(self, added: Added, chunk: int, seen: Seen) -> Hashes:
        """Add one chunk of each contribution, and return the tops of its sum trees."""
        added.leaves_in(chunk)  # there is such a chunk
        parameters = added.plan.parameters()
        combiner = CkksCombiner(parameters, added.plan.arithmetic.dimension)
        growing = GrowingSums(chunk, parameters.layout.moduli, seen)
        for participant in added.participants:
            name = names.contribution_chunk(added.number, participant, 0, chunk)
            words = combiner.decode(chunk, self.objects.get(name))
            growing.add(words.reshape(-1, *words.shape[2:]))
        return tuple(node.digest for node in growing.finish().nodes)

    def _keep_roots(self, name: str, roots: bytes) -> None:
        # They say no more than the name does: whoever has changed them in the store is overruled.
        with suppress(ConflictingContribution):
            self.store.put_document(_CHUNK_ROOTS, name, roots)
            return
        self.store.forget_documents([(_CHUNK_ROOTS, name)])
        self.store.put_document(_CHUNK_ROOTS, name, roots)

    def _kept_roots(self, added: Added, root: bytes) -> Hashes:
        try:
            kept = self.store.document(_CHUNK_ROOTS, _named(added.number, root))
        except NotYet:
            return ()
        whole = range(0, len(kept) - _DIGEST + 1, _DIGEST)
        return tuple(kept[at : at + _DIGEST] for at in whole)


def _window(added: Added, chunk: int, leaf: int) -> range:
    """Return the leaves whose trees are kept together: all of the chunk, if they are small."""
    count = added.leaves_in(chunk)
    size = max(1, min(count, KEPT_BYTES // (_NODES_BYTES * len(added.participants))))
    first = leaf - leaf % size
    return range(first, min(first + size, count))


def _size(trees: ChunkTrees) -> int:
    return _NODES_BYTES * trees.slots * len(trees.leaves)


def _named(number: int, root: bytes) -> str:
    return f"{number:06d}-{root.hex()}"
