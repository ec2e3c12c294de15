"""What a seat shows of one component, to find where two holders differ and who is right there.

A seat signs the root of each of its two sums, a site that of each of its three components.
Under it is a tree over the roots of chunks, and under each of those a tree over 1,024 words a
leaf. Two lists of hashes, of all chunks and then of all leaves of one chunk, give the first
leaf in which two holders differ; then each shows that leaf with the path to the signed root.

Words of a component are uniform, blinding included, and say nothing of an update. They do to
the third seat, which has the two other components: a shown leaf goes to an auditor that runs
no seat, and nowhere else.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final

import msgspec

from privacy.errors import MalformedMessage, RootMismatch
from privacy.merkle import (
    chunk_leaves,
    inclusion_path,
    leaf_digest,
    tree_root,
    verify_inclusion,
)

from .layout import MOST_LEAVES, WORD_BYTES, WORDS_PER_LEAF, Words

# As many as fit into a document of 1 MiB; with full chunks of 32 leaves, 534 million words.
MOST_CHUNKS: Final = 1 << 14

_LEAF_BYTES: Final = WORDS_PER_LEAF * WORD_BYTES
_LEAF_STEPS: Final = (MOST_LEAVES - 1).bit_length()
_CHUNK_STEPS: Final = (MOST_CHUNKS - 1).bit_length()
# There is one modulus, 2^64.
_MODULUS: Final = 0

Node = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
"""A hash of a Merkle tree."""

LeafWords = Annotated[bytes, msgspec.Meta(min_length=_LEAF_BYTES, max_length=_LEAF_BYTES)]
"""The 1,024 words of a leaf, little-endian."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a leaf stands in a component: leaf of leaves in its chunk, chunk of chunks.

    Raises:
        MalformedMessage: there is no such place.
    """

    chunk: int
    chunks: int
    leaf: int
    leaves: int

    def __post_init__(self) -> None:
        if not (0 <= self.chunk < self.chunks and 0 <= self.leaf < self.leaves):
            raise MalformedMessage(
                f"there is no leaf {self.leaf} among {self.leaves} "
                f"in chunk {self.chunk} among {self.chunks}"
            )


class ChunkRoots(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The roots of all chunks of one component, in their order."""

    roots: Annotated[tuple[Node, ...], msgspec.Meta(min_length=1, max_length=MOST_CHUNKS)]

    def component_root(self) -> bytes:
        """Return the root over them: what is signed."""
        return tree_root(self.roots)

    def require(self, chunks: int, signed: bytes, whose: str) -> None:
        """Refuse roots that are not those of all chunks under a signed root.

        Raises:
            RootMismatch: they are not; names who shows them.
        """
        _require_tree(self.roots, chunks, signed, f"{whose} shows roots of chunks")


class LeafHashes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The hashes of all leaves of one chunk of one component, in their order."""

    hashes: Annotated[tuple[Node, ...], msgspec.Meta(min_length=1, max_length=MOST_LEAVES)]

    def chunk_root(self) -> bytes:
        """Return the root over them."""
        return tree_root(self.hashes)

    def require(self, leaves: int, root: bytes, whose: str) -> None:
        """Refuse hashes that are not those of all leaves under the root of their chunk.

        Raises:
            RootMismatch: they are not; names who shows them.
        """
        _require_tree(self.hashes, leaves, root, f"{whose} shows hashes of leaves")


class ShownLeaf(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The words of one leaf, and how they lead to the root of their component.

    Attributes:
        words: 1,024 words.
        leaf_path: from the leaf to the root of its chunk, lowest step first.
        chunk_root: that root.
        chunk_path: from there to the root of the component, lowest step first.
    """

    words: LeafWords
    leaf_path: Annotated[tuple[Node, ...], msgspec.Meta(max_length=_LEAF_STEPS)]
    chunk_root: Node
    chunk_path: Annotated[tuple[Node, ...], msgspec.Meta(max_length=_CHUNK_STEPS)]

    def __repr__(self) -> str:
        return f"ShownLeaf(chunk_root={self.chunk_root.hex()})"  # a log may be the third seat's


def leaf_hashes(chunk: int, block: Words) -> LeafHashes:
    """Return the hashes of all leaves of one chunk of a component, shape (leaves, 1024)."""
    return LeafHashes(tuple(chunk_leaves(chunk, block.reshape(1, 1, -1), WORDS_PER_LEAF)))


def first_difference(one: Sequence[bytes], other: Sequence[bytes]) -> int | None:
    """Return the first place in which two lists of hashes differ, None if they are equal.

    Raises:
        MalformedMessage: the lists are not equally long, so their places are not the same.
    """
    if len(one) != len(other):
        raise MalformedMessage(f"lists of {len(one)} and {len(other)} hashes cannot be compared")
    pairs = enumerate(zip(one, other, strict=True))
    return next((at for at, (left, right) in pairs if left != right), None)


def show(roots: ChunkRoots, chunk: int, block: Words, leaf: int) -> ShownLeaf:
    """Return one leaf of a component, and its path.

    Args:
        roots: those of all chunks of the component.
        block: the chunk's words, shape (leaves, 1024).

    Raises:
        MalformedMessage: there is no such chunk or leaf.
        RootMismatch: the words are not those of the roots; showing them would accuse oneself.
    """
    Place(chunk, len(roots.roots), leaf, len(block))
    hashes = leaf_hashes(chunk, block)
    hashes.require(len(block), roots.roots[chunk], "this seat")
    return ShownLeaf(
        block[leaf].astype("<u8", copy=False).tobytes(),
        inclusion_path(hashes.hashes, leaf),
        roots.roots[chunk],
        inclusion_path(roots.roots, chunk),
    )


def check_shown(shown: ShownLeaf, place: Place, signed: bytes, whose: str) -> None:
    """Refuse a leaf that does not stand at a place under a signed root.

    Args:
        signed: the root of the component, 32 bytes.

    Raises:
        RootMismatch: it does not; names who shows it.
    """
    try:
        digest = leaf_digest(place.chunk, place.leaf, _MODULUS, shown.words, WORDS_PER_LEAF)
        verify_inclusion(digest, place.leaf, place.leaves, shown.leaf_path, shown.chunk_root)
        verify_inclusion(shown.chunk_root, place.chunk, place.chunks, shown.chunk_path, signed)
    except (MalformedMessage, RootMismatch) as error:
        raise RootMismatch(
            f"{whose} shows words that are not leaf {place.leaf} of chunk {place.chunk} under the "
            f"signed root: {error}"
        ) from None


def _require_tree(nodes: Sequence[bytes], count: int, root: bytes, what: str) -> None:
    # Without their number: the nodes of a level above lead to the same root.
    if len(nodes) != count or tree_root(nodes) != root:
        raise RootMismatch(f"{what} that are not the {count} under the root of its own")
