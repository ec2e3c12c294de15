"""A ledger that no code of ours has written is read; what was done to it shows where it must."""

import json
from pathlib import Path
from typing import Any

import pytest

from privacy import canonical
from privacy.errors import RootMismatch, VeilsumError
from privacy.events import from_json
from privacy.ledger import (
    LedgerState,
    Row,
    check_cost,
    check_limits,
    check_signature,
    check_sums,
    follow_row,
    read_row,
)
from privacy.log_tree import check_consistency, leaf_hash, log_of, prove_consistency
from tests import ledger_by_hand as hand

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "ledger_v1.json").read_text())
KEPT = VECTORS["kept"]

Entries = list[tuple[bytes, bytes]]


def entries_of(written: list[dict[str, str]]) -> Entries:
    """Rows and signatures as bytes."""
    return [(each["row"].encode(), bytes.fromhex(each["signature"])) for each in written]


ENTRIES = entries_of(VECTORS["entries"])


def read(entries: Entries, keys: list[str] | None = VECTORS["keys"]) -> LedgerState:
    """What the rows add up to; raises for the first bad one, by its number."""
    state = LedgerState()
    for at, (body, signature) in enumerate(entries, start=1):
        seq = at
        try:
            row = read_row(body)
            seq = row.seq
            check_limits(state, row)
            state = follow_row(state, row, body)
            check_signature(row, body, signature, keys)
            check_cost(row)
            check_sums(state, row)
        except VeilsumError as error:
            raise RootMismatch(f"row {seq}: {error}") from None
    return state


def test_the_file_is_what_the_script_prints() -> None:
    """Nobody has edited it."""
    assert hand.vectors() == VECTORS


def test_a_ledger_written_by_hand_is_read() -> None:
    """Every type of row, its signature, its costs and its sums."""
    state = read(ENTRIES)

    assert {canonical.decode(body, Row).type for body, _ in ENTRIES} == {
        "DATASET_REGISTER", "POLICY_SET", "APPROVAL", "RESERVE", "COMMIT", "SENT", "RETIRE",
        "ROUND_RESULT", "RELEASE", "PREPROC", "ADJUST_UP", "AUDIT_RESULT", "WITNESS", "CHECKPOINT",
    }  # fmt: skip
    limits = state.standing.limits()
    assert limits is not None
    # `site.toml` said 3, and was not changed: the lower of the two counts
    assert limits.epsilon_for_life == "3"
    assert state.standing.agreed is not None
    assert state.standing.agreed.epsilon_for_life == "6"
    spent = state.committed["hearts"]
    for view in ("sums", "vector"):
        stated = float(VECTORS["spent"][view])
        assert getattr(spent, view).epsilon(0.001) == pytest.approx(stated, abs=2e-6)
    assert from_json(hand.EVENT["vector"]) == state.reservation("r-5").events.vector


def test_roots_of_all_sizes_are_those_of_the_file() -> None:
    """The heads that others would have kept, and that they are beginnings of each other."""
    leaves = [leaf_hash(body) for body, _ in ENTRIES]
    for each in VECTORS["checkpoints"]:
        size, root = each["size"], bytes.fromhex(each["root"])

        assert log_of(body for body, _ in ENTRIES[:size]).root() == root
        last = bytes.fromhex(VECTORS["checkpoints"][-1]["root"])
        check_consistency(size, root, len(leaves), last, prove_consistency(leaves, size))


def flip(data: bytes, at: int) -> bytes:
    """One bit of one byte."""
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def operated(operation: dict[str, Any]) -> Entries:
    """The rows after somebody has been at them."""
    entries, at = list(ENTRIES), operation.get("row", 0) - 1
    other = entries_of(VECTORS["others"].get(operation.get("from"), []))
    body, signature = entries[at]
    match operation["op"]:
        case "flip":
            entries[at] = (flip(body, operation["byte"]), signature)
        case "flip_signature":
            entries[at] = (body, flip(signature, operation["byte"]))
        case "drop":
            del entries[at]
        case "duplicate":
            entries.insert(at + 1, entries[at])
        case "swap":
            entries[at : at + 2] = entries[at + 1], entries[at]
        case "swap_signatures":
            entries[at : at + 2] = (body, entries[at + 1][1]), (entries[at + 1][0], signature)
        case "insert":
            entries.insert(at, other[at])
        case "replace":
            entries[at] = other[at]
        case "cut":
            del entries[at:]
        case "take":
            entries = other
        case _:
            assert operation["op"] == "none"
    return entries


def require_kept(state: LedgerState, entries: Entries) -> None:
    """What somebody checks who has kept the head of an earlier size."""
    kept = VECTORS["checkpoints"][KEPT - 1]
    if state.seq < kept["size"]:
        raise RootMismatch("checkpoint: rows are missing")
    leaves, old = [leaf_hash(body) for body, _ in entries], bytes.fromhex(kept["root"])
    proof = prove_consistency(leaves, kept["size"])
    check_consistency(kept["size"], old, state.seq, state.log.root(), proof)


@pytest.mark.parametrize("operation", VECTORS["operations"], ids=lambda each: each["name"])
def test_what_was_done_to_a_ledger_shows_where_it_must(operation: dict[str, Any]) -> None:
    """At a row for whoever reads it, or to whoever has kept a checkpoint."""
    entries = operated(operation)

    if operation["found"].startswith("row"):
        with pytest.raises(RootMismatch, match=f"^{operation['found']}:"):
            read(entries)
        return
    state = read(entries)
    if operation["found"] == "nowhere":
        require_kept(state, entries)
    else:
        with pytest.raises(RootMismatch):
            require_kept(state, entries)


@pytest.mark.parametrize("row", range(1, len(ENTRIES) + 1))
def test_every_byte_of_a_row_counts(row: int) -> None:
    """Any one of them changed, and the row is none, or is not signed."""
    body, signature = ENTRIES[row - 1]
    before = read(ENTRIES[: row - 1])
    for at in range(0, len(body), 1 if len(body) < 1500 else 23):
        changed = flip(body, at)

        with pytest.raises(VeilsumError):
            added(before, changed, signature)


def added(before: LedgerState, body: bytes, signature: bytes) -> LedgerState:
    """The state after one more row, whose signature is checked."""
    row = read_row(body)
    after = follow_row(before, row, body)
    check_signature(row, body, signature, VECTORS["keys"])
    return after


def test_rows_of_another_key_pass_only_where_no_key_is_known() -> None:
    """A ledger vouches for itself only; who it is must come from elsewhere."""
    swapped = entries_of(VECTORS["others"]["swapped"])

    assert read(swapped, keys=None).committed == read(ENTRIES).committed
    with pytest.raises(RootMismatch, match="not known here"):
        read(swapped)
