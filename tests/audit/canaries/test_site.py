"""The audit build of a site: a canary is the clip at its own coordinate, and nothing elsewhere."""

import dataclasses

import numpy as np
import pytest
from msgspec.structs import replace

from participant.site import Site, model_shapes
from veilsum.audit.canaries.contribution import contribute_under
from veilsum.audit.canaries.setting import plan_of
from veilsum.audit.canaries.site import (
    NETWORK_VALUES,
    AuditSite,
    has_broken_record,
    ordinary_records,
)

from .small_audit import DISTRIBUTED, LOCAL, SETTINGS, keys

QUIET_LOCAL = replace(LOCAL, noise_multiplier="0.001", sampling_rate="1", steps=1)
QUIET_DISTRIBUTED = replace(DISTRIBUTED, noise_multiplier="0.02")


def site(*canaries):
    return AuditSite(3100, canaries, ordinary_records(8, keys("records")))


def contributed(order, of):
    """What the site contributes under `order`, in the model's units."""
    setting = next(each for each in SETTINGS.values() if type(each.training) is type(order))
    plan = plan_of(setting, 1)
    made = contribute_under(order, of, plan, np.zeros(setting.dimension), keys("training"))
    return plan.grid().from_grid(made)


@pytest.mark.parametrize(
    ("order", "one"),
    [(QUIET_LOCAL, 0.5 / 10), (QUIET_DISTRIBUTED, 0.5)],
    ids=["local", "distributed"],
)
def test_a_canary_moves_its_own_coordinate_by_the_clip(order, one):
    """As far as one record may, downhill; its neighbours and the network do not notice."""
    without, with_it = contributed(order, site()), contributed(order, site(7))

    moved = without - with_it

    assert moved[NETWORK_VALUES + 7] == pytest.approx(one, rel=2e-3)
    moved[NETWORK_VALUES + 7] = 0.0
    assert np.abs(moved).max() == 0.0


@pytest.mark.parametrize("order", [QUIET_LOCAL, QUIET_DISTRIBUTED], ids=["local", "distributed"])
def test_a_record_without_numbers_changes_nothing(order):
    """It is in every audited site, and as shipped it counts as zero."""
    broken = site(7)
    whole = dataclasses.replace(broken, ordinary=broken.ordinary[:-1])

    assert has_broken_record(broken.records())
    assert not has_broken_record(whole.records())
    assert (contributed(order, broken) == contributed(order, whole)).all()


def test_it_is_a_site_as_hospitals_bring_theirs():
    """The training is given nothing that it would not be given elsewhere."""
    of = site(1, 2)

    assert isinstance(of, Site)
    assert len(of.records()) == 8 + 1 + 2
    assert model_shapes(of) == (("weights.weight", (NETWORK_VALUES + 3100, 1)),)
