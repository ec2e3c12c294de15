"""How much of an upload may be under way without an answer, and in parts of what length.

What is under way when a line is cut is sent again, so it is no more than keeps the line busy:
what the line carries in the time of an answer, and a fifth of a second. On a fast line that is
whole chunks; on a slow one, parts of some kilobytes.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

LEAST_PART: Final = 16 << 10
MOST_BYTES: Final = 4 << 20
"""Under way at most: a few chunks, which gRPC keeps in memory."""

SPARE_SECONDS: Final = 0.2
SAMPLES: Final = 16
"""Answers of which the fastest counts: a line has pauses, and they are not its rate."""


@dataclass(frozen=True, slots=True)
class _Sent:
    length: int
    at: float
    answered: int


@dataclass
class Window:
    """The parts of one upload that are sent and not answered; each is answered once, in order."""

    clock: Callable[[], float] = time.monotonic
    size: int = 4 * LEAST_PART
    under_way: int = 0
    _sent: deque[_Sent] = field(default_factory=deque, repr=False)
    _rates: deque[float] = field(default_factory=lambda: deque(maxlen=SAMPLES), repr=False)
    _answered: int = 0
    _least_seconds: float = float("inf")

    def __post_init__(self) -> None:
        self._moved = asyncio.Event()

    def part(self) -> int:
        """Return how long the next part may be."""
        return max(self.size // 4, LEAST_PART)

    async def room(self) -> None:
        """Return when the next part may be sent: always, if none is under way."""
        while self.under_way and self.under_way + self.part() > self.size:
            self._moved.clear()
            await self._moved.wait()

    def sent(self, length: int) -> None:
        """Note a part that is on its way."""
        self.under_way += length
        self._sent.append(_Sent(length, self.clock(), self._answered))

    def answered(self) -> int:
        """Note the answer to the oldest part, and return the length of that part."""
        if not self._sent:
            return 0  # an answer to nothing: who reads it finds out
        oldest = self._sent.popleft()
        self.under_way -= oldest.length
        self._answered += oldest.length
        took = max(self.clock() - oldest.at, 1e-6)
        self._least_seconds = min(self._least_seconds, took)
        self._rates.append((self._answered - oldest.answered) / took)
        wanted = int(max(self._rates) * (self._least_seconds + SPARE_SECONDS))
        self.size = min(max(wanted, 2 * LEAST_PART), MOST_BYTES)
        self._moved.set()
        return oldest.length
