"""A seat's verdict: which of the candidates do not lead to what their sites have signed.

Where the plan bounds norms, the three seats also find out together whose is over the bound. Who
was not asked about, since a seat has not taken it, is refused too: nobody is let in unchecked.
The verdict is recorded before it is sent, and sent again as it is.
"""

import asyncio
from collections.abc import Iterator, Sequence

from participant.opening.frozen import check_entries
from participant.sending.sign import sign as sign_record
from privacy import canonical
from privacy.documents import Signed, check_signer
from privacy.errors import (
    MalformedMessage,
    NormNotAsked,
    NormOverBound,
    OpeningRefused,
    PeerUnreachable,
    WrongContext,
)
from privacy.identifiers import COORDINATOR
from privacy.plan import Plan
from privacy.records import Candidates, Cohort, Refused, Verdict, digest_of
from privacy.roster import Roster
from privacy.signing import Purpose

from .acceptance import LONGEST_REASON
from .holding import Held
from .norms import Norms
from .sitting import Seat, Sitting


async def judge(seat: Seat, sitting: Sitting) -> None:
    """Send this seat's verdict on the candidates; find it first, if need be.

    Raises:
        ProtocolError: the candidates are not what they must be.
        PeerUnreachable: a seat is silent or does not follow the protocol, and the plan freezes
            no cohort unchecked.
        OpeningRefused: norms were asked as often as they may be, and the plan likewise.
        Unavailable: not now.
    """
    verdict = seat.memory.verdict(sitting.number)
    if verdict is None:
        found = await _verdict(seat, sitting)
        seat.failpoints.hit("seat.before_verdict")
        signed = sign_record(found, seat.me, seat.keys.signing)
        verdict = seat.memory.judges(sitting.number, signed)
    await seat.calls.put_verdict(verdict)


def check_candidates(
    signed: Signed, headers: Sequence[Signed], plan: Plan, roster: Roster
) -> Candidates:
    """Return the candidates, if each is what its own site has signed.

    Raises:
        InvalidSignature: of the coordinator, or of a site on its own header.
        WrongContext: something belongs to another round or plan.
        MalformedMessage: not sorted, one twice, or more than the plan allows.
        WrongIdentity: a contribution of somebody who is no trainer.
    """
    check_signer(signed, Purpose.CANDIDATES, COORDINATOR, roster.coordinator_key)
    candidates = canonical.decode(signed.body, Candidates)
    terms = plan.terms
    place = (candidates.federation, candidates.round, candidates.plan)
    if place != (terms.federation, terms.round, plan.digest()):
        raise WrongContext(f"round {terms.round}: candidates of another round or plan")
    if len(candidates.entries) > terms.scheme.cohort_max:
        raise MalformedMessage(
            f"round {terms.round}: {len(candidates.entries)} candidates, the plan has room for "
            f"{terms.scheme.cohort_max}"
        )
    check_entries(plan, candidates.entries, headers, roster)
    return candidates


async def nominated(seat: Seat, sitting: Sitting) -> Candidates:
    """Return the round's candidates; raises as `check_candidates`."""
    signed, headers = await seat.calls.candidates(sitting.number)
    return check_candidates(signed, headers, sitting.plan, sitting.roster)


def unchecked_of(verdict: Verdict, candidates: Candidates, cohort: Cohort) -> tuple[str, ...]:
    """Return who is in a cohort without that this seat has had a part in checking its norm.

    Args:
        candidates: what the coordinator now says they were.
    """
    if verdict.unasked or digest_of(candidates) != verdict.candidates:
        return tuple(each.participant for each in cohort.entries)
    refused = {each.participant for each in verdict.refused}
    asked = [each for each in candidates.entries if each.participant not in refused]
    return tuple(each.participant for each in cohort.entries if each not in asked)


async def _verdict(seat: Seat, sitting: Sitting) -> Verdict:
    candidates = await nominated(seat, sitting)
    alive = asyncio.create_task(seat.questions.say_alive(sitting.plan))
    try:
        # The others may be done with theirs, and wait for this seat's word.
        taken, refused = await sitting.take(candidates.entries)
    finally:
        alive.cancel()
    over, unasked = await _over_bound(seat, sitting, candidates, taken)
    refused += over
    return Verdict(
        federation=candidates.federation,
        round=candidates.round,
        plan=candidates.plan,
        candidates=digest_of(candidates),
        seat=seat.me,
        refused=tuple(sorted(refused, key=lambda each: each.participant)),
        unasked=unasked,
    )


async def _over_bound(
    seat: Seat, sitting: Sitting, candidates: Candidates, taken: Sequence[Held]
) -> tuple[list[Refused], str]:
    """Return whose norm is over the bound or unknown, and why nothing was asked, if so."""
    questions = sitting.plan.questions()
    if questions.norm_bound is None:
        return [], ""
    try:
        found = await seat.questions.bounded(digest_of(candidates), sitting.holding(taken))
    except (PeerUnreachable, OpeningRefused) as error:
        if not questions.unchecked:
            raise
        return [], str(error)[:LONGEST_REASON]
    names = [each.header.participant for each in taken]
    return list(_refused(names, found, questions.norm_bound)), ""


def _refused(names: Sequence[str], found: Norms, bound: int) -> Iterator[Refused]:
    for name in names:
        if name not in found.asked:
            reason = "not all seats have taken it, so nobody knows its norm"
            yield Refused(name, NormNotAsked.code, reason)
        elif name in found.over:
            reason = f"its norm is over {bound} grid steps"
            yield Refused(name, NormOverBound.code, reason)
