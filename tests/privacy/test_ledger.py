"""A ledger is what its rows add up to; no row lowers what is committed."""

from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from privacy import canonical
from privacy.accounting import ACCOUNTANT, NeighbouringRelation, UnitOfPrivacy
from privacy.budget import spend_of
from privacy.errors import (
    ConflictingContribution,
    IllegalEvent,
    MalformedMessage,
    RootMismatch,
    UnsafeParameters,
)
from privacy.events import Gaussian
from privacy.identifiers import sha256_hex
from privacy.ledger import (
    Cumulative,
    Dataset,
    LedgerState,
    Row,
    RowType,
    check_cost,
    decimal_text,
    divergence_of,
    epsilon_text,
    follow,
    spend_from,
)

DATASET = Dataset(
    "hearts", 1, None, UnitOfPrivacy.PATIENT, 4, NeighbouringRelation.ADD_OR_REMOVE_ONE
)
EVENT = Gaussian("4")
COST = divergence_of(spend_of(EVENT))
SUMS = Cumulative("0.001", "0", "1")
OUT = "a" * 64
WORK: dict[str, Any] = {"job": "j-1", "round": 1, "reservation": "r-1"}
RESERVE = {
    **WORK, "type": RowType.RESERVE, "idempotency": "b" * 64,
    "event": EVENT, "clip": "1", "rdp": COST, "cum": SUMS,
}  # fmt: skip
COMMIT = {**RESERVE, "type": RowType.COMMIT, "out": OUT}
SENT = {**WORK, "type": RowType.SENT, "out": OUT}
RETIRE = {**WORK, "type": RowType.RETIRE, "evidence": "c" * 64, "cum": SUMS}
REGISTER = {"type": RowType.DATASET_REGISTER}


def row(state: LedgerState, **changes: Any) -> Row:
    """The next row of a chain."""
    members = {
        "v": 1,
        "seq": state.seq + 1,
        "prev": state.head,
        "ts": "2027-01-15T08:00:00.000+00:00",
        "ledger": "amber",
        "dataset": DATASET,
        "accountant": ACCOUNTANT,
        "actor": "operator",
    }
    return Row(**{**members, **changes})


def after(*rows: dict[str, Any]) -> LedgerState:
    """The state after a chain of rows."""
    state = LedgerState()
    for changes in rows:
        state = follow(state, canonical.encode(row(state, **changes)))
    return state


def test_a_round_goes_from_reserved_to_committed_to_sent() -> None:
    """Only the commit adds to what is spent for good."""
    reserved, committed = after(REGISTER, RESERVE), after(REGISTER, RESERVE, COMMIT)
    sent = after(REGISTER, RESERVE, COMMIT, SENT)

    assert "hearts" not in reserved.committed
    assert committed.committed["hearts"] == sent.committed["hearts"] == spend_of(EVENT)
    assert sent.reservation("r-1").status is RowType.SENT
    assert sent.seq == 4


def test_each_row_names_the_hash_of_the_one_before() -> None:
    """The head is the whole history."""
    body = canonical.encode(row(LedgerState(), **REGISTER))

    assert follow(LedgerState(), body).head == sha256_hex(body)


def test_a_retired_reservation_frees_its_round_and_a_sent_one_does_not() -> None:
    """Unused budget comes back; used budget never."""
    again = {**RESERVE, "reservation": "r-2"}

    assert after(REGISTER, RESERVE, RETIRE, again).active("hearts", "j-1", 1) is not None
    for done in ((COMMIT,), (COMMIT, SENT)):
        with pytest.raises(ConflictingContribution):
            after(REGISTER, RESERVE, *done, again)


