"""The trees are RFC 6962's, and a position cannot be passed off as another."""

import json
import struct
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy.errors import MalformedMessage, RootMismatch
from privacy.merkle import (
    GrowingTree,
    chunk_leaves,
    chunk_root,
    inclusion_path,
    inclusion_paths,
    leaf_digest,
    piece_root,
    tree_root,
    verify_inclusion,
)

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "merkle_rfc6962.json").read_text())
LEAVES = [bytes.fromhex(leaf) for leaf in VECTORS["leaf_hashes"]]
WORDS = np.arange(2 * 2 * 512, dtype=np.uint64).reshape(2, 2, 512)


@pytest.mark.parametrize("count", range(1, 9))
def test_roots_are_the_published_ones(count: int) -> None:
    """Other people's tools can check our trees."""
    root = tree_root(LEAVES[:count])

    assert root.hex() == VECTORS["roots"][count - 1]


@pytest.mark.parametrize("count", [1, 2, 3, 7, 8, 33, 100])
def test_all_paths_at_once_are_the_paths(count: int) -> None:
    """Who shows every leaf of a chunk hashes each node once."""
    nodes = [sha256(bytes([at])).digest() for at in range(count)]

    assert inclusion_paths(nodes) == [inclusion_path(nodes, at) for at in range(count)]


@pytest.mark.parametrize("case", VECTORS["inclusion"], ids=lambda case: str(case["count"]))
def test_paths_are_the_published_ones(case: dict) -> None:
    """An audit path has the order and the length that RFC 6962 gives it."""
    index, count = case["index"], case["count"]

    path = inclusion_path(LEAVES[:count], index)

    assert [step.hex() for step in path] == case["path"]
    verify_inclusion(LEAVES[index], index, count, path, bytes.fromhex(case["root"]))


@given(st.integers(1, 70), st.data())
@settings(deadline=None, max_examples=60)
def test_a_node_is_found_at_its_own_position_only(count: int, data: st.DataObject) -> None:
    """A path proves a node and where it stands."""
    nodes = [sha256(bytes([at])).digest() for at in range(count)]
    index = data.draw(st.integers(0, count - 1))
    root = tree_root(nodes)

    path = inclusion_path(nodes, index)

    verify_inclusion(nodes[index], index, count, path, root)
    for other in set(range(count)) - {index}:
        with pytest.raises(RootMismatch):
            verify_inclusion(nodes[index], other, count, path, root)


def test_a_changed_step_node_or_root_is_refused() -> None:
    """One bit anywhere leads elsewhere."""
    path, root = inclusion_path(LEAVES, 5), tree_root(LEAVES)
    flipped = bytes([path[1][0] ^ 1]) + path[1][1:]

    for node, steps, top in (
        (LEAVES[4], path, root),
        (LEAVES[5], (path[0], flipped, path[2]), root),
        (LEAVES[5], path[:2], root),
        (LEAVES[5], (*path, path[0]), root),
        (LEAVES[5], path, LEAVES[0]),
    ):
        with pytest.raises(RootMismatch):
            verify_inclusion(node, 5, 8, steps, top)


def test_an_inner_node_is_not_taken_for_a_leaf() -> None:
    """The plan fixes the count, and with it the height of every path."""
    inner = tree_root(LEAVES[:2])
    path = inclusion_path(LEAVES, 0)[1:]

    with pytest.raises(RootMismatch, match="3 steps, 2 given"):
        verify_inclusion(inner, 0, 8, path, tree_root(LEAVES))


@pytest.mark.parametrize(("index", "count"), [(8, 8), (-1, 8), (0, 0)])
def test_a_position_outside_the_tree_is_refused(index: int, count: int) -> None:
    """There is nothing to prove there."""
    with pytest.raises(MalformedMessage):
        verify_inclusion(LEAVES[0], index, count, (), LEAVES[0])


@pytest.mark.parametrize("nodes", [[], [b"short"], [LEAVES[0], LEAVES[1] + b"x"]])
def test_a_tree_of_nothing_or_of_other_digests_is_refused(nodes: list[bytes]) -> None:
    """Lengths that vary would let two lists share a root."""
    with pytest.raises(MalformedMessage):
        tree_root(nodes)


def test_a_leaf_is_the_hash_written_in_the_protocol() -> None:
    """Spelt out here once more, so that a change of format cannot pass unseen."""
    words = b"".join(struct.pack("<Q", word) for word in range(256))

    digest = leaf_digest(3, 4, 5, words)

    header = bytes.fromhex("00000000030000000400000005")
    assert digest == sha256(header + words).digest()


