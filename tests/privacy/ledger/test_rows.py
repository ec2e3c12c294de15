"""A row has the members of its type, and no others; rows hash alike for ever."""

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from privacy import canonical
from privacy.accounting import UnitOfPrivacy
from privacy.errors import MalformedMessage, UnsafeParameters
from privacy.ledger import (
    MAY_HAVE,
    MEMBERS,
    Approval,
    Audited,
    Checkpoint,
    LedgerState,
    Row,
    RowType,
    check_members,
    follow,
    policy_of,
)
from tests.privacy.ledger.rows import (
    ADJUST_UP,
    COMMIT,
    DATASET,
    LIMITS,
    NOISE,
    POLICY,
    PREPROC,
    REGISTER,
    RELEASE,
    RESERVE,
    RESULT,
    RETIRE,
    SENT,
    WITNESS,
    after,
    public,
    row,
)

APPROVAL = {"type": RowType.APPROVAL, "approval": Approval(2, "alice", "1" * 64, "2" * 128)}
AUDIT = {
    "type": RowType.AUDIT_RESULT,
    "audit": Audited("7" * 64, "1", "0.5", "0.95", "0.00001", 1000, passed=True),
}
CHECKPOINT = {"type": RowType.CHECKPOINT, "checkpoint": Checkpoint(3, "8" * 64)}
ALL = [
    REGISTER, POLICY, APPROVAL, RESERVE, COMMIT, SENT, RETIRE, RESULT, RELEASE, PREPROC,
    ADJUST_UP, AUDIT, WITNESS, CHECKPOINT,
]  # fmt: skip
FULL = {name: value for base in ALL for name, value in base.items()} | {
    "noise": NOISE,
    "idempotency": "b" * 64,
}


def test_every_type_has_an_example_here() -> None:
    """What follows speaks of all of them."""
    assert {base["type"] for base in ALL} == set(RowType) == set(MEMBERS)


@pytest.mark.parametrize("base", ALL, ids=lambda base: base["type"])
def test_a_row_is_read_back_as_it_was_written(base: dict[str, Any]) -> None:
    """Members that do not apply are absent from its bytes."""
    made = row(LedgerState(), **base)
    check_members(made)

    body = canonical.encode(made)

    assert canonical.decode(body, Row) == made
    members = set(msgspec.json.decode(body))
    assert members & set(FULL) == set(base) | ({"idempotency"} & members)


@pytest.mark.parametrize("base", ALL, ids=lambda base: base["type"])
def test_a_type_has_its_members_and_no_others(base: dict[str, Any]) -> None:
    """One missing, or one of another type's: no row."""
    kind = base["type"]
    made = row(LedgerState(), **base)
    for name in set(FULL) - {"type"}:
        if name in MAY_HAVE.get(kind, ()):
            continue
        wrong = None if getattr(made, name) is not None else FULL[name]

        with pytest.raises(MalformedMessage, match=name):
            check_members(replace(made, **{name: wrong}))


@pytest.mark.parametrize(
    "change",
    [
        (b"amber", b"Amber"), (b'"v":1', b'"v":2'), (b"SENT", b"REFUND"), (b"r-1", b"r 1"),
        (public("amber").encode(), public("amber").upper().encode()),
        (public("amber").encode(), public("amber")[:-2].encode()),
    ],
)  # fmt: skip
def test_a_row_out_of_its_form_is_refused(change: tuple[bytes, bytes]) -> None:
    """There is no row that refunds."""
    state = after(REGISTER, RESERVE, COMMIT)
    body = canonical.encode(row(state, **SENT))
    assert change[0] in body

    with pytest.raises(MalformedMessage):
        follow(state, body.replace(*change))


def test_several_records_per_record_make_no_sense() -> None:
    """Rows of one patient are hidden together only under the unit 'patient'."""
    with pytest.raises(UnsafeParameters):
        replace(DATASET, unit=UnitOfPrivacy.RECORD)


@pytest.mark.parametrize("officers", [{"alice": "1" * 64}, {"alice": "1" * 64, "bob": "1" * 64}])
def test_one_officer_is_none(officers: dict[str, str]) -> None:
    """Nor are two with one key: nobody could tell them apart."""
    with pytest.raises(UnsafeParameters, match="two persons"):
        policy_of(LIMITS, officers)


@pytest.mark.parametrize("text", ["1/0", "0", "01", "1/2/3", "-1", "1.5", ""])
def test_a_variance_is_a_fraction_above_zero(text: str) -> None:
    """In one spelling, and no zero."""
    state = after(REGISTER, RESERVE)
    body = canonical.encode(row(state, **{**COMMIT, "noise": NOISE}))

    with pytest.raises(MalformedMessage):
        follow(state, body.replace(b'"81/4"', f'"{text}"'.encode()))
