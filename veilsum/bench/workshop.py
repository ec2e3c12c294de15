"""What happens in the worker of a measured site: all that happens at any, but training.

Nothing here loads PyTorch. The update comes from a public key, is clipped, put on the grid
and protected as any other, under a plan that the site's policy and ledger have accepted.
"""

from dataclasses import dataclass
from multiprocessing.connection import Connection
from time import perf_counter
from typing import Any

import structlog

from participant.training.worker import serve_workshop
from veilsum.process import start_log

log = structlog.get_logger()


@dataclass
class Timed:
    """Passes each order on, and logs when it is done how long that took."""

    inner: Any

    def __getattr__(self, verb: str) -> Any:  # noqa: ANN401
        act = getattr(self.inner, verb)

        def timed(*arguments: object) -> object:
            start = perf_counter()
            done = act(*arguments)
            log.info("worked", what=verb, seconds=perf_counter() - start)
            return done

        return timed


def serve(connection: Connection, site_name: str) -> None:
    """Run a worker process as `training.worker.serve` does, with untrained updates in it."""

    def make() -> Timed:
        # The agent's process imports this file too, and needs none of what the worker needs.
        from .untrained import parse  # noqa: PLC0415
        from .untrained_workshop import UntrainedWorkshop  # noqa: PLC0415

        start_log()
        return Timed(UntrainedWorkshop(parse(site_name)))

    serve_workshop(connection, make)
