"""Trees of partial sums from what is stored: the same as from the words themselves."""

import pytest

from coordinator import object_names as names
from coordinator.settling.sums import NO_TREES, SumTrees
from privacy.errors import NotYet
from privacy.merkle import tree_root
from privacy.schemes.ckks_sum import CkksCombiner
from privacy.sum_tree import GrowingSums
from tests.coordinator import seated_round
from tests.coordinator.closed_round import close, make_plan
from tests.coordinator.memory_store import MemoryObjects, MemoryStore
from tests.fakes import SITES

CHUNKS = 3
PLAN = make_plan(CHUNKS)


@pytest.fixture
def objects():
    found = MemoryObjects()
    close(MemoryStore(), found, PLAN)
    return found


def test_the_root_is_that_over_the_contributions_words(objects):
    combiner = CkksCombiner(PLAN.parameters(), PLAN.arithmetic.dimension)
    roots = []
    for chunk in range(CHUNKS):
        growing = GrowingSums(chunk, PLAN.parameters().layout.moduli)
        for site in SITES:
            payload = objects.get(names.contribution_chunk(1, site, 0, chunk))
            words = combiner.decode(chunk, payload)
            growing.add(words.reshape(-1, *words.shape[2:]))
        roots.append(growing.finish().root())

    assert SumTrees(objects).root(1, PLAN, tuple(SITES)) == tree_root(roots)


def test_another_order_of_slots_is_another_root(objects):
    """A slot is a trainer's place in the roster; whoever checks counts by it."""
    backwards = tuple(reversed(SITES))

    assert SumTrees(objects).root(1, PLAN, backwards) != SumTrees(objects).root(
        1, PLAN, tuple(SITES)
    )


def test_what_is_gone_is_said(objects):
    objects.delete_prefix(names.contribution(1, SITES[1]))

    with pytest.raises(NotYet):
        SumTrees(objects).root(1, PLAN, tuple(SITES))


def test_under_shares_there_are_no_trees(objects):
    """A word of a component that is shown opens it to the seat that lacks it."""
    plan = seated_round.make_plan(seated_round.make_roster())

    assert SumTrees(objects).root(1, plan, ("a",)) == NO_TREES
