"""Freeze the cohort: after this, who is in the sum does not change. Pure."""

from collections.abc import Sequence

from privacy.errors import CohortTooSmall
from privacy.plan import Plan
from privacy.records import Candidates, Cohort, Entry
from privacy.roster import Roster, organisations_of

from .state import Round


def candidates(current: Round, plan: Plan, roster: Roster) -> Candidates:
    """Return what the seats of a round that has closed are to judge.

    Raises:
        CohortTooSmall: fewer contributions or organisations than the plan's minimum already.
        WrongIdentity: the roster has not all of the sites any more.
    """
    _check(current.number, current.committed, plan, roster)
    return Candidates(
        federation=plan.terms.federation,
        round=current.number,
        plan=plan.digest(),
        entries=current.committed,
    )


def cohort(current: Round, plan: Plan, roster: Roster) -> Cohort:
    """Return the cohort record of a round: all that was committed, less what seats left out.

    Raises:
        CohortTooSmall: fewer contributions or organisations than the plan's minimum; no sum
            is taken.
        WrongIdentity: the roster has not all of the sites any more.
    """
    left_out = {each.participant for each in current.left_out}
    entries = tuple(each for each in current.committed if each.participant not in left_out)
    _check(current.number, entries, plan, roster)
    return Cohort(
        federation=plan.terms.federation,
        round=current.number,
        plan=plan.digest(),
        entries=entries,
    )


def _check(number: int, entries: Sequence[Entry], plan: Plan, roster: Roster) -> None:
    organisations = organisations_of(roster.member(each.participant) for each in entries)
    if len(organisations) < plan.terms.cohort_minimum:
        raise CohortTooSmall(
            f"round {number}: {len(organisations)} organisations, "
            f"the plan asks for {plan.terms.cohort_minimum}"
        )
    if len(entries) < plan.terms.quorum:
        raise CohortTooSmall(
            f"round {number}: {len(entries)} contributions, the plan's quorum is "
            f"{plan.terms.quorum}"
        )
