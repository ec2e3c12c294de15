"""A leaf is shown at its place under a signed root, or refused, and who shows it is named."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from privacy import canonical
from privacy.errors import MalformedMessage, RootMismatch
from privacy.merkle import tree_root
from privacy.schemes.shares.evidence import (
    MOST_CHUNKS,
    ChunkRoots,
    LeafHashes,
    Place,
    ShownLeaf,
    check_shown,
    first_difference,
    show,
)
from privacy.schemes.shares.layout import MOST_LEAVES, WORDS_PER_LEAF
from tests.privacy.schemes.shares.disputed import LEAVES, honest

SUM = honest(2)
PLACES = [(chunk, leaf) for chunk, leaves in enumerate(LEAVES) for leaf in range(leaves)]
DIGEST = bytes(range(32))
LEAF = SUM.leaf(1, 2)
AT = Place(1, 3, 2, 4)


@pytest.mark.parametrize(("chunk", "leaf"), PLACES)
def test_a_leaf_that_is_shown_stands_at_its_place_and_at_no_other(chunk, leaf):
    """In full chunks and in the shorter last one."""
    shown = SUM.leaf(chunk, leaf)

    check_shown(shown, Place(chunk, 3, leaf, LEAVES[chunk]), SUM.root, "seat 1")

    for at, other in set(PLACES) - {(chunk, leaf)}:
        with pytest.raises(RootMismatch, match=f"seat 1 .* leaf {other} of chunk {at}"):
            check_shown(shown, Place(at, 3, other, LEAVES[at]), SUM.root, "seat 1")


@pytest.mark.parametrize(
    "changed",
    [
        replace(LEAF, words=bytes(8 * WORDS_PER_LEAF)),
        replace(LEAF, words=LEAF.words[:-8]),
        replace(LEAF, leaf_path=LEAF.leaf_path[::-1]),
        replace(LEAF, leaf_path=LEAF.leaf_path[:-1]),
        replace(LEAF, leaf_path=(*LEAF.leaf_path, DIGEST)),
        replace(LEAF, leaf_path=(DIGEST[:-1], LEAF.leaf_path[1])),
        replace(LEAF, chunk_root=SUM.roots.roots[0]),
        replace(LEAF, chunk_path=()),
        replace(LEAF, chunk_path=(*LEAF.chunk_path, DIGEST)),
        replace(LEAF, leaf_path=(), chunk_path=(*LEAF.leaf_path, *LEAF.chunk_path)),
    ],
)
def test_anything_else_is_refused_by_name(changed):
    """Words, either path, and the root between them; also what no decoder would let in."""
    with pytest.raises(RootMismatch, match="seat 2 shows"):
        check_shown(changed, AT, SUM.root, "seat 2")


@given(st.integers(0, 8 * WORDS_PER_LEAF - 1), st.integers(0, 7))
@settings(deadline=None, max_examples=50)
def test_no_bit_of_the_words_can_be_changed(at, bit):
    """Blinding words are words."""
    words = bytearray(LEAF.words)
    words[at] ^= 1 << bit

    with pytest.raises(RootMismatch):
        check_shown(replace(LEAF, words=bytes(words)), AT, SUM.root, "seat 0")


@pytest.mark.parametrize("at", range(3))
def test_a_list_leads_to_the_root_that_is_signed(at):
    SUM.roots.require(3, SUM.root, "seat 0")
    SUM.hashes(at).require(LEAVES[at], SUM.roots.roots[at], "seat 0")


def test_another_list_is_refused_by_name():
    """Another order, another number, another component."""
    roots, other = SUM.roots.roots, honest(0)

    for wrong in (roots[::-1], roots[:2], (*roots, DIGEST), other.roots.roots):
        with pytest.raises(RootMismatch, match="seat 1 shows roots of chunks"):
            ChunkRoots(wrong).require(3, SUM.root, "seat 1")
    with pytest.raises(RootMismatch, match="seat 1 shows hashes of leaves"):
        other.hashes(0).require(4, roots[0], "seat 1")


def test_nodes_of_a_level_above_are_not_taken_for_leaves():
    """They lead to the same root, and every place among them would be another one."""
    first, second, third, fourth = SUM.hashes(0).hashes
    above = LeafHashes((tree_root((first, second)), tree_root((third, fourth))))

    assert above.chunk_root() == SUM.roots.roots[0]
    with pytest.raises(RootMismatch, match="the 4 under"):
        above.require(4, SUM.roots.roots[0], "seat 1")


@given(st.lists(st.sampled_from((b"a", b"b")), max_size=9), st.data())
def test_the_first_difference_is_the_first(one, data):
    """Against the plain meaning of the word."""
    other = data.draw(st.lists(st.sampled_from((b"a", b"b")), min_size=len(one), max_size=len(one)))

    found = first_difference(one, other)

    assert (found is None) == (one == other)
    if found is not None:
        assert one[:found] == other[:found]
        assert one[found] != other[found]


def test_lists_of_different_lengths_are_not_compared():
    with pytest.raises(MalformedMessage, match="lists of 1 and 2"):
        first_difference([DIGEST], [DIGEST, DIGEST])


def test_a_seat_does_not_show_words_that_are_not_those_of_its_root():
    """It would accuse itself: its store is damaged, or it was asked for another component."""
    with pytest.raises(RootMismatch, match="this seat"):
        show(SUM.roots, 0, SUM.blocks[1], 0)


@pytest.mark.parametrize(("chunk", "leaf"), [(3, 0), (-1, 0), (0, 4), (2, -1)])
def test_there_is_no_place_outside(chunk, leaf):
    """Neither to show nor to ask for."""
    with pytest.raises(MalformedMessage, match="there is no leaf"):
        show(SUM.roots, chunk, SUM.blocks[min(chunk, 2)], leaf)


def test_words_do_not_print():
    """The third seat has the two other components; logs are read by others."""
    word = int(SUM.blocks[1][2, 0])

    text = repr(LEAF)

    assert LEAF.chunk_root.hex() in text
    assert "words" not in text
    assert str(word) not in text
    assert repr(LEAF.words[:4])[2:-1] not in text


# -- as it travels ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value", [SUM.roots, SUM.hashes(2), LEAF], ids=lambda it: type(it).__name__
)
def test_what_is_written_is_read(value):
    assert canonical.decode(canonical.encode(value), type(value)) == value


@pytest.mark.parametrize(
    "value",
    [
        ChunkRoots(()),
        ChunkRoots((DIGEST[:-1],)),
        ChunkRoots((DIGEST,) * (MOST_CHUNKS + 1)),
        LeafHashes(()),
        LeafHashes((DIGEST + b"x",)),
        LeafHashes((DIGEST,) * (MOST_LEAVES + 1)),
        replace(LEAF, words=LEAF.words + bytes(8)),
        replace(LEAF, words=LEAF.words[8:]),
        replace(LEAF, leaf_path=(DIGEST,) * 8),
        replace(LEAF, chunk_path=(DIGEST,) * 15),
        replace(LEAF, chunk_root=b""),
    ],
)
def test_no_other_size_is_read(value):
    """Each has its length, and each list its longest."""
    with pytest.raises(MalformedMessage):
        canonical.decode(canonical.encode(value), type(value))


@pytest.mark.parametrize(
    "value",
    [
        ChunkRoots((DIGEST,) * MOST_CHUNKS),
        LeafHashes((DIGEST,) * MOST_LEAVES),
        ShownLeaf(bytes(8 * WORDS_PER_LEAF), (DIGEST,) * 7, DIGEST, (DIGEST,) * 14),
    ],
    ids=["roots", "hashes", "leaf"],
)
def test_the_largest_fit_into_a_document(value):
    assert canonical.decode(canonical.encode(value), type(value)) == value


def test_the_words_are_those_of_the_block():
    assert np.array_equal(np.frombuffer(LEAF.words, "<u8"), SUM.blocks[1][2])
