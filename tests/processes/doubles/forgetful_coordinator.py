"""A coordinator that says nothing of how far sites' ledgers have come; all else is the product's.

Run as `python -m tests.processes.doubles.forgetful_coordinator COORDINATOR.toml`.
"""

import sys

from coordinator.adapters.sql import store
from veilsum.cli import main


def forget() -> None:
    """Take any header, and show a site none of its own."""
    store.check_grown = lambda *_: None
    store.SqlStore.newest_header = lambda *_: None  # type: ignore[method-assign]


if __name__ == "__main__":
    forget()
    sys.argv = ["veilsum", "coordinator", "serve", "--config", sys.argv[1]]
    main()
