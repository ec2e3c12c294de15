"""Answers lead down to the wrong node, each to a deeper one; honest trees accuse nobody."""

import pytest

from privacy.errors import RootMismatch
from privacy.merkle import inclusion_path, tree_root
from privacy.settlement.descent import Found, Honest, _firsts, follow
from privacy.settlement.sum_proof import Hashes, Node, Tree
from privacy.settlement.sum_tree import is_join, open_node, width
from privacy.settlement.sum_verdict import verdict
from tests.privacy.example_sums import LEAF_BYTES, Example


def honest(example: Example, chunk: int, leaf: int) -> Honest:
    served = example.served(chunk, leaf)
    return Honest(chunk, leaf, served.chunk_roots, served.tops, served.levels)


def answer(example: Example, node: Node) -> Hashes:
    served = example.served(node.chunk, node.leaf)
    return open_node(served, node, example.arithmetic).steps


@pytest.mark.parametrize("slots", [1, 2, 5, 6])
@pytest.mark.parametrize("level", [0, 1, 2, 3])
@pytest.mark.parametrize("last", [False, True])
def test_each_answer_is_deeper_until_the_wrong_node_is_found(
    slots: int, level: int, last: bool
) -> None:
    """From the first leaf of all, whatever is wrong; and what is found convinces the verifier."""
    right = Example(slots=slots)
    if level > (slots - 1).bit_length():
        return
    joins = [at for at in range(width(slots, level)) if not level or is_join(level, at, slots)]
    at = (2, 1, level, joins[-1] if last else joins[0])
    lying = right.with_lies(words={at: bytes(LEAF_BYTES)})
    node, asked = Node(Tree.SUM_TREES, chunk=0, leaf=0, level=0, index=0), 0

    while True:
        asked += 1
        place = honest(right, node.chunk, node.leaf)
        found = follow(place, node.index, answer(lying, node))
        if isinstance(found, Found):
            break
        assert asked < 12
        node = found

    assert (place.chunk, place.leaf, found.level, found.index) == at
    if level:
        where = right.place(2, 1)
        proof = found.prove_sum(place, where, right.words_at(2, 1), right.arithmetic)
        assert verdict(lying.context, proof)
        assert not verdict(right.context, proof)


def test_honest_answers_accuse_nobody() -> None:
    """There is nothing to demand next, either."""
    example = Example()

    for chunk, leaf in example.places():
        node = Node(Tree.SUM_TREES, chunk=chunk, leaf=leaf, level=0, index=2)
        with pytest.raises(RootMismatch, match="is what the contributions give"):
            follow(honest(example, chunk, leaf), 2, answer(example, node))


@pytest.mark.parametrize("cut", [1, 3])
def test_an_answer_that_is_too_short_is_none(cut: int) -> None:
    example = Example()
    node = Node(Tree.SUM_TREES, chunk=0, leaf=0, level=0, index=2)

    with pytest.raises(RootMismatch):
        follow(honest(example, 0, 0), 2, answer(example, node)[:-cut])


@pytest.mark.parametrize("count", range(1, 12))
def test_what_stands_beside_a_way_begins_where_its_sibling_does(count: int) -> None:
    """The sibling is the root over the nodes from there on, as far as the tree has them."""
    nodes = [bytes([at]) * 32 for at in range(count)]

    for index in range(count):
        pairs = zip(_firsts(index, count), inclusion_path(nodes, index), strict=True)
        for first, sibling in pairs:
            roots = [tree_root(nodes[first:end]) for end in range(first + 1, count + 1)]
            assert sibling in roots
