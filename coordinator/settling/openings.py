"""What answers a demand for a node: its hashes, from what a round was made from, never words."""

from collections.abc import Callable
from dataclasses import dataclass

from coordinator import object_names as names
from coordinator.archive import Archive
from coordinator.ports import ObjectStore, Store
from coordinator.rounds.state import Round
from privacy.errors import MalformedMessage, NotYet
from privacy.merkle import chunk_leaves
from privacy.schemes.ckks_sum import CkksCombiner
from privacy.settlement.commitment import Commit
from privacy.settlement.sum_proof import Hashes, Node, Opening, Tree
from privacy.settlement.sum_tree import Located, Served, locate, open_node

from .results import Results
from .sums import Added

_FIRST_PIECE = 0


@dataclass(frozen=True)
class Openings:
    """Opens any node that a commit of this coordinator may be asked for."""

    round_of: Callable[[int], Round]
    archive: Archive
    store: Store
    objects: ObjectStore
    results: Results

    def of(self, commit: Commit, node: Node) -> Opening:
        """Return the opening of a node under a commit.

        Raises:
            MalformedMessage: there is no such node.
            NotYet: what it is made from is not stored any more.
            RootMismatch: what is stored does not lead to the commit.
            StoreUnavailable: the store does not answer.
        """
        current = self.round_of(commit.round)
        if node.tree is Tree.COHORT:
            return self._slot(current, node)
        arithmetic, _ = self.archive.plan_parts(commit.round)
        added = self.results.added(current)
        added.require_leaf(node.chunk, node.leaf)
        if node.tree is Tree.SUM_TREES:
            return open_node(self.served(added, commit, node.chunk, node.leaf), node, arithmetic)
        if node.tree is Tree.PUBLISHED_SUM:
            found = self._in_sum(added, node)
            return Opening((found.digest, *found.path), arithmetic)
        slots = self.results.slots(current)
        slot = slots.slots[_require_slot(node.index, len(slots.slots))]
        found = self._in_contribution(added, node)
        steps = (found.digest, *found.path, *slots.path(node.index))
        return Opening(steps, arithmetic, slot.slot_id)

    def served(self, added: Added, commit: Commit, chunk: int, leaf: int) -> Served:
        """Return the hashes of the sum trees, down to one leaf of one chunk.

        Raises:
            MalformedMessage, NotYet, RootMismatch, StoreUnavailable: as for `of`.
        """
        trees = self.results.trees
        roots = trees.chunk_roots(added, bytes.fromhex(commit.sum_trees))
        levels = trees.trees(added, chunk, leaf).levels(leaf)
        return Served(chunk, leaf, roots, trees.tops(added, chunk), levels)

    def _slot(self, current: Round, node: Node) -> Opening:
        slots = self.results.slots(current)
        slot = slots.slots[_require_slot(node.index, len(slots.slots))]
        return Opening((slot.contribution, *slots.path(node.index)), slot_id=slot.slot_id)

    def _in_sum(self, added: Added, node: Node) -> Located:
        roots = tuple(each.root for each in self.store.sum_chunks(added.number))
        payload = self.objects.get(names.sum_chunk(added.number, node.chunk))
        return locate(roots, _leaves(added, node.chunk, payload), node.chunk, node.leaf)

    def _in_contribution(self, added: Added, node: Node) -> Located:
        participant = added.participants[node.index]
        name = names.contribution_chunk(added.number, participant, _FIRST_PIECE, node.chunk)
        leaves = _leaves(added, node.chunk, self.objects.get(name))
        upload = self.store.upload(added.number, participant)
        if upload is None:
            raise NotYet(f"round {added.number}: the upload of {participant} is not recorded")
        roots = tuple(row.root for row in upload.chunks if row.piece == _FIRST_PIECE)
        return locate(roots, leaves, node.chunk, node.leaf)


def _leaves(added: Added, chunk: int, payload: bytes) -> Hashes:
    combiner = CkksCombiner(added.plan.parameters(), added.plan.arithmetic.dimension)
    words = combiner.decode(chunk, payload)
    return tuple(chunk_leaves(chunk, words.reshape(-1, *words.shape[2:])))


def _require_slot(index: int, count: int) -> int:
    if not 0 <= index < count:
        raise MalformedMessage(f"there is no slot {index} among {count}")
    return index
