"""How long a budget lasts: rounds at one cost, and the day when none is left at one pace."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from privacy.budget import Budgets, Costs
from privacy.errors import BudgetExhausted

MOST_ROUNDS = 100_000
"""Further than this nobody looks ahead."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """What lies ahead for one dataset.

    Attributes:
        rounds: rounds of that cost that still fit into both views; at most `MOST_ROUNDS`.
        stopped_by: the view that refuses the next one, `sums` or `vector`; "" at `MOST_ROUNDS`.
        exhausted: when the last of them is spent at that pace; None without a pace, or if none is.
    """

    rounds: int
    stopped_by: str
    exhausted: datetime | None


def forecast(
    budgets: Budgets, cost: Costs, seconds_per_round: float | None, start: datetime
) -> Forecast:
    """Return what lies ahead when every round costs `cost`.

    Args:
        budgets: with all that is committed and reserved.
        seconds_per_round: the pace; None if there is none to go by.
        start: from when on.
    """
    rounds = rounds_left(budgets, cost)
    stopped_by = "" if rounds == MOST_ROUNDS else _refused(budgets, cost.times(rounds + 1))
    return Forecast(rounds, stopped_by, _day(start, seconds_per_round, rounds))


def rounds_left(budgets: Budgets, cost: Costs) -> int:
    """Return how many rounds of `cost` still fit into both views, at most `MOST_ROUNDS`."""
    fits, too_many = 0, MOST_ROUNDS + 1
    while too_many - fits > 1:
        middle = (fits + too_many) // 2
        fits, too_many = (
            (fits, middle) if _refused(budgets, cost.times(middle)) else (middle, too_many)
        )
    return fits


def pace(times: Sequence[datetime]) -> float | None:
    """Return the mean seconds between rounds that were committed at `times`; None below two."""
    if len(times) < 2:
        return None
    return (max(times) - min(times)).total_seconds() / (len(times) - 1)


def _refused(budgets: Budgets, costs: Costs) -> str:
    for name, budget, spend in (
        ("sums", budgets.sums, costs.sums),
        ("vector", budgets.vector, costs.vector),
    ):
        try:
            budget.check(spend)
        except BudgetExhausted:
            return name
    return ""


def _day(start: datetime, seconds_per_round: float | None, rounds: int) -> datetime | None:
    if seconds_per_round is None or not rounds:
        return None
    try:
        return start.astimezone(UTC) + timedelta(seconds=seconds_per_round * rounds)
    except OverflowError:  # beyond the year 9999: not a day that anybody plans for
        return None
