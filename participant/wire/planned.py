"""Fetch the plan of a round, as its coordinator has signed it."""

from privacy import plan as plans
from privacy.errors import WrongContext
from privacy.plan import Plan
from privacy.roster import Roster
from privacy.signing import Purpose, verify

from .coordinator import Coordinator


async def planned(coordinator: Coordinator, roster: Roster, number: int) -> Plan:
    """Return the plan of round `number`.

    Raises:
        NotYet: there is none. And as `check_planned`.
    """
    return check_planned(await coordinator.plan(number), roster, number)


def check_planned(sent: tuple[bytes, bytes, bytes], roster: Roster, number: int) -> Plan:
    """Return the plan that was sent for round `number`: arithmetic part, terms, signature.

    Raises:
        InvalidSignature: the roster's coordinator has not signed it.
        WrongContext: it is the plan of another round.
    """
    arithmetic, terms, signature = sent
    digest = bytes.fromhex(plans.digest_of(arithmetic, terms))
    verify(roster.coordinator_key, Purpose.PLAN, digest, signature)
    plan = plans.decode(arithmetic, terms)
    if plan.terms.round != number:
        raise WrongContext(f"the plan of round {plan.terms.round} was sent for round {number}")
    return plan
