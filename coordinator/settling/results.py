"""What a released round has come to, read from its signed records, as its commit names it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from coordinator.archive import Archive
from coordinator.members.rosters import Rosters
from coordinator.rounds.state import Round
from privacy import canonical
from privacy.documents import Signed
from privacy.errors import NotYet
from privacy.records import Cohort, Entry, Release, Scores, Sum
from privacy.settlement.commitment import Cohort as Slots
from privacy.settlement.commitment import cohort_of

from .settle import Result
from .sums import Added, SumTrees


@dataclass(frozen=True)
class Results:
    """Reads results; each record is the one that the round's state names.

    Attributes:
        signed_scores: returns what was opened of a cohort, with the signatures it counts by; None
            if there never will be any.
    """

    archive: Archive
    rosters: Rosters
    trees: SumTrees
    signed_scores: Callable[[int], Signed | None]

    def of(self, current: Round) -> Result:
        """Return the result of a round that is done.

        Raises:
            NotYet: a contribution of it is not stored any more, or it is not done.
            ConfigError: a record was changed where it is stored.
            StoreUnavailable: the store does not answer.
        """
        if not current.release:
            raise NotYet(f"round {current.number} has released nothing")
        release = canonical.decode(self.archive.document("release", current.release).body, Release)
        summed = canonical.decode(self.archive.document("sum", current.sum).body, Sum)
        slots, added = self.slots(current), self.added(current)
        trees = self.trees.root(added.number, added.plan, added.participants)
        return Result(current.number, added.plan.digest(), summed.root, release.model, slots, trees)

    def slots(self, current: Round) -> Slots:
        """Return the slots of a round whose cohort is frozen.

        Raises:
            NotYet: it is not frozen yet.
            ConfigError: as for `of`.
        """
        return cohort_of(self._entries(current), self._trainers(current))

    def added(self, current: Round) -> Added:
        """Return a round whose cohort is frozen as its contributions are found.

        Raises:
            NotYet, ConfigError: as for `slots`.
        """
        places = {name: place for place, name in enumerate(self._trainers(current))}
        members = sorted(
            (each.participant for each in self._entries(current)), key=places.__getitem__
        )
        return Added(current.number, self.archive.plan(current.number), tuple(members))

    def _entries(self, current: Round) -> tuple[Entry, ...]:
        if not current.cohort:
            raise NotYet(f"the cohort of round {current.number} is not frozen yet")
        body = self.archive.document("cohort", current.cohort).body
        return canonical.decode(body, Cohort).entries

    def _trainers(self, current: Round) -> list[str]:
        roster = self.rosters.under(self.archive.plan(current.number).terms.roster)
        return [each.participant for each in roster.trainers()]

    def payees(self, number: int) -> Mapping[str, str]:
        """Return the address at which each trainer of a round's roster is paid, if it has one."""
        plan = self.archive.plan(number)
        trainers = self.rosters.under(plan.terms.roster).trainers()
        return {each.participant: each.payout_address for each in trainers if each.payout_address}

    def cohort(self, current: Round) -> tuple[str, ...]:
        """Return the sites that its sum is of, in the order of their slots.

        Raises:
            NotYet, ConfigError: as for `slots`.
        """
        return self.added(current).participants

    def scores(self, current: Round) -> Scores | None:
        """Return what was opened of its contributions; None if nothing will be.

        Raises:
            NotYet: it is not signed by all who must sign it.
        """
        signed = self.signed_scores(current.number)
        return None if signed is None else canonical.decode(signed.body, Scores)
