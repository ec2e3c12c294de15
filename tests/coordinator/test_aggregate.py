"""Adding up: the same bytes whatever stops it, and never more than a few chunks in memory."""

import pytest

from coordinator import object_names as names
from coordinator.aggregate import aggregate
from privacy.errors import MalformedMessage, NotYet, RootMismatch, StoreUnavailable
from privacy.merkle import tree_root
from privacy.schemes.ckks_sum import CkksCombiner
from tests import fakes
from tests.coordinator.memory_store import MemoryObjects

PLAN = fakes.make_plan()
SEEDS = [fakes.seed_of(name, 1) for name in fakes.SITES]
ROOTS = {
    name: [fakes.root_of(seed, chunk) for chunk in range(2)]
    for name, seed in zip(fakes.SITES, SEEDS, strict=True)
}


@pytest.fixture
def objects():
    kept = MemoryObjects()
    for name, seed in zip(fakes.SITES, SEEDS, strict=True):
        for chunk in range(2):
            where = names.contribution_chunk(1, name, 0, chunk)
            kept.put(where, fakes.chunk_of(seed, chunk))
    return kept


@pytest.fixture
def combiner():
    return CkksCombiner(PLAN.parameters(), PLAN.arithmetic.dimension)


def test_the_sum_and_its_root_are_those_of_the_chunks(objects, combiner):
    root, length = aggregate(combiner, objects, 1, ROOTS, 2)

    sums = [fakes.expected_sum(SEEDS, chunk) for chunk in range(2)]
    assert [objects.get(names.sum_chunk(1, chunk)) for chunk in range(2)] == sums
    assert root == tree_root([combiner.check(at, chunk) for at, chunk in enumerate(sums)])
    assert length == sum(len(chunk) for chunk in sums)


def test_the_order_of_the_cohort_does_not_matter(objects, combiner):
    first = aggregate(combiner, objects, 1, ROOTS, 2)

    assert aggregate(combiner, objects, 1, dict(reversed(ROOTS.items())), 2) == first


def test_a_fold_that_was_stopped_starts_again(objects, combiner, monkeypatch):
    put = objects.put

    def fail_at_the_second(name, data):
        if name.endswith("1"):
            raise StoreUnavailable("full")
        put(name, data)

    with monkeypatch.context() as broken:
        broken.setattr(objects, "put", fail_at_the_second)
        with pytest.raises(StoreUnavailable):
            aggregate(combiner, objects, 1, ROOTS, 2)

    aggregate(combiner, objects, 1, ROOTS, 2)

    assert objects.get(names.sum_chunk(1, 1)) == fakes.expected_sum(SEEDS, 1)


@pytest.mark.parametrize(
    ("stored", "error"),
    [
        (None, NotYet),
        (b"rotten", MalformedMessage),
        (fakes.chunk_of("another update", 1), RootMismatch),
    ],
)
def test_a_chunk_that_is_gone_or_not_the_one_accepted_stops_the_sum(
    objects, combiner, stored, error
):
    """Nothing is added in its place, though another good chunk would add up as well."""
    damaged = names.contribution_chunk(1, fakes.SITES[2], 0, 1)
    objects.delete_prefix(damaged)
    if stored is not None:
        objects.put(damaged, stored)

    with pytest.raises(error, match=r"chunk 1|000001"):
        aggregate(combiner, objects, 1, ROOTS, 2)

    assert not objects.exists(names.sum_chunk(1, 1))


def test_a_chunk_that_has_changed_is_named_to_the_operator(objects, combiner):
    damaged = names.contribution_chunk(1, fakes.SITES[2], 0, 1)
    objects.delete_prefix(damaged)
    objects.put(damaged, fakes.chunk_of("another update", 1))

    with pytest.raises(RootMismatch, match=r"round 1: chunk 1 of hospital-c .* check its disk"):
        aggregate(combiner, objects, 1, ROOTS, 2)
