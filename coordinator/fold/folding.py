"""The fold of a round that has closed: its cohort is frozen, and added up unopened."""

from dataclasses import dataclass, field
from typing import Final

import structlog

from coordinator.archive import Archive
from coordinator.members.rosters import Rosters
from coordinator.rounds import close, publish
from coordinator.rounds import round as machine
from coordinator.rounds.invariants import check_manifest
from coordinator.rounds.standing import Rounds
from coordinator.rounds.state import Phase
from privacy.errors import (
    CohortTooSmall,
    ConflictingContribution,
    FoldInterrupted,
    MalformedMessage,
    NotYet,
    RootMismatch,
    WrongIdentity,
)
from privacy.plan import Plan
from privacy.records import Cohort, digest_of

from .aggregate import Fold

log = structlog.get_logger()

TRIES_IN_VAIN: Final = 5
"""Tries in a row that add no chunk, after which the operator is told, and tries are rare."""

PAUSE_SECONDS: Final = 30.0


@dataclass
class _InVain:
    """The last tries of a fold that added no chunk, and when the next one is due."""

    tries: int = 0
    due: float = 0.0


@dataclass(frozen=True)
class Folding:
    """Carries out the order to aggregate, as often as it takes, with the same result."""

    rounds: Rounds
    archive: Archive
    rosters: Rosters
    work: Fold
    _in_vain: dict[int, _InVain] = field(default_factory=dict, repr=False)

    def fold(self, number: int) -> None:
        """Add up a round's contributions, and sign its cohort and the manifest of the sum.

        A cohort that is too small, or a contribution that is damaged on disk, ends the round.

        Raises:
            InvariantBroken: the sum is not that of the whole cohort; nothing is signed.
            FoldInterrupted, StoreUnavailable: it was stopped, or the disk fails; it can go on.
        """
        current = self.rounds.get(number)
        if current.phase is not Phase.AGGREGATING:
            return
        plan = self.archive.plan(number)
        try:
            cohort = close.cohort(current, plan, self.rosters.under(plan.terms.roster))
        except (CohortTooSmall, WrongIdentity) as error:
            self.rounds.apply(number, machine.CohortRefused(str(error)))
            return
        try:
            root, length = self._aggregate(plan, cohort)
        except (RootMismatch, MalformedMessage, NotYet, ConflictingContribution) as error:
            log.error("contribution_lost", round=number, reason=str(error))
            self.rounds.apply(number, machine.CohortRefused(str(error)))
            return
        manifest = publish.sum_manifest(plan, cohort, root, length)
        with self.rounds.alarm.listening():
            check_manifest(current, cohort, manifest)
        self.archive.state("cohort", cohort)
        self.archive.state("sum", manifest)
        self.rounds.apply(number, machine.Aggregated(digest_of(cohort), digest_of(manifest)))

    def _aggregate(self, plan: Plan, cohort: Cohort) -> tuple[bytes, int]:
        number, now = cohort.round, self.rounds.progress.monotonic
        in_vain = self._in_vain.setdefault(number, _InVain())
        if now() < in_vain.due and not self.work.stop():
            raise FoldInterrupted(
                f"round {number}: {in_vain.tries} tries in vain; tried again soon"
            )
        before = self._rows(number)
        try:
            with self.rounds.alarm.listening():
                made = self.work.aggregate(plan, cohort)
        except FoldInterrupted as error:
            if not self.work.stop():
                in_vain.tries = in_vain.tries + 1 if self._rows(number) == before else 0
                self._pause(number, in_vain, str(error))
            raise
        self._in_vain.pop(number)
        return made

    def _pause(self, number: int, in_vain: _InVain, reason: str) -> None:
        if in_vain.tries < TRIES_IN_VAIN:
            return
        in_vain.due = self.rounds.progress.monotonic() + PAUSE_SECONDS
        log.error(
            "fold_in_vain",
            round=number,
            tries=in_vain.tries,
            who_acts="the coordinator's operator",
            action="give its processes more memory, or end what else needs it on this machine",
            reason=reason,
            retried_after_seconds=PAUSE_SECONDS,
        )

    def _rows(self, number: int) -> int:
        return len(self.work.store.sum_chunks(number))
