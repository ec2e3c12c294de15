"""The next model, the same bits wherever and in whatever order it is computed."""

from fractions import Fraction

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from participant.opening.apply import Application
from privacy.errors import MalformedMessage, SumOffGrid, UnsafeParameters, WrongContext
from privacy.plan import decode
from tests.participant import signed_round as made

RATE = 0.5


def apply(plan, model, total, count, parts=1):
    """The next model, made in so many parts."""
    application = Application(plan, count)
    pairs = zip(np.array_split(model, parts), np.array_split(total, parts), strict=True)
    new = [application.part(*pair) for pair in pairs]
    application.check_bound()
    return np.concatenate(new)


def small(**terms):
    return made.plan(server_learning_rate=str(RATE), **terms)


def padded(values, dtype):
    vector = np.zeros(made.DIMENSION, dtype)
    vector[: len(values)] = values
    return vector


def rounded(exact: Fraction) -> float:
    """The float64 nearest to an exact number: Python divides integers correctly rounded."""
    return exact.numerator / exact.denominator


def reference(weight: float, steps: int, count: int, rate: float) -> float:
    """The same four operations, each exact and then rounded once, as IEEE 754 says."""
    mean = rounded(Fraction(rounded(Fraction(steps, 2**18))) / count)
    moved = rounded(Fraction(rate) * Fraction(mean))
    return rounded(Fraction(weight) + Fraction(moved))


weights = st.floats(-1e3, 1e3, allow_nan=False, allow_subnormal=False)
steps = st.integers(-(2**20), 2**20)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(weights, steps), min_size=1, max_size=8), st.integers(1, 4))
def test_every_bit_is_that_of_exact_arithmetic_rounded_once_an_operation(pairs, count):
    """The reference uses fractions; nothing in it knows numpy."""
    model = padded([weight for weight, _ in pairs], np.float64)
    total = padded([step for _, step in pairs], np.int64)

    found = apply(small(), model, total, count)

    expected = [reference(weight, step, count, RATE) for weight, step in pairs]
    assert found[: len(pairs)].tolist() == expected
    assert not found[len(pairs) :].any()


def test_the_same_bits_in_any_order():
    """Element by element: a permutation commutes, and so does cutting the vector."""
    model = np.sin(np.arange(made.DIMENSION) * 1.7)
    total = (np.arange(made.DIMENSION) * 7919 % 4001 - 2000).astype(np.int64)
    order = np.argsort(np.cos(np.arange(made.DIMENSION)))

    straight = apply(small(), model, total, 3)
    mixed = apply(small(), model[order], total[order], 3)
    strided = apply(small(), model.repeat(2)[::2], total.repeat(2)[::2], 3)

    for parts in (2, 3, 7, made.DIMENSION):
        assert apply(small(), model, total, 3, parts).tobytes() == straight.tobytes()
    assert mixed.tobytes() == straight[order].tobytes()
    assert strided.tobytes() == straight.tobytes()


def test_neither_model_nor_sum_is_changed():
    """An opener compares with the model it started from."""
    model, total = np.ones(made.DIMENSION), np.ones(made.DIMENSION, np.int64)

    apply(small(), model, total, 1)

    assert model.sum() == total.sum() == made.DIMENSION


def test_an_unknown_aggregation_is_refused():
    """Not read as the mean."""
    with pytest.raises(UnsafeParameters, match="median"):
        apply(small(aggregation="median/1"), np.zeros(3), np.zeros(3, np.int64), 1)


@pytest.mark.parametrize("rate", ["nan", "inf", "-1", "0", "1e400"])
def test_a_rate_that_is_no_positive_number_is_refused(rate):
    """One NaN would be in every weight."""
    plan = made.plan(server_learning_rate=rate)

    with pytest.raises(UnsafeParameters, match="rate"):
        apply(plan, np.zeros(3), np.zeros(3, np.int64), 1)


