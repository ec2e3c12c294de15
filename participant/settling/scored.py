"""Whether a site is paid by the scores that were signed: no contract looks at these."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from participant.wire.coordinator import Coordinator
from participant.wire.seat_calls import SeatCalls
from privacy import canonical
from privacy.contribution.scores import Method, check_method, weights
from privacy.documents import check_agreement
from privacy.errors import UnsafeParameters, WrongContext
from privacy.plan import ALIGNMENT_RELEASE, SCORE_RELEASES, SHARES, Plan
from privacy.records import Cohort, Scores, digest_of
from privacy.roster import Roster
from privacy.settlement.commitment import Commit
from privacy.signing import Purpose

_ALIGNMENTS: Final = (ALIGNMENT_RELEASE,)


async def is_by_scores(
    coordinator: Coordinator,
    plan: Plan,
    roster: Roster,
    cohort: Cohort,
    site: str,
    commit: Commit,
    score: int,
) -> bool:
    """Return whether a site's score in a commit, and the sum of all, are by one of the methods.

    By which one, a site is not told: it must fit one of them in whole. Where all scores are 0,
    nobody is paid, and there may be none.

    Raises:
        NotYet, IllegalEvent, Unavailable: the scores are not shown.
        InvalidSignature, WrongContext: what is shown was not signed by all who must.
    """
    names, total = [each.participant for each in cohort.entries], int(commit.scores)
    if (score, total) in ((0, 0), (1, len(names))):
        return True
    scores = await _signed(coordinator, plan, roster, cohort)
    found = (weights(method, names, scores) for method in _methods_of(scores))
    return any((of[site], sum(of.values())) == (score, total) for of in found)


def _methods_of(scores: Scores) -> Iterator[Method]:
    """Yield the methods that pay by scores, and need no other than were opened."""
    opened = SCORE_RELEASES if all(each.squared_norm for each in scores.scores) else _ALIGNMENTS
    for method in Method:
        with suppress(UnsafeParameters):
            check_method(method, opened=opened)
            if method is not Method.PARTICIPATION:
                yield method


async def _signed(coordinator: Coordinator, plan: Plan, roster: Roster, cohort: Cohort) -> Scores:
    number, terms = plan.terms.round, plan.terms
    signed = await SeatCalls(coordinator).scores(number)
    if plan.arithmetic.scheme == SHARES:
        signers, needed = terms.seats, len(terms.seats)
    else:
        signers, needed = terms.openers, terms.agreement
    check_agreement(signed, Purpose.SCORES, signers, needed, roster)
    scores = canonical.decode(signed.body, Scores)
    place = (scores.round, scores.plan, scores.cohort)
    if place != (number, plan.digest(), digest_of(cohort)):
        raise WrongContext(f"round {number}: signed scores of another round, plan or cohort")
    return scores
