"""A seat that has its answer still answers: another, started again, may have to ask once more.

What comes out a second time is not kept. What this seat has signed stays as it is. Each such
session counts among those that a round may have.
"""

import structlog

from privacy import canonical
from privacy.errors import NotYet, WrongContext
from privacy.identifiers import Digest
from privacy.records import Scores, Verdict, digest_of

from .judging import nominated
from .questions import NORMS, SCORES
from .scoring import ask
from .sitting import Seat, Sitting

log = structlog.get_logger()


async def answer_norms(seat: Seat, sitting: Sitting) -> None:
    """Take part in the norm check again, each time another seat asks for it; for ever.

    Raises:
        NotYet: this seat has not judged.
        WrongContext: the coordinator now shows other candidates.
        OpeningRefused: it was asked as often as it may be.
    """
    verdict = seat.memory.verdict(sitting.number)
    if verdict is None:
        raise NotYet(f"round {sitting.number}: not judged yet")
    context = canonical.decode(verdict.body, Verdict).candidates
    while True:
        await _knocked(seat, sitting, NORMS, context)
        candidates = await nominated(seat, sitting)
        if digest_of(candidates) != context:
            raise WrongContext(f"round {sitting.number}: two lists of candidates were shown")
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
        await ask(seat, sitting)


async def _knocked(seat: Seat, sitting: Sitting, stage: str, context: Digest) -> None:
    name = await seat.questions.knocked(sitting.plan, stage, context)
    log.info("asked_again", round=sitting.number, stage=stage, seat=name)
