"""The rounds in which a seat sits, as long as they live, and what of them is on its disk."""

import asyncio
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from .outbox import FOLDER as OUTBOX
from .parts import FOLDER as PARTS
from .sitting import Seat, Sitting


@dataclass
class Sittings:
    """One sitting for each live round: what was taken once is not taken again."""

    seat: Seat
    _of: dict[int, Sitting] = field(default_factory=dict)
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def of(self, number: int) -> Sitting:
        """Return the sitting of a round; raises as `Seat.sit`."""
        async with self._lock:
            if number not in self._of:
                self._of[number] = await self.seat.sit(number)
            return self._of[number]

    def found(self) -> dict[int, frozenset[str]]:
        """Return whose contributions are taken or refused, by round."""
        return {number: each.acceptance.found for number, each in self._of.items()}

    async def end(self, is_over: Callable[[int], bool]) -> None:
        """Forget all rounds that are over, and erase them from the disk."""
        for number in [each for each in self._of if is_over(each)]:
            del self._of[number]
        for name in (PARTS, OUTBOX):
            await asyncio.to_thread(erase, self.seat.config.state / name, is_over)


def erase(folder: Path, is_over: Callable[[int], bool]) -> None:
    """Delete what is kept of every round that is over."""
    for place in folder.glob("[0-9]" * 6):
        if is_over(int(place.name)):
            shutil.rmtree(place, ignore_errors=True)
