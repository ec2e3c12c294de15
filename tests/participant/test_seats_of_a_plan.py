"""What a site asks of the seats that a plan under `shares` names."""

import msgspec
import pytest

from participant.policy import plans as module
from privacy.errors import PolicyRefusal, WrongIdentity
from privacy.roster import Role
from tests.participant import shared_round as made
from tests.participant import signed_round


def check(plan=None, policy=None, roster=None):
    roster = roster or made.roster()
    plan = plan or made.plan(roster=roster.digest())
    module.check_round(plan, policy or made.policy(), roster)


def test_three_seats_of_three_organisations_are_accepted():
    """The control of the refusals below; a plan under shares needs no auditor."""
    check()


def test_shares_are_accepted_by_name_only():
    """A scheme is in the site's own list, or it is none."""
    with pytest.raises(PolicyRefusal, match=r"policy\.schemes = .*: shares/1"):
        check(policy=made.policy(schemes=("ckks/1",)))


def test_one_seat_may_be_of_the_operators_organisation():
    """It has one component too few, as each of the others has."""
    check(roster=made.roster_with("elm", organisation="the coordinator's operator"))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"organisation": "fern clinic"}, "different organisations"),
        ({"roles": (Role.AGGREGATOR, Role.TRAINER)}, "elm is no aggregator"),
        ({"roles": (Role.AGGREGATOR, Role.AUDITOR)}, "elm is no aggregator"),
        ({"roles": (Role.TRAINER,)}, "elm is no aggregator"),
        ({"roles": ()}, "elm is no aggregator"),
    ],
    ids=["organisation", "trains", "audits", "no seat", "nothing"],
)
def test_two_seats_in_one_hand_are_refused(changes, words):
    """Two of them have every component of every update."""
    with pytest.raises(PolicyRefusal, match=words):
        check(roster=made.roster_with("elm", **changes))


def test_a_seat_outside_of_the_roster_is_refused():
    """The coordinator's plan admits nobody."""
    with pytest.raises(WrongIdentity, match="mallory"):
        check(made.plan(seats=("elm", "fern", "mallory")))


def test_an_auditor_that_is_named_is_one():
    """Who settles a dispute between seats is none of them, and trains nothing."""
    check(made.plan(auditor="watch"))

    with pytest.raises(PolicyRefusal, match="delta is no auditor"):
        check(made.plan(auditor="delta"))


def test_what_seats_let_out_is_in_the_sites_own_list():
    """Scores are releases, as the plan says itself."""
    plan = made.scored_plan()
    arguments = signed_round.DATASET, made.roster(), plan.terms.model, None

    with pytest.raises(
        PolicyRefusal, match=r"policy\.releases.*alignment, norm-bound, squared-norm"
    ):
        module.check_plan(plan, made.policy(), *arguments)
    module.check_plan(plan, made.policy(releases=plan.terms.privacy.releases), *arguments)


def test_under_ckks_an_auditor_is_still_asked_for():
    """The line of the policy is for sums that a coordinator adds."""
    policy = signed_round.policy(without_auditor=False)

    with pytest.raises(PolicyRefusal, match=r"policy\.without_auditor"):
        module.check_round(signed_round.plan(), policy, signed_round.roster())


def test_another_roster_is_another_plan():
    other = msgspec.structs.replace(made.roster(), version=1, previous="0" * 64)

    with pytest.raises(PolicyRefusal, match=r"policy\.roster"):
        check(made.plan(), roster=other)
