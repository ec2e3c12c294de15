"""Trees of partial sums from what is stored: the same as from the words themselves."""

import numpy as np
import pytest

from coordinator import object_names as names
from coordinator.settling import sums
from coordinator.settling.sums import NO_TREES, Added, SumTrees
from privacy.errors import MalformedMessage, NotYet, RootMismatch
from privacy.merkle import WORDS_PER_LEAF, tree_root
from privacy.schemes.ckks_sum import CkksCombiner
from privacy.settlement.sum_tree import GrowingSums, Place, sum_tree
from tests.coordinator import seated_round
from tests.coordinator.closed_round import close, make_plan
from tests.coordinator.memory_store import MemoryObjects, MemoryStore
from tests.fakes import SITES

CHUNKS = 3
PLAN = make_plan(CHUNKS)
ADDED = Added(1, PLAN, tuple(SITES))
LEAVES = 32


@pytest.fixture
def objects():
    found = MemoryObjects()
    close(MemoryStore(), found, PLAN)
    return found


@pytest.fixture
def trees(objects):
    return SumTrees(objects, MemoryStore())


def words_of(objects, chunk):
    """Return the words of each site's chunk, shape (sites, leaves, words of a leaf)."""
    combiner = CkksCombiner(PLAN.parameters(), PLAN.arithmetic.dimension)
    payloads = (objects.get(names.contribution_chunk(1, site, 0, chunk)) for site in SITES)
    words = [combiner.decode(chunk, payload) for payload in payloads]
    return np.stack([each.reshape(-1, WORDS_PER_LEAF) for each in words])


def counted(objects):
    """Return objects that note how often each was read."""
    reads, get = [], objects.get
    objects.get = lambda name: reads.append(name) or get(name)
    return reads


def test_the_root_is_that_over_the_contributions_words(objects, trees):
    combiner = CkksCombiner(PLAN.parameters(), PLAN.arithmetic.dimension)
    roots = []
    for chunk in range(CHUNKS):
        growing = GrowingSums(chunk, PLAN.parameters().layout.moduli)
        for site in SITES:
            payload = objects.get(names.contribution_chunk(1, site, 0, chunk))
            words = combiner.decode(chunk, payload)
            growing.add(words.reshape(-1, *words.shape[2:]))
        roots.append(growing.finish().root())

    assert trees.root(1, PLAN, tuple(SITES)) == tree_root(roots)


def test_another_order_of_slots_is_another_root(trees):
    """A slot is a trainer's place in the roster; whoever checks counts by it."""
    backwards = tuple(reversed(SITES))

    assert trees.root(1, PLAN, backwards) != trees.root(1, PLAN, tuple(SITES))


def test_what_is_gone_is_said(objects, trees):
    objects.delete_prefix(names.contribution(1, SITES[1]))

    with pytest.raises(NotYet):
        trees.root(1, PLAN, tuple(SITES))


def test_under_shares_there_are_no_trees(trees):
    """A word of a component that is shown opens it to the seat that lacks it."""
    plan = seated_round.make_plan(seated_round.make_roster())

    assert trees.root(1, plan, ("a",)) == NO_TREES


def test_what_is_shown_of_a_leaf_is_its_whole_tree(objects, trees):
    """Against the words of all, added at that place alone."""
    for chunk, leaf in ((0, 0), (1, 17), (2, LEAVES - 1)):
        words = words_of(objects, chunk)[:, leaf]
        place = Place(chunk, leaf, 0, PLAN.parameters().layout.moduli[0])

        shown = trees.trees(ADDED, chunk, leaf).levels(leaf)

        assert shown == sum_tree(place, words)
        assert trees.tops(ADDED, chunk)[leaf] == shown[-1][0].digest


def test_the_chunks_roots_lead_to_the_root_and_no_contribution_is_read_again(objects, trees):
    """Who shows one leaf of a large model must not add up all of it."""
    root = trees.root(1, PLAN, tuple(SITES))
    reads = counted(objects)

    roots = trees.chunk_roots(ADDED, root)

    assert tree_root(roots) == root
    assert len(roots) == CHUNKS
    assert reads == []
    assert [tree_root(trees.tops(ADDED, chunk)) for chunk in range(CHUNKS)] == list(roots)


def test_kept_roots_that_were_changed_or_lost_are_made_again(objects):
    """They are only there to save time."""
    store = MemoryStore()
    root = SumTrees(objects, store).root(1, PLAN, tuple(SITES))
    kept = SumTrees(objects, store).chunk_roots(ADDED, root)
    [(name, body)] = store.documents("sum-trees")
    for found in ([], [("sum-trees", name, bytes(len(body)))], [("sum-trees", name, b"short")]):
        store.forget_documents([("sum-trees", name)])
        store.put_documents(found)

        assert SumTrees(objects, store).chunk_roots(ADDED, root) == kept
        assert store.documents("sum-trees") == [(name, body)]


def test_contributions_that_do_not_lead_to_the_commit_are_said(objects, trees):
    """Nothing that is wrong is shown as what was committed."""
    with pytest.raises(RootMismatch, match="restore the newest backup"):
        trees.chunk_roots(ADDED, b"\x01" * 32)


def test_a_chunk_is_added_once_for_all_who_ask(objects, trees):
    """Every site asks for each chunk; to add it reads it of every contribution."""
    reads = counted(objects)

    for leaf in range(LEAVES):
        trees.trees(ADDED, 1, leaf)
    trees.tops(ADDED, 1)

    assert len(reads) == len(SITES)


def test_what_is_kept_is_bounded(objects, trees, monkeypatch):
    """Of large cohorts some leaves at a time; and what was asked for last."""
    monkeypatch.setattr(sums, "KEPT_BYTES", 128 * len(SITES) * 5)

    for leaf in range(LEAVES):
        kept = trees.trees(ADDED, 0, leaf)
        assert leaf in kept.leaves
        assert sum(len(each.leaves) for each in trees._trees.values()) <= 5

    with pytest.raises(MalformedMessage):
        trees.trees(ADDED, 0, LEAVES)


def test_of_several_chunks_those_that_were_asked_for_last_are_kept(objects, trees, monkeypatch):
    """Sites go through the chunks in order, some before others."""
    monkeypatch.setattr(sums, "KEPT_BYTES", 2 * 128 * len(SITES) * LEAVES)
    for chunk in (0, 1, 0, 2):
        trees.trees(ADDED, chunk, 3)
    reads = counted(objects)

    trees.trees(ADDED, 0, 4)
    trees.trees(ADDED, 2, 4)
    assert reads == []
    trees.trees(ADDED, 1, 4)

    assert len(reads) == len(SITES)


@pytest.mark.parametrize("chunk", [CHUNKS, 1 << 31])
def test_a_chunk_that_is_none_is_refused(trees, chunk):
    with pytest.raises(MalformedMessage, match="no chunk"):
        trees.tops(ADDED, chunk)
