"""Which process of each seat is running, as each seat says: what plans name as its start.

A seat draws 32 bytes whenever its process starts. It certifies without a record of its own only
under a plan that names the start of that very process, so one whose disk is an old copy cannot
sign a second cohort of a round that was planned before. Kept in memory: each seat says it again
with every call.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from privacy.certificate import ENOUGH_SEATS
from privacy.errors import MalformedMessage

LONGEST_SILENCE_SECONDS: Final = 5.0
"""A seat that has nothing to do calls every two seconds; so long it may be late."""

_START: Final = re.compile(r"[0-9a-f]{64}")


@dataclass
class Starts:
    """The newest start of each of the seats, and when each was last heard.

    Attributes:
        fresh_seconds: how long after its last call a seat counts as up.
    """

    seats: tuple[str, ...]
    fresh_seconds: float
    monotonic: Callable[[], float]
    _newest: dict[str, str] = field(default_factory=dict)
    _heard: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._changed = self.monotonic()

    def hear(self, caller: str, start: str) -> None:
        """Take what a seat says that it drew; who is no seat draws nothing.

        Raises:
            MalformedMessage: it has not the form of 32 bytes in hex, or is another seat's.
        """
        if caller not in self.seats:
            return
        self._check(caller, start)
        now = self._heard[caller] = self.monotonic()
        if self._newest.get(caller) != start:
            self._newest[caller], self._changed = start, now

    def of_plan(self) -> tuple[str, str, str]:
        """Return the newest start of each seat in order, empty for one that has said none."""
        first, second, third = (self._newest.get(seat, "") for seat in self.seats)
        return first, second, third

    def away(self) -> tuple[str, ...]:
        """Return the seats that have not been heard for a while, or never."""
        until = self.monotonic() - self.fresh_seconds
        return tuple(seat for seat in self.seats if self._heard.get(seat, until) <= until)

    def are_enough(self, waited_seconds: float) -> bool:
        """Return whether a round may be planned: all seats are up, or two and enough was waited.

        While fewer are up, rounds wait: planned without seats, one after another would fail.

        Args:
            waited_seconds: how long the round has waited for its plan.
        """
        up = len(self.seats) - len(self.away())
        if up == len(self.seats):
            return True
        waited = min(waited_seconds, self.monotonic() - self._changed)
        return up >= ENOUGH_SEATS and waited >= self.fresh_seconds

    def _check(self, caller: str, start: str) -> None:
        if _START.fullmatch(start) is None:
            raise MalformedMessage(
                f"{caller}: {start[:20]!r} is no start of a seat: 32 bytes in hex"
            )
        others = {name: said for name, said in self._newest.items() if name != caller}
        if start in others.values():
            raise MalformedMessage(
                f"{caller}: its start is that of another seat; its operator must restart it, and "
                "see that its machine is no copy of another"
            )
