"""How long a budget lasts is what the budget itself would say, round by round."""

from datetime import UTC, datetime, timedelta

import pytest

from privacy.budget import SpendLimits, costs_of
from privacy.errors import BudgetExhausted
from privacy.events import Events, Gaussian
from veilsum.audit.forecast import MOST_ROUNDS, forecast, pace, rounds_left

LIMITS = SpendLimits("0.0001", "2", "1", "3", "2")
ROUND = costs_of(Events(Gaussian("20"), Gaussian("11")))
START = datetime(2026, 11, 21, tzinfo=UTC)


def one_by_one(budgets):
    """Rounds until the budget refuses one."""
    for number in range(1000):
        try:
            budgets = budgets.reserve(f"r-{number}", ROUND)
        except BudgetExhausted as error:
            return number, "vector" if "vector" in str(error) else "sums"
    raise AssertionError


def test_rounds_left_are_those_that_the_budget_lets_through():
    budgets = LIMITS.for_life().reserve("before", ROUND, 7)

    expected, view = one_by_one(budgets)
    found = forecast(budgets, ROUND, None, START)

    assert (found.rounds, found.stopped_by) == (expected, view)
    assert found.exhausted is None


def test_the_view_that_ends_first_is_named():
    """The limit of the vector's view is larger here, and its cost larger still."""
    assert forecast(LIMITS.for_life(), ROUND, None, START).stopped_by == "vector"


def test_the_day_follows_from_the_pace():
    times = [START + timedelta(days=7 * week) for week in range(4)]

    found = forecast(LIMITS.for_life(), ROUND, pace(times), times[-1])

    assert found.exhausted == times[-1] + timedelta(days=7 * found.rounds)


def test_one_round_is_no_pace():
    assert pace([START]) is None


def test_nobody_looks_ahead_for_ever():
    """And a day beyond the year 9999 is no day."""
    nothing = costs_of(Events(Gaussian("1000000000"), Gaussian("1000000000")))

    assert rounds_left(LIMITS.for_life(), nothing) == MOST_ROUNDS
    assert forecast(LIMITS.for_life(), nothing, 1e9, START).exhausted is None


@pytest.mark.parametrize("rounds", [0, 1])
def test_a_budget_without_room_is_said_to_have_none(rounds):
    fits, _ = one_by_one(LIMITS.for_life())
    budgets = LIMITS.for_life().reserve("before", ROUND, fits - rounds)

    assert rounds_left(budgets, ROUND) == rounds


def test_where_no_round_is_left_there_is_no_day_of_the_last():
    """`until now` would say that there was one."""
    fits, _ = one_by_one(LIMITS.for_life())
    budgets = LIMITS.for_life().reserve("before", ROUND, fits)

    found = forecast(budgets, ROUND, 3600.0, START)

    assert (found.rounds, found.exhausted) == (0, None)
