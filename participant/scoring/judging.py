"""Judge what sites state of their updates, as one of those who have opened their sum."""

import asyncio
from dataclasses import dataclass, field

from participant.keys import SiteKeys
from participant.memory import Memory
from participant.model.adopt import Adopter
from participant.sending.sign import sign
from participant.wire.coordinator import Coordinator
from participant.wire.score_calls import ScoreCalls
from participant.wire.seat_calls import SeatCalls
from privacy.contribution.sealed_products import Scored, judge
from privacy.errors import WrongContext
from privacy.failpoints import Step
from privacy.records import digest_of

from .stating import cohort_of


@dataclass(frozen=True)
class Judging:
    """What an opener does for the scores of a round whose model it has agreed on."""

    participant: str
    keys: SiteKeys = field(repr=False)
    coordinator: Coordinator
    memory: Memory
    adopter: Adopter
    step: Step

    async def judge(self, number: int) -> None:
        """Sign the round's scores, or why there are none: once, whatever is shown later.

        Raises:
            WrongContext: this opener has not opened the sum that the release was made from.
            OpeningRefused: it has signed other scores before; the coordinator shows two lists.
            MalformedMessage, InvalidSignature: what is shown is not what sites have stated.
        """
        found = await self.adopter.fetch(number)
        opened = self.memory.opened_sum(number, found.release.model)
        if opened is None:
            raise WrongContext(f"round {number}: this opener has not opened the released sum")
        cohort = await cohort_of(self.coordinator, found)
        sent = await ScoreCalls(self.coordinator).products(number, len(cohort.entries))
        scored = Scored(found.plan, cohort, found.release)
        me, pair = self.participant, self.keys.sealing
        scores = await asyncio.to_thread(judge, scored, found.roster, me, pair, sent, opened)
        self.memory.scores(number, digest_of(scores))
        self.step("scoring.before_sign")
        await SeatCalls(self.coordinator).put_scores(sign(scores, me, self.keys.signing))
