"""A coordinator that asks its engine however little there is to add; all else is the product's.

Run as `python -m tests.processes.doubles.eager_coordinator COORDINATOR.toml`.
"""

import sys

from coordinator.fold import engine
from veilsum.cli import main

if __name__ == "__main__":
    engine.FEW = 0
    sys.argv = ["veilsum", "coordinator", "serve", "--config", sys.argv[1]]
    main()
