"""One number a site adds up to that of the sum, exactly, or there are no scores."""

from functools import cache

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from participant.opening.apply import Application
from privacy.contribution.products import (
    OpenedSum,
    Products,
    check_sizes,
    check_sum,
    inner,
    largest_product,
    measured,
    rounded,
    step_of,
)
from privacy.errors import FalseProduct
from privacy.plan import Plan
from tests.privacy import example_round as example

SITES = 4
DIMENSION = example.ARITHMETIC.dimension
WORDS = st.integers(-(1 << 53), 1 << 53)


@cache
def plan(rate: str = "1") -> Plan:
    terms = msgspec.structs.replace(example.TERMS, server_learning_rate=rate)
    return Plan(example.ARITHMETIC, terms)


@cache
def updates() -> np.ndarray:
    return np.random.default_rng(3).integers(-(1 << 13), 1 << 13, (SITES, DIMENSION))


def models(rate: str = "1", size: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """The model that a round started from, and the one that its sum gives."""
    before = np.random.default_rng(4).normal(0.0, size, DIMENSION)
    return before, Application(plan(rate), SITES).part(before, updates().sum(0))


def product(one: np.ndarray, other: np.ndarray) -> int:
    """In Python's integers, one by one."""
    return sum(int(a) * int(b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("rate", ["1", "0.37", "0.001"])
@pytest.mark.parametrize("size", [0.01, 1.0, 100.0])
def test_the_released_step_is_the_sum_itself(rate: str, size: float) -> None:
    """So that x·q is the alignment of the other scheme, and a Shapley value, exactly."""
    before, after = models(rate, size)

    step = step_of(plan(rate), SITES, before, after)

    assert np.array_equal(step, updates().sum(0))


def test_a_step_that_float64_cannot_hold_is_the_same_for_all_and_near_the_sum() -> None:
    """A rate of a billionth moves weights of a hundred by less than their last bit."""
    before, after = models("0.000000001", 100.0)

    step = step_of(plan("0.000000001"), SITES, before, after)

    assert not np.array_equal(step, updates().sum(0))
    assert np.array_equal(step, step_of(plan("0.000000001"), SITES, before, after))
    products = [product(each, step) for each in updates()]
    check_sum(products, product(updates().sum(0), step))


def test_a_release_that_no_honest_sum_gives_is_cut_and_not_wrapped() -> None:
    """Agreeing openers can release anything; what sites state stays one number of 128 bits."""
    before = np.array([0.0, 1e308, -1e308])

    step = step_of(plan(), SITES, before, np.array([1e300, -1e308, 1e308]))

    assert step.tolist() == [1 << 53, -(1 << 53), 1 << 53]


@given(st.lists(st.tuples(WORDS, WORDS), max_size=40))
def test_inner_products_are_exact(pairs: list[tuple[int, int]]) -> None:
    """No sum of squares of 53 bits has room in a machine word."""
    one, other = (np.array([pair[at] for pair in pairs], np.int64) for at in range(2))

    assert inner(one, other) == sum(a * b for a, b in pairs)


def test_inner_products_are_exact_across_the_parts_they_are_taken_in() -> None:
    one = np.full((1 << 16) + 3, -(1 << 53), np.int64)

    assert inner(one, one) == one.size << 106


def test_products_of_a_cohort_add_up_to_that_of_their_sum() -> None:
    """However each is cut: a site reads its disk in other parts than an opener opens."""
    before, after = models()
    stated = []
    for update in updates():
        products = Products(plan(), SITES)
        for start in range(0, DIMENSION, 5000):
            part = slice(start, start + 5000)
            products.add(update[part], before[part], after[part])
        stated.append(products.total().product)
    of_sum = Products(plan(), SITES)
    of_sum.add(updates().sum(0), before, after)

    check_sum(stated, of_sum.total().product)

    assert stated == [product(each, updates().sum(0)) for each in updates()]
    assert of_sum.total().squared_step == product(updates().sum(0), updates().sum(0))


@pytest.mark.parametrize("by", [1, -1, 1 << 60])
@pytest.mark.parametrize("liar", range(3))
def test_a_single_false_product_is_caught_by_one_unit(liar: int, by: int) -> None:
    stated = [5, -7, 11]
    stated[liar] += by

    with pytest.raises(FalseProduct, match="3 sites state do not add up"):
        check_sum(stated, 9)


def test_a_product_too_large_for_a_clipped_update_names_its_site() -> None:
    """The largest is that of an update along the step, as long as the clip allows."""
    most = largest_product(10, 7)
    assert most == 22

    check_sizes({"amber": most, "birch": -most}, 10, 7)

    for beyond in (most + 1, -most - 1):
        with pytest.raises(FalseProduct, match="birch belongs to no update within 7"):
            check_sizes({"amber": most, "birch": beyond}, 10, 7)


def test_scores_are_rounded_products_in_the_order_of_the_cohort() -> None:
    found = measured(
        {"birch": 5, "amber": -3}, OpenedSum(2, 100), step_log2=2, norm=plan().largest_norm()
    )

    assert [(each.participant, each.squared_norm, each.alignment) for each in found] == [
        ("birch", "", "4"),
        ("amber", "", "-4"),
    ]


@given(st.integers(-(1 << 80), 1 << 80), st.integers(0, 62))
def test_rounding_is_to_the_nearest_multiple_and_of_two_the_upper(number: int, log2: int) -> None:
    found, step = rounded(number, log2), 1 << log2

    assert found % step == 0
    assert 2 * abs(found - number) <= step
    if 2 * abs(found - number) == step:
        assert found > number


def test_the_largest_norm_is_that_of_a_clipped_update_on_the_grid() -> None:
    """20 · 2^18, and half a step for each of 16,353 values: the root of that is 127."""
    assert plan().largest_norm() == 20 * (1 << 18) + 63 + 1
