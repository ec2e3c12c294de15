"""The frozen cohort, and what is said of its sum."""

import pytest

from coordinator import close, publish
from coordinator.state import Phase, Round, Rules
from privacy.errors import CohortTooSmall, WrongIdentity
from privacy.records import Entry, digest_of
from tests import fakes

PLAN, ROSTER = fakes.make_plan(), fakes.make_roster()
RULES = Rules(fakes.OPENERS, fakes.SITES, 3, 2, 5.0, 60.0)


def closed(*names):
    entries = tuple(Entry(name, "a" * 64, ("b" * 64,)) for name in names)
    return Round(1, RULES, Phase.AGGREGATING, committed=entries)


def test_a_cohort_is_all_that_was_committed():
    cohort = close.cohort(closed(*fakes.SITES), PLAN, ROSTER)

    assert [entry.participant for entry in cohort.entries] == list(fakes.SITES)
    assert (cohort.round, cohort.plan, cohort.federation) == (1, PLAN.digest(), "oncology")


@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_cohort_below_the_plans_minimum_is_refused(count):
    with pytest.raises(CohortTooSmall, match=f"{count} organisations, the plan asks for 3"):
        close.cohort(closed(*fakes.SITES[:count]), PLAN, ROSTER)


def test_sites_of_one_owner_count_once():
    """A hospital group that runs three sites could otherwise take out its own updates."""
    with pytest.raises(CohortTooSmall, match="1 organisations"):
        close.cohort(closed(*fakes.SITES), PLAN, fakes.make_roster(same_organisation=True))


def test_a_cohort_of_strangers_is_refused():
    with pytest.raises(WrongIdentity):
        close.cohort(closed("hospital-y", "hospital-z"), PLAN, ROSTER)


def test_the_manifest_names_the_cohort_and_the_root():
    cohort = close.cohort(closed(*fakes.SITES), PLAN, ROSTER)

    manifest = publish.sum_manifest(PLAN, cohort, b"\x07" * 32, 1234)

    assert manifest.cohort == digest_of(cohort)
    assert (manifest.contributions, manifest.root, manifest.length) == (4, "07" * 32, 1234)
    assert manifest.chunks == PLAN.arithmetic.chunks
