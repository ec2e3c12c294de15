"""Run one site of a federation on this machine, with another worker than a site's own."""

import asyncio
from pathlib import Path

from participant.config import read
from participant.run import run
from participant.training.worker import Main
from veilsum.process import exit_status, failpoints, start_log


def run_site(path: Path, serve: Main) -> None:
    """Run the site that the file at `path` configures, `serve` in its worker process."""
    start_log()
    with exit_status():
        asyncio.run(run(read(path), failpoints(), serve))
