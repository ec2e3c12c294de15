"""False rounds to be proved false: real words and trees at one leaf, and hashes around it."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

import numpy as np

from privacy.arithmetic import Arithmetic, ModulusRange
from privacy.merkle import WORDS_PER_LEAF, tree_root
from privacy.settlement.commitment import Cohort, Slot
from privacy.settlement.sum_proof import BadLeaf, BadSum, Node, Opening, Tree
from privacy.settlement.sum_tree import (
    Levels,
    Place,
    SumNode,
    Words,
    Wrong,
    find,
    locate,
    open_node,
    prove_leaf,
    prove_sum,
    sum_node,
    sum_tree,
)

CHUNKS: Final = 4096
LEAVES: Final = 16
"""Of a chunk: twelve levels over the chunks and four over these make sixteen."""

DEPTH: Final = 16

_CHUNK: Final = 7
_LEAF: Final = 3
_MODULUS: Final = 0xFFFFFFFFFFFC001
"""A prime of 60 bits, as those of CKKS here."""

ARITHMETIC: Final = Arithmetic(
    "ckks/1", 10 * CHUNKS, 10, 16, 24, (ModulusRange(0, CHUNKS, 0, _MODULUS),)
).encode()


@dataclass(frozen=True)
class _Shown:
    """The sum trees of a round, as a coordinator shows them or a checker makes them."""

    around: Sequence[bytes] = field(repr=False)
    beside: Sequence[bytes] = field(repr=False)
    tree: Levels = field(repr=False)

    def chunk_roots(self) -> tuple[bytes, ...]:
        return _with(self.around, _CHUNK, tree_root(self.tops(_CHUNK)))

    def tops(self, chunk: int) -> tuple[bytes, ...]:  # noqa: ARG002 (of the one that is asked)
        return _with(self.beside, _LEAF, self.tree[-1][0].digest)

    def levels(self, chunk: int, leaf: int) -> Levels:  # noqa: ARG002 (as above)
        return self.tree


@dataclass(frozen=True)
class Dispute:
    """A round with one wrong node in its sum trees, and whoever can prove it.

    Attributes:
        cohort: its contributions.
        root: of its sum trees, 32 bytes.
    """

    cohort: Cohort
    root: bytes
    rows: Words = field(repr=False)
    wrong: Wrong = field(repr=False)
    own_beside: Sequence[bytes] = field(repr=False)
    own_around: Sequence[bytes] = field(repr=False)

    def proof(self) -> BadSum | BadLeaf:
        """Return the proof: of a wrong sum, or of a leaf that is not the contribution's own."""
        if self.wrong.level:
            place = Place(_CHUNK, _LEAF, 0, _MODULUS)
            return prove_sum(self.wrong, place, self.rows, ARITHMETIC)
        slot = self.wrong.index
        own = locate(self.own_around, self.own_beside, _CHUNK, _LEAF)
        return prove_leaf(self.wrong, slot, own, self.cohort.path(slot), ARITHMETIC)

    def demanded(self) -> tuple[Node, Opening]:
        """Return a node that can be demanded, and what answers it."""
        node = Node(Tree.SUM_TREES, _CHUNK, _LEAF, level=1, index=0)
        return node, open_node(self.wrong.served, node, ARITHMETIC)


def dispute(slots: int, level: int) -> Dispute:
    """Return a round of `slots` contributions whose first node of a level is a lie.

    Args:
        slots: four or more.
        level: 0 for a leaf, 2 for a sum of two sums.
    """
    rows = np.frombuffer(os.urandom(8 * slots * WORDS_PER_LEAF), np.uint64) % np.uint64(_MODULUS)
    rows = rows.reshape(slots, WORDS_PER_LEAF)
    honest = sum_tree(Place(_CHUNK, _LEAF, 0, _MODULUS), rows)
    around, beside = _hashes(CHUNKS), _hashes(LEAVES)
    shown = _Shown(around, beside, _with_lie(honest, level))
    root = tree_root(shown.chunk_roots())
    wrong = find(root, shown, _Shown(around, beside, honest))
    assert wrong is not None  # a lie was put there
    own_beside = _with(_hashes(LEAVES), _LEAF, honest[0][0].digest)
    own_around = _with(_hashes(CHUNKS), _CHUNK, tree_root(own_beside))
    first = Slot(0, tree_root(own_around))
    others = (Slot(place, os.urandom(32)) for place in range(1, slots))
    return Dispute(Cohort((first, *others)), root, rows, wrong, own_beside, own_around)


def _with_lie(honest: Levels, level: int) -> Levels:
    """Return a sum tree with a lie at the first node of a level, hashed up to its root."""
    levels = [list(nodes) for nodes in honest]
    lie = sha256(b"a lie").digest()
    if level == 0:
        levels[0][0] = SumNode(lie, lie)
    for height in range(max(level, 1), len(levels)):
        left, right = levels[height - 1][:2]
        own = lie if height == level else levels[height][0].own
        levels[height][0] = SumNode(sum_node(left.digest, right.digest, own), own)
    return tuple(map(tuple, levels))


def _hashes(count: int) -> tuple[bytes, ...]:
    return tuple(os.urandom(32) for _ in range(count))


def _with(hashes: Sequence[bytes], at: int, one: bytes) -> tuple[bytes, ...]:
    return (*hashes[:at], one, *hashes[at + 1 :])