@pytest.mark.parametrize("field", ["server_learning_rate", "clip"])
@pytest.mark.parametrize("value", ["nan", "inf", "-1", "1e9", "1/0", "abc", ""])
def test_no_such_plan_is_read(field, value):
    """The coordinator signs plans; a site must refuse a mad one, not stop."""
    plan = made.plan()
    terms = made.encoded(msgspec.structs.replace(plan.terms, **{field: value}))

    with pytest.raises((MalformedMessage, UnsafeParameters)):
        decode(plan.arithmetic.encode(), terms)


def test_a_mean_above_the_clip_is_refused_and_not_attributed():
    """n clipped updates have a mean of at most the clip."""
    clip = 20 * 2**18
    total = padded([3 * clip], np.int64)
    beyond = total + padded([3 * 2**18], np.int64)

    for parts in (1, 4):
        apply(small(), np.zeros(made.DIMENSION), total, 3, parts)
        with pytest.raises(SumOffGrid, match="cannot be said whose"):
            apply(small(), np.zeros(made.DIMENSION), beyond, 3, parts)
        with pytest.raises(SumOffGrid):
            apply(small(), np.zeros(made.DIMENSION), -beyond, 3, parts)


def test_the_norm_is_that_of_all_parts_together():
    """Each part alone is within the bound, the whole is not."""
    clip, half = 20 * 2**18, made.DIMENSION // 2
    total = np.zeros(made.DIMENSION, np.int64)
    total[0] = total[half] = 3 * clip

    with pytest.raises(SumOffGrid, match=r"norm 28\.284"):
        apply(small(), np.zeros(made.DIMENSION), total, 3, 2)


@pytest.mark.parametrize(
    ("weights", "values"), [(made.DIMENSION - 1, None), (None, 1), (1, None), (1, 1)]
)
def test_another_size_is_refused_and_not_stretched(weights, values):
    """A model of one value would be broadcast over the sum, or the sum over the model."""
    model = np.zeros(made.DIMENSION if weights is None else weights)
    total = np.zeros(made.DIMENSION if values is None else values, np.int64)

    with pytest.raises(WrongContext, match="a plan of 5000 values"):
        apply(small(), model, total, 3)


def test_a_part_that_is_missing_is_noticed():
    """The bound is one on the whole."""
    application = Application(small(), 3)
    application.part(np.zeros(4999), np.zeros(4999, np.int64))

    with pytest.raises(WrongContext, match="a model of 4999"):
        application.check_bound()


# -- mechanism distributed ---------------------------------------------------------------

SUMMED = {"server_learning_rate": str(RATE), **made.shared_noise()}


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(weights, steps), min_size=1, max_size=8), st.integers(2, 9))
def test_a_sum_of_gradients_is_one_step_over_the_plans_divisor(pairs, count):
    """40 is the plan's; how many took part changes nothing, nor how many patients they have."""
    model = padded([weight for weight, _ in pairs], np.float64)
    total = padded([step for _, step in pairs], np.int64)

    found = apply(made.plan(**SUMMED), model, total, count)

    expected = [reference(weight, step, 40, RATE) for weight, step in pairs]
    assert found[: len(pairs)].tolist() == expected


def test_a_sum_that_no_honest_cohort_has_is_refused():
    """Three sites: 3·10 of gradients, and noise of 4·0.25·sqrt(3/2)·(sqrt(5000) + 12) at most."""
    longest = 3 * 10 + 1.5**0.5 * (5000**0.5 + 12)
    within = padded([int((longest - 0.01) * 2**18)], np.int64)
    beyond = padded([int((longest + 0.01) * 2**18)], np.int64)
    start = np.zeros(made.DIMENSION)

    apply(made.plan(**SUMMED), start, within, 3)

    with pytest.raises(SumOffGrid, match="cannot be said whose"):
        apply(made.plan(**SUMMED), start, beyond, 3)
