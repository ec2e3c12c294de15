"""Evidence that was made once is verified for ever: real bundles of each version of the format."""

from pathlib import Path

import pytest

from privacy.accounting import NeighbouringRelation, UnitOfPrivacy
from privacy.errors import UnsafeParameters
from privacy.evidence.finding import Outcome
from privacy.evidence.limits import AuditPolicy
from privacy.evidence.trust import Keys
from privacy.evidence.verify import verify

VECTORS = Path(__file__).parents[2] / "vectors"
ROSTERS = {
    "ckks": "c1e5bb90e658f1628da848bf67c1723ac388b7a83b89b841eb442340c7ed10b6",
    "shares": "328d5b6772c25593a0ad0da6833423c165c6ae5a0af4dbadd04c02cee99267a3",
}
POLICY = AuditPolicy(
    delta="0.001",
    epsilon_for_life="100",
    unit=UnitOfPrivacy.PATIENT,
    neighbouring=NeighbouringRelation.ADD_OR_REMOVE_ONE,
    smallest_cohort=2,
)


def text(scheme, name):
    return (VECTORS / f"evidence_v1_{scheme}_{name}.bundle").read_bytes()


def verdict_of(scheme, name):
    """What an officer finds who has the bundles of the site and of the run."""
    return verify(
        text(scheme, name),
        POLICY,
        Keys(ROSTERS[scheme]),
        [text(scheme, other) for other in ("site", "run") if other != name],
        second=lambda events, delta: None,
    )


@pytest.mark.parametrize("name", ["site", "run"])
@pytest.mark.parametrize("scheme", ROSTERS)
def test_bundles_of_real_rounds_are_verified_for_ever(scheme, name):
    """Whoever changes what is read must go on reading these, and never make them again."""
    verdict = verdict_of(scheme, name)

    assert verdict.findings == ()
    assert verdict.outcome is Outcome.OK


@pytest.mark.parametrize("scheme", ROSTERS)
def test_what_a_frozen_bundle_says_is_what_it_said(scheme):
    """Read is not enough: the epsilons are those of its day."""
    (dataset,) = verdict_of(scheme, "site").datasets

    assert (dataset.rounds, dataset.released) == (1, 1)
    assert dataset.sums.committed == dataset.vector.committed == "0.873944"


@pytest.mark.parametrize("scheme", ROSTERS)
def test_a_frozen_bundle_outlives_every_rule_for_new_plans(scheme, monkeypatch):
    """All of them refuse: its plans are read all the same."""

    def refuse(*_):
        raise UnsafeParameters("plans of another kind are made now")

    for rule in ("_check_openers", "_check_outsiders", "_check_mechanism", "_check_seats"):
        monkeypatch.setattr(f"privacy.plan.{rule}", refuse)

    verdict = verdict_of(scheme, "site")

    assert verdict.findings == ()
    assert len(verdict.refused_today) == 1
