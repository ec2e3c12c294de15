"""Rounds of an audit: real sums under real schemes, and what a coalition holds of them."""

from dataclasses import replace

import numpy as np
import pytest

from privacy.plan import CKKS, SHARES, Mechanism
from veilsum.audit.canaries.contribution import contribute
from veilsum.audit.canaries.protection import opened_sum
from veilsum.audit.canaries.rounds import observe
from veilsum.audit.canaries.setting import plan_of, site_names
from veilsum.audit.canaries.site import NETWORK_VALUES

from .small_audit import SETTINGS, keys


@pytest.mark.parametrize("scheme", [CKKS, SHARES])
def test_what_opens_is_the_sum_of_what_went_in(scheme, tmp_path):
    """Through protectors, outboxes, combiners and revealers, to the last bit."""
    setting = replace(SETTINGS[Mechanism.LOCAL], scheme=scheme)
    draws = np.random.default_rng(1)
    updates = [draws.integers(-4000, 4000, setting.dimension) for _ in range(3)]

    opened = opened_sum(plan_of(setting, 1), site_names(setting), updates, tmp_path)

    assert (opened == np.sum(updates, axis=0)).all()
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize("mechanism", list(Mechanism))
def test_the_coalition_holds_the_honest_sites_part(mechanism):
    """The sum less the colluders' updates is the others' to the last bit; known is their own."""
    setting, made = replace(SETTINGS[mechanism], rounds=1), []

    def kept(site, plan, vector, entropy):
        made.append(plan.grid().from_grid(contribute(site, plan, vector, entropy)))
        return plan.grid().to_grid(made[-1])

    observed = observe(setting, kept, keys())

    one = {Mechanism.LOCAL: -0.5 * 1 / 10, Mechanism.DISTRIBUTED: -0.5}[mechanism]
    honest, known = made[: setting.honest], made[setting.honest :]
    assert np.allclose(observed.sums[0] * one, sum(honest)[NETWORK_VALUES:])
    assert np.allclose(observed.known[0] * one, sum(known)[NETWORK_VALUES:])
    assert np.allclose(observed.vector[0] * one, honest[0][NETWORK_VALUES:])


def test_each_coin_is_fair_and_each_canary_has_one_site():
    """The bounds assume nothing else; a canary at two sites would move the sum twice as far."""
    setting = replace(SETTINGS[Mechanism.DISTRIBUTED], rounds=1)
    held = []

    def counted(site, plan, vector, entropy):
        held.append(set(site.canaries))
        return np.zeros(setting.dimension, np.int64)

    observed = observe(setting, counted)

    assert held[0].isdisjoint(held[1])
    assert held[2] == set()
    assert held[0] | held[1] == set(np.flatnonzero(observed.included).tolist())
    assert abs(observed.included.sum() - 300) < 5 * np.sqrt(150)


def test_the_model_moves_from_round_to_round():
    """Each round trains from the model that the last one made."""
    setting, seen = replace(SETTINGS[Mechanism.LOCAL], rounds=3), []

    def constant(site, plan, vector, entropy):
        seen.append(vector[0])
        return plan.grid().to_grid(np.full(setting.dimension, 0.01))

    observe(setting, constant, keys())

    assert np.allclose(seen[::3], [0.0, 0.01, 0.02], atol=1e-3)
