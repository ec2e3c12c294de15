"""Settle: from participation to one root and one total."""

import pytest

from coordinator.settling.settle import Head, Statement, earned, statement
from privacy.errors import MalformedMessage, UnsafeParameters
from privacy.payouts import Domain, check

DOMAIN = Domain(chain_id=7, contract="0x" + "11" * 20, programme="22" * 32)
START = Head(round=0, root=b"\0" * 32, total=0)
A, B, C = ("0x" + digit * 40 for digit in "abc")
PAYEES = {"north": A, "south": B.upper().replace("X", "x"), "west": C}


def salts(amounts: dict[str, int], first: int = 1) -> dict[str, bytes]:
    return {payee: bytes([first + number]) * 32 for number, payee in enumerate(amounts)}


def made(amounts: dict[str, int], parent: Head = START, round_number: int = 3) -> Statement:
    return statement(DOMAIN, parent, round_number, amounts, salts(amounts))


def test_rounds_become_amounts_by_address() -> None:
    """Three rounds, three and two: eight parts."""
    amounts = earned({}, 800, {"north": 3, "south": 3, "west": 2}, PAYEES)

    assert amounts == {A: 300, B: 300, C: 200}


def test_what_was_earned_before_is_added_and_never_falls() -> None:
    """Leaves are cumulative; a site that was absent since keeps what it had."""
    first = earned({}, 800, {"north": 3, "south": 3, "west": 2}, PAYEES)

    second = earned(first, 100, {"north": 1}, PAYEES)

    assert second == {A: 400, B: 300, C: 200}


def test_two_participants_with_one_address_are_one_payee() -> None:
    """Cumulative leaves of one payee would otherwise hide each other."""
    amounts = earned({}, 10, {"north": 1, "west": 1}, {"north": A, "west": A})

    assert amounts == {A: 10}


def test_a_participant_without_an_address_is_named() -> None:
    """Nobody is left out silently."""
    with pytest.raises(MalformedMessage, match="no address"):
        earned({}, 10, {"north": 1}, {"north": ""})


def test_every_entitlement_is_under_the_root_and_the_total_is_their_sum() -> None:
    """What the contract is told and what payees are told agree."""
    amounts = {A: 300, B: 300, C: 200}

    one = made(amounts)

    for entitlement in one.entitlements:
        check(entitlement, one.head.root)
    assert {each.payee: each.amount() for each in one.entitlements} == amounts
    assert (one.head.total, one.head.round, one.parent) == (800, 3, START.root)


def test_the_next_statement_follows_the_one_before() -> None:
    """The chain refuses a commit whose parent is not the newest root."""
    first = made({A: 10})

    second = made({A: 10, B: 5}, parent=first.head, round_number=4)

    assert second.parent == first.head.root


@pytest.mark.parametrize(
    ("amounts", "round_number"), [({A: 9}, 4), ({A: 10}, 3), ({A: 10}, 2), ({}, 4)]
)
def test_a_statement_that_the_chain_would_refuse_is_not_made(
    amounts: dict[str, int], round_number: int
) -> None:
    """Rounds rise and totals do not fall."""
    before = made({A: 10}).head

    with pytest.raises(UnsafeParameters):
        made(amounts, parent=before, round_number=round_number)


def test_a_salt_is_used_once() -> None:
    """One payee's salt would let it guess the other's amount."""
    with pytest.raises(UnsafeParameters, match="share a salt"):
        statement(DOMAIN, START, 1, {A: 1, B: 2}, {A: b"\1" * 32, B: b"\1" * 32})
