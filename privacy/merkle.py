"""Merkle trees over the words of a contribution, shaped as in RFC 6962.

    leaf   SHA-256(0x00 || chunk u32 || leaf u32 || modulus index u32 || words)
    node   SHA-256(0x01 || left || right)
    chunk  the tree over the leaves of one chunk
    piece  the tree over the chunk roots of one contribution's piece

Integers are big-endian, words are 8 bytes little-endian and canonical (below their modulus);
leaves have 256 words, those of shares 1,024. They are over words, not over the packed bytes
that travel, so that anyone who adds words can check a leaf of a sum. A chunk root enters the
tree above it as it is. Levels cannot be confused all the same: the plan fixes how many chunks
a piece has and how many leaves each chunk has, hence the height of every path, and each leaf
says its own chunk and position; the two domain bytes keep leaves and nodes apart.

A chunk of ciphertexts is a whole number of leaves. Other schemes fill their last leaf with
zero words, whose number the plan fixes.

Source: RFC 6962, section 2.1 (tree hash and audit paths).
"""

import struct
from collections.abc import Sequence
from hashlib import sha256
from typing import Final

import numpy as np
from numpy.typing import NDArray

from .errors import MalformedMessage, RootMismatch

WORDS_PER_LEAF: Final = 256
_LEAF: Final = b"\x00"
_NODE: Final = b"\x01"
_DIGEST_BYTES: Final = 32
_POSITION: Final = struct.Struct(">cIII")
_BEGUN: Final = sha256()


def leaf_digest(
    chunk: int, leaf: int, modulus_index: int, words: bytes, words_per_leaf: int = WORDS_PER_LEAF
) -> bytes:
    """Hash the words of a leaf and their position.

    Args:
        chunk: index of the chunk in its piece.
        leaf: index of the leaf in its chunk.
        modulus_index: which modulus of the scheme the words are residues of.
        words: little-endian words of 8 bytes.
        words_per_leaf: how many they must be; each scheme has one number.

    Raises:
        MalformedMessage: another number of words.
    """
    if len(words) != 8 * words_per_leaf:
        raise MalformedMessage(f"a leaf has {8 * words_per_leaf} bytes, got {len(words)}")
    return _hashed(_POSITION.pack(_LEAF, chunk, leaf, modulus_index) + words)


