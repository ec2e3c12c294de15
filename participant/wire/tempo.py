"""No faster than a site's own policy lets its line carry, each way.

A token bucket: bytes wait until the line would have carried all before them. What was not used is
not saved up, except for what an event loop may be late.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from veilsum.metrics.book import Sample
from veilsum.metrics.catalogue import FETCHED, SENT

LATE_SECONDS: Final = 0.1
"""A wait that ends so much too late takes nothing from the rate."""

PART_SECONDS: Final = 0.25
"""How much of a limited line one part of an upload may take."""

Rate = Callable[[], float | None]
"""Bytes a second, now; None for as many as the line carries."""


def unlimited() -> float | None:
    """Return that there is no limit."""
    return None


@dataclass
class Bucket:
    """One direction of a line. Whoever takes waits until there is room; in the order of asking."""

    rate: Rate = unlimited
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    taken: int = 0
    """Bytes, since this process started."""

    def __post_init__(self) -> None:
        self._free_at = self.clock()

    async def take(self, length: int) -> None:
        """Return when `length` bytes may have passed."""
        self.count(length)
        rate, now = self.rate(), self.clock()
        if rate is None:
            self._free_at = now
            return
        self._free_at = max(self._free_at, now - LATE_SECONDS) + length / rate
        if self._free_at > now:
            await self.sleep(self._free_at - now)

    def count(self, length: int) -> None:
        """Note that `length` bytes pass and wait for nobody: they are few, and others wait."""
        self.taken += length

    def part(self, length: int, least: int) -> int:
        """Return how long a part of an upload may be, so that no part holds up the next limit."""
        rate = self.rate()
        return length if rate is None else min(length, max(least, int(rate * PART_SECONDS)))


@dataclass
class Tempo:
    """A member's line: what it sends, what it fetches, and when it may go on sending.

    Attributes:
        go_on: raises if this is not the hour to send.
    """

    up: Bucket = field(default_factory=Bucket)
    down: Bucket = field(default_factory=Bucket)
    go_on: Callable[[], None] = lambda: None


def tempo(rate: Rate, go_on: Callable[[], None]) -> Tempo:
    """Return a line with one limit for each way."""
    return Tempo(Bucket(rate), Bucket(rate), go_on)


def passed(line: Tempo) -> Iterator[Sample]:
    """Yield how much has passed each way since this process started."""
    yield SENT, (), float(line.up.taken)
    yield FETCHED, (), float(line.down.taken)
