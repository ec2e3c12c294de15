"""What a released round has come to, read from its signed records, as its commit names it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from coordinator.archive import Archive
from coordinator.members.rosters import Rosters
from coordinator.rounds.state import Round
from privacy import canonical
from privacy.documents import Signed
from privacy.errors import NotYet
from privacy.records import Cohort, Release, Scores, Sum

from .settle import Result, cohort_of
from .sums import SumTrees


@dataclass(frozen=True)
class Results:
    """Reads results; each record is the one that the round's state names.

    Attributes:
        signed_scores: returns what was opened of a cohort, with the signatures it counts by.
    """

    archive: Archive
    rosters: Rosters
    trees: SumTrees
    signed_scores: Callable[[int], Signed]

    def of(self, current: Round) -> Result:
        """Return the result of a round that is done.

        Raises:
            NotYet: a contribution of it is not stored any more, or it is not done.
            ConfigError: a record was changed where it is stored.
            StoreUnavailable: the store does not answer.
        """
        if not current.release:
            raise NotYet(f"round {current.number} has released nothing")
        plan = self.archive.plan(current.number)
        cohort = canonical.decode(self.archive.document("cohort", current.cohort).body, Cohort)
        release = canonical.decode(self.archive.document("release", current.release).body, Release)
        summed = canonical.decode(self.archive.document("sum", current.sum).body, Sum)
        roster = self.rosters.under(plan.terms.roster)
        trainers = [each.participant for each in roster.trainers()]
        places = {name: place for place, name in enumerate(trainers)}
        members = sorted((each.participant for each in cohort.entries), key=places.__getitem__)
        slots = cohort_of(cohort.entries, trainers)
        trees = self.trees.root(current.number, plan, tuple(members))
        return Result(current.number, plan.digest(), summed.root, release.model, slots, trees)

    def payees(self, current: Round) -> Mapping[str, str]:
        """Return the address at which each trainer of its roster is paid, where it has one."""
        plan = self.archive.plan(current.number)
        trainers = self.rosters.under(plan.terms.roster).trainers()
        return {each.participant: each.payout_address for each in trainers if each.payout_address}

    def scores(self, current: Round) -> Scores | None:
        """Return what was opened of its contributions.

        Raises:
            NotYet: it is not signed by all who must sign it.
        """
        return canonical.decode(self.signed_scores(current.number).body, Scores)
