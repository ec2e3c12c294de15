"""Settle: from a round's weights to one commit, and a leaf for each payee."""

import os

import pytest

from coordinator.settling.settle import (
    Result,
    Salts,
    Statement,
    budget_of,
    payouts_root,
    require_distinct,
    statement,
)
from privacy.errors import ConfigError, UnsafeParameters, WrongContext
from privacy.settlement.commitment import NO_COMMIT, Cohort, Slot
from privacy.settlement.payouts import Domain, check

DOMAIN = Domain(chain_id=7, contract="0x" + "11" * 20, programme="22" * 32)
A, B, C = ("0x" + digit * 40 for digit in "abc")
COHORT = Cohort((Slot(0, b"a" * 32), Slot(2, b"b" * 32)))


def a_result(number: int) -> Result:
    return Result(number, "aa" * 32, "bb" * 32, "cc" * 32, COHORT, b"t" * 32)


def salts(*payees: str) -> dict[str, Salts]:
    return {payee: Salts(os.urandom(32), os.urandom(32)) for payee in payees}


def made(
    weights: dict[str, int], budget: int = 800, number: int = 3, before: Statement | None = None
) -> Statement:
    return statement(DOMAIN, before, a_result(number), budget, weights, salts(*weights))


def test_a_budget_is_divided_in_proportion_and_the_commit_says_by_what() -> None:
    """Three, three and two: eight parts."""
    one = made({A: 3, B: 3, C: 2})

    assert one.amounts() == {A: 300, B: 300, C: 200}
    assert (one.commit.budget, one.commit.scores, one.commit.total) == ("800", "8", "800")
    assert (one.commit.round, one.commit.slots, one.commit.parent) == (3, 2, NO_COMMIT)


def test_every_entitlement_is_under_the_root_and_opens_its_own_score() -> None:
    """What the contract is told and what payees are told agree."""
    one = made({A: 3, B: 3, C: 2})

    root = bytes.fromhex(one.commit.payouts)
    for entitlement in one.entitlements:
        check(entitlement, root)
    assert [each.entry().score for each in one.entitlements] == [3, 3, 2]
    assert payouts_root(one.entitlements) == root


def test_what_was_earned_before_is_added_and_never_falls() -> None:
    """Leaves are cumulative; who was absent keeps what it had, with a score of nothing."""
    first = made({A: 3, B: 3, C: 2})

    second = made({A: 1, B: 0, C: 0}, 100, 4, first)

    assert second.amounts() == {A: 400, B: 300, C: 200}
    assert second.commit.total == "900"
    assert second.commit.parent == first.commit.digest().hex()
    assert [each.earned for each in second.entitlements] == ["100", "0", "0"]


def test_what_floors_leave_is_paid_to_nobody() -> None:
    """The contract holds each earned amount against the formula, unit by unit."""
    one = made({A: 1, B: 1, C: 1}, 100)

    assert one.amounts() == {A: 33, B: 33, C: 33}
    assert (one.commit.total, one.commit.budget) == ("99", "100")


def test_where_nobody_has_a_score_nobody_earns() -> None:
    one = made({A: 0, B: 0})

    assert one.amounts() == {A: 0, B: 0}
    assert (one.commit.total, one.commit.scores) == ("0", "0")


def test_a_payee_of_the_round_before_stays_one() -> None:
    """Left out, it could claim nothing of what it had."""
    first = made({A: 1, B: 1})

    with pytest.raises(UnsafeParameters, match="each payee of the round before"):
        made({A: 1}, number=4, before=first)


@pytest.mark.parametrize("number", [2, 3])
def test_a_round_that_does_not_follow_is_not_stated(number: int) -> None:
    first = made({A: 1}, number=3)

    with pytest.raises(WrongContext, match=f"round {number} cannot follow round 3"):
        made({A: 1}, number=number, before=first)


def test_salts_that_repeat_are_refused() -> None:
    """Two leaves with one salt can be told apart by guessing."""
    same = os.urandom(32)
    twice = {A: Salts(same, os.urandom(32)), B: Salts(same, os.urandom(32))}

    with pytest.raises(UnsafeParameters, match="share a salt"):
        statement(DOMAIN, None, a_result(1), 10, {A: 1, B: 1}, twice)


def test_salts_are_in_no_representation() -> None:
    """A log that shows a value would show what hides an amount."""
    assert "b'" not in repr(salts(A)[A])


def test_budgets_of_all_rounds_are_the_escrow_to_the_last_unit() -> None:
    budgets = [budget_of(1000, 3, position) for position in range(3)]

    assert budgets == [333, 333, 334]


def test_two_sites_with_one_address_are_named() -> None:
    """Cumulative leaves of one payee would hide each other, and a twin is proof of guilt."""
    with pytest.raises(ConfigError, match="east and west are paid at one address"):
        require_distinct({"east": A, "west": A.upper().replace("X", "x"), "north": B})

    require_distinct({"east": A, "west": B})
