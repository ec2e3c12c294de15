"""Where the sums of a seat are sealed: what a stream, and each wrap of its key, is bound to.

A seat seals both of its components' sums under one content key, and the key for each trainer;
who opens must name the same round, plan, cohort and seat, or nothing opens.
"""

from privacy.identifiers import Digest
from privacy.plan import Plan
from privacy.sealing import Sealed, seal_context


def words_context(plan: Plan, cohort: Digest, seat: str, component: int) -> bytes:
    """Return what the stream of one component of one seat's sum is bound to."""
    return _context(Sealed.SEAT_SUM, plan, cohort, seat, str(component))


def key_context(plan: Plan, cohort: Digest, seat: str, trainer: str) -> bytes:
    """Return what the content key of a seat's sum is bound to, as it is wrapped for a trainer."""
    return _context(Sealed.SEAT_SUM_KEY, plan, cohort, seat, trainer)


def _context(kind: Sealed, plan: Plan, cohort: Digest, seat: str, last: str) -> bytes:
    fields = (plan.terms.federation, str(plan.terms.round), plan.digest(), cohort, seat, last)
    return seal_context(kind, *(each.encode() for each in fields))