@pytest.mark.parametrize("length", [0, 2047, 2049])
def test_a_leaf_of_another_length_is_refused(length: int) -> None:
    """Where a scheme says nothing else, a leaf has 256 words."""
    with pytest.raises(MalformedMessage):
        leaf_digest(0, 0, 0, bytes(length))


@pytest.mark.parametrize("count", [1, 255, 512])
def test_a_leaf_of_a_scheme_with_another_length_is_the_documented_hash(count: int) -> None:
    """The same header and all the words; the length is the scheme's, and no other is taken."""
    words = b"".join(struct.pack("<Q", 3 * word + 1) for word in range(count))
    header = bytes.fromhex("00000000030000000400000005")

    digest = leaf_digest(3, 4, 5, words, count)

    assert digest == sha256(header + words).digest()
    for wrong in (b"", words[:-1], words[:-8], words + b"\0", words + bytes(8), bytes(8 * 256)):
        with pytest.raises(MalformedMessage, match=f"has {8 * count} bytes, got {len(wrong)}$"):
            leaf_digest(3, 4, 5, wrong, count)
    with pytest.raises(MalformedMessage, match="has 2048 bytes"):
        leaf_digest(3, 4, 5, words)


def test_a_chunk_is_cut_into_leaves_of_the_schemes_length() -> None:
    """Each with its words, its number and its modulus, the last one filled with zero words."""
    words = np.arange(1, 2 * 700 + 1, dtype=np.uint64).reshape(1, 2, 700)
    full = np.zeros((2, 1024), np.uint64)
    full[:, :700] = words[0]

    leaves = chunk_leaves(7, words, 512)

    assert leaves == [
        sha256(struct.pack(">cIII", b"\0", 7, at, at // 2) + part.astype("<u8").tobytes()).digest()
        for at, part in enumerate(full.reshape(4, 512))
    ]
    assert chunk_root(7, words, 512) == tree_root(leaves)
    assert chunk_root(7, words, 512) != chunk_root(7, words)


def test_leaves_follow_the_words_and_name_their_modulus() -> None:
    """Polynomial by polynomial, modulus by modulus, 256 words at a time."""
    flat = WORDS.reshape(-1, 256)
    moduli = [0, 0, 1, 1, 0, 0, 1, 1]

    leaves = chunk_leaves(7, WORDS)

    assert leaves == [
        leaf_digest(7, leaf, moduli[leaf], words.tobytes()) for leaf, words in enumerate(flat)
    ]


def test_a_short_last_leaf_is_filled_with_zero_words() -> None:
    """Schemes whose chunks are no whole number of leaves have one root all the same."""
    short = np.arange(300, dtype=np.uint64).reshape(1, 1, 300)
    full = np.pad(short, ((0, 0), (0, 0), (0, 212)))

    assert chunk_root(0, short) == chunk_root(0, full)


def test_roots_depend_on_the_chunk_and_the_order() -> None:
    """A chunk moved elsewhere, or two exchanged, change the piece."""
    first, second = chunk_root(0, WORDS), chunk_root(1, WORDS)

    assert first != second
    assert piece_root([first, second]) != piece_root([second, first])


@pytest.mark.parametrize("shape", [(0, 1, 256), (1, 1, 0), (256,)])
def test_a_chunk_without_words_is_refused(shape: tuple[int, ...]) -> None:
    """Nothing has no root."""
    with pytest.raises(MalformedMessage):
        chunk_leaves(0, np.zeros(shape, np.uint64))


@given(st.integers(1, 300))
@settings(deadline=None, max_examples=80)
def test_a_tree_that_grows_has_the_same_root_at_every_size(count: int) -> None:
    """Whoever cannot keep all nodes gets the root that whoever can gets."""
    nodes = [sha256(struct.pack(">I", at)).digest() for at in range(count)]
    tree = GrowingTree()

    for node in nodes:
        tree.add(node)

    assert tree.root() == tree_root(nodes)
    assert len(tree._full) == count.bit_count()


def test_a_growing_tree_refuses_what_a_tree_refuses() -> None:
    """No node, and none of another length."""
    tree = GrowingTree()

    with pytest.raises(MalformedMessage):
        tree.root()
    with pytest.raises(MalformedMessage):
        tree.add(b"short")
