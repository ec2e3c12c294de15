"""A log's tree is RFC 6962's: what it proves, others' tools can check."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy.errors import MalformedMessage, RootMismatch
from privacy.log_tree import (
    EMPTY_ROOT,
    Log,
    check_consistency,
    check_inclusion,
    leaf_hash,
    log_of,
    prove_consistency,
    prove_inclusion,
    root_of,
)

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "log_rfc6962.json").read_text())
ROWS = [bytes.fromhex(row) for row in VECTORS["leaves"]]
LEAVES = [leaf_hash(row) for row in ROWS]
ROOTS = [bytes.fromhex(root) for root in VECTORS["roots"]]


def test_an_empty_log_has_the_published_root() -> None:
    """The hash of nothing."""
    assert EMPTY_ROOT.hex() == VECTORS["empty_root"] == root_of([]).hex() == Log().root().hex()


def test_leaves_hash_to_the_published_ones() -> None:
    """A zero byte before the row keeps leaves and nodes apart."""
    assert [leaf.hex() for leaf in LEAVES] == VECTORS["leaf_hashes"]


@pytest.mark.parametrize("size", range(1, 9))
def test_roots_are_the_published_ones(size: int) -> None:
    """The eight leaves that logs have been tested with since there are logs."""
    assert root_of(LEAVES[:size]) == log_of(ROWS[:size]).root() == ROOTS[size - 1]


@pytest.mark.parametrize("case", VECTORS["inclusion"], ids=lambda case: f"{case['index']}-of")
def test_inclusion_proofs_are_the_published_ones(case: dict[str, Any]) -> None:
    """In order and length."""
    index, size = case["index"], case["size"]

    proof = prove_inclusion(LEAVES[:size], index)

    assert [step.hex() for step in proof] == case["proof"]
    check_inclusion(LEAVES[index], index, size, proof, ROOTS[size - 1])


@pytest.mark.parametrize("case", VECTORS["consistency"], ids=lambda case: f"{case['earlier']}-in")
def test_consistency_proofs_are_the_published_ones(case: dict[str, Any]) -> None:
    """A log of some size is the beginning of a later one."""
    earlier, size = case["earlier"], case["size"]

    proof = prove_consistency(LEAVES[:size], earlier)

    assert [step.hex() for step in proof] == case["proof"]
    check_consistency(earlier, ROOTS[earlier - 1], size, ROOTS[size - 1], proof)


def root_by_definition(leaves: list[bytes]) -> bytes:
    """RFC 6962, section 2.1, as it is written there."""
    if len(leaves) == 1:
        return leaves[0]
    half = 1
    while 2 * half < len(leaves):
        half *= 2
    left, right = root_by_definition(leaves[:half]), root_by_definition(leaves[half:])
    return sha256(b"\1" + left + right).digest()


@given(st.integers(1, 70))
@settings(deadline=None, max_examples=40)
def test_a_growing_log_has_the_root_of_the_definition(size: int) -> None:
    """Row by row, or all at once."""
    rows = [bytes([at]) for at in range(size)]

    assert log_of(rows).root() == root_by_definition([leaf_hash(row) for row in rows])


@given(st.integers(1, 70), st.data())
@settings(deadline=None, max_examples=80)
def test_a_log_that_only_grew_is_proven_at_every_size(size: int, data: st.DataObject) -> None:
    """And no other pair of roots passes with that proof."""
    leaves = [leaf_hash(bytes([at])) for at in range(size)]
    earlier = data.draw(st.integers(0, size))
    old, new = root_of(leaves[:earlier]), root_of(leaves)

    proof = prove_consistency(leaves, earlier)

    check_consistency(earlier, old, size, new, proof)
    changed = data.draw(st.integers(0, size - 1))
    other = [*leaves[:changed], leaf_hash(b"another row"), *leaves[changed + 1 :]]
    if changed < earlier:
        with pytest.raises(RootMismatch):
            check_consistency(earlier, old, size, root_of(other), prove_consistency(other, earlier))


@pytest.mark.parametrize("earlier", range(1, 8))
def test_a_changed_proof_proves_nothing(earlier: int) -> None:
    """Cut, longer, a bit flipped, or for other roots and sizes."""
    proof, old, new = prove_consistency(LEAVES, earlier), ROOTS[earlier - 1], ROOTS[7]
    flipped = (bytes([proof[0][0] ^ 1]) + proof[0][1:], *proof[1:])

    for of, was, size, now, steps in (
        (earlier, old, 8, new, proof[:-1]),
        (earlier, old, 8, new, (*proof, LEAVES[0])),
        (earlier, old, 8, new, flipped),
        (earlier, old, 8, new, ()),
        (earlier, new, 8, old, proof),
        (earlier, LEAVES[3], 8, new, proof),
        (earlier, old, 8, ROOTS[6], proof),
    ):
        with pytest.raises(RootMismatch):
            check_consistency(of, was, size, now, steps)


def test_a_root_is_not_passed_off_as_that_of_a_larger_log() -> None:
    """The proof has as many steps as the sizes say, and no fewer."""
    proof = prove_consistency(LEAVES[:3], 2)
    check_consistency(2, ROOTS[1], 3, ROOTS[2], proof)

    for size in (5, 6, 8):
        with pytest.raises(RootMismatch, match="too short"):
            check_consistency(2, ROOTS[1], size, ROOTS[2], proof)


def test_the_same_size_needs_no_proof_and_has_one_root() -> None:
    """Nothing was added, so nothing may differ."""
    check_consistency(8, ROOTS[7], 8, ROOTS[7], ())
    check_consistency(0, EMPTY_ROOT, 8, ROOTS[7], ())

    for was, steps in ((ROOTS[6], ()), (ROOTS[7], (LEAVES[0],))):
        with pytest.raises(RootMismatch):
            check_consistency(8, was, 8, ROOTS[7], steps)
    with pytest.raises(RootMismatch):
        check_consistency(0, ROOTS[0], 8, ROOTS[7], ())


def test_a_log_does_not_shrink() -> None:
    """There is no proof that rows were taken away."""
    with pytest.raises(MalformedMessage):
        check_consistency(8, ROOTS[7], 5, ROOTS[4], ())
    with pytest.raises(MalformedMessage):
        prove_consistency(LEAVES, 9)
    with pytest.raises(MalformedMessage):
        check_consistency(3, b"short", 5, ROOTS[4], ())


def test_a_row_is_not_found_at_another_place() -> None:
    """A proof proves a row and where it stands."""
    proof = prove_inclusion(LEAVES, 2)

    for index in set(range(8)) - {2}:
        with pytest.raises(RootMismatch):
            check_inclusion(LEAVES[2], index, 8, proof, ROOTS[7])
