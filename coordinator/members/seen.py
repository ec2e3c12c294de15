"""When each member last called, and with which release: for its operator, and for nothing else."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

MOST_SEEN: Final = 4096
"""Callers that are remembered; of more, those that have been silent the longest are forgotten."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A call that was let in: when, in seconds since 1970, and the release its caller named."""

    at: float
    release: str


@dataclass
class SeenBook:
    """The last call of each member since this coordinator began; written and read on the loop."""

    now: Callable[[], float]
    _last: OrderedDict[str, Seen] = field(init=False, default_factory=OrderedDict)

    def note(self, participant: str, release: str) -> None:
        """Remember that a member calls now."""
        self._last[participant] = Seen(self.now(), release)
        self._last.move_to_end(participant)
        if len(self._last) > MOST_SEEN:
            self._last.popitem(last=False)

    def of(self, participant: str) -> Seen | None:
        """Return a member's last call, or None if it has not called."""
        return self._last.get(participant)
