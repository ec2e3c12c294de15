"""One hospital of the demo: a site like any other, with the witness in its worker.

Run as `python -m veilsum.demo.hospital_process SITE.toml`.
"""

import asyncio
import sys
from pathlib import Path

from participant.config import read
from participant.run import run
from veilsum.process import exit_status, failpoints, start_log

from .witness import serve


def main(path: Path) -> None:
    """Run the hospital that the file at `path` configures."""
    start_log()
    with exit_status():
        asyncio.run(run(read(path), failpoints(), serve))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
