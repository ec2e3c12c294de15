"""The key's order and the plan, from the settings."""

import msgspec
import pytest

from coordinator import config
from coordinator import plan as planning
from privacy import plan as plans
from privacy.errors import UnsafeParameters
from tests import fakes

SETTINGS, ROSTER = fakes.make_settings(), fakes.make_roster()


def test_the_key_is_ordered_for_the_parameters_of_the_plan():
    """Otherwise every site refuses to encrypt under it."""
    order = planning.key_specification(SETTINGS, ROSTER)
    parameters = fakes.make_plan().parameters()

    assert (order.degree, int(order.modulus)) == (parameters.degree, parameters.modulus)
    assert order.scale_log2 == parameters.scale_log2
    assert (order.value_bits, order.cohort_max) == (24, 4)
    assert (order.openers, order.roster) == (fakes.OPENERS, ROSTER.digest())


def test_a_plan_is_the_same_bytes_for_the_same_settings():
    first, second = fakes.make_plan(), fakes.make_plan()

    assert first.digest() == second.digest()
    assert plans.unpack(plans.pack(first)) == first


@pytest.mark.parametrize(
    "other",
    [
        {"quorum": 4},
        {"agreement": 3},
        {"cohort_minimum": 2},
        {"clip": "2"},
        {"openers": fakes.OPENERS[:2]},
        {"server_learning_rate": "0.5"},
        {"auditor": fakes.AUDITOR},
    ],
)
def test_every_term_is_in_the_digest(other):
    assert fakes.make_plan(fakes.make_settings(**other)).digest() != fakes.make_plan().digest()


@pytest.mark.parametrize(
    "other",
    [
        {"agreement": 1},
        {"agreement": 4},
        {"openers": fakes.OPENERS[:1]},
        {"cohort_minimum": 1},
        {"quorum": 2},
        {"quorum": 5},
        {"auditor": fakes.OPENERS[0]},
    ],
)
def test_settings_that_promise_too_little_make_no_plan(other):
    with pytest.raises(UnsafeParameters):
        fakes.make_plan(fakes.make_settings(**other))


@pytest.mark.parametrize("auditor", [None, fakes.AUDITOR])
def test_the_plan_says_who_audits_or_that_nobody_does(auditor):
    """A site decides by it whether it takes part."""
    assert fakes.make_plan(fakes.make_settings(auditor=auditor)).terms.auditor == auditor


def test_values_too_wide_for_the_cohort_make_no_plan():
    scheme = config.SchemeSettings(20, 40, 1 << 20, 1)

    with pytest.raises(UnsafeParameters):
        planning.parameters(msgspec.structs.replace(SETTINGS, scheme=scheme))
