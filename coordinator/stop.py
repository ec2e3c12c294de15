"""How this process is told to stop: once to finish what it does, twice to end at once."""

import asyncio
import os
import signal
import threading
from typing import Final

import structlog

log = structlog.get_logger()

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
LATEST_SECONDS: Final = 9.0
"""After so long the process ends, whatever hangs; what was acknowledged is durable anyway."""

EXIT_LATE: Final = 5
"""The status of who waited in vain, as for every error of the family `Unavailable`."""


class Stop:
    """Whether this process was told to stop, and what happens when it is told again."""

    def __init__(self) -> None:
        self._told = asyncio.Event()
        loop = asyncio.get_running_loop()
        for each in SIGNALS:
            loop.add_signal_handler(each, self.tell)

    def tell(self) -> None:
        """Stop; the next signal ends the process at once, and so does time."""
        loop = asyncio.get_running_loop()
        for each in SIGNALS:
            loop.remove_signal_handler(each)
            signal.signal(each, signal.SIG_DFL)
        log.info("stopping")
        late = threading.Timer(LATEST_SECONDS, _end)
        late.daemon = True
        late.start()
        self._told.set()

    def is_told(self) -> bool:
        """Return whether it was."""
        return self._told.is_set()

    async def wait(self, seconds: float | None = None) -> bool:
        """Wait until it is told, or for `seconds`; return whether it was told."""
        try:
            async with asyncio.timeout(seconds):
                return await self._told.wait()
        except TimeoutError:
            return False


def _end() -> None:
    log.error("stopped_late", after_seconds=LATEST_SECONDS)
    os._exit(EXIT_LATE)
