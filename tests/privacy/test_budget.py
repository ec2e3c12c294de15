"""A budget refuses before anything happens, and forgets nothing."""

import math
from dataclasses import FrozenInstanceError
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy.accounting import ORDERS, epsilon_of, smallest_noise_multiplier
from privacy.budget import (
    NO_COSTS,
    NOTHING,
    Budget,
    Costs,
    Spend,
    SpendLimits,
    check_delta,
    costs_of,
    spend_of,
    total,
)
from privacy.errors import BudgetExhausted, IllegalEvent, MalformedMessage, UnsafeParameters
from privacy.events import Events, Gaussian, PoissonSampled, SelfComposed

DELTA = 1e-5
STEP = SelfComposed(10, PoissonSampled("0.1", Gaussian("2")))
SPENDS = [spend_of(Gaussian(sigma)) for sigma in ("2", "4", "9", "40")]

operations = st.lists(
    st.tuples(
        st.sampled_from(["reserve", "commit", "retire"]), st.integers(0, 9), st.integers(0, 3)
    ),
    max_size=40,
)


def apply(budget: Budget, name: str, slot: int, size: int) -> Budget:
    match name:
        case "reserve":
            return budget.reserve(f"r-{slot}", SPENDS[size], 1 + slot % 3)
        case "commit":
            return budget.commit(f"r-{slot}")
        case _:
            return budget.retire(f"r-{slot}")


@given(operations, st.floats(0.3, 6.0))
@settings(deadline=None, max_examples=60)
def test_no_sequence_of_operations_passes_the_limit(
    steps: list[tuple[str, int, int]], limit: float
) -> None:
    """Whatever is tried in whatever order: within the limit, and committed never falls."""
    budget = Budget(DELTA, limit)
    released = []

    for name, slot, size in steps:
        before = budget
        try:
            budget = apply(budget, name, slot, size)
        except (BudgetExhausted, IllegalEvent):
            assert budget is before
        else:
            released += [before.reserved[f"r-{slot}"].each] if name == "commit" else []

        assert budget.charged().epsilon(DELTA) <= limit
        assert budget.committed.covers(before.committed)
        assert budget.committed == total(released)


def test_a_reservation_that_does_not_fit_is_refused_with_the_numbers() -> None:
    """Who reads the log sees what was spent, what it would cost and what is allowed."""
    one = spend_of(STEP).epsilon(DELTA)
    budget = Budget(DELTA, one * 1.2).reserve("r-1", spend_of(STEP))

    with pytest.raises(BudgetExhausted) as refusal:
        budget.reserve("r-2", spend_of(STEP))

    two = total([spend_of(STEP)] * 2).epsilon(DELTA)
    assert refusal.value.spent == one
    assert refusal.value.spent + refusal.value.cost == pytest.approx(two)
    assert refusal.value.limit == one * 1.2
    assert budget.charged() == spend_of(STEP)


def test_what_is_reserved_counts_until_it_is_retired() -> None:
    """Two plans that each fit do not both fit."""
    budget = Budget(DELTA, epsilon_of(STEP, DELTA) * 1.01).reserve("r-1", spend_of(STEP))
    with pytest.raises(BudgetExhausted):
        budget.reserve("r-2", spend_of(STEP))

    freed = budget.retire("r-1")

    assert freed.charged() == NOTHING
    assert freed.reserve("r-2", spend_of(STEP)).charged() == spend_of(STEP)


def test_what_is_committed_cannot_be_retired() -> None:
    """A release cannot be taken back."""
    committed = Budget(DELTA, 10.0).reserve("r-1", spend_of(STEP)).commit("r-1")

    with pytest.raises(IllegalEvent):
        committed.retire("r-1")

    assert committed.committed == spend_of(STEP)


@pytest.mark.parametrize("act", ["commit", "retire"])
def test_only_what_is_reserved_can_move(act: str) -> None:
    """An unknown name is an error in the caller, not a free release."""
    with pytest.raises(IllegalEvent):
        getattr(Budget(DELTA, 10.0), act)("r-1")


def test_a_name_is_reserved_once() -> None:
    """Replacing a reservation would lose what it held."""
    budget = Budget(DELTA, 10.0).reserve("r-1", spend_of(STEP))

    with pytest.raises(IllegalEvent):
        budget.reserve("r-1", spend_of(Gaussian("100")))


