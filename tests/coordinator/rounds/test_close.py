"""The frozen cohort, and what is said of its sum."""

import pytest
from msgspec.structs import replace

from coordinator.rounds import close, publish
from coordinator.rounds.state import LeftOut, Phase, Round, Rules, Stated
from privacy.errors import CohortTooSmall, WrongIdentity
from privacy.records import Entry, digest_of
from privacy.schemes.shares.layout import WORDS_PER_LEAF
from privacy.schemes.shares.opening import sum_root
from tests import fakes
from tests.privacy.example_shares import COHORT, SHARES_PLAN

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


# -- under shares ----------------------------------------------------------------------


def without(*names, of=fakes.SITES):
    """Return a round whose seats left some sites out, one of them twice."""
    left_out = tuple(LeftOut(name, seat, "x", "y") for name in names for seat in ("s", "t"))
    return replace(closed(*of), left_out=left_out)


def test_candidates_are_all_that_was_committed():
    candidates = close.candidates(closed(*fakes.SITES), PLAN, ROSTER)

    assert candidates.entries == closed(*fakes.SITES).committed
    assert (candidates.round, candidates.plan) == (1, PLAN.digest())


def test_too_few_candidates_are_refused():
    with pytest.raises(CohortTooSmall, match="2 organisations"):
        close.candidates(closed(*fakes.SITES[:2]), PLAN, ROSTER)


def test_a_cohort_is_without_those_whom_a_seat_left_out():
    cohort = close.cohort(without(fakes.SITES[1]), PLAN, ROSTER)

    kept = [each for each in fakes.SITES if each != fakes.SITES[1]]
    assert [entry.participant for entry in cohort.entries] == kept


def test_a_cohort_below_the_minimum_after_leaving_out_is_refused():
    with pytest.raises(CohortTooSmall, match="2 organisations, the plan asks for 3"):
        close.cohort(without(*fakes.SITES[:2]), PLAN, ROSTER)


def test_a_cohort_below_the_quorum_after_leaving_out_is_refused():
    """The quorum is what each site has agreed to be summed with, not what was committed."""
    plan = fakes.make_plan(fakes.make_settings(quorum=4))

    with pytest.raises(CohortTooSmall, match="3 contributions, the plan's quorum is 4"):
        close.cohort(without(fakes.SITES[0]), plan, ROSTER)


@pytest.mark.parametrize("away", [0, 1, 2])
def test_the_manifest_has_one_root_over_three_components_whoever_stated_them(away):
    roots = ("0a" * 32, "0b" * 32, "0c" * 32)
    held = ((0, 1), (1, 2), (2, 0))
    stated = [
        Stated(f"seat-{at}", "d" * 64, tuple(r * (c in own) for c, r in enumerate(roots)))
        for at, own in enumerate(held)
        if at != away
    ]

    manifest = publish.shares_manifest(SHARES_PLAN, COHORT, stated)

    assert manifest.root == sum_root([bytes.fromhex(each) for each in roots]).hex()
    assert (manifest.contributions, manifest.chunks) == (2, 2)
    assert manifest.length == 3 * 8 * WORDS_PER_LEAF * 4
    assert manifest.cohort == digest_of(COHORT)
