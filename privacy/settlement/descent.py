"""From answer to answer to the wrong node, where a coordinator shows only what is demanded of it.

An answer for a leaf of a sum tree shows the whole way to the committed root, and what stands beside
it. Where that differs from what contributions give, the wrong node is on the way, or under what
stands beside it: then a leaf there is demanded next. No more answers are needed than the trees have
levels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from privacy.errors import RootMismatch
from privacy.merkle import inclusion_path

from .sum_proof import BadLeaf, BadSum, Hashes, Node, Tree
from .sum_tree import (
    Levels,
    Located,
    Place,
    Served,
    Words,
    is_join,
    words_under,
)


@dataclass(frozen=True, slots=True)
class Honest:
    """What contributions give at one place: the sum tree, and what stands beside it above."""

    chunk: int
    leaf: int
    chunk_roots: Hashes
    tops: Hashes
    levels: Levels

    @property
    def slots(self) -> int:
        """How many contributions there are."""
        return len(self.levels[0])

    def own(self, level: int, index: int) -> bytes:
        """Return the hash of the words of a node."""
        return self.levels[level][index].own

    def children(self, level: int, index: int) -> Hashes:
        """Return the children of a node, none if it is a leaf or carried up from one."""
        served = Served(self.chunk, self.leaf, self.chunk_roots, self.tops, self.levels)
        return served.children(level, index)


@dataclass(frozen=True, slots=True)
class Found:
    """The lowest wrong node of the way that was shown: its hashes, and the steps above it.

    At level 0 it is a leaf, and `own` its digest.
    """

    level: int
    index: int
    own: bytes
    steps: Hashes

    def prove_sum(self, honest: Honest, place: Place, leaves: Words, arithmetic: bytes) -> BadSum:
        """Return the proof of a wrong inner node; arguments as for `sum_tree.prove_sum`."""
        below = [2 * self.index, 2 * self.index + 1]
        left, right = (words_under(place, leaves, self.level - 1, child) for child in below)
        children = [step for child in below for step in honest.children(self.level - 1, child)]
        return BadSum(
            chunk=place.chunk,
            leaf=place.leaf,
            level=self.level,
            index=self.index,
            left_modulus=place.modulus_index,
            right_modulus=place.modulus_index,
            left=left,
            right=right,
            steps=(*children, self.own, *self.steps),
            arithmetic=arithmetic,
        )

    def prove_leaf(
        self, honest: Honest, slot_id: int, own: Located, cohort: Hashes, arithmetic: bytes
    ) -> BadLeaf:
        """Return the proof of a wrong leaf; arguments as for `sum_tree.prove_leaf`."""
        return BadLeaf(
            chunk=honest.chunk,
            leaf=honest.leaf,
            slot=self.index,
            slot_id=slot_id,
            in_tree=self.own,
            in_contribution=own.digest,
            steps=(*self.steps, *own.path, *cohort),
            arithmetic=arithmetic,
        )


def leaf_node(chunk: int, leaf: int, slot: int) -> Node:
    """Return the node to demand: a leaf of a sum tree."""
    return Node(Tree.SUM_TREES, chunk, leaf, 0, slot)


def follow(honest: Honest, slot: int, answer: Hashes) -> Found | Node:
    """Return the wrong node on the way that an answer shows, or which leaf to demand next.

    Args:
        slot: of the leaf that was demanded, at the place of `honest`.
        answer: the steps of its opening, which the contract has held against the commit.

    Raises:
        RootMismatch: all of it is what contributions give, or it is no answer for that leaf.
    """
    digest, *rest = answer
    steps = tuple(rest)
    if digest != honest.own(0, slot):
        return Found(0, slot, digest, steps)
    index, used = slot, 0
    for height in range(len(honest.levels) - 1):
        if is_join(height + 1, index >> 1, honest.slots):
            if used + 2 > len(steps):
                raise RootMismatch("an answer that is too short for its place")
            beside, own = steps[used : used + 2]
            used += 2
            if beside != honest.levels[height][index ^ 1].digest:
                return leaf_node(honest.chunk, honest.leaf, (index ^ 1) << height)
            if own != honest.own(height + 1, index >> 1):
                return Found(height + 1, index >> 1, own, steps[used:])
        index >>= 1
    return _above(honest, steps[used:])


def _above(honest: Honest, steps: Hashes) -> Node:
    """Return which leaf to demand next, where the sum tree itself is right."""
    inside = inclusion_path(honest.tops, honest.leaf)
    over = inclusion_path(honest.chunk_roots, honest.chunk)
    if len(steps) != len(inside) + len(over):
        raise RootMismatch("an answer of another length than its place has")
    leaf = _beside(steps[: len(inside)], inside, honest.leaf, len(honest.tops))
    if leaf is not None:
        return leaf_node(honest.chunk, leaf, 0)
    chunk = _beside(steps[len(inside) :], over, honest.chunk, len(honest.chunk_roots))
    if chunk is not None:
        return leaf_node(chunk, 0, 0)
    raise RootMismatch("all that was answered is what the contributions give")


def _beside(shown: Sequence[bytes], right: Sequence[bytes], index: int, count: int) -> int | None:
    """Return the first node under what stands beside a way and is wrong; None if nothing is."""
    firsts = _firsts(index, count)
    pairs = zip(shown, right, firsts, strict=True)
    return next((first for theirs, ours, first in pairs if theirs != ours), None)


def _firsts(index: int, count: int, offset: int = 0) -> list[int]:
    """Return where each sibling of an inclusion path begins, lowest first."""
    if count == 1:
        return []
    split = 1 << ((count - 1).bit_length() - 1)
    if index < split:
        return [*_firsts(index, split, offset), offset + split]
    return [*_firsts(index - split, count - split, offset + split), offset]
