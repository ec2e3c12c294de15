"""Scores of a cohort: what each seat has signed, and what all three have."""

from dataclasses import dataclass
from typing import Final

import structlog

from coordinator.archive import Archive
from coordinator.members.rosters import Rosters
from coordinator.ports import Store
from coordinator.rounds.standing import Rounds
from coordinator.rounds.state import Phase
from privacy import canonical
from privacy.documents import Signed, only_by, unpack
from privacy.errors import IllegalEvent, NotYet
from privacy.records import Cohort, Scores

from . import seat_checks as checks

log = structlog.get_logger()

CERTIFIED: Final = frozenset(
    {Phase.SUMMING, Phase.DISPUTED, Phase.AGGREGATING, Phase.OPENING, Phase.DONE}
)
"""Phases in which scores are taken."""


@dataclass(frozen=True)
class SeatScores:
    """Keeps the scores that seats sign; they count when all three have signed the same."""

    rounds: Rounds
    archive: Archive
    store: Store
    rosters: Rosters

    def put(self, caller: str, signed: Signed) -> None:
        """Keep what a seat signs as the scores of a cohort, once.

        Raises:
            WrongIdentity, InvalidSignature, WrongContext, MalformedMessage: it is not what the
                caller may sign of this round.
            ConflictingContribution: it has signed something else.
            IllegalEvent: the round has no certified cohort.
        """
        number = canonical.decode(signed.body, Scores).round
        current = self.rounds.of_seat(caller, number)
        if current.phase not in CERTIFIED:
            raise IllegalEvent(f"round {number} is {current.phase}: no scores are taken")
        cohort = canonical.decode(self.archive.document("cohort", current.cohort).body, Cohort)
        plan = self.archive.plan(number)
        checks.scores(signed, caller, cohort, plan, self.rosters.under(plan.terms.roster))
        self.archive.keep(scores_kind(number), caller, only_by(signed, caller))
        differ = sorted(self._differing(number, signed.body))
        if differ:
            log.warning("scores_differ", round=number, seat=caller, others=differ)

    def agreed(self, number: int) -> Signed:
        """Return the scores of a round, under the signatures of all three seats.

        Raises:
            NotYet: fewer have signed scores, or not all of them the same.
        """
        seats = self.rounds.get(number).rules.seats
        signed = self._scores(number)
        missing = [seat for seat in seats if seat not in signed]
        if missing or not seats:
            raise NotYet(f"round {number}: no scores of {' and '.join(missing) or 'any seat'} yet")
        if len({each.body for each in signed.values()}) != 1:
            raise NotYet(f"round {number}: its seats have signed different scores; none count")
        signatures = {seat: signed[seat].signatures[seat] for seat in seats}
        return Signed(signed[seats[0]].body, signatures)

    def _differing(self, number: int, body: bytes) -> list[str]:
        return [seat for seat, each in self._scores(number).items() if each.body != body]

    def _scores(self, number: int) -> dict[str, Signed]:
        kept = self.store.documents(scores_kind(number))
        return {seat: unpack(stored) for seat, stored in kept}


def scores_kind(number: int) -> str:
    """Return the kind under which the scores that seats sign of a round are kept, by seat."""
    return f"scores-{number:06d}"
