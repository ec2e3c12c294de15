"""A seat's scores: what the three of them open about each hidden update of a cohort.

They come after the sums, which wait for nothing here. Recorded before they are sent.
"""

from participant.sign import sign as sign_record
from privacy.errors import NotYet
from privacy.records import digest_of

from .sitting import Seat, Sitting
from .stating import certified


async def score(seat: Seat, sitting: Sitting) -> None:
    """Send what was opened about the cohort's updates, if the plan asks for anything.

    Raises:
        NotYet: this seat has not stated its sums.
        ProtocolError, PrivacyError, Unavailable: as for `certified`.
    """
    if sitting.plan.questions().score_step_log2 is None:
        return
    scores = seat.memory.scored(sitting.number)
    if scores is None:
        if seat.memory.statement(sitting.number) is None:
            raise NotYet(f"round {sitting.number}: scores follow sums")
        cohort, held = await certified(seat, sitting)
        found = await seat.questions.scores(digest_of(cohort), sitting.holding(held))
        seat.failpoints.hit("seat.before_scores")
        signed = sign_record(found, seat.me, seat.keys.signing)
        scores = seat.memory.scores(sitting.number, signed)
    await seat.calls.put_scores(scores)
