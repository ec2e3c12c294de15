"""A coordinator that drops a contribution that it has promised to add; else it is the product's.

Run as `python -m tests.processes.doubles.dropping_coordinator COORDINATOR.toml`. Whoever has sent
all that it had gets its receipt. The cohort that is frozen, added up, signed and committed lacks
the last of them.
"""

import sys
from dataclasses import dataclass, replace

from msgspec.structs import replace as with_fields

from coordinator import build
from coordinator.fold import folding
from coordinator.opening.sums import Sums
from coordinator.rounds import close
from coordinator.rounds.state import Round
from coordinator.settling.results import Results
from coordinator.settling.shown import Receipt, Shown
from privacy.plan import Plan
from privacy.records import Cohort, Entry
from privacy.roster import Roster
from veilsum.cli import main


class Received(Results):
    """Takes all that was received for the cohort, whatever was frozen."""

    def _entries(self, current: Round) -> tuple[Entry, ...]:
        return current.committed


@dataclass(frozen=True)
class Promising(Shown):
    """Signs receipts for all that was received; of commits it shows what there is."""

    def signed_receipt(self, caller: str, number: int) -> Receipt | None:
        """Return nothing: each is signed anew, also for who is not in the cohort."""
        return None

    def receipt(self, caller: str, number: int) -> Receipt:
        """Return the promise that the caller's contribution is in the cohort."""
        received = replace(self, results=Received(**vars(self.results)))
        return Shown.receipt(received, caller, number)


def drop() -> None:
    """Take each cohort without its last contribution, and let nothing in here object."""
    frozen, readable, audited = close.cohort, Sums._readable, Sums._audited

    def cohort(current: Round, plan: Plan, roster: Roster) -> Cohort:
        return frozen(_lacking(current), plan, roster)

    def read(self: Sums, caller: str, number: int) -> Round:
        return _lacking(readable(self, caller, number))

    def audit(self: Sums, caller: str, number: int) -> Round:
        return _lacking(audited(self, caller, number))

    close.cohort = cohort
    folding.check_manifest = lambda *_: None  # type: ignore[attr-defined]
    Sums._readable, Sums._audited = read, audit  # type: ignore[method-assign]
    build.Shown = Promising  # type: ignore[attr-defined]


def _lacking(current: Round) -> Round:
    return with_fields(current, committed=current.committed[:-1])


if __name__ == "__main__":
    drop()
    sys.argv = ["veilsum", "coordinator", "serve", "--config", sys.argv[1]]
    main()
