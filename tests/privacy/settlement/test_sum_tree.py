"""One wrong addition is one wrong node, and whoever has the contributions finds it."""

import tracemalloc
from dataclasses import replace
from hashlib import sha256

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy.errors import CohortTooSmall, MalformedMessage, RootMismatch
from privacy.merkle import chunk_leaves
from privacy.settlement.sum_proof import Kind, Node, Opening, Tree
from privacy.settlement.sum_tree import (
    ChunkTrees,
    GrowingSums,
    Place,
    Served,
    Wrong,
    add,
    find,
    is_join,
    locate,
    open_node,
    pack_levels,
    prove_leaf,
    prove_sum,
    prove_top,
    sum_tree,
    unpack_levels,
    width,
    words_under,
)
from privacy.settlement.sum_verdict import opens, verdict
from tests.privacy.example_sums import LEAF_BYTES, PRIME, TWO_64, WORDS, Example, Lies

MODULI = st.sampled_from([2, 97, PRIME, 1 << 63, (1 << 63) + 29, TWO_64 - 59, TWO_64])
FIVE = Example()


@settings(deadline=None, max_examples=60)
@given(modulus=MODULI, data=st.data())
def test_words_are_added_as_integers_are(modulus: int, data: st.DataObject) -> None:
    """Python's integers do not wrap; words of 64 bits do."""
    residues = st.lists(st.integers(0, modulus - 1), min_size=4, max_size=4)
    left, right = data.draw(residues), data.draw(residues)
    left[0] = right[0] = modulus - 1

    total = add(np.array(left, np.uint64), np.array(right, np.uint64), modulus)

    assert total.tolist() == [(a + b) % modulus for a, b in zip(left, right, strict=True)]


@pytest.mark.parametrize("modulus", [PRIME, TWO_64])
@pytest.mark.parametrize("slots", [1, 2, 3, 5, 6, 7, 8, 9])
def test_sums_made_one_by_one_are_those_of_the_whole_tree(slots: int, modulus: int) -> None:
    """The coordinator never holds all contributions; the auditor of one place does."""
    example = Example(slots=slots, modulus=modulus)
    growing = GrowingSums(1, [modulus])
    for contribution in example.contributions:
        growing.add(contribution[1].reshape(1, 1, -1))

    sums = growing.finish()

    trees = [sum_tree(example.place(1, leaf), example.words_at(1, leaf)) for leaf in range(4)]
    assert trees == [example.trees[1, leaf] for leaf in range(4)]
    assert list(sums.nodes) == [levels[-1][0] for levels in trees]
    assert sums.root() == example.chunk_roots()[1]
    # The sum's own leaves are those that the published sum has.
    assert [node.own for node in sums.nodes] == chunk_leaves(1, sums.words)


def test_each_modulus_of_a_chunk_is_added_by_itself() -> None:
    """A chunk may have residues of several primes."""
    moduli = (PRIME, 97)
    full = np.array(moduli, np.uint64)[:, np.newaxis] - np.uint64(1)
    words = np.broadcast_to(full, (2, 2, WORDS)).copy()
    growing = GrowingSums(0, moduli)

    growing.add(words)
    growing.add(words)

    expected = np.broadcast_to(full - np.uint64(1), words.shape)
    assert np.array_equal(growing.finish().words, expected)


def test_memory_grows_with_the_bits_of_the_cohort_not_with_the_cohort() -> None:
    """A chunk has up to a megabyte, and sites may be thousands."""
    words = np.zeros((1, 1, 64 * WORDS), np.uint64)
    growing = GrowingSums(0, [PRIME])
    tracemalloc.start()

    for _ in range(64):
        growing.add(words + np.uint64(1))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 12 * words.nbytes


