"""Settings: plans that the product accepts, and claims that its accountant makes."""

from dataclasses import replace

import pytest
from msgspec.structs import replace as changed

from privacy.accounting import epsilon_of
from privacy.errors import UnsafeParameters
from privacy.events import Gaussian, PoissonSampled, SelfComposed
from privacy.plan import CKKS, SHARES, Mechanism, decode, pack, unpack
from veilsum.audit.canaries.setting import guesses_of, plan_of, site_names
from veilsum.audit.canaries.standard import DELTA, settings

from .small_audit import LOCAL, SETTINGS


def test_standard_settings_claim_what_was_asked_for():
    """All rounds together, within the epsilon, and not needlessly below it."""
    claims = [setting.claims()[0] for setting in settings(epsilon=2.0)]

    assert len(claims) == 4
    assert all(1.99 < claim <= 2.0 for claim in claims)


@pytest.mark.parametrize(
    "setting", list(settings()), ids=lambda each: f"{each.mechanism} {each.scheme}"
)
def test_plans_are_whole_plans(setting):
    """They go through the same checks as a coordinator's; nothing is let through for an audit."""
    plan = plan_of(setting, 2)

    assert unpack(pack(plan)) == plan
    assert plan.terms.privacy.training == setting.training
    assert plan.terms.cohort_minimum == setting.honest + setting.colluders == 3
    assert decode(plan.arithmetic.encode(), pack(plan)[4 + len(plan.arithmetic.encode()) :]) == plan


def test_claims_are_the_accountants_for_all_rounds():
    """Of each view its own event, composed as often as there are rounds."""
    local, shared = SETTINGS[Mechanism.LOCAL], SETTINGS[Mechanism.DISTRIBUTED]
    step = PoissonSampled("0.5", Gaussian("1"))

    assert local.claims() == (epsilon_of(SelfComposed(8, step), DELTA),) * 2
    sums, vector = shared.claims()
    assert sums == epsilon_of(SelfComposed(4, Gaussian("1.2")), DELTA)
    assert vector == pytest.approx(epsilon_of(SelfComposed(4, Gaussian("0.848528137")), DELTA))


def test_under_local_all_sites_but_one_are_the_attackers():
    """The claim holds against a coalition of all others."""
    local, shared = SETTINGS[Mechanism.LOCAL], SETTINGS[Mechanism.DISTRIBUTED]

    assert site_names(local) == ("honest-0", "colluder-0", "colluder-1")
    assert site_names(shared) == ("honest-0", "honest-1", "colluder-0")


def test_an_audit_of_almost_nothing_is_refused():
    """Before it runs: its verdict would be worth nothing."""
    with pytest.raises(UnsafeParameters, match="99 canaries"):
        replace(SETTINGS[Mechanism.LOCAL], canaries=99)


@pytest.mark.parametrize("scheme", [CKKS, SHARES])
def test_the_update_bound_is_never_reached(scheme):
    """A bound that shortens updates would hide canaries; large noise must not reach it either."""
    loud = changed(LOCAL, noise_multiplier="80", steps=20)
    plan = plan_of(replace(SETTINGS[Mechanism.LOCAL], training=loud, scheme=scheme), 1)

    assert float(plan.terms.clip) > 0.05 * (80 * (20 * 3105) ** 0.5 + 20 * 600**0.5)


def test_the_number_of_guesses_follows_from_the_canaries():
    """Even, and never chosen after looking."""
    assert [guesses_of(each) for each in (100, 999, 5000)] == [10, 98, 500]
