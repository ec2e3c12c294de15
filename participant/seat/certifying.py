"""A seat's part of a certificate: it signs one cohort of a round, ever, and records it before.

It signs no cohort but of contributions that it has taken itself, from candidates that it has
judged, and of as many organisations as plan and policy ask for.

A seat's disk may be an old copy of itself, that has forgotten what it signed. So without a
record of a round it signs only above what others remember, and only under a plan that names
the start of this very process. A site contributes under one plan of a round: what a process
before this one signed was of other contributions.
"""

import asyncio

from participant.opening.frozen import check_frozen_cohort
from privacy import canonical
from privacy.errors import OpeningRefused, WrongContext
from privacy.records import Cohort, Verdict, digest_of
from privacy.signing import Purpose, sign

from .judging import nominated
from .sitting import Seat, Sitting


async def certify(seat: Seat, sitting: Sitting) -> None:
    """Sign the cohort that the coordinator has frozen, if it is what it must be.

    Raises:
        OpeningRefused: this seat stands for another cohort, or may have forgotten that it does,
            as its process started after the round was planned or others remember more; or it
            has not judged what the plan freezes only once it is judged.
        CohortTooSmall: fewer contributions, or organisations, than plan and policy ask for.
        ProtocolError: something is not what its signer has signed, or nobody judged it.
        Unavailable: not now.
    """
    number = sitting.number
    signed, headers = await seat.coordinator.cohort(number)
    policy, roster = seat.config.policy, sitting.roster
    # Each header's ledger is held against what this seat has seen where it is accepted.
    cohort = check_frozen_cohort(sitting.plan, policy, roster, signed, headers, seen={})
    await _check_judged(seat, sitting, cohort)
    await _check_remembered(seat, sitting)
    seat.failpoints.hit("seat.before_certify_record")
    seat.memory.certifies(number, digest_of(cohort))
    seat.failpoints.hit("seat.after_certify_record")
    signature = sign(seat.keys.signing, Purpose.CERTIFICATE, signed.body)
    await seat.calls.sign_cohort(number, digest_of(cohort), signature)


async def _check_judged(seat: Seat, sitting: Sitting, cohort: Cohort) -> None:
    """Refuse a cohort with a contribution that this seat has refused, or that was no candidate."""
    number = sitting.number
    candidates = await nominated(seat, sitting)
    mine = seat.memory.verdict(number)
    if mine is None:
        refused = await _taken_late(sitting, cohort)
    else:
        verdict = canonical.decode(mine.body, Verdict)
        if verdict.candidates != digest_of(candidates):
            raise WrongContext(f"round {number}: two lists of candidates were shown")
        refused = {each.participant for each in verdict.refused}
    strangers = [each for each in cohort.entries if each not in candidates.entries]
    strangers += [each for each in cohort.entries if each.participant in refused]
    if strangers:
        raise WrongContext(
            f"round {number}: {strangers[0].participant} is in the cohort, and this seat has "
            "refused it, or has not judged it"
        )


async def _taken_late(sitting: Sitting, cohort: Cohort) -> set[str]:
    """Return whom a seat refuses that was away when the others judged."""
    questions = sitting.plan.questions()
    if questions.norm_bound is not None and not questions.unchecked:
        raise OpeningRefused(
            f"round {sitting.number}: this seat has judged no candidates, and its plan freezes "
            "no cohort unchecked"
        )
    _, refused = await sitting.take(cohort.entries)
    return {each.participant for each in refused}


async def _check_remembered(seat: Seat, sitting: Sitting) -> None:
    number = sitting.number
    if seat.memory.certified(number) is not None:
        return  # what it signed then, or nothing
    if sitting.plan.questions().starts[sitting.place] != seat.start:
        raise OpeningRefused(
            f"round {number}: this seat started after the round was planned, and remembers no "
            "cohort of it; it sits the round out, and has its part in the next"
        )
    # A task that is cut short leaves the answers to the next one.
    floor = await asyncio.shield(seat.floor(sitting.plan.terms.seats))
    if number <= floor:
        raise OpeningRefused(
            f"round {number}: others remember certificates up to round {floor}, and this seat "
            "none of this round; its disk may be an old copy"
        )
