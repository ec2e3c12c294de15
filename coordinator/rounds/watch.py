"""Wakes those who wait for a round to change."""

import asyncio
from dataclasses import dataclass

from .standing import Rounds


@dataclass
class Watch:
    """Bridges the rounds, which change in threads, to callers that wait on the loop."""

    rounds: Rounds

    def __post_init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()
        self._ended = False
        self.rounds.on_change(self._wake_soon)

    async def beyond(self, seen: int, seconds: float) -> None:
        """Return when there is another revision than `seen`, or after `seconds`.

        Revisions count from the start of the process, so what a caller has seen may
        be above them all. Anything but a positive number of seconds is no wait.
        """
        try:
            # Written so that a NaN, whose comparisons are all false, is no wait either.
            async with asyncio.timeout(seconds if seconds > 0 else 0.0):
                while self.rounds.revision == seen and not self._ended:
                    await self._changed.wait()
        except TimeoutError:
            return

    def end(self) -> None:
        """Let nobody wait any more: this process is about to stop."""
        self._ended = True
        self._wake()

    def _wake_soon(self) -> None:
        self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        self._changed.set()
        # Who waited holds the old event; who comes now waits for the next change.
        self._changed = asyncio.Event()