def test_a_calibrated_schedule_fits_although_each_round_is_rounded_up() -> None:
    """Calibration for the whole limit leaves room for what rounding adds."""
    noise = smallest_noise_multiplier("0.1", 30, DELTA, 2.0)
    budget = Budget(DELTA, 2.0)

    for number in range(30):
        budget = budget.reserve(f"r-{number}", spend_of(PoissonSampled("0.1", Gaussian(noise))))

    with pytest.raises(BudgetExhausted):
        budget.reserve("r-30", spend_of(PoissonSampled("0.1", Gaussian(noise))))


def test_an_untouched_budget_is_whole() -> None:
    """Nothing spent is 0, so all of the limit remains."""
    assert Budget(1e-8, 3.0).remaining_epsilon() == 3.0


def test_no_event_is_free() -> None:
    """However small, a cost is stored above zero: enough of them reach the limit."""
    weakest = PoissonSampled("0.0000000001", Gaussian("1000000000"))

    assert all(amount > 0 for amount in spend_of(weakest).at_orders)


def test_a_budget_is_a_value() -> None:
    """Nobody changes what somebody else has decided on."""
    budget = Budget(DELTA, 1.0).reserve("r-1", spend_of(Gaussian("40")))

    with pytest.raises(FrozenInstanceError):
        budget.limit_epsilon = 9.0  # type: ignore[misc]
    with pytest.raises(TypeError):
        budget.reserved["r-2"] = NOTHING  # type: ignore[index]


@pytest.mark.parametrize("delta", [0.0, 1.0, -1e-5, math.nan, math.inf])
def test_a_budget_without_a_delta_is_refused(delta: float) -> None:
    """NaN compares with nothing, so it must not get in."""
    with pytest.raises(UnsafeParameters):
        Budget(delta, 1.0)


@pytest.mark.parametrize("limit", [0.0, -1.0, math.nan, math.inf])
def test_a_budget_without_a_limit_is_refused(limit: float) -> None:
    """An infinite budget is no budget."""
    with pytest.raises(UnsafeParameters):
        Budget(DELTA, limit)


@pytest.mark.parametrize("amount", ["NaN", "sNaN", "Infinity", "-0.1", "1E+16"])
def test_a_spend_is_finite(amount: str) -> None:
    """One NaN would make every later comparison false."""
    amounts = [Decimal(0)] * len(ORDERS)
    amounts[3] = Decimal(amount)

    with pytest.raises(UnsafeParameters):
        Spend(tuple(amounts))


def test_a_spend_has_every_order() -> None:
    """Fewer orders are another accountant's."""
    with pytest.raises(UnsafeParameters):
        Spend((Decimal(0),))


@pytest.mark.parametrize(
    ("delta", "life", "per_round"),
    [("0.001", "nan", "1"), ("0.001", "3", "inf"), ("1e-3", "3", "1")],
)
def test_limits_are_plain_numbers(delta: str, life: str, per_round: str) -> None:
    """A policy file with a typing error stops the site, not its protection."""
    with pytest.raises(MalformedMessage):
        SpendLimits(delta, life, per_round)


@pytest.mark.parametrize(("delta", "life"), [("0", "3"), ("1", "3"), ("0.001", "0")])
def test_limits_that_protect_nobody_are_refused(delta: str, life: str) -> None:
    """The policy is checked when it is read, not when it is needed."""
    with pytest.raises(UnsafeParameters):
        SpendLimits(delta, life, "1")


@pytest.mark.parametrize("delta", ["0.01", "0.001", "0.00334"])
def test_a_delta_of_one_in_n_is_refused(delta: str) -> None:
    """It would allow one of n patients to be published in full."""
    units = 100 if delta == "0.01" else 1000

    with pytest.raises(UnsafeParameters):
        check_delta(delta, units)


def test_a_delta_below_one_in_n_is_accepted() -> None:
    """The bound itself is excluded; just below is the caller's choice."""
    check_delta("0.00099", 1000)
    check_delta("0.001", 999)


@pytest.mark.parametrize("units", [0, -5])
def test_a_dataset_of_nobody_is_refused(units: int) -> None:
    """There is no 1 / 0."""
    with pytest.raises(UnsafeParameters):
        check_delta("0.001", units)


