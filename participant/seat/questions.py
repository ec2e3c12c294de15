"""What the three seats answer together about updates that none of them can open.

Each question is one session of all three (`channel`): its work runs in a thread, and begins
again where the session breaks off, with new keys, a new coin and new shares of zero. Before a
share leaves, the session is recorded, and of a round there are few (`SeatMemory.asks`).

A seat that does not follow the protocol is as good as one that is silent: nobody need wait for
it longer than that, and no round ends by its nonsense that would not end by its silence.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

import structlog

from privacy.errors import (
    InvalidSignature,
    MalformedMessage,
    OpeningRefused,
    PeerUnreachable,
    SeatsDisagree,
    UnsafeParameters,
    WrongContext,
)
from privacy.identifiers import Digest
from privacy.plan import Plan
from privacy.records import Scores
from privacy.schemes.shares.norm_bound import NormBound

from .channel import knock, say_alive, together
from .handshake import Meeting
from .link import Session
from .memory import SeatMemory
from .norms import Norms, over_bound
from .party import Party
from .products import Opened, opened
from .updates import Updates

log = structlog.get_logger()

NORMS: Final = "norms"
SCORES: Final = "scores"

_OF_ANOTHER_SEAT: Final = (MalformedMessage, SeatsDisagree, WrongContext, InvalidSignature)
"""What a session ends with where another seat sends what it should not."""

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Asking:
    """One seat's part in every question.

    CrypTen takes one question at a time in a process, and so does this.
    """

    party: Party
    memory: SeatMemory

    async def bounded(self, candidates: Digest, held: Updates) -> Norms:
        """Return whose norm is over the plan's bound, the same at all three seats.

        Asked about the sites that all three have taken, which the answer names.

        Args:
            candidates: digest of the candidates; the coin is drawn over it.
            held: those that this seat has taken.

        Raises:
            PeerUnreachable: another seat is silent, was shown other candidates, or does not
                follow the protocol.
            OpeningRefused: of this round other candidates were asked about, or these as often
                as they may be.
            UnsafeParameters: the plan bounds no norm.
        """
        norm = held.plan.questions().norm_bound
        if norm is None:
            raise UnsafeParameters(f"round {held.plan.terms.round}: the plan bounds no norm")
        bound = NormBound(norm)

        meeting = meeting_of(held.plan, NORMS, candidates)

        def work(session: Session) -> Norms:
            entropy, before_shares = self.party.entropy, self._recording(meeting)
            return over_bound(session, held, bound, candidates, entropy, before_shares)

        return await self._together(held.plan, meeting, work)

    async def scores(self, cohort: Digest, held: Updates, *, checked: bool) -> Scores:
        """Return what is opened about the updates of a cohort, or why there is nothing.

        Args:
            held: the whole cohort, in its order.
            checked: whether this seat knows that all their norms were held against the bound.

        Raises:
            UnsafeParameters: the plan asks for no scores.
        """
        step_log2 = held.plan.questions().score_step_log2
        if step_log2 is None:
            raise UnsafeParameters(f"round {held.plan.terms.round}: the plan asks for no scores")

        meeting = meeting_of(held.plan, SCORES, cohort)

        def work(session: Session) -> Opened:
            entropy, before_shares = self.party.entropy, self._recording(meeting)
            return opened(session, held, step_log2, entropy, before_shares, checked=checked)

        try:
            found = await self._together(held.plan, meeting, work)
        except (PeerUnreachable, OpeningRefused) as error:
            # Scores wait no longer than that; the sum has not waited for them at all.
            found = Opened((), str(error)[:300])
        return _record(held.plan, cohort, step_log2, found)

    async def knocked(self, plan: Plan, stage: str, context: Digest) -> str:
        """Return the name of another seat as soon as it asks a question; wait for that.

        A seat that has answered asks again with one that has not, whose memory of the answer
        was lost before it was recorded.
        """
        return await knock(self.party, meeting_of(plan, stage, context))

    async def say_alive(self, plan: Plan) -> None:
        """Tell the other seats of a plan that this one works on its round, for ever."""
        others = [name for name in plan.terms.seats if name != self.party.me]
        await say_alive(self.party.mailbox, others)

    async def _together(
        self, plan: Plan, meeting: Meeting, work: Callable[[Session], _Result]
    ) -> _Result:
        """Return what `work` does, as `together`; who breaks the protocol is not there."""
        try:
            return await together(self.party, meeting, _silence(plan), work)
        except _OF_ANOTHER_SEAT as error:
            where = {"round": meeting.round, "stage": meeting.stage}
            log.error("seat_out_of_order", **where, code=error.code, reason=str(error))
            raise PeerUnreachable(f"a seat does not follow the protocol: {error}") from None

    def _recording(self, meeting: Meeting) -> Callable[[], None]:
        return lambda: self.memory.asks(meeting.round, meeting.stage, meeting.context)


def meeting_of(plan: Plan, stage: str, context: Digest) -> Meeting:
    """Return what the plan's seats meet for.

    Args:
        context: digest of the candidates for `NORMS`, of the cohort for `SCORES`.
    """
    terms = plan.terms
    return Meeting(terms.federation, terms.round, stage, context, terms.seats)


def _silence(plan: Plan) -> float:
    return float(plan.terms.deadline.progress_seconds)


def _record(plan: Plan, cohort: Digest, step_log2: int, found: Opened) -> Scores:
    return Scores(
        federation=plan.terms.federation,
        round=plan.terms.round,
        plan=plan.digest(),
        cohort=cohort,
        step_log2=step_log2,
        scores=found.scores,
        void=found.void,
    )
