"""A budget refuses before anything happens, and forgets nothing."""

import math
from dataclasses import FrozenInstanceError
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy.accounting import ORDERS, epsilon_of, smallest_noise_multiplier
from privacy.budget import (
    NOTHING,
    Budget,
    Spend,
    SpendLimits,
    check_delta,
    spend_of,
    total,
)
from privacy.errors import BudgetExhausted, IllegalEvent, MalformedMessage, UnsafeParameters
from privacy.events import Gaussian, PoissonSampled, SelfComposed

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
            return budget.reserve(f"r-{slot}", SPENDS[size])
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
            released += [before.reserved[f"r-{slot}"]] if name == "commit" else []

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
