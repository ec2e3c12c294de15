"""Trees of partial sums, by which one wrong addition is one wrong node.

For each leaf of a contribution (`merkle`) there is a tree over the slots of the cohort:

    own    the digest that the words of a sum have as a leaf
    leaf   the `own` of one contribution, which is that contribution's own leaf
    inner  SHA-256(0x02 || left || right || own), where own is of left's words plus right's

Their roots are arranged as the leaves of a contribution are: a tree over each chunk, and one over
the chunks. Who has the contributions can find the lowest node that is wrong; its children are then
right, so their words are known, and the node's own need not be.

Source: RFC 6962, section 2.1, for the shape; an odd last node is carried up as it is.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from privacy.errors import CohortTooSmall, MalformedMessage, RootMismatch
from privacy.merkle import chunk_leaves, inclusion_path, leaf_digest, sides, tree_root

from .sum_proof import BadLeaf, BadSum, BadTop, Hashes, Kind, Node, Opening, Tree

Words = NDArray[np.uint64]

_SUM_BYTE: Final = b"\x02"
_DIGEST_BYTES: Final = 32
_TWO_64: Final = 1 << 64


def sum_node(left: bytes, right: bytes, own: bytes) -> bytes:
    """Return the hash of an inner node of a sum tree: 32 bytes."""
    return sha256(_SUM_BYTE + left + right + own).digest()


def add(left: Words, right: Words, modulus: int) -> Words:
    """Return the sum of canonical residues, word by word.

    Args:
        modulus: from 2 to 2^64.
    """
    # Of two residues the sum wraps at most once, and 64-bit words wrap by themselves.
    total = left + right
    if modulus == _TWO_64:
        return total
    beyond = (total < left) | (total >= np.uint64(modulus))
    total[beyond] -= np.uint64(modulus)
    return total


@dataclass(frozen=True, slots=True)
class SumNode:
    """A node of a sum tree: its hash, and that of its words. At a leaf they are the same."""

    digest: bytes
    own: bytes


Levels = tuple[tuple[SumNode, ...], ...]
"""The nodes of a sum tree, from the leaves to the root; one carried up stands on each level."""


@dataclass(frozen=True, slots=True)
class ChunkSums:
    """The tops of the sum trees of one chunk.

    Attributes:
        nodes: the top of each leaf's tree, in order.
        words: the sum, shaped as the contributions.
    """

    nodes: tuple[SumNode, ...]
    words: Words

    def root(self) -> bytes:
        """Return the root over the tops: 32 bytes."""
        return tree_root([node.digest for node in self.nodes])


Seen = Callable[[int, int, ChunkSums], None]
"""Is told of each sum as it is made, by its level and index; of none that is carried up."""


def unseen(_level: int, _index: int, _sums: ChunkSums) -> None:
    """Keep nothing: what is wanted is the top."""


class GrowingSums:
    """The sum trees of one chunk, contribution by contribution, in the order of the slots.

    Holds a partial sum for each bit of their number, and no more: 14 chunks for 10,000 slots.
    `seen` may keep hashes of what is made on the way.
    """

    def __init__(self, chunk: int, moduli: Sequence[int], seen: Seen = unseen) -> None:
        self._chunk, self._moduli, self._seen = chunk, tuple(moduli), seen
        self._full: list[tuple[int, ChunkSums]] = []
        self._count = 0

    def add(self, words: Words) -> None:
        """Append a contribution's chunk.

        Args:
            words: shape (polynomials, moduli, words per residue), canonical; kept, not copied.

        Raises:
            MalformedMessage: another shape than those before.
        """
        self._require_shape(words)
        digests = chunk_leaves(self._chunk, words)
        sums = ChunkSums(tuple(SumNode(digest, digest) for digest in digests), words)
        slot, self._count = self._count, self._count + 1
        self._seen(0, slot, sums)
        level = 0
        while self._full and self._full[-1][0] == 1 << level:
            sums = self._joined(self._full.pop()[1], sums)
            level += 1
            self._seen(level, slot >> level, sums)
        self._full.append((1 << level, sums))

    def finish(self) -> ChunkSums:
        """Return the tops over the contributions so far.

        Raises:
            CohortTooSmall: there is none.
        """
        if not self._full:
            raise CohortTooSmall(f"chunk {self._chunk}: there is no contribution to add")
        *earlier, (_, sums) = self._full
        for size, before in reversed(earlier):
            sums = self._joined(before, sums)
            level = size.bit_length()
            self._seen(level, (self._count - 1) >> level, sums)
        return sums

    def _joined(self, left: ChunkSums, right: ChunkSums) -> ChunkSums:
        words = np.empty_like(left.words)
        for index, modulus in enumerate(self._moduli):
            words[:, index] = add(left.words[:, index], right.words[:, index], modulus)
        nodes = zip(left.nodes, right.nodes, chunk_leaves(self._chunk, words), strict=True)
        return ChunkSums(
            tuple(SumNode(sum_node(a.digest, b.digest, own), own) for a, b, own in nodes), words
        )

    def _require_shape(self, words: Words) -> None:
        expected = self._full[0][1].words.shape if self._full else words.shape
        if words.ndim != len(expected) or words.shape != expected:
            raise MalformedMessage(f"words of shape {words.shape} after others of {expected}")
        if words.ndim != 3 or words.shape[1] != len(self._moduli):
            raise MalformedMessage(f"words of shape {words.shape} for {len(self._moduli)} moduli")


class ChunkTrees:
    """All nodes of the sum trees at some leaves of one chunk, as hashes: 128 bytes a slot and leaf.

    Attributes:
        slots: how many contributions there are.
        leaves: at which it is kept.
    """

    def __init__(self, slots: int, leaves: range) -> None:
        self.slots, self.leaves = slots, leaves
        self._kept: dict[tuple[int, int], bytes] = {}

    def see(self, level: int, index: int, sums: ChunkSums) -> None:
        """Keep the hashes of a sum as it is made; a `Seen`."""
        nodes = sums.nodes[self.leaves.start : self.leaves.stop]
        self._kept[level, index] = b"".join(node.digest + node.own for node in nodes)

    def levels(self, leaf: int) -> Levels:
        """Return the whole sum tree at a leaf."""
        heights = range((self.slots - 1).bit_length() + 1)
        return tuple(
            tuple(self.node(leaf, height, index) for index in range(width(self.slots, height)))
            for height in heights
        )

    def node(self, leaf: int, level: int, index: int) -> SumNode:
        """Return one node; one that is carried up is the same as below."""
        while level and not is_join(level, index, self.slots):
            level, index = level - 1, 2 * index
        at = 2 * _DIGEST_BYTES * (leaf - self.leaves.start)
        kept = self._kept[level, index][at : at + 2 * _DIGEST_BYTES]
        return SumNode(kept[:_DIGEST_BYTES], kept[_DIGEST_BYTES:])

    def upwards(self, leaf: int, slot: int) -> Hashes:
        """Return the steps from a slot's leaf to the top of the sum tree, as in `Served`."""
        steps: list[bytes] = []
        for height in range((self.slots - 1).bit_length()):
            beside = (slot >> height) ^ 1
            if beside < width(self.slots, height):
                above = self.node(leaf, height + 1, slot >> (height + 1))
                steps += [self.node(leaf, height, beside).digest, above.own]
        return tuple(steps)


