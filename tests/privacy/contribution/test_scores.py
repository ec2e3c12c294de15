"""Weights are the formulas that the methods name, whole, never negative, and paid out exactly."""

from fractions import Fraction
from itertools import permutations
from math import factorial, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from privacy.contribution.scores import (
    Method,
    check_method,
    default_method,
    earned,
    missing_for,
    only_method,
    weights,
)
from privacy.errors import UnsafeParameters, WrongContext
from privacy.plan import ALIGNMENT_RELEASE, SCORE_RELEASES
from privacy.records import Score, Scores

SCORED = [method for method in Method if method is not Method.PARTICIPATION]
NAMES = ("north", "east", "south")


def scores(*pairs: tuple[int, int], void: str = "") -> Scores:
    """Squared norm and alignment of each of the three sites."""
    found = (Score(name, str(a), str(b)) for name, (a, b) in zip(NAMES, pairs, strict=False))
    return Scores("tests", 3, "0" * 64, "0" * 64, 0, tuple(found), void)


def scores_of(updates: np.ndarray) -> Scores:
    total = updates.sum(0)
    return scores(*((int(x @ x), int(x @ total)) for x in updates))


UPDATES = np.array([[5, -3, 0, 7], [2, 2, 9, 1], [-1, 4, 4, 3]])


def squared_length(updates: list[np.ndarray]) -> int:
    total = sum(updates, start=np.zeros(4, np.int64))
    return int(total @ total)


def test_alignment_is_the_shapley_value_of_the_squared_length_of_a_sum() -> None:
    """Over all orders of three sites, as the definition has it; and the parts add up to |P|²."""
    orders = list(permutations(range(3)))
    gains = [Fraction(0)] * 3
    for order in orders:
        for place, site in enumerate(order):
            before = [UPDATES[each] for each in order[:place]]
            gains[site] += squared_length([*before, UPDATES[site]]) - squared_length(before)

    found = weights(Method.ALIGNMENT, NAMES, scores_of(UPDATES))

    assert [found[name] for name in NAMES] == [gain / factorial(3) for gain in gains]
    assert sum(found.values()) == squared_length(list(UPDATES))


def test_leave_one_out_is_what_the_squared_length_loses_without_a_site() -> None:
    found = weights(Method.LEAVE_ONE_OUT, NAMES, scores_of(UPDATES))

    for site, name in enumerate(NAMES):
        others = [each for at, each in enumerate(UPDATES) if at != site]
        lost = squared_length(list(UPDATES)) - squared_length(others)
        assert found[name] == max(0, lost)


def test_cosine_and_norm_are_the_formulas_rounded_down() -> None:
    """In steps of 2^-16, so that short updates are told apart too."""
    opened = scores((9, 4), (2, 1), (1 << 60, 1 << 50))

    cosines, norms = (weights(each, NAMES, opened) for each in (Method.COSINE, Method.NORM))

    assert list(cosines.values()) == [87_381, 46_340, 1 << 36]  # 4/3, 1/sqrt(2), 2^20; times 2^16
    assert list(norms.values()) == [196_608, 92_681, 1 << 46]  # 3, sqrt(2), 2^30


def test_a_longer_update_of_the_same_direction_gets_no_more_by_cosine() -> None:
    found = weights(Method.COSINE, NAMES, scores((10**6, 5000), (4 * 10**6, 10_000), (1, 0)))

    assert found["north"] == found["east"]


@pytest.mark.parametrize("method", SCORED)
def test_who_would_have_to_pay_in_gets_nothing(method: Method) -> None:
    """A negative weight has no place in a division of an escrow."""
    found = weights(method, NAMES, scores((100, -50), (100, 300), (100, 40)))

    assert min(found.values()) >= 0
    assert found["east"] > 0
    assert (found["north"] == 0) == (method is not Method.NORM)


@pytest.mark.parametrize("method", SCORED)
def test_without_scores_and_where_they_are_void_nobody_earns(method: Method) -> None:
    """Who expects a low score would void a round's if it were then paid by participation."""
    nothing = dict.fromkeys(NAMES, 0)

    assert weights(method, NAMES, None) == nothing
    assert weights(method, NAMES, scores(void="a seat was away")) == nothing
    assert earned(1_000, nothing) == nothing


@pytest.mark.parametrize("method", SCORED)
def test_where_no_site_has_a_positive_weight_nobody_earns(method: Method) -> None:
    """Updates that cancel, or that the rounding makes zero: estimates may be below it too."""
    found = weights(method, NAMES, scores((0, 0), (0, -7), (0, 0)))

    assert earned(1_000, found) == dict.fromkeys(NAMES, 0)


def test_participation_needs_no_scores_and_looks_at_none() -> None:
    equal = dict.fromkeys(NAMES, 1)

    assert weights(Method.PARTICIPATION, NAMES, None) == equal
    assert weights(Method.PARTICIPATION, NAMES, scores((1, 9), (1, 1), (1, -5))) == equal
    assert weights(Method.PARTICIPATION, NAMES, scores(void="somebody lied")) == equal


