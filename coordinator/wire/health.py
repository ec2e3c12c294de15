"""What this process says of its health, at its own address and at a second, plaintext one.

Four services: `""` and `readiness` are SERVING where rounds are served, `readiness` only if
the database and the object store answer too; `liveness` as long as the process works; `storage`
unless the last look at what is stored has found damage. That one is for an alarm: a new start,
or another address, mends no disk.
"""

import asyncio
from collections.abc import Callable
from typing import Final

import grpc
import grpc.aio
import structlog
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer

from .addresses import cannot_listen
from .threads import apart

log = structlog.get_logger()

OVERALL: Final = ""
LIVENESS: Final = "liveness"
READINESS: Final = "readiness"
STORAGE: Final = "storage"

STUCK_SECONDS: Final = 120.0
"""How long the programme may stand still before this process says that it does not work.

A fold is asked between chunks; what takes longest in one piece is erasing a round.
"""

LOOK_SECONDS: Final = 1.0
PROBE_SECONDS: Final = 5.0

_SERVING: Final = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING: Final = health_pb2.HealthCheckResponse.NOT_SERVING


class Health:
    """The health of one process, from its start to its end.

    Attributes:
        quiet_seconds: returns for how long the programme has stood still; 0 where there is none.
        probe: raises if the database or the object store does not answer; runs on a thread.
        is_damaged: returns whether something that is stored is known to be damaged.
    """

    def __init__(self) -> None:
        self.servicer = HealthServicer()
        self._serves = self._stopped = False
        self.forget()
        self._probing: asyncio.Future[object] | None = None

    def forget(self) -> None:
        """Know of no programme, as at the start: nothing of one that was led stays in memory."""
        self.quiet_seconds: Callable[[], float] = lambda: 0.0
        self.probe: Callable[[], object] = lambda: None
        self.is_damaged: Callable[[], bool] = lambda: False

    async def begin(self) -> None:
        """Say that this process lives, and serves nothing yet."""
        await self._say(LIVENESS, good=True)
        await self._say(STORAGE, good=True)
        await self.serves(False)

    async def serves(self, yes: bool) -> None:
        """Say whether rounds are served here."""
        self._serves = yes and not self._stopped
        await self._say(OVERALL, good=self._serves)
        await self._say(READINESS, good=self._serves)

    async def stop(self) -> None:
        """Say that nothing is served here any more, whatever is found out later."""
        self._stopped = True
        await self.serves(False)

    async def watch(self) -> None:
        """Look every second whether this process works, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await self._say(LIVENESS, good=self.quiet_seconds() < STUCK_SECONDS)
            await self._say(STORAGE, good=not self.is_damaged())
            answers = self._serves and await self._answers()
            # Asked again: it may have stopped while a database was waited for.
            await self._say(READINESS, good=answers and self._serves)

    async def _answers(self) -> bool:
        # Never two at once: each would take a thread for as long as a dead database is waited for.
        if self._probing is None or self._probing.done():
            self._probing = asyncio.ensure_future(apart(self.probe))
        try:
            await asyncio.wait_for(asyncio.shield(self._probing), PROBE_SECONDS)
        except Exception as error:
            log.warning("not_ready", reason=str(error) or type(error).__name__)
            return False
        return True

    async def _say(self, service: str, *, good: bool) -> None:
        await self.servicer.set(service, _SERVING if good else _NOT_SERVING)


async def open_door(address: str, health: Health) -> grpc.aio.Server:
    """Answer health checks, and nothing else, in plaintext at `address`.

    Raises:
        AddressTaken, ConfigError: nobody can listen there.
    """
    server = grpc.aio.server(maximum_concurrent_rpcs=64, options=(("grpc.so_reuseport", 0),))
    health_pb2_grpc.add_HealthServicer_to_server(health.servicer, server)
    try:
        port = server.add_insecure_port(address)
    except RuntimeError:
        raise cannot_listen("listen.health", address, "it is no address") from None
    await server.start()
    log.info("health_serving", address=f"{address.rsplit(':', 1)[0]}:{port}")
    return server
