"""What the coordinator signs of a round under `shares`: candidates, cohort, and the sum's manifest.

It adds nothing there. Each statement follows from the round's state alone, so that one that
was signed before a crash is signed again with the same bytes.
"""

from dataclasses import dataclass

import structlog

from coordinator.archive import Archive
from coordinator.members.rosters import Rosters
from coordinator.rounds import close, publish
from coordinator.rounds.invariants import check_manifest
from coordinator.rounds.seated import Frozen, Nominated, honest
from coordinator.rounds.standing import Rounds
from coordinator.rounds.state import Aggregated, CohortRefused, Phase
from privacy import canonical
from privacy.errors import CohortTooSmall, WrongIdentity
from privacy.records import Cohort, digest_of

log = structlog.get_logger()


@dataclass(frozen=True)
class Statements:
    """Carries out the orders to nominate, to freeze and to publish, as often as needed."""

    rounds: Rounds
    archive: Archive
    rosters: Rosters

    def nominate(self, number: int) -> None:
        """Sign the candidates of a round; too few of them end it."""
        current = self.rounds.get(number)
        if current.phase is not Phase.JUDGING or current.candidates:
            return
        plan = self.archive.plan(number)
        try:
            candidates = close.candidates(current, plan, self.rosters.under(plan.terms.roster))
        except (CohortTooSmall, WrongIdentity) as error:
            self.rounds.apply(number, CohortRefused(str(error)))
            return
        self.archive.state("candidates", candidates)
        self.rounds.apply(number, Nominated(digest_of(candidates)))

    def freeze(self, number: int) -> None:
        """Sign the cohort of a round; one that is too small ends it, and says who is left out."""
        current = self.rounds.get(number)
        if current.phase is not Phase.CERTIFYING or current.cohort:
            return
        plan = self.archive.plan(number)
        try:
            cohort = close.cohort(current, plan, self.rosters.under(plan.terms.roster))
        except (CohortTooSmall, WrongIdentity) as error:
            left_out = sorted({each.participant for each in current.left_out})
            reason = f"{error}; left out: {', '.join(left_out)}" if left_out else str(error)
            self.rounds.apply(number, CohortRefused(reason))
            return
        self.archive.state("cohort", cohort)
        self.rounds.apply(number, Frozen(digest_of(cohort)))
        log.info("cohort_frozen", round=number, contributions=len(cohort.entries))

    def publish(self, number: int) -> None:
        """Sign the manifest of the sum that a round's seats agree on."""
        current = self.rounds.get(number)
        if current.phase is not Phase.AGGREGATING:
            return
        signed = self.archive.document("cohort", current.cohort)
        cohort = canonical.decode(signed.body, Cohort)
        manifest = publish.shares_manifest(self.archive.plan(number), cohort, honest(current))
        with self.rounds.alarm.listening():
            check_manifest(current, cohort, manifest)
        self.archive.state("sum", manifest)
        self.rounds.apply(number, Aggregated(current.cohort, digest_of(manifest)))
