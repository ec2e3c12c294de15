"""Freeze the cohort: after this, who is in the sum does not change. Pure."""

from privacy.errors import CohortTooSmall
from privacy.plan import Plan
from privacy.records import Cohort
from privacy.roster import Roster

from .state import Round


def cohort(current: Round, plan: Plan, roster: Roster) -> Cohort:
    """Return the cohort record of a round whose contributions are all in.

    Raises:
        CohortTooSmall: fewer organisations than the plan's minimum; no sum is taken.
    """
    members = [roster.member(entry.participant) for entry in current.committed]
    organisations = {member.organisation for member in members}
    if len(organisations) < plan.terms.cohort_minimum:
        raise CohortTooSmall(
            f"round {current.number}: {len(organisations)} organisations, "
            f"the plan asks for {plan.terms.cohort_minimum}"
        )
    return Cohort(
        federation=plan.terms.federation,
        round=current.number,
        plan=plan.digest(),
        entries=current.committed,
    )
