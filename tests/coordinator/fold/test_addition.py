"""One chunk of a sum: of exactly what was accepted, or of nothing at all."""

import pickle
from dataclasses import replace

import pytest

from coordinator import object_names as names
from coordinator.fold.addition import ChunkTask, add_again, add_chunk
from coordinator.ports import SumChunk
from privacy.errors import ConflictingContribution, MalformedMessage, NotYet, RootMismatch
from privacy.limbs import encode_chunk
from privacy.merkle import chunk_root
from privacy.schemes.ckks_parameters import MODULUS_4096
from privacy.schemes.ckks_sum import CkksCombiner
from tests import fakes
from tests.coordinator.closed_round import SEEDS
from tests.coordinator.memory_store import MemoryObjects
from tests.fakes import LAYOUT, SITES

PLAN = fakes.make_plan()
TASK = ChunkTask(
    1,
    1,
    tuple((name, fakes.root_of(seed, 1)) for name, seed in zip(SITES, SEEDS, strict=True)),
    PLAN.parameters(),
    PLAN.arithmetic.dimension,
)
SUM = names.sum_chunk(1, 1)
THIRD = names.contribution_chunk(1, SITES[2], 0, 1)


@pytest.fixture
def objects():
    kept = MemoryObjects()
    for name, seed in zip(SITES, SEEDS, strict=True):
        kept.put(names.contribution_chunk(1, name, 0, 1), fakes.chunk_of(seed, 1))
    return kept


def put_instead(objects, name, payload):
    objects.delete_prefix(name)
    objects.put(name, payload)


def test_the_sum_is_stored_and_its_row_says_what_it_is(objects):
    row = add_chunk(TASK, objects)

    total = fakes.expected_sum(SEEDS, 1)
    root = CkksCombiner(TASK.parameters, TASK.dimension).check(1, total)
    assert objects.get(SUM) == total
    assert row == SumChunk(1, root, len(total), len(SITES))


def test_the_order_of_the_cohort_does_not_matter(objects):
    first = add_chunk(TASK, objects)

    assert add_chunk(replace(TASK, inputs=TASK.inputs[::-1]), objects) == first


def test_done_again_it_gives_the_same(objects):
    """Whoever died between the sum and its row."""
    first, total = add_chunk(TASK, objects), objects.get(SUM)

    assert add_chunk(TASK, objects) == first
    assert objects.get(SUM) == total


@pytest.mark.parametrize("stored", [b"", b"rotten", fakes.chunk_of("another update", 1)], ids=len)
def test_a_chunk_that_has_changed_is_named_to_the_operator(objects, stored):
    """Nothing is added in its place, though another good chunk would add up as well."""
    put_instead(objects, THIRD, stored)

    with pytest.raises(RootMismatch, match=r"round 1: chunk 1 of hospital-c .* check its disk"):
        add_chunk(TASK, objects)

    assert not objects.exists(SUM)


def test_one_flipped_bit_is_a_change(objects):
    payload = bytearray(fakes.chunk_of(SEEDS[2], 1))
    payload[40_000] ^= 1
    put_instead(objects, THIRD, bytes(payload))

    with pytest.raises(RootMismatch, match="hospital-c"):
        add_chunk(TASK, objects)


def test_a_chunk_that_is_gone_stops_the_sum(objects):
    objects.delete_prefix(THIRD)

    with pytest.raises(NotYet, match="hospital-c"):
        add_chunk(TASK, objects)

    assert not objects.exists(SUM)


def test_another_sum_in_its_place_is_no_sum(objects):
    objects.put(SUM, b"what a failing disk made of it")

    with pytest.raises(ConflictingContribution, match="sum"):
        add_chunk(TASK, objects)


def test_a_sum_that_hides_nothing_is_not_stored(objects):
    """Someone who could make the others' second polynomials vanish would publish the sum."""
    negated = (MODULUS_4096 - fakes.words(SEEDS[0], 1)) % MODULUS_4096
    payload = encode_chunk(LAYOUT, 1, negated)
    put_instead(objects, names.contribution_chunk(1, SITES[1], 0, 1), payload)
    roots = (TASK.inputs[0][1], chunk_root(1, negated.reshape(2, 1, 4096)))
    task = replace(TASK, inputs=tuple(zip(SITES[:2], roots, strict=True)))

    with pytest.raises(MalformedMessage, match="not encrypted"):
        add_chunk(task, objects)

    assert not objects.exists(SUM)


def test_a_task_is_a_few_plain_values():
    """It may travel to another machine: no ciphertext, no store, no function goes with it."""
    body = pickle.dumps(TASK)

    assert pickle.loads(body) == TASK
    assert len(body) < 200 * len(SITES) + 1000


@pytest.mark.parametrize("there", [None, b"damaged"])
def test_a_chunk_is_added_again_in_the_place_of_what_is_damaged(objects, there):
    row, total = add_chunk(TASK, objects), objects.get(SUM)
    objects.delete_prefix(SUM)
    if there is not None:
        objects.put(SUM, there)

    again = add_again(TASK, objects)

    assert again == row
    assert objects.get(SUM) == total


def test_what_cannot_be_added_again_leaves_what_is_there(objects):
    add_chunk(TASK, objects)
    total = objects.get(SUM)
    changed = replace(TASK, inputs=((TASK.inputs[0][0], bytes(32)), *TASK.inputs[1:]))

    with pytest.raises(RootMismatch):
        add_again(changed, objects)

    assert objects.get(SUM) == total
