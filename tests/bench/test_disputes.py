"""False rounds of a measurement: each is proved false by its proof, at the depth that is said."""

from dataclasses import replace
from hashlib import sha256

import msgspec
import pytest

from privacy.merkle import leaf_digest
from privacy.settlement.sum_proof import Kind
from privacy.settlement.sum_verdict import Context, opens, verdict
from tests.privacy.example_sums import Example
from veilsum.bench.disputes import ARITHMETIC, CHUNKS, DEPTH, LEAVES, Dispute, dispute

SMALL = Example(slots=1, chunks=1, leaves=1, last_leaves=1)


def context_of(made: Dispute) -> Context:
    commit = msgspec.structs.replace(
        SMALL.commit,
        slots=len(made.cohort.slots),
        cohort=made.cohort.root().hex(),
        sum_trees=made.root.hex(),
    )
    return replace(
        SMALL.context,
        commit=commit,
        arithmetic=sha256(ARITHMETIC).digest(),
        leaves_per_chunk=LEAVES,
        last_chunk_leaves=LEAVES,
    )


@pytest.mark.parametrize(("level", "kind"), [(0, Kind.BAD_LEAF), (2, Kind.BAD_SUM)])
@pytest.mark.parametrize("slots", [4, 10, 33])
def test_a_false_round_is_proved_false(slots: int, level: int, kind: Kind) -> None:
    """What is measured is what a contract judges, and not bytes that look like it."""
    made = dispute(slots, level)

    proof = made.proof()

    assert proof.kind is kind
    assert verdict(context_of(made), proof)


def test_a_wrong_leaf_is_held_against_the_contributions_own() -> None:
    """Any other hash would be as false, and no contribution's."""
    made = dispute(4, 0)

    proof = made.proof()

    words = made.rows[proof.slot].astype("<u8").tobytes()
    assert proof.in_contribution == leaf_digest(proof.chunk, proof.leaf, 0, words)


def test_the_same_proof_shows_nothing_of_another_round() -> None:
    """It is by the round's own trees."""
    made, other = dispute(10, 2), dispute(10, 2)

    assert not verdict(context_of(other), made.proof())


def test_a_demanded_node_is_opened() -> None:
    made = dispute(10, 2)

    node, opening = made.demanded()

    assert opens(context_of(made), node, opening)


def test_the_trees_are_as_deep_as_is_said() -> None:
    """A proof grows with every level."""
    assert CHUNKS * LEAVES == 1 << DEPTH
