"""Scores of a cohort: what each seat or opener has signed, and what counts of it.

Under `shares` all three seats must have signed the same; under `ckks` as many openers as must
agree on a model, after the release.
"""

from dataclasses import dataclass
from typing import Final

import structlog

from coordinator.archive import Archive
from coordinator.members.rosters import Rosters
from coordinator.ports import Store
from coordinator.rounds import round as machine
from coordinator.rounds.scoring import ScoresSigned
from coordinator.rounds.standing import Rounds
from coordinator.rounds.state import Phase, Round, Scoring
from coordinator.seats import seat_checks as checks
from privacy import canonical
from privacy.documents import Signed, only_by, unpack
from privacy.errors import IllegalEvent, NotYet, WrongIdentity
from privacy.records import Cohort, Scores, digest_of

log = structlog.get_logger()

CERTIFIED: Final = frozenset(
    {Phase.SUMMING, Phase.DISPUTED, Phase.AGGREGATING, Phase.OPENING, Phase.DONE}
)
"""Phases in which scores of seats are taken."""


@dataclass(frozen=True)
class RoundScores:
    """Keeps the scores that seats or openers sign; they count when enough have signed the same."""

    rounds: Rounds
    archive: Archive
    store: Store
    rosters: Rosters

    def put(self, caller: str, signed: Signed) -> None:
        """Keep what a seat or an opener signs as the scores of a cohort, once.

        Raises:
            WrongIdentity, InvalidSignature, WrongContext, MalformedMessage: it is not what the
                caller may sign of this round.
            ConflictingContribution: it has signed something else.
            IllegalEvent: the round has no certified cohort, or its scores are not judged now.
        """
        number = canonical.decode(signed.body, Scores).round
        current = self.rounds.get(number)
        if current.rules.seats:
            self._require_seat(caller, current)
            self._keep(caller, current, signed)
        else:
            self._put_of_opener(caller, current, signed)
        differ = sorted(self._differing(number, signed.body))
        if differ:
            log.warning("scores_differ", round=number, signer=caller, others=differ)

    def agreed(self, number: int) -> Signed | None:
        """Return the scores of a round, under the signatures by which they count.

        None if there never will be any: too few openers have signed the same in time, or seats
        have signed that there are none, or different ones; each signs once.

        Raises:
            NotYet: fewer have signed scores.
        """
        current = self.rounds.get(number)
        return self._of_seats(current) if current.rules.seats else self._of_openers(current)

    def shown(self, number: int) -> Signed:
        """Return the scores of a round to whoever asks.

        Raises:
            NotYet: there are none that count.
        """
        signed = self.agreed(number)
        if signed is None:
            raise NotYet(f"round {number} has no scores: too few have signed the same")
        return signed

    def _require_seat(self, caller: str, current: Round) -> None:
        if caller not in current.rules.seats:
            raise WrongIdentity(f"{caller} is no seat of round {current.number}")
        if current.phase not in CERTIFIED:
            raise IllegalEvent(f"round {current.number} is {current.phase}: no scores are taken")

    def _put_of_opener(self, caller: str, current: Round, signed: Signed) -> None:
        number = current.number
        event = ScoresSigned(caller, digest_of(canonical.decode(signed.body, Scores)))
        # Asked before anything is kept: what comes too late, or from others, fills no disk.
        machine.step(current, event)
        self._keep(caller, current, signed)
        self.rounds.failpoints.hit("scoring.after_keep")
        after = self.rounds.apply(number, event)
        if after.scoring is Scoring.OVER and current.scoring is not Scoring.OVER:
            void = canonical.decode(signed.body, Scores).void
            log.info("round_scored", round=number, scores=after.scores, void=void)

    def _keep(self, caller: str, current: Round, signed: Signed) -> None:
        number = current.number
        cohort = canonical.decode(self.archive.document("cohort", current.cohort).body, Cohort)
        plan = self.archive.plan(number)
        checks.scores(signed, caller, cohort, plan, self.rosters.under(plan.terms.roster))
        self.archive.keep(scores_kind(number), caller, only_by(signed, caller))

    def _of_seats(self, current: Round) -> Signed | None:
        number, seats = current.number, current.rules.seats
        signed = self._scores(number)
        said = {each.body for each in signed.values()}
        missing = [seat for seat in seats if seat not in signed]
        if len(said) > 1 or (missing and any(_is_void(body) for body in said)):
            # Whoever is away cannot change it, and what is paid must not wait for it for ever.
            return None
        if missing:
            raise NotYet(f"round {number}: no scores of {' and '.join(missing)} yet")
        return _together([signed[seat] for seat in seats])

    def _of_openers(self, current: Round) -> Signed | None:
        number = current.number
        if current.phase is not Phase.DONE or current.is_scored():
            raise NotYet(f"round {number}: too few openers have signed its scores yet")
        if not current.scores:
            return None
        signed, alike = self._scores(number), []
        for each in current.scored:
            if each.scores == current.scores and each.opener in signed:
                alike.append(only_by(signed[each.opener], each.opener))
        return _together(alike)

    def _differing(self, number: int, body: bytes) -> list[str]:
        return [name for name, each in self._scores(number).items() if each.body != body]

    def _scores(self, number: int) -> dict[str, Signed]:
        kept = self.store.documents(scores_kind(number))
        return {name: unpack(stored) for name, stored in kept}


def scores_kind(number: int) -> str:
    """Return the kind under which the scores that are signed of a round are kept, by signer."""
    return f"scores-{number:06d}"


def _is_void(body: bytes) -> bool:
    return bool(canonical.decode(body, Scores).void)


def _together(alike: list[Signed]) -> Signed:
    signatures = {name: value for each in alike for name, value in each.signatures.items()}
    return Signed(alike[0].body, signatures)