@pytest.mark.parametrize("slots", [*range(1, 20), 33])
def test_what_is_kept_on_the_way_is_every_node_of_every_tree(slots: int) -> None:
    """At some leaves of a chunk, for any number of slots: whoever is asked shows it from there."""
    words = np.random.default_rng(slots).integers(0, PRIME, (slots, 2, 1, 512), np.uint64)
    kept = ChunkTrees(slots, range(1, 3))
    growing = GrowingSums(7, [PRIME], kept.see)
    for each in words:
        growing.add(each)

    tops = growing.finish().nodes

    for leaf in kept.leaves:
        at = words.reshape(slots, -1)[:, WORDS * leaf : WORDS * (leaf + 1)]
        levels = sum_tree(Place(7, leaf, 0, PRIME), at)
        served = Served(7, leaf, (bytes(32),) * 8, tuple(top.digest for top in tops), levels)
        assert kept.levels(leaf) == levels
        assert levels[-1][0] == tops[leaf]
        for slot in range(slots):
            steps = (*kept.upwards(leaf, slot), *served.over())
            assert steps == served.upwards(0, slot)


@pytest.mark.parametrize("slots", [1, 2, 3, 7, 8, 100])
def test_a_sum_tree_that_travels_is_the_same_and_of_its_size_alone(slots: int) -> None:
    """A message that is too short or too long is no tree, whatever it hashes to."""
    words = np.arange(slots * WORDS, dtype=np.uint64).reshape(slots, WORDS)
    levels = sum_tree(Place(0, 0, 0, PRIME), words)

    packed = pack_levels(levels)

    assert unpack_levels(packed, slots) == levels
    for wrong, count in ((packed[:-1], slots), (packed + bytes(64), slots), (packed, slots + 1)):
        with pytest.raises(MalformedMessage, match="no sum tree"):
            unpack_levels(wrong, count)
    with pytest.raises(MalformedMessage, match="no sum tree"):
        unpack_levels(b"", 0)


@pytest.mark.parametrize("shape", [(1, 1, 512), (1, 2, 256), (1, 256)])
def test_a_chunk_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    """Numpy would add it to every row."""
    growing = GrowingSums(0, [PRIME])
    growing.add(np.zeros((1, 1, 256), np.uint64))

    with pytest.raises(MalformedMessage):
        growing.add(np.zeros(shape, np.uint64))


def test_a_chunk_with_another_number_of_moduli_is_refused() -> None:
    """Some of its words would be added modulo nothing."""
    with pytest.raises(MalformedMessage):
        GrowingSums(0, [PRIME]).add(np.zeros((1, 2, 256), np.uint64))


def test_nothing_has_no_sum() -> None:
    """A root of nothing could be of anything."""
    with pytest.raises(CohortTooSmall):
        GrowingSums(0, [PRIME]).finish()


@settings(deadline=None, max_examples=80)
@given(
    slots=st.integers(1, 9),
    chunks=st.integers(1, 4),
    leaves=st.integers(1, 5),
    modulus=st.sampled_from([PRIME, TWO_64]),
    data=st.data(),
)
def test_whatever_word_is_altered_wherever_is_found_proved_and_guilty(
    slots: int, chunks: int, leaves: int, modulus: int, data: st.DataObject
) -> None:
    """Any chunk, leaf, level and position, any bit: this is what the stake stands for."""
    last = data.draw(st.integers(1, leaves))
    honest = Example(slots, chunks, leaves, last, modulus, data.draw(st.integers(0, 99)))
    chunk, leaf = data.draw(st.sampled_from(list(honest.places())))
    level, index = data.draw(st.sampled_from(nodes_over(slots)))
    body = bytearray(honest.body_of(chunk, leaf, level, index))
    body[13 + data.draw(st.integers(0, LEAF_BYTES - 1))] ^= 1 << data.draw(st.integers(0, 7))
    liar = honest.with_lies(words={(chunk, leaf, level, index): bytes(body)})

    wrong = find(bytes.fromhex(liar.commit.sum_trees), liar, honest)

    assert wrong is not None
    assert (wrong.served.chunk, wrong.served.leaf) == (chunk, leaf)
    assert (wrong.level, wrong.index) == (level, index)
    assert verdict(liar.context, proof_of(wrong, honest))


