"""Proofs that a commit is false are judged before anyone pays for a challenge."""

import json
from dataclasses import replace

import pytest

from privacy.settlement.sum_proof import Kind, Node, Opening, Tree
from privacy.settlement.sum_verdict import exists, opens, verdict
from tests.contracts.reading import read_call
from tests.contracts.settlement_vectors import FIVE, FOLDER, files
from tests.privacy.example_sums import Example

CASES = [
    pytest.param(case["call"], case["guilty"], id=f"{path.stem}-{case['name']}")
    for path in sorted(FOLDER.glob("*.json"))
    for case in json.loads(path.read_text())["cases"]
]
ONE = Example(slots=1)


def test_there_are_vectors_of_every_kind_guilty_and_innocent() -> None:
    """The other tests go over the files that there are."""
    assert {path.stem for path in FOLDER.glob("*.json")} == {kind.name.lower() for kind in Kind}
    for path in FOLDER.glob("*.json"):
        said = [case["guilty"] for case in json.loads(path.read_text())["cases"]]
        assert True in said, path.stem
        assert False in said, path.stem


def test_the_vectors_are_those_that_their_maker_makes() -> None:
    """Whoever changes one changes it where its reason stands."""
    for path, text in files():
        assert path.read_text() == text, "run `python -m tests.contracts.settlement_vectors`"


@pytest.mark.parametrize(("call", "guilty"), CASES)
def test_a_vector_is_judged_as_was_written_down(call: str, guilty: bool) -> None:
    """By hand, beside what the coordinator has done; the contract is asked the same."""
    context, proof = read_call(bytes.fromhex(call[2:]))

    assert verdict(context, proof) is guilty


NODES = [
    (Node(Tree.SUM_TREES, 2, 2, 0, 4), True),
    (Node(Tree.SUM_TREES, 2, 2, 3, 0), True),
    (Node(Tree.SUM_TREES, 2, 2, 1, 2), False),
    (Node(Tree.SUM_TREES, 2, 3, 0, 4), False),
    (Node(Tree.SUM_TREES, 3, 0, 0, 4), False),
    (Node(Tree.SUM_TREES, 2, 2, 0, 5), False),
    (Node(Tree.SUM_TREES, 2, 2, 200, 0), False),
    (Node(Tree.PUBLISHED_SUM, 0, 3), True),
    (Node(Tree.PUBLISHED_SUM, 0, 3, 0, 1), False),
    (Node(Tree.PUBLISHED_SUM, 0, 3, 1, 0), False),
    (Node(Tree.COHORT, index=4), True),
    (Node(Tree.COHORT, index=5), False),
    (Node(Tree.COHORT, 1, 0, 0, 4), False),
    (Node(Tree.COHORT, 0, 1, 0, 4), False),
    (Node(Tree.COHORT, level=1), False),
    (Node(Tree.CONTRIBUTION, 2, 2, 0, 4), True),
    (Node(Tree.CONTRIBUTION, 2, 2, 0, 5), False),
    (Node(Tree.CONTRIBUTION, 2, 3, 0, 4), False),
]
"""Over five slots, three chunks of four leaves, of which the last has three."""


@pytest.mark.parametrize(("node", "there"), NODES)
def test_only_nodes_that_there_are_can_be_demanded(node: Node, there: bool) -> None:
    """An honest coordinator has nothing to answer with for another."""
    assert exists(FIVE.context, node, FIVE.arithmetic) is there


@pytest.mark.parametrize("node", [node for node, there in NODES if there])
def test_under_shares_the_cohort_alone_can_be_demanded(node: Node) -> None:
    """Nobody has the trees of what each seat adds."""
    shares = replace(FIVE, scheme="shares/1")

    there = exists(shares.context, node, shares.arithmetic)

    assert there is (node.tree is Tree.COHORT)


def test_another_arithmetic_than_the_terms_shows_no_places() -> None:
    """Else whoever demands chooses how many chunks there are."""
    node, other = Node(Tree.SUM_TREES, 4, 0), replace(FIVE, chunks=5)

    assert exists(other.context, node, other.arithmetic)
    assert not exists(FIVE.context, node, other.arithmetic)


def opening_of(example: Example, node: Node) -> Opening:
    """What answers a demand for a node that is not of a sum tree."""
    slot, slot_id, steps = node.index, 0, ()
    if node.tree is Tree.PUBLISHED_SUM:
        located = example.published.located(node.chunk, node.leaf)
        steps = (located.digest, *located.path)
    elif node.tree is Tree.CONTRIBUTION:
        located, slot_id = (
            example.own_leaf(slot, node.chunk, node.leaf),
            example.cohort[slot].slot_id,
        )
        steps = (located.digest, *located.path, *example.cohort_tree.path(slot))
    else:
        slot_id = example.cohort[slot].slot_id
        steps = (example.cohort[slot].contribution, *example.cohort_tree.path(slot))
    return Opening(steps, example.arithmetic, slot_id)


OTHERS = [node for node, there in NODES if there and node.tree is not Tree.SUM_TREES]


@pytest.mark.parametrize("node", OTHERS)
def test_a_node_is_opened_by_its_own_path_alone(node: Node) -> None:
    """Nothing is added, left out or said of another slot."""
    right = opening_of(FIVE, node)

    assert opens(FIVE.context, node, right)
    assert not opens(FIVE.context, node, replace(right, steps=right.steps[1:]))
    assert not opens(FIVE.context, node, replace(right, steps=(*right.steps, bytes(32))))
    assert not opens(FIVE.context, node, replace(right, steps=(bytes(32), *right.steps[1:])))
    if node.tree is not Tree.PUBLISHED_SUM:
        assert not opens(FIVE.context, node, replace(right, slot_id=right.slot_id + 1))
    assert not opens(FIVE.context, replace(node, index=99), right)


def test_one_slot_has_a_tree_of_one_node() -> None:
    """Its root is the contribution's own leaf."""
    node = Node(Tree.SUM_TREES, 0, 0)
    path = ONE.sum_trees.located(0, 0)

    assert opens(ONE.context, node, Opening((path.digest, *path.path), ONE.arithmetic))
    assert path.digest == ONE.own_leaf(0, 0, 0).digest