def chunk_leaves(
    chunk: int, words: NDArray[np.uint64], words_per_leaf: int = WORDS_PER_LEAF
) -> list[bytes]:
    """Hash all leaves of one chunk, in the order of its words.

    Args:
        chunk: index of the chunk in its piece.
        words: shape (polynomials, moduli, words per residue), canonical; the last axis is
            filled with zeros up to a whole number of leaves.

    Raises:
        MalformedMessage: no words.
    """
    if words.ndim != 3 or words.size == 0:
        raise MalformedMessage(f"a chunk needs words in three axes, got shape {words.shape}")
    padding = -words.shape[2] % words_per_leaf
    full = np.pad(words, ((0, 0), (0, 0), (0, padding))) if padding else words
    moduli, per_residue = full.shape[1], full.shape[2] // words_per_leaf
    # One buffer for the whole chunk: slices of a view cost nothing.
    buffer = np.ascontiguousarray(full, dtype="<u8").reshape(-1).view(np.uint8).data
    step = 8 * words_per_leaf
    return [
        _hashed(
            _POSITION.pack(_LEAF, chunk, leaf, leaf // per_residue % moduli)
            + buffer[leaf * step : (leaf + 1) * step]
        )
        for leaf in range(len(buffer) // step)
    ]


def chunk_root(
    chunk: int, words: NDArray[np.uint64], words_per_leaf: int = WORDS_PER_LEAF
) -> bytes:
    """Return the root over the leaves of one chunk; arguments as in `chunk_leaves`."""
    return tree_root(chunk_leaves(chunk, words, words_per_leaf))


def piece_root(chunk_roots: Sequence[bytes]) -> bytes:
    """Return the root over the chunk roots of one piece, in chunk order."""
    return tree_root(chunk_roots)


def tree_root(nodes: Sequence[bytes]) -> bytes:
    """Return the root of the RFC 6962 tree whose leaf hashes are `nodes`.

    Args:
        nodes: at least one digest of 32 bytes.

    Raises:
        MalformedMessage: no node, or one of another length.
    """
    _require_digests(nodes)
    level = list(nodes)
    while len(level) > 1:
        level = _paired(level)
    return level[0]


class GrowingTree:
    """The same tree, node by node: holds a digest for each bit of their number, and no more."""

    def __init__(self) -> None:
        self._full: list[tuple[int, bytes]] = []

    def add(self, node: bytes) -> None:
        """Append a node.

        Raises:
            MalformedMessage: not 32 bytes.
        """
        _require_digests((node,))
        size = 1
        while self._full and self._full[-1][0] == size:
            node = _join(self._full.pop()[1], node)
            size *= 2
        self._full.append((size, node))

    def root(self) -> bytes:
        """Return the root over the nodes so far; as `tree_root`.

        Raises:
            MalformedMessage: no node.
        """
        _require_digests([node for _, node in self._full])
        *earlier, (_, root) = self._full
        for _, node in reversed(earlier):
            root = _join(node, root)
        return root


def inclusion_path(nodes: Sequence[bytes], index: int) -> tuple[bytes, ...]:
    """Return the siblings of node `index`, lowest first (an RFC 6962 audit path).

    Raises:
        MalformedMessage: no such node, or a node of another length than 32 bytes.
    """
    _require_digests(nodes)
    _require_position(index, len(nodes))
    if len(nodes) == 1:
        return ()
    split = _split(len(nodes))
    if index < split:
        return (*inclusion_path(nodes[:split], index), tree_root(nodes[split:]))
    return (*inclusion_path(nodes[split:], index - split), tree_root(nodes[:split]))


def inclusion_paths(nodes: Sequence[bytes]) -> list[tuple[bytes, ...]]:
    """Return the path of each node, in their order: as `inclusion_path`, each hash made once.

    Raises:
        MalformedMessage: no node, or one of another length than 32 bytes.
    """
    _require_digests(nodes)
    level, height = list(nodes), 0
    paths: list[list[bytes]] = [[] for _ in nodes]
    while len(level) > 1:
        for index, path in enumerate(paths):
            beside = (index >> height) ^ 1
            if beside < len(level):
                path.append(level[beside])
        level, height = _paired(level), height + 1
    return [tuple(path) for path in paths]


def verify_inclusion(
    node: bytes, index: int, count: int, path: Sequence[bytes], root: bytes
) -> None:
    """Check that `node` is number `index` of the `count` nodes under `root`.

    Raises:
        MalformedMessage: no such position, or a digest that is not 32 bytes.
        RootMismatch: the path has the wrong length or leads to another root.
    """
    _require_digests((node, root, *path))
    if root_from(node, index, count, path) != root:
        raise RootMismatch(f"node {index} of {count} does not lead to the root")


def root_from(node: bytes, index: int, count: int, path: Sequence[bytes]) -> bytes:
    """Return the root of `count` nodes that `node`, as number `index`, leads to by `path`.

    Raises:
        MalformedMessage: no such position, or a digest that is not 32 bytes.
        RootMismatch: the path has the wrong length.
    """
    _require_digests((node, *path))
    on_the_left = sides(index, count)
    if len(path) != len(on_the_left):
        raise RootMismatch(
            f"the path to {index} of {count} has {len(on_the_left)} steps, {len(path)} given"
        )
    current = node
    for left, sibling in zip(on_the_left, path, strict=True):
        current = _join(current, sibling) if left else _join(sibling, current)
    return current


def sides(index: int, count: int) -> list[bool]:
    """Return the steps from node `index` of `count` upwards: whether it is the left child.

    Raises:
        MalformedMessage: no such position.
    """
    _require_position(index, count)
    steps: list[bool] = []
    while count > 1:
        split = _split(count)
        left = index < split
        steps.append(left)
        index, count = (index, split) if left else (index - split, count - split)
    return steps[::-1]


def _paired(level: list[bytes]) -> list[bytes]:
    # Pairing neighbours and carrying an odd last node up gives the tree of section 2.1.
    pairs = zip(level[::2], level[1::2], strict=False)
    paired = [_join(left, right) for left, right in pairs]
    return paired + level[len(level) - len(level) % 2 :]


def _join(left: bytes, right: bytes) -> bytes:
    return _hashed(_NODE + left + right)


def _hashed(body: bytes) -> bytes:
    # To copy a hash that was begun costs a quarter of beginning one, and leaves are short.
    hashing = _BEGUN.copy()
    hashing.update(body)
    return hashing.digest()


def _split(count: int) -> int:
    # The largest power of two below count.
    return 1 << ((count - 1).bit_length() - 1)


def _require_position(index: int, count: int) -> None:
    if not 0 <= index < count:
        raise MalformedMessage(f"there is no node {index} among {count}")


def _require_digests(nodes: Sequence[bytes]) -> None:
    if not nodes:
        raise MalformedMessage("a tree needs at least one node")
    if set(map(len, nodes)) != {_DIGEST_BYTES}:
        raise MalformedMessage("a node of a tree has 32 bytes")