@settings(deadline=None, max_examples=40)
@given(slots=st.integers(1, 9), chunks=st.integers(1, 3), data=st.data())
def test_nothing_that_an_honest_coordinator_did_can_be_proved_wrong(
    slots: int, chunks: int, data: st.DataObject
) -> None:
    """Every node of its trees, tried as the wrong one."""
    honest = Example(slots, chunks, leaves=2, last_leaves=1)
    chunk, leaf = data.draw(st.sampled_from(list(honest.places())))
    level, index = data.draw(st.sampled_from(nodes_over(slots)))
    tried = Wrong(honest.served(chunk, leaf), level, index)
    published = honest.published.located(chunk, leaf)

    found = find(bytes.fromhex(honest.commit.sum_trees), honest, honest)

    assert found is None
    assert not verdict(honest.context, proof_of(tried, honest))
    assert not verdict(honest.context, prove_top(tried.served, published, honest.arithmetic))


def proof_of(wrong: Wrong, honest: Example):
    chunk, leaf = wrong.served.chunk, wrong.served.leaf
    if wrong.kind is Kind.BAD_SUM:
        rows = honest.words_at(chunk, leaf)
        return prove_sum(wrong, honest.place(chunk, leaf), rows, honest.arithmetic)
    slot = wrong.index
    own, path = honest.own_leaf(slot, chunk, leaf), honest.cohort_tree.path(slot)
    return prove_leaf(wrong, honest.cohort[slot].slot_id, own, path, honest.arithmetic)


def nodes_over(slots: int) -> list[tuple[int, int]]:
    levels = range(slots.bit_length() + 1)
    return [
        (level, index)
        for level in levels
        for index in range(width(slots, level))
        if level == 0 or is_join(level, index, slots)
    ]


def test_of_several_lies_the_lowest_is_proved() -> None:
    """Above it everything is wrong too, and its children would not be known."""
    lies = {(1, 2, 2, 0): b"no words", (1, 2, 1, 1): b"none either"}
    liar = FIVE.with_lies(words=lies)

    wrong = find(bytes.fromhex(liar.commit.sum_trees), liar, FIVE)

    assert wrong is not None
    assert (wrong.level, wrong.index) == (1, 1)


def test_a_sum_altered_only_where_it_is_published_is_proved_by_hashes() -> None:
    """The trees are right, and the model was made from something else."""
    liar = FIVE.with_lies(published={(2, 1): b"another sum"})
    leaves = liar.published.leaves[2].nodes
    located = locate(liar.published.chunks.nodes, leaves, 2, 1)

    proof = prove_top(liar.served(2, 1), located, liar.arithmetic)

    assert verdict(liar.context, proof)


class Forging:
    """Shows hashes that are its own, or changed on the way."""

    def __init__(self, example: Example, **changes: object) -> None:
        self._example, self._changes = example, changes

    def chunk_roots(self) -> tuple[bytes, ...]:
        return self._changes.get("chunk_roots", self._example.chunk_roots())

    def tops(self, chunk: int) -> tuple[bytes, ...]:
        return self._changes.get("tops", self._example.tops(chunk))

    def levels(self, chunk: int, leaf: int):
        return self._changes.get("levels", self._example.levels(chunk, leaf))


