"""Whether a commit pays by the one method that was agreed: no contract looks at scores."""

from collections.abc import Mapping
from dataclasses import dataclass

from participant.wire.coordinator import Coordinator
from participant.wire.seat_calls import SeatCalls
from privacy import canonical
from privacy.contribution.scores import Method, missing_for, only_method, weights
from privacy.documents import check_agreement
from privacy.errors import ConfigError, NotYet, WrongContext
from privacy.identifiers import ParticipantId
from privacy.plan import SHARES, Plan
from privacy.records import Cohort, Scores, digest_of
from privacy.roster import Roster
from privacy.settlement.commitment import Commit
from privacy.settlement.payouts import earned_by
from privacy.signing import Purpose

_ASK = "; ask the programme's judges before it matures"


def method_for(named: Method | None, plan: Plan) -> Method:
    """Return by which method a round must be paid: the one that settings name, or the only one.

    Raises:
        ConfigError: none is named, and rounds of this plan can be paid by several.
    """
    method = named or only_method(opened=plan.terms.scheme.releases())
    if method is None:
        raise ConfigError(
            f"settlement.method: scores are opened in round {plan.terms.round}, so it can be paid "
            "by more than one method; name the one by which sites have agreed to be paid"
        )
    return method


@dataclass(frozen=True)
class Scored:
    """The scores that a round must be paid by, held against those of its commit.

    Promises who asks that no other method, and no other scores than all who must have signed,
    pass for these. Who is told the score of one payee alone finds what was taken from that one;
    what the others are paid is seen in the sum of all.

    Attributes:
        roster: that of the plan; who has no payout address in it is not paid.
        cohort: as the coordinator has signed it.
        method: by which its members have agreed to be paid.
    """

    coordinator: Coordinator
    plan: Plan
    roster: Roster
    cohort: Cohort
    method: Method

    async def fault(
        self, commit: Commit, site: ParticipantId = "", score: int | None = None
    ) -> str:
        """Return what is wrong with the scores of a commit; nothing if they are by the method.

        Args:
            site: whose score is known.
            score: what it is in the commit, 0 where no leaf is shown; None, and the sum of all
                alone is compared.

        Raises:
            NotYet, IllegalEvent, Unavailable: the signed scores are not shown.
            InvalidSignature, WrongContext: what is shown was not signed by all who must.
        """
        missing = missing_for(self.method, opened=self.plan.terms.scheme.releases())
        if missing:
            return (
                f"{_said(commit, score)}, and settlement.method is {self.method}, for which the "
                f"plan does not open {' and '.join(missing)}{_ASK}"
            )
        right = await self._right(commit)
        of_site, total = right.get(site, 0) if score is not None else None, sum(right.values())
        if total == int(commit.scores) and _is_same(of_site, score, commit):
            return ""
        made = _counted(of_site, str(total))
        return f"{_said(commit, score)}, where {self.method} makes {made}{_ASK}"

    async def _right(self, commit: Commit) -> Mapping[ParticipantId, int]:
        """Return the score of each site that is paid, by the method."""
        names = [each.participant for each in self.cohort.entries]
        scores = None if self.method is Method.PARTICIPATION else await self._shown(commit)
        paid = {each.participant for each in self.roster.trainers() if each.payout_address}
        found = weights(self.method, names, scores)
        return {name: weight for name, weight in found.items() if name in paid}

    async def _shown(self, commit: Commit) -> Scores:
        try:
            return await self._signed()
        except NotYet as error:
            if int(commit.scores):
                raise
            # It may be right, and only those who sign scores can say so.
            raise NotYet(
                f"round {commit.round} pays nobody, and no signed scores are shown ({error}); ask "
                "those who sign them whether there are any"
            ) from None

    async def _signed(self) -> Scores:
        terms = self.plan.terms
        signed = await SeatCalls(self.coordinator).scores(terms.round)
        scores = canonical.decode(signed.body, Scores)
        signers, needed = terms.openers, terms.agreement
        if self.plan.arithmetic.scheme == SHARES:
            # A seat signs once: where one says that there are none, three never sign the same.
            signers, needed = terms.seats, 1 if scores.void else len(terms.seats)
        check_agreement(signed, Purpose.SCORES, signers, needed, self.roster)
        place = (scores.round, scores.plan, scores.cohort)
        if place != (terms.round, self.plan.digest(), digest_of(self.cohort)):
            raise WrongContext(
                f"round {terms.round}: signed scores of another round, plan or cohort"
            )
        return scores


def _is_same(right: int | None, score: int | None, commit: Commit) -> bool:
    """Return whether a score is right, or stands for one that is too small to earn anything."""
    if score == 0 and right:
        return earned_by(right, int(commit.budget), int(commit.scores)) == 0
    return right == score


def _said(commit: Commit, score: int | None) -> str:
    return f"it pays by {_counted(score, commit.scores)}"


def _counted(score: int | None, total: str) -> str:
    return f"scores of {total} in all" if score is None else f"a score of {score} of {total} in all"