@pytest.mark.parametrize(
    "cohort",
    [NAMES[:2], (*NAMES, "west"), ("north", "east", "west"), ("north", "north", "south")],
)
def test_scores_of_another_cohort_are_refused(cohort: tuple[str, ...]) -> None:
    with pytest.raises(WrongContext, match="round 3"):
        weights(Method.ALIGNMENT, cohort, scores((1, 1), (2, 2), (3, 3)))


def test_weights_come_in_the_order_of_the_cohort() -> None:
    """Slots are in that order; scores may be opened in any."""
    cohort = ("south", "north", "east")

    found = weights(Method.ALIGNMENT, cohort, scores((1, 1), (2, 2), (3, 3)))

    assert list(found.items()) == [("south", 3), ("north", 1), ("east", 2)]


@pytest.mark.parametrize("method", SCORED)
@pytest.mark.parametrize("squared_norm", [-(10**19), 0, 1, 10**20 - 1])
@pytest.mark.parametrize("alignment", [1 - 10**20, 0, 1, 10**20 - 1])
def test_no_number_that_a_record_holds_makes_a_weight_that_a_contract_does_not(
    method: Method, squared_norm: int, alignment: int
) -> None:
    """A hundred thousand of them add up to less than 2^128."""
    found = weights(method, NAMES, scores((squared_norm, alignment), (1, 1), (1, 1)))

    assert 0 <= found["north"] < (1 << 128) // 100_000


def test_methods_keep_their_names() -> None:
    """They stand in signed documents; another formula is another name."""
    assert [str(method) for method in Method] == [
        "participation/1", "alignment/1", "cosine/1", "norm/1", "leave-one-out/1",
    ]  # fmt: skip


def test_a_method_that_needs_scores_is_refused_where_none_are_opened() -> None:
    """Under mechanism `distributed` too, whose plans release none."""
    assert default_method(scored=False) is Method.PARTICIPATION
    assert default_method(scored=True) is Method.ALIGNMENT
    for method in Method:
        check_method(method, opened=SCORE_RELEASES)
    check_method(Method.PARTICIPATION, opened=())
    for method in SCORED:
        with pytest.raises(UnsafeParameters, match="participation/1"):
            check_method(method, opened=())


def test_a_method_that_needs_a_norm_is_refused_where_the_alignment_alone_is_opened() -> None:
    """As under ckks; a product with the step says nothing of an update's own length."""
    check_method(Method.ALIGNMENT, opened=(ALIGNMENT_RELEASE,))
    for method in (Method.COSINE, Method.NORM, Method.LEAVE_ONE_OUT):
        with pytest.raises(UnsafeParameters, match=r"needs squared-norm.*name alignment/1"):
            check_method(method, opened=(ALIGNMENT_RELEASE,))


@pytest.mark.parametrize("opened", [(), (ALIGNMENT_RELEASE,), SCORE_RELEASES])
def test_one_method_alone_is_left_only_where_no_scores_are_opened(opened: tuple[str, ...]) -> None:
    """Nobody can say by the plan then which one was agreed."""
    fitting = [method for method in Method if not missing_for(method, opened=opened)]

    assert only_method(opened=opened) is (None if opened else Method.PARTICIPATION)
    assert len(fitting) == {0: 1, 1: 2, 2: len(Method)}[len(opened)]


@given(st.integers(0, 1 << 128), st.dictionaries(st.sampled_from(NAMES), st.integers(0, 1 << 100)))
def test_a_budget_is_divided_by_the_formula_and_never_exceeded(
    budget: int, of: dict[str, int]
) -> None:
    """The formula is the contract's; less than a unit for each site is left."""
    amounts = earned(budget, of)

    total = sum(of.values())
    assert all(amounts[name] == budget * of[name] // total for name in of if total)
    left = budget - sum(amounts.values())
    assert 0 <= left < max(1, len(of)) or total == 0


@pytest.mark.parametrize(("budget", "weight"), [(-1, 1), (1, -1)])
def test_nothing_negative_is_divided(budget: int, weight: int) -> None:
    with pytest.raises(UnsafeParameters):
        earned(budget, {"north": weight, "east": 2})


def test_the_rounding_of_a_cosine_is_that_of_no_float() -> None:
    """Two machines must not differ in the last unit: integers beyond 2^53, against exact roots."""
    squared_norm, alignment = 3, (1 << 62) - 6_789

    found = weights(Method.COSINE, ("north",), scores((squared_norm, alignment)))["north"]

    assert found**2 * squared_norm <= (alignment << 16) ** 2 < (found + 1) ** 2 * squared_norm
    assert found == pytest.approx(alignment * 65_536 / sqrt(squared_norm))