LIAR = FIVE.with_lies(words={(1, 2, 2, 0): b"no words"})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"chunk_roots": FIVE.chunk_roots()}, "committed root"),
        ({"chunk_roots": LIAR.chunk_roots()[:2]}, "committed root"),
        ({"tops": FIVE.tops(1)}, "do not lead to its root"),
        ({"tops": LIAR.tops(1)[:3]}, "3 nodes are shown, there are 4"),
        ({"levels": FIVE.levels(1, 2)}, "does not lead to its root"),
        ({"levels": LIAR.levels(1, 2)[1:]}, "3 nodes are shown, there are 5"),
        ({"levels": (*LIAR.levels(1, 2)[:3], LIAR.levels(1, 2)[2])}, "no tree over the slots"),
        ({"levels": ()}, "no tree over the slots"),
        (
            {"levels": (*LIAR.levels(1, 2)[:1], FIVE.levels(2, 0)[1], *LIAR.levels(1, 2)[2:])},
            "not the hash of its children",
        ),
    ],
)
def test_what_does_not_hash_to_the_commit_is_no_evidence(changes: dict, said: str) -> None:
    """A proof of it would lead nowhere; the node can be demanded."""
    root = bytes.fromhex(LIAR.commit.sum_trees)

    with pytest.raises(RootMismatch, match=said):
        find(root, Forging(LIAR, **changes), FIVE)


@pytest.mark.parametrize(("chunk", "leaf"), [(3, 0), (0, 4), (-1, 0)])
def test_a_place_that_there_is_not_is_refused(chunk: int, leaf: int) -> None:
    """Its path would be another's."""
    served = replace(FIVE.served(0, 0), chunk=chunk, leaf=leaf)

    with pytest.raises(MalformedMessage):
        served.check(FIVE.sum_trees.root)


@pytest.mark.parametrize("slots", [1, 2, 5, 8])
def test_every_node_that_can_be_demanded_can_be_answered(slots: int) -> None:
    """An honest coordinator is never slashed for what it cannot show."""
    example = Example(slots=slots)
    served = example.served(2, 1)

    for level, index in nodes_over(slots):
        node = Node(Tree.SUM_TREES, 2, 1, level, index)
        opening = open_node(served, node, example.arithmetic)

        assert opens(example.context, node, opening)
        if opening.steps:
            fewer = Opening(opening.steps[:-1], opening.arithmetic)
            assert not opens(example.context, node, fewer)


@pytest.mark.parametrize(
    "node",
    [
        Node(Tree.SUM_TREES, 2, 1, 1, 2),
        Node(Tree.SUM_TREES, 2, 1, 0, 5),
        Node(Tree.SUM_TREES, 2, 1, 4, 0),
        Node(Tree.SUM_TREES, 2, 0, 0, 0),
        Node(Tree.PUBLISHED_SUM, 2, 1),
    ],
)
def test_a_node_that_there_is_not_is_not_opened(node: Node) -> None:
    """One that was carried up is demanded where it was made."""
    with pytest.raises(MalformedMessage):
        open_node(FIVE.served(2, 1), node, FIVE.arithmetic)


@settings(deadline=None, max_examples=40)
@given(slots=st.integers(1, 20), data=st.data())
def test_the_words_of_a_node_are_the_sum_of_what_is_under_it(
    slots: int, data: st.DataObject
) -> None:
    """A proof publishes these of the two children."""
    example = Example(slots=slots, chunks=1, leaves=1, last_leaves=1)
    level, index = data.draw(st.sampled_from(nodes_over(slots)))

    words = words_under(example.place(0, 0), example.words_at(0, 0), level, index)

    own = example.levels(0, 0)[level][index].own
    assert sha256(bytes(13) + words).digest() == own


def test_a_lie_in_a_trees_form_is_seen_as_what_does_not_hash() -> None:
    """The bytes under a node's hash may be anything; then nobody can open it."""
    liar = replace(FIVE, lies=Lies(nodes={(1, 2, 2, 0): b"\x02" + bytes(95)}))

    with pytest.raises(RootMismatch, match="not the hash of its children"):
        find(bytes.fromhex(liar.commit.sum_trees), liar, FIVE)


def test_served_hashes_are_the_only_thing_a_proof_of_a_leaf_needs() -> None:
    """A site proves that its own was altered without showing a word."""
    liar = FIVE.with_lies(words={(0, 1, 0, 3): b"altered"})
    served: Served = liar.served(0, 1)

    proof = proof_of(Wrong(served, 0, 3), FIVE)

    assert verdict(liar.context, proof)
    assert len(proof.encode()) < LEAF_BYTES
