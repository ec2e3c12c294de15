"""A seat that has its answer still answers: another, started again, may have to ask once more.

What comes out a second time is not kept. What this seat has signed stays as it is.
"""

import structlog

from privacy import canonical
from privacy.errors import NotYet
from privacy.identifiers import Digest
from privacy.records import Scores, Verdict

from .judging import nominated
from .questions import NORMS, SCORES
from .sitting import Seat, Sitting
from .stating import certified

log = structlog.get_logger()


async def answer_norms(seat: Seat, sitting: Sitting) -> None:
    """Take part in the norm check again, each time another seat asks for it; for ever.

    Raises:
        NotYet: this seat has not judged.
    """
    verdict = seat.memory.verdict(sitting.number)
    if verdict is None:
        raise NotYet(f"round {sitting.number}: not judged yet")
    context = canonical.decode(verdict.body, Verdict).candidates
    while True:
        await _knocked(seat, sitting, NORMS, context)
        candidates = await nominated(seat, sitting)
        taken, _ = await sitting.take(candidates.entries)
        await seat.questions.bounded(context, sitting.holding(taken))


async def answer_scores(seat: Seat, sitting: Sitting) -> None:
    """Take part in the scores again, each time another seat asks for them; for ever.

    Raises:
        NotYet: this seat has no scores.
    """
    scores = seat.memory.scored(sitting.number)
    if scores is None:
        raise NotYet(f"round {sitting.number}: not scored yet")
    context = canonical.decode(scores.body, Scores).cohort
    while True:
        await _knocked(seat, sitting, SCORES, context)
        _, held = await certified(seat, sitting)
        await seat.questions.scores(context, sitting.holding(held))


async def _knocked(seat: Seat, sitting: Sitting, stage: str, context: Digest) -> None:
    name = await seat.questions.knocked(sitting.plan, stage, context)
    log.info("asked_again", round=sitting.number, stage=stage, seat=name)
