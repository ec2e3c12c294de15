"""A coordinator that adds a contribution, and commits to the chain as if it had not.

Run as `python -m tests.processes.doubles.unpaying_coordinator COORDINATOR.toml`. The last of a
cohort has its receipt, and its update is in the model; the commit and what is paid leave it out.
All else is the product's.
"""

import sys

from coordinator import build
from coordinator.rounds.state import Round
from coordinator.settling.results import Results
from privacy.records import Entry
from tests.processes.doubles.dropping_coordinator import Promising
from veilsum.cli import main


class Lacking(Results):
    """Takes a cohort for one without its last contribution."""

    def _entries(self, current: Round) -> tuple[Entry, ...]:
        return super()._entries(current)[:-1]


def leave_unpaid() -> None:
    """Commit to cohorts without their last contribution; receipts are of all that was received."""
    build.Results = Lacking  # type: ignore[attr-defined]
    build.Shown = Promising  # type: ignore[attr-defined]


if __name__ == "__main__":
    leave_unpaid()
    sys.argv = ["veilsum", "coordinator", "serve", "--config", sys.argv[1]]
    main()
