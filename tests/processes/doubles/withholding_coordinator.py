"""A coordinator that commits to a false sum and then shows nothing; else it is the product's.

Run as `python -m tests.processes.doubles.withholding_coordinator COORDINATOR.toml`. Nobody is
shown a commit, or hashes under it, and no demand for them is answered.
"""

import sys
from typing import Any, NoReturn

from coordinator import build
from coordinator.settling.disputes import Demand, DisputeChain, Disputes
from coordinator.settling.shown import Shown
from privacy.errors import NotYet
from tests.processes.doubles.doubling_coordinator import double
from veilsum.cli import main


class Hiding(Shown):
    """Shows nothing of a commit; receipts it gives."""

    def commit(self, number: int) -> NoReturn:
        """Show nothing, as if there were nothing yet."""
        raise NotYet(f"round {number} is not committed on the chain yet")

    def tree(self, number: int, *_: Any) -> NoReturn:
        """Show nothing."""
        self.commit(number)


class Silent(Disputes):
    """Sees demands, and answers none."""

    def _answer(self, chain: DisputeChain, demand: Demand) -> None:
        pass


def withhold() -> None:
    """Commit to what is false, and keep all that would show it."""
    double()
    build.Shown = Hiding  # type: ignore[attr-defined]
    build.Disputes = Silent  # type: ignore[attr-defined]


if __name__ == "__main__":
    withhold()
    sys.argv = ["veilsum", "coordinator", "serve", "--config", sys.argv[1]]
    main()
