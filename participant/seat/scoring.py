"""A seat's scores: what the three of them open about each hidden update of a cohort.

They come after the sums, which wait for nothing here. Recorded before they are sent. A seat
takes part in scores of updates only whose norms it has had a part in checking: a longer one
would lay other sites' words open in their products with the sum.
"""

from participant.sending.sign import sign as sign_record
from privacy import canonical
from privacy.errors import NotYet
from privacy.records import Cohort, Scores, Verdict, digest_of

from .judging import nominated, unchecked_of
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
    if seat.memory.scored(sitting.number) is None:
        if seat.memory.statement(sitting.number) is None:
            raise NotYet(f"round {sitting.number}: scores follow sums")
        found = await ask(seat, sitting)
        seat.failpoints.hit("seat.before_scores")
        signed = sign_record(found, seat.me, seat.keys.signing)
        seat.memory.scores(sitting.number, signed)
    await hand_in(seat, sitting.number)


async def hand_in(seat: Seat, number: int) -> None:
    """Send the scores that are recorded of a round, and remember that they were taken.

    Raises:
        IllegalEvent: they are taken no more.
        ProtocolError, Unavailable: as the coordinator says.
    """
    scores = seat.memory.scored(number)
    assert scores is not None  # whoever calls has found them recorded
    await seat.calls.put_scores(scores)
    seat.memory.handed(number)


async def ask(seat: Seat, sitting: Sitting) -> Scores:
    """Return what the three seats open about the certified cohort; raises as `certified`."""
    cohort, held = await certified(seat, sitting)
    checked = await _is_checked(seat, sitting, cohort)
    return await seat.questions.scores(digest_of(cohort), sitting.holding(held), checked=checked)


async def _is_checked(seat: Seat, sitting: Sitting, cohort: Cohort) -> bool:
    mine = seat.memory.verdict(sitting.number)
    if mine is None:
        return False
    candidates = await nominated(seat, sitting)
    return not unchecked_of(canonical.decode(mine.body, Verdict), candidates, cohort)
