"""What is easily accounted wrong: sites that drop out, one's own noise, trials, filters."""

import ast
import math

import msgspec
import numpy as np
import pytest
from scipy import optimize, stats

from privacy.accounting import ORDERS, NeighbouringRelation, epsilon_of, rdp_of
from privacy.budget import NOTHING, spend_of, total
from privacy.distributed_sum import DistributedSum
from privacy.errors import MalformedMessage, UnsafeParameters
from privacy.events import Gaussian, PoissonSampled, SelfComposed
from privacy.plan import PrivacyPlan
from tests.participant.signed_round import TRAINING
from tests.source_tree import module_name, parsed, source_files

DELTA = 1e-5

DROPOUTS = {
    # what was meant, and what it is when of the first number of sites only the second are left
    1: {(4, 3): 1.17, (4, 2): 1.47, (5, 4): 1.13, (5, 3): 1.32, (10, 8): 1.13, (10, 1): 3.62},
    3: {(4, 3): 3.53, (4, 2): 4.46, (5, 4): 3.41, (5, 3): 4.02, (10, 8): 3.41, (10, 1): 11.7},
    8: {(4, 3): 9.53, (4, 2): 12.3, (5, 4): 9.16, (5, 3): 10.9, (10, 8): 9.16, (10, 1): 35.6},
}
"""Epsilon at delta 1e-5 where parts of the noise are missing, from the closed form."""

CASES = [
    (meant, planned, left, epsilon)
    for meant, row in DROPOUTS.items()
    for (planned, left), epsilon in row.items()
]


def exact_epsilon(mu):
    """Balle and Wang (2018), arXiv:1805.06530, equation 6, solved for epsilon."""

    def beyond(epsilon):
        below = stats.norm.logcdf(-epsilon / mu - mu / 2)
        return stats.norm.cdf(mu / 2 - epsilon / mu) - math.exp(epsilon + below) - DELTA

    return optimize.brentq(beyond, 0.0, 100.0)


def noise_for(epsilon):
    """The noise multiplier with exactly this epsilon."""
    return 1 / optimize.brentq(lambda mu: exact_epsilon(mu) - epsilon, 0.05, 5.0)


def decimal(value):
    return f"{value:.9f}".rstrip("0").rstrip(".")


@pytest.mark.parametrize(("meant", "planned", "left", "epsilon"), CASES)
def test_missing_noise_costs_what_is_published(meant, planned, left, epsilon):
    """Shares of noise that were cut for all sites protect less when some are missing."""
    noise = noise_for(meant) * math.sqrt(left / planned)

    exactly, ours = exact_epsilon(1 / noise), epsilon_of(Gaussian(decimal(noise)), DELTA)

    assert exactly == pytest.approx(epsilon, rel=5e-3)
    # ours is an upper bound, of the order of a tenth above for one Gaussian
    assert exactly <= ours <= 1.12 * exactly


def test_every_plan_has_a_colluder():
    """Each site knows its own noise, and can take it off the sum."""
    with pytest.raises((UnsafeParameters, msgspec.ValidationError)):
        msgspec.convert({**msgspec.to_builtins(shared()), "colluders": 0}, DistributedSum)


def shared(honest=3, colluders=1):
    return DistributedSum("1", "3", "2", 100, 50, honest, colluders)


def test_trials_are_charged_like_rounds():
    """Ten runs of one setting cost ten runs; the best of them is not the price of one."""
    one = Gaussian(decimal(noise_for(1.0)))

    ten = total([spend_of(one)] * 10)

    assert ten.epsilon(DELTA) == pytest.approx(epsilon_of(SelfComposed(10, one), DELTA), rel=1e-6)
    # one round's epsilon is 1; ten have 3.62 exactly, and 3.91 in Renyi accounting
    assert exact_epsilon(math.sqrt(10) / noise_for(1.0)) == pytest.approx(3.62, abs=0.005)
    assert ten.epsilon(DELTA) == pytest.approx(3.91, abs=0.01)


@pytest.mark.parametrize("sigma", ["0.7", "9", "123.456"])
def test_what_is_stored_is_never_below_what_was_computed(sigma):
    """Decimals on disk are rounded up, so that no number of rows adds up to too little."""
    event = PoissonSampled("0.3", Gaussian(sigma))

    stored, computed = spend_of(event).at_orders, rdp_of(event, np.array(ORDERS))

    # a Decimal and a float are compared exactly
    assert all(above >= below for above, below in zip(stored, computed.tolist(), strict=True))


def test_each_step_counts_though_only_the_last_weights_leave():
    """No discount for hidden steps: others hold the models between rounds, and it is unproven."""
    order = msgspec.structs.replace(TRAINING, steps=7)

    seven, one = (
        spend_of(SelfComposed(steps, Gaussian(order.noise_multiplier))) for steps in (7, 1)
    )

    assert seven.covers(total([one] * 6))
    assert total([one] * 7).covers(seven)
    assert not NOTHING.covers(one)


def test_another_neighbouring_relation_cannot_be_planned():
    """Replacing one unit would need twice the noise; no plan can promise it with this noise."""
    assert list(NeighbouringRelation) == [NeighbouringRelation.ADD_OR_REMOVE_ONE]


def test_no_decision_is_made_by_another_accountant():
    """PLD and PRV are no filters: they may be read in reports, and nowhere on a round's way."""
    reports = "veilsum.audit.second_opinion"

    found = {
        module_name(path)
        for path in source_files()
        for name in imported(parsed(path))
        if name.split(".")[0] == "dp_accounting" or name.startswith("opacus.accountants")
    }

    assert found <= {reports}


def imported(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("missing", ["unit", "neighbouring", "delta"])
def test_an_epsilon_without_its_terms_cannot_be_planned(missing):
    """Half a statement reads like a whole one."""
    plan = PrivacyPlan("local", "patient", "add_remove", "0.001", TRAINING, ())
    document = msgspec.to_builtins(plan)
    del document[missing]

    with pytest.raises((msgspec.ValidationError, MalformedMessage), match=missing):
        msgspec.convert(document, PrivacyPlan)
