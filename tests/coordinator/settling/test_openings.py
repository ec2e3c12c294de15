"""Answers to demands: every node that can be demanded is opened, as the contract wants it."""

import msgspec
import pytest

from coordinator import object_names as names
from privacy.errors import MalformedMessage, NotYet, RootMismatch
from privacy.settlement.sum_proof import Node, Tree
from privacy.settlement.sum_verdict import Context, opens
from tests.coordinator.settling.settled_round import DOMAIN, settled_round
from tests.fakes import SITES

LEAVES = 32


@pytest.fixture(scope="module", params=[4, 3])
def done(request):
    """Of four sites, and of three, where a node is carried up."""
    return settled_round(SITES[: request.param])


def context(done):
    digest = done.added().plan.arithmetic.digest()
    return Context(
        DOMAIN, "0x" + "aa" * 20, digest, LEAVES, LEAVES, bytes(32), done.commit(), lambda *_: None
    )


def test_the_commit_names_what_is_opened(done):
    """Else every test here would hold of something else."""
    commit = done.commit()

    assert commit.cohort == done.slots().root().hex()
    assert commit.slots == len(done.added().participants)


def test_every_node_of_a_sum_tree_is_opened(done):
    slots = done.commit().slots
    joins = [(1, 0), (2, 0)] if slots == 3 else [(1, 0), (1, 1), (2, 0)]
    places = [(0, index) for index in range(slots)] + joins
    for level, index in places:
        node = Node(Tree.SUM_TREES, chunk=1, leaf=31, level=level, index=index)

        opening = done.openings.of(done.commit(), node)

        assert opens(context(done), node, opening), node


@pytest.mark.parametrize(("chunk", "leaf"), [(0, 0), (1, 31)])
def test_leaves_of_the_published_sum_and_of_each_contribution_are_opened(done, chunk, leaf):
    nodes = [Node(Tree.PUBLISHED_SUM, chunk, leaf)]
    nodes += [Node(Tree.CONTRIBUTION, chunk, leaf, 0, at) for at in range(done.commit().slots)]
    for node in nodes:
        opening = done.openings.of(done.commit(), node)

        assert opens(context(done), node, opening), node


def test_every_slot_is_opened_and_shows_no_leaf(done):
    for index in range(done.commit().slots):
        node = Node(Tree.COHORT, index=index)

        opening = done.openings.of(done.commit(), node)

        assert opens(context(done), node, opening)
        assert opening.arithmetic == b""


def test_an_opening_of_another_node_does_not_pass(done):
    """The judge of these tests can say no."""
    node, other = Node(Tree.SUM_TREES, 0, 3, 1, 0), Node(Tree.SUM_TREES, 0, 4, 1, 0)

    opening = done.openings.of(done.commit(), node)

    assert opens(context(done), node, opening)
    assert not opens(context(done), other, opening)


@pytest.mark.parametrize(
    "node",
    [
        Node(Tree.SUM_TREES, 2, 0),
        Node(Tree.SUM_TREES, 0, LEAVES),
        Node(Tree.SUM_TREES, 0, 0, 3, 0),
        Node(Tree.PUBLISHED_SUM, 0, LEAVES),
        Node(Tree.CONTRIBUTION, 0, 0, 0, 9),
        Node(Tree.COHORT, index=9),
    ],
)
def test_a_node_that_is_none_is_refused(done, node):
    """The contract takes no such demand; nothing here is made of one either."""
    with pytest.raises(MalformedMessage):
        done.openings.of(done.commit(), node)


def test_a_commit_of_other_trees_is_not_answered_for(done):
    """What was committed elsewhere is said, and not answered with something else."""
    other = msgspec.structs.replace(done.commit(), sum_trees="ee" * 32)

    with pytest.raises(RootMismatch):
        done.openings.of(other, Node(Tree.SUM_TREES))


def test_what_is_gone_is_said():
    """It cannot be, while anybody may demand it."""
    done = settled_round()
    done.federation.objects.delete_prefix(names.contribution(1, SITES[2]))

    with pytest.raises(NotYet):
        done.openings.of(done.commit(), Node(Tree.CONTRIBUTION, 0, 0, 0, 2))
