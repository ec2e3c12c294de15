"""Payouts: who earned what, and the tree that says so."""

import json
from pathlib import Path

import eth_abi
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy.errors import MalformedMessage, RootMismatch, UnsafeParameters
from privacy.settlement.payouts import (
    Domain,
    Entitlement,
    ScoreEntry,
    amounts_by_participation,
    check,
    earned_by,
    keccak256,
    leaf,
    parse_address,
    tree,
)

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "payouts.json").read_text())["cases"]
HERE = Domain(chain_id=1, contract="0x" + "11" * 20, programme="22" * 32)
PAYEE = "0x" + "33" * 20
SALT = b"\x44" * 32
LEAVES = st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=40, unique=True)


def test_keccak_is_ethereums() -> None:
    """Not SHA3-256, which pads differently. Source: Ethereum yellow paper, KEC(())."""
    empty = "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"

    assert keccak256(b"").hex() == empty


@pytest.mark.parametrize("case", VECTORS, ids=lambda case: str(len(case["payouts"])))
def test_root_and_proofs_are_those_of_openzeppelins_tree(case: dict) -> None:
    """A payee can check with a library that is not ours."""
    leaves = [bytes.fromhex(one["leaf"]) for one in case["payouts"]]

    made = tree(leaves)

    assert made.root.hex() == case["root"]
    proofs = [[node.hex() for node in made.proof(one)] for one in leaves]
    assert proofs == [one["proof"] for one in case["payouts"]]


def entitlement(**changes: object) -> tuple[Entitlement, bytes]:
    mine, theirs = ScoreEntry(1, 4, 10, b"\x77" * 32), ScoreEntry(1, 8, 20, b"\x78" * 32)
    leaves = [
        leaf(HERE, PAYEE, 10, SALT, mine.digest()),
        leaf(HERE, "0x" + "55" * 20, 20, b"\x66" * 32, theirs.digest()),
    ]
    made = tree(leaves)
    fields = {
        "domain": HERE,
        "round": 1,
        "payee": PAYEE,
        "cumulative": "10",
        "salt": SALT.hex(),
        "score": "4",
        "earned": "10",
        "entry_salt": "77" * 32,
        "proof": tuple(node.hex() for node in made.proof(leaves[0])),
    }
    return Entitlement(**{**fields, **changes}), made.root


def test_an_entitlement_is_checked_against_the_root() -> None:
    """What the contract will do, a participant does first."""
    one, root = entitlement()

    check(one, root)


@pytest.mark.parametrize(
    "change",
    [
        {"cumulative": "11"},
        {"payee": "0x" + "55" * 20},
        {"salt": "00" * 32},
        {"round": 2},
        {"score": "5"},
        {"earned": "11"},
        {"entry_salt": "00" * 32},
        {"proof": ()},
        {"domain": Domain(2, HERE.contract, HERE.programme)},
        {"domain": Domain(1, PAYEE, HERE.programme)},
        {"domain": Domain(1, HERE.contract, "23" * 32)},
    ],
)
def test_an_altered_entitlement_is_not_under_the_root(change: dict) -> None:
    """Every field is part of the leaf or of the path."""
    one, root = entitlement(**change)

    with pytest.raises(RootMismatch, match="the coordinator must issue it again"):
        check(one, root)


def test_an_entitlement_does_not_print_its_amount_or_salt() -> None:
    """A payout in a log would tell its readers what a site earned."""
    one, _ = entitlement(cumulative="987654321")

    assert "987654321" not in repr(one)
    assert one.salt not in repr(one)


@settings(deadline=None, max_examples=40)
@given(leaves=LEAVES)
def test_the_root_does_not_depend_on_the_order_of_the_leaves(leaves: list[bytes]) -> None:
    """So the tree tells nothing about the order in which members joined."""
    assert tree(leaves).root == tree(leaves[::-1]).root


@pytest.mark.parametrize("leaves", [[], [SALT, SALT], [b"\x01" * 64]])
def test_a_tree_of_no_leaves_twins_or_odd_lengths_is_refused(leaves: list[bytes]) -> None:
    """A leaf of 64 bytes could be read as an inner node."""
    with pytest.raises(UnsafeParameters):
        tree(leaves)


def test_a_leaf_that_the_tree_lacks_has_no_proof() -> None:
    """An inner node has none either."""
    made = tree([b"\x01" * 32, b"\x02" * 32, b"\x03" * 32])

    for absent in (b"\x04" * 32, made.root, made.nodes[1]):
        with pytest.raises(RootMismatch):
            made.proof(absent)


COUNTS = st.dictionaries(st.text("abcdef", min_size=1, max_size=4), st.integers(0, 10**6))


@settings(deadline=None)
@given(escrow=st.integers(0, 10**30), counts=COUNTS)
def test_the_whole_escrow_is_divided_and_nobody_is_off_by_a_unit(
    escrow: int, counts: dict[str, int]
) -> None:
    """Integers only: the parts add up, each within one unit of its exact share."""
    total = sum(counts.values())
    if total == 0:
        with pytest.raises(UnsafeParameters):
            amounts_by_participation(escrow, counts or {"a": 0})
        return

    amounts = amounts_by_participation(escrow, counts)

    assert sum(amounts.values()) == escrow
    assert amounts == amounts_by_participation(escrow, dict(reversed(counts.items())))
    for name, count in counts.items():
        assert abs(amounts[name] * total - escrow * count) < total
        assert count > 0 or amounts[name] == 0