@pytest.mark.parametrize("delta", ["nan", "1e-5", "-1"])
def test_a_delta_is_a_plain_decimal(delta: str) -> None:
    """NaN is below nothing and above nothing, so it is no number here."""
    with pytest.raises(MalformedMessage):
        check_delta(delta, 100)


# -- rounds, and two views -----------------------------------------------------------

WEAK, STRONG = spend_of(Gaussian("4")), spend_of(Gaussian("9"))


def test_rounds_are_reserved_together_and_spent_one_by_one() -> None:
    """All or none; what is not spent stays set aside."""
    budget = Budget(DELTA, 10.0).reserve("r-1", STRONG, 3)

    spent = budget.commit("r-1").commit("r-1")

    assert budget.charged() == spent.charged() == STRONG.times(3)
    assert spent.committed == STRONG.times(2) == STRONG + STRONG
    assert spent.retire("r-1").charged() == STRONG.times(2)
    with pytest.raises(IllegalEvent):
        spent.commit("r-1").commit("r-1")


def test_a_schedule_that_does_not_fit_reserves_no_part_of_itself() -> None:
    """Two rounds would fit, three would not."""
    limit = total([STRONG] * 2).epsilon(DELTA)
    budget = Budget(DELTA, limit)
    budget.reserve("r-1", STRONG, 2)

    with pytest.raises(BudgetExhausted):
        budget.reserve("r-1", STRONG, 3)


def test_budgets_refuse_what_one_view_does_not_hold() -> None:
    """Whichever is exhausted first; the message says when it is not that of the sums."""
    limits = SpendLimits("0.00001", "5", "5", "6", "6")
    costs = Costs(STRONG, WEAK)
    tight = SpendLimits("0.00001", "5", "5", "1", "1")

    limits.for_life().check(costs)
    with pytest.raises(BudgetExhausted, match=r"epsilon \(vector view\)"):
        tight.for_life().reserve("r-1", costs)
    with pytest.raises(BudgetExhausted, match="epsilon spent"):
        SpendLimits("0.00001", "0.1", "0.1", "6", "6").for_life().reserve("r-1", costs)


def test_budgets_move_in_both_views() -> None:
    """One reservation, two amounts."""
    held = SpendLimits("0.00001", "9", "9").for_life().reserve("r-1", Costs(STRONG, WEAK), 2)

    spent = held.commit("r-1")

    assert (spent.sums.committed, spent.vector.committed) == (STRONG, WEAK)
    assert spent.retire("r-1").vector.charged() == WEAK
    assert spent.spend(Costs(WEAK, WEAK)).sums.committed == STRONG + WEAK


def test_costs_add_up_in_each_view() -> None:
    """Exactly, as spends do."""
    costs = costs_of(Events(Gaussian("9"), Gaussian("4")))

    assert costs == Costs(STRONG, WEAK)
    assert costs + costs == costs.times(2) == Costs(STRONG.times(2), WEAK.times(2))
    assert costs.times(2).covers(costs)
    assert not costs.covers(Costs(STRONG, WEAK.times(2)))
    assert costs.times(0) == NO_COSTS


def test_an_opened_update_cannot_be_cheaper_than_its_sum() -> None:
    """Such a pair says that somebody has mixed up the views."""
    with pytest.raises(UnsafeParameters):
        costs_of(Events(Gaussian("4"), Gaussian("9")))


def test_the_vectors_limits_are_those_of_the_sums_where_none_are_given() -> None:
    """Silence is no permission."""
    limits = SpendLimits("0.001", "3", "2")

    assert (limits.vector_epsilon_for_life, limits.vector_epsilon_per_round) == ("3", "2")
    assert limits.for_life().vector.limit_epsilon == 3.0
    assert limits.per_round().vector.limit_epsilon == 2.0


def test_the_lower_of_two_limits_is_lower_in_each_number() -> None:
    """Neither side can raise one number by lowering another."""
    mine, theirs = (
        SpendLimits("0.001", "3", "2", "5", "1"),
        SpendLimits("0.01", "10", "1", "4", "2"),
    )

    assert mine.lower(theirs) == theirs.lower(mine) == SpendLimits("0.001", "3", "1", "4", "1")