def pack_levels(levels: Levels) -> bytes:
    """Return a sum tree as it travels: of each node its digest, then that of its words."""
    return b"".join(node.digest + node.own for level in levels for node in level)


def unpack_levels(packed: bytes, slots: int) -> Levels:
    """Return a sum tree over `slots` as it came; `Served.check` says whether it is one.

    Raises:
        MalformedMessage: not as many bytes as such a tree has.
    """
    widths = [width(slots, height) for height in range(max(slots - 1, 0).bit_length() + 1)]
    size = 2 * _DIGEST_BYTES
    if slots < 1 or len(packed) != size * sum(widths):
        raise MalformedMessage(f"{len(packed)} bytes are no sum tree over {slots} slots")
    pairs = [packed[at : at + size] for at in range(0, len(packed), size)]
    nodes = iter(SumNode(pair[:_DIGEST_BYTES], pair[_DIGEST_BYTES:]) for pair in pairs)
    return tuple(tuple(next(nodes) for _ in range(count)) for count in widths)


@dataclass(frozen=True, slots=True)
class Place:
    """One leaf of a contribution, and what its words are residues of."""

    chunk: int
    leaf: int
    modulus_index: int
    modulus: int


def sum_tree(place: Place, leaves: Words) -> Levels:
    """Return the whole sum tree at one place.

    Args:
        leaves: shape (slots, words of a leaf), canonical: the words of each contribution there.
    """
    nodes = [SumNode(digest, digest) for digest in _owns(place, leaves)]
    levels, words = [tuple(nodes)], leaves
    while len(nodes) > 1:
        words = _next_words(words, place.modulus)
        owns = _owns(place, words[: len(nodes) // 2])
        pairs = zip(nodes[::2], nodes[1::2], owns, strict=False)
        joined = [SumNode(sum_node(a.digest, b.digest, own), own) for a, b, own in pairs]
        nodes = joined + nodes[len(nodes) - len(nodes) % 2 :]
        levels.append(tuple(nodes))
    return tuple(levels)


def words_under(place: Place, leaves: Words, level: int, index: int) -> bytes:
    """Return the words of one node of a sum tree: the sum of those of the leaves under it.

    Args:
        leaves: as for `sum_tree`.
    """
    rows = leaves[index << level : (index + 1) << level]
    while len(rows) > 1:
        rows = _next_words(rows, place.modulus)
    words: bytes = rows[0].astype("<u8").tobytes()
    return words


def _next_words(words: Words, modulus: int) -> Words:
    pairs = len(words) // 2
    return np.concatenate([add(words[: 2 * pairs : 2], words[1::2], modulus), words[2 * pairs :]])


def _owns(place: Place, rows: Words) -> list[bytes]:
    packed = rows.astype("<u8")
    where = (place.chunk, place.leaf, place.modulus_index)
    return [leaf_digest(*where, row.tobytes()) for row in packed]


def is_join(level: int, index: int, count: int) -> bool:
    """Return whether a tree over `count` leaves has a node there with two children."""
    return level > 0 and index >= 0 and 2 * index + 1 < width(count, level - 1)


def width(count: int, level: int) -> int:
    """Return how many nodes a level of a tree over `count` leaves has."""
    return -(-count >> level)


@dataclass(frozen=True, slots=True)
class Served:
    """What a coordinator shows of its sum trees, down to one leaf of one chunk; all hashes.

    Attributes:
        chunk_roots: of all chunks.
        tops: the roots of the sum trees of chunk `chunk`.
        levels: the sum tree at (`chunk`, `leaf`).
    """

    chunk: int
    leaf: int
    chunk_roots: Hashes
    tops: Hashes
    levels: Levels

    def check(self, root: bytes) -> None:
        """Check that all of it is under `root`, the `sum_trees` of a commit.

        Raises:
            RootMismatch: it is not; what is withheld can be demanded.
            MalformedMessage: no such chunk or leaf.
        """
        if not (0 <= self.chunk < len(self.chunk_roots) and 0 <= self.leaf < len(self.tops)):
            raise MalformedMessage(f"there is no leaf {self.leaf} in chunk {self.chunk}")
        if tree_root(self.chunk_roots) != root:
            raise RootMismatch("the chunks' roots do not lead to the committed root")
        if tree_root(self.tops) != self.chunk_roots[self.chunk]:
            raise RootMismatch(f"chunk {self.chunk}: the sum trees do not lead to its root")
        self._check_levels()

    def upwards(self, level: int, index: int) -> Hashes:
        """Return the steps from a node of the sum tree to the committed root."""
        steps: list[bytes] = []
        for height in range(level, len(self.levels) - 1):
            here = self.levels[height]
            if index ^ 1 < len(here):
                steps += [here[index ^ 1].digest, self.levels[height + 1][index >> 1].own]
            index >>= 1
        return (*steps, *self.over())

    def over(self) -> Hashes:
        """Return the siblings from the top of the sum tree to the committed root."""
        inside = inclusion_path(self.tops, self.leaf)
        return (*inside, *inclusion_path(self.chunk_roots, self.chunk))

    def children(self, level: int, index: int) -> Hashes:
        """Return the children of a node, none if it is a leaf or carried up from one."""
        while level and not is_join(level, index, len(self.levels[0])):
            level, index = level - 1, 2 * index
        if level == 0:
            return ()
        below = self.levels[level - 1]
        return (below[2 * index].digest, below[2 * index + 1].digest)

    def _check_levels(self) -> None:
        where = f"chunk {self.chunk}, leaf {self.leaf}"
        count = len(self.levels[0]) if self.levels else 0
        heights = range(count and (count - 1).bit_length() + 1)
        expected = [width(count, height) for height in heights]
        if not count or [len(level) for level in self.levels] != expected:
            raise RootMismatch(f"{where}: this is no tree over the slots")
        if self.levels[-1][0].digest != self.tops[self.leaf]:
            raise RootMismatch(f"{where}: the sum tree does not lead to its root")
        for height in heights[1:]:
            for index, node in enumerate(self.levels[height]):
                self._check_node(height, index, node)

    def _check_node(self, level: int, index: int, node: SumNode) -> None:
        below = self.levels[level - 1]
        if is_join(level, index, len(self.levels[0])):
            pair = below[2 * index].digest, below[2 * index + 1].digest
            right = node.digest == sum_node(*pair, node.own)
        else:
            right = node == below[2 * index]
        if not right:
            raise RootMismatch(
                f"chunk {self.chunk}, leaf {self.leaf}: node {index} of level {level} is not the "
                "hash of its children"
            )


class SumTrees(Protocol):
    """The hashes of a round's sum trees, as somebody shows or computes them."""

    def chunk_roots(self) -> Hashes:
        """Return the root of each chunk."""

    def tops(self, chunk: int) -> Hashes:
        """Return the roots of the sum trees of one chunk."""

    def levels(self, chunk: int, leaf: int) -> Levels:
        """Return one sum tree."""


@dataclass(frozen=True, slots=True)
class Wrong:
    """The lowest wrong node of a sum tree: at level 0 a leaf, whose index is the slot."""

    served: Served
    level: int
    index: int

    @property
    def kind(self) -> Kind:
        """What its proof accuses of."""
        return Kind.BAD_SUM if self.level else Kind.BAD_LEAF


def find(root: bytes, suspect: SumTrees, honest: SumTrees) -> Wrong | None:
    """Return the first wrong node under `root`, lowest first; None if all are right.

    Args:
        suspect: what a coordinator shows; it counts as far as it hashes to `root`.
        honest: what the contributions give.

    Raises:
        RootMismatch, MalformedMessage: what `suspect` shows does not lead to `root`.
    """
    ours, theirs = honest.chunk_roots(), suspect.chunk_roots()
    if tree_root(theirs) != root:
        raise RootMismatch("the chunks' roots do not lead to the committed root")
    chunk = _first_difference(ours, theirs)
    if chunk is None:
        return None
    tops = suspect.tops(chunk)
    leaf = _first_difference(honest.tops(chunk), tops)
    if leaf is None:
        raise RootMismatch(f"chunk {chunk}: the sum trees do not lead to its root")
    served = Served(chunk, leaf, theirs, tops, suspect.levels(chunk, leaf))
    served.check(root)
    return _lowest(served, honest.levels(chunk, leaf))


def _lowest(served: Served, levels: Levels) -> Wrong:
    for height, (theirs, ours) in enumerate(zip(served.levels, levels, strict=True)):
        index = _first_difference(ours, theirs)
        if index is not None:
            return Wrong(served, height, index)
    raise AssertionError  # the tops differ, and they are nodes of the highest level


def _first_difference(ours: Sequence[object], theirs: Sequence[object]) -> int | None:
    if len(ours) != len(theirs):
        raise RootMismatch(f"{len(theirs)} nodes are shown, there are {len(ours)}")
    return next(
        (at for at, pair in enumerate(zip(ours, theirs, strict=True)) if pair[0] != pair[1]), None
    )


def prove_sum(wrong: Wrong, place: Place, leaves: Words, arithmetic: bytes) -> BadSum:
    """Return the proof of a wrong inner node.

    Args:
        leaves: as for `sum_tree`; those under the node are published.
        arithmetic: the arithmetic part of the plan.
    """
    served, level, index = wrong.served, wrong.level, wrong.index
    left, right = (words_under(place, leaves, level - 1, 2 * index + side) for side in (0, 1))
    below = [served.children(level - 1, 2 * index + side) for side in (0, 1)]
    own = served.levels[level][index].own
    return BadSum(
        chunk=place.chunk,
        leaf=place.leaf,
        level=level,
        index=index,
        left_modulus=place.modulus_index,
        right_modulus=place.modulus_index,
        left=left,
        right=right,
        steps=(*below[0], *below[1], own, *served.upwards(level, index)),
        arithmetic=arithmetic,
    )


@dataclass(frozen=True, slots=True)
class Located:
    """A leaf under the root of a contribution, or of the published sum.

    Attributes:
        digest: the leaf.
        path: siblings over the leaves of its chunk, then over the chunks.
    """

    digest: bytes
    path: Hashes


def locate(chunk_roots: Sequence[bytes], leaves: Sequence[bytes], chunk: int, leaf: int) -> Located:
    """Return leaf `leaf` of chunk `chunk`, whose `leaves` are given, with its path."""
    over = inclusion_path(chunk_roots, chunk)
    return Located(leaves[leaf], (*inclusion_path(leaves, leaf), *over))


def prove_leaf(
    wrong: Wrong, slot_id: int, own: Located, cohort_path: Sequence[bytes], arithmetic: bytes
) -> BadLeaf:
    """Return the proof of a wrong leaf; it is made of hashes only.

    Args:
        own: the same leaf under the root of the contribution in that slot.
        cohort_path: siblings of that slot in the cohort.
    """
    served = wrong.served
    return BadLeaf(
        chunk=served.chunk,
        leaf=served.leaf,
        slot=wrong.index,
        slot_id=slot_id,
        in_tree=served.levels[0][wrong.index].digest,
        in_contribution=own.digest,
        steps=(*served.upwards(0, wrong.index), *own.path, *cohort_path),
        arithmetic=arithmetic,
    )


def prove_top(served: Served, published: Located, arithmetic: bytes) -> BadTop:
    """Return the proof that the published sum is not the top of a sum tree; hashes only."""
    level = len(served.levels) - 1
    top = served.levels[level][0]
    return BadTop(
        chunk=served.chunk,
        leaf=served.leaf,
        in_sum=published.digest,
        steps=(*served.children(level, 0), top.own, *served.over(), *published.path),
        arithmetic=arithmetic,
    )


def open_node(served: Served, node: Node, arithmetic: bytes) -> Opening:
    """Return what answers a demand for a node of a sum tree.

    Raises:
        MalformedMessage: it is of another tree or place, or there is no such node.
    """
    place = (node.tree, node.chunk, node.leaf)
    if place != (Tree.SUM_TREES, served.chunk, served.leaf):
        raise MalformedMessage(f"{node} is not of chunk {served.chunk}, leaf {served.leaf}")
    count = len(served.levels[0])
    if node.level and not is_join(node.level, node.index, count):
        raise MalformedMessage(f"{node}: there is no such node over {count} slots")
    sides(node.index, width(count, node.level))
    found = served.levels[node.level][node.index]
    itself = (*served.children(node.level, node.index), found.own)
    return Opening((*itself, *served.upwards(node.level, node.index)), arithmetic)