@pytest.mark.parametrize(
    ("escrow", "counts", "amounts"),
    [
        (100, {"a": 3, "b": 3, "c": 2, "d": 3}, {"a": 28, "b": 27, "c": 18, "d": 27}),
        (2, {"z": 1, "y": 1, "x": 1}, {"x": 1, "y": 1, "z": 0}),
        (0, {"a": 1}, {"a": 0}),
    ],
)
def test_left_over_units_go_to_the_largest_fractions_then_by_name(
    escrow: int, counts: dict[str, int], amounts: dict[str, int]
) -> None:
    """Two parties that divide the same escrow get the same numbers."""
    assert amounts_by_participation(escrow, counts) == amounts


@pytest.mark.parametrize(("escrow", "counts"), [(-1, {"a": 1}), (1, {"a": -1, "b": 2}), (1, {})])
def test_negative_or_absent_contributions_cannot_be_paid(
    escrow: int, counts: dict[str, int]
) -> None:
    """A negative count would take from the others."""
    with pytest.raises(UnsafeParameters):
        amounts_by_participation(escrow, counts)


def test_addresses_are_lowercase_and_nothing_else_is_one() -> None:
    """One address, one spelling: two would be two payees."""
    assert parse_address("0x" + "AB" * 20) == "0x" + "ab" * 20
    for wrong in ("", "0x", "ab" * 20, "0x" + "ab" * 19, "0x" + "gg" * 20, PAYEE + "\n"):
        with pytest.raises(MalformedMessage):
            parse_address(wrong)


ENTRY_WORDS = ["bytes32", "uint64", "uint128", "uint128", "bytes32"]
LEAF_WORDS = [
    "bytes32",
    "uint256",
    "address",
    "bytes32",
    "address",
    "uint256",
    "bytes32",
    "bytes32",
]


def test_an_entry_hashes_to_what_its_abi_encoding_does() -> None:
    """A contract opens it where the amount is disputed. Source: eth-abi 6.0.0."""
    one = ScoreEntry(7, 4, 44, SALT)
    body = eth_abi.encode(ENTRY_WORDS, [keccak256(b"veilsum/score/1"), 7, 4, 44, SALT])

    assert one.encode() == body
    assert one.digest() == keccak256(body)


def test_a_leaf_hashes_twice_what_its_abi_encoding_is() -> None:
    """The second hash keeps an inner node from passing for a leaf. Source: eth-abi 6.0.0."""
    entry = ScoreEntry(7, 4, 44, SALT).digest()
    here = (HERE.chain_id, HERE.contract, bytes.fromhex(HERE.programme))
    words = [keccak256(b"veilsum/payout-leaf/2"), *here, PAYEE, 10, SALT, entry]

    made = leaf(HERE, PAYEE, 10, SALT, entry)

    assert made == keccak256(keccak256(eth_abi.encode(LEAF_WORDS, words)))


def test_an_entry_does_not_print_its_salt() -> None:
    """With the salt, a score could be guessed from its hash."""
    assert SALT.hex() not in repr(ScoreEntry(7, 4, 44, SALT))
    assert repr(SALT) not in repr(ScoreEntry(7, 4, 44, SALT))


@pytest.mark.parametrize(
    ("round_number", "score", "earned", "salt"),
    [
        (-1, 1, 1, SALT),
        (1, -1, 1, SALT),
        (1, 2**128, 1, SALT),
        (1, 1, 2**128, SALT),
        (1, 1, 1, b""),
    ],
)
def test_an_entry_out_of_range_is_refused(
    round_number: int, score: int, earned: int, salt: bytes
) -> None:
    """The contract would call it malformed."""
    with pytest.raises(UnsafeParameters):
        ScoreEntry(round_number, score, earned, salt)


@pytest.mark.parametrize(
    "change", [{"cumulative": -1}, {"cumulative": 2**256}, {"salt": b""}, {"entry": b""}]
)
def test_a_leaf_of_an_impossible_part_is_refused(change: dict) -> None:
    """Beyond a word the encoding would shift the fields."""
    fields = {"cumulative": 1, "salt": SALT, "entry": SALT}

    with pytest.raises(UnsafeParameters):
        leaf(HERE, PAYEE, **{**fields, **change})


@settings(deadline=None)
@given(
    scores=st.lists(st.integers(0, 2**100), min_size=1, max_size=8), budget=st.integers(0, 2**100)
)
def test_a_budget_is_divided_by_score_and_never_exceeded(scores: list[int], budget: int) -> None:
    """Rounded down, each within one unit; without scores nobody earns."""
    total = sum(scores)

    parts = [earned_by(score, budget, total) for score in scores]

    assert sum(parts) <= budget
    for score, part in zip(scores, parts, strict=True):
        assert (0 <= score * budget - part * total < total) if total else part == 0


@pytest.mark.parametrize(("score", "budget", "scores"), [(1, -1, 1), (-1, 1, 1), (2, 1, 1)])
def test_a_score_above_the_sum_earns_nothing_but_an_error(
    score: int, budget: int, scores: int
) -> None:
    """It would take from the others."""
    with pytest.raises(UnsafeParameters):
        earned_by(score, budget, scores)