@pytest.mark.parametrize(
    "rows",
    [
        (RESERVE,),
        (REGISTER, COMMIT),
        (REGISTER, SENT),
        (REGISTER, RETIRE),
        (REGISTER, RESERVE, SENT),
        (REGISTER, RESERVE, COMMIT, COMMIT),
        (REGISTER, RESERVE, COMMIT, RETIRE),
        (REGISTER, RESERVE, COMMIT, SENT, SENT),
        (REGISTER, RESERVE, COMMIT, SENT, RETIRE),
        (REGISTER, RESERVE, RETIRE, COMMIT),
        (REGISTER, RESERVE, RETIRE, RETIRE),
        (REGISTER, RESERVE, RETIRE, RESERVE),
        (REGISTER, RESERVE, {**COMMIT, "round": 2}),
        (REGISTER, RESERVE, {**COMMIT, "job": "j-2"}),
        (REGISTER, RESERVE, {**COMMIT, "event": Gaussian("5")}),
        (REGISTER, RESERVE, {**COMMIT, "clip": "2"}),
        (REGISTER, RESERVE, {**COMMIT, "rdp": divergence_of(spend_of(Gaussian("9")))}),
    ],
)
def test_steps_that_the_machine_does_not_have_are_refused(rows: tuple[dict[str, Any], ...]) -> None:
    """Above all: nothing leads back from a commit."""
    after(*rows[:-1])

    with pytest.raises(IllegalEvent):
        after(*rows)


def test_sent_is_what_was_committed() -> None:
    """Two outputs of one round would be two releases."""
    with pytest.raises(ConflictingContribution):
        after(REGISTER, RESERVE, COMMIT, {**SENT, "out": "d" * 64})


@pytest.mark.parametrize("changes", [{"seq": 2}, {"seq": 4}, {"prev": "0" * 64}])
def test_a_row_out_of_its_place_is_refused(changes: dict[str, Any]) -> None:
    """A gap, a repetition, another history."""
    with pytest.raises(RootMismatch):
        after(REGISTER, RESERVE, {**COMMIT, **changes})


@pytest.mark.parametrize("base", [REGISTER, RESERVE, COMMIT, SENT, RETIRE], ids=lambda b: b["type"])
def test_a_type_has_its_members_and_no_others(base: dict[str, Any]) -> None:
    """What does not apply is absent, so that rows hash alike for ever."""
    full = {**COMMIT, **RETIRE}
    optional = set(full) - {"type"}

    for name in optional:
        wrong = {**base, name: None} if name in base else {**base, name: full[name]}
        with pytest.raises(MalformedMessage, match=name):
            after(wrong)


@pytest.mark.parametrize(
    "change",
    [(b"amber", b"Amber"), (b'"v":1', b'"v":2'), (b"SENT", b"REFUND"), (b"r-1", b"r 1")],
)
def test_a_row_out_of_its_form_is_refused(change: tuple[bytes, bytes]) -> None:
    """There is no row that refunds."""
    state = after(REGISTER, RESERVE, COMMIT)
    body = canonical.encode(row(state, **SENT))
    assert change[0] in body

    with pytest.raises(MalformedMessage):
        follow(state, body.replace(*change))


def test_a_cost_below_that_of_its_event_is_found() -> None:
    """A ledger cannot be cheap by writing small numbers."""
    cheap = divergence_of(spend_of(Gaussian("8")))

    check_cost(row(LedgerState(), **RESERVE))
    check_cost(row(LedgerState(), **SENT))
    with pytest.raises(RootMismatch):
        check_cost(row(LedgerState(), **{**RESERVE, "rdp": cheap}))


def test_costs_at_other_orders_are_refused() -> None:
    """They cannot be added up."""
    assert spend_from(COST) == spend_of(EVENT)

    with pytest.raises(UnsafeParameters, match="orders"):
        spend_from(replace(COST, orders=COST.orders[1:], eps=COST.eps[1:]))


def test_numbers_are_written_in_one_spelling_and_rounded_up() -> None:
    """A reader of another machine gets the same digits, and never too small ones."""
    assert decimal_text(Decimal("1.500")) == "1.5"
    assert decimal_text(Decimal("100")) == "100"
    assert decimal_text(Decimal("1E+3")) == "1000"
    assert decimal_text(Decimal("1E-9")) == "0.000000001"
    assert epsilon_text(1.0000001) == "1.000001"
    assert epsilon_text(0.0) == "0"
