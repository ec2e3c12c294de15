"""Scores of a cohort: what each seat or opener has signed, and what counts of it.

Under `shares` all three seats must have signed the same, in the time that the plan gives after the
release; under `ckks` as many openers as must agree on a model, after the release.
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
        self._put(caller, current, signed)
        differ = sorted(self._differing(number, signed.body))
        if differ:
            log.warning("scores_differ", round=number, signer=caller, others=differ)

    def agreed(self, number: int) -> Signed | None:
        """Return the scores of a round, under the signatures by which they count.

        None if there never will be any: too few openers have signed the same in time, or a seat
        has signed nothing by then; or seats have signed that there are none, or different ones;
        each signs once.

        Raises:
            NotYet: fewer have signed scores.
        """
        current = self.rounds.get(number)
        return self._of_seats(current) if current.rules.seats else self._of_openers(current)

    def shown(self, number: int) -> Signed:
        """Return the scores of a round to whoever asks.

        Where seats' scores never count because one has signed that there are none, it is that:
        who is paid nothing can see why.

        Raises:
            NotYet: there are none that count, and nobody has signed that there are none.
        """
        signed = self.agreed(number) or self._void_by_a_seat(number)
        if signed is None:
            raise NotYet(f"round {number} has no scores: too few have signed the same")
        return signed

    def _void_by_a_seat(self, number: int) -> Signed | None:
        current = self.rounds.get(number)
        if not current.rules.seats:
            return None
        counted = self._counted_of_seats(current).values()
        void = [each for each in counted if _is_void(each.body)]
        return _together([each for each in void if each.body == void[0].body]) if void else None

    def _require_seat(self, caller: str, current: Round) -> None:
        if caller not in current.rules.seats:
            raise WrongIdentity(f"{caller} is no seat of round {current.number}")
        if current.phase not in CERTIFIED:
            raise IllegalEvent(f"round {current.number} is {current.phase}: no scores are taken")

    def _put(self, caller: str, current: Round, signed: Signed) -> None:
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
        signed = self._counted_of_seats(current)
        said = {each.body for each in signed.values()}
        missing = [seat for seat in seats if seat not in signed]
        is_late = bool(missing) and current.scoring is Scoring.OVER
        if is_late or len(said) > 1 or (missing and any(_is_void(body) for body in said)):
            # Whoever is away cannot change it, and what is paid must not wait for it for ever.
            return None
        if missing:
            raise NotYet(f"round {number}: no scores of {' and '.join(missing)} yet")
        return _together([signed[seat] for seat in seats])

    def _counted_of_seats(self, current: Round) -> dict[str, Signed]:
        """Return what seats have signed in time, by the state of their round and no clock."""
        signed = self._scores(current.number)
        if not current.rules.scores:
            return signed  # it began under a version that counted what was kept, and had no end
        # What a kill has left that was kept and not counted is not there, until it is sent again.
        return {each.signer: signed[each.signer] for each in current.scored}

    def _of_openers(self, current: Round) -> Signed | None:
        number = current.number
        if current.phase is not Phase.DONE or current.is_scored():
            raise NotYet(f"round {number}: too few openers have signed its scores yet")
        if not current.scores:
            return None
        signed, alike = self._scores(number), []
        for each in current.scored:
            if each.scores == current.scores and each.signer in signed:
                alike.append(only_by(signed[each.signer], each.signer))
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
