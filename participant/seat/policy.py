"""A seat's last word on a plan, and on its own place in the roster. Pure."""

from participant.policy.plans import (
    check_federation,
    check_scheme,
    check_seats,
    check_smallest_cohort,
)
from participant.policy.refusing import refusal
from privacy.plan import Plan
from privacy.policy_line import PolicyLine, written
from privacy.roster import Role, Roster

from .config import AggregatorPolicy


def check_aggregator(participant: str, roster: Roster, by: PolicyLine) -> None:
    """Return if a member may hold shares: it does nothing else in its federation.

    Args:
        by: the line of its own file that refuses.

    Raises:
        PolicyRefusal: it has another role, or none of an aggregator.
        WrongIdentity: not in the roster.
    """
    member = roster.member(participant)
    if member.roles != (Role.AGGREGATOR,):
        reason = f"{participant} is no aggregator of the roster, or something else too"
        raise refusal(by, reason)


def check_seating(plan: Plan, participant: str, policy: AggregatorPolicy, roster: Roster) -> int:
    """Return which seat of a plan is this one's, if it accepts the plan.

    Raises:
        PolicyRefusal: another roster or scheme, too small a cohort, no seat of this one's, or
            seats that are not three aggregators of different organisations: two in one
            hand open every update.
        WrongIdentity: one is not in the roster.
        UnsafeParameters: the parameters of the plan would not keep what they promise.
    """
    terms = plan.terms
    check_federation(plan, policy, roster)
    check_scheme(plan, policy)
    check_smallest_cohort(plan, policy)
    plan.shares()
    if participant not in terms.seats:
        by = PolicyLine(policy.FILE, "participant", written(participant))
        raise refusal(by, f"the plan names {', '.join(terms.seats)} as its seats")
    check_seats(terms.seats, roster, policy)
    return terms.seats.index(participant)
