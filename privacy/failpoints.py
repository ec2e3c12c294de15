"""Named places in the code where a test may stop a process, to see what survives.

A failpoint does nothing unless the process was started with it, by the variable
VEILSUM_FAILPOINTS, for instance `send.after_chunk:2=pause`: at the second time
that place is reached, do `pause`. Actions are functions that the process's entry
point hands in; this file only counts.
"""

import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from .errors import ConfigError

VARIABLE: Final = "VEILSUM_FAILPOINTS"
_ONE: Final = re.compile(r"([a-z_]+\.[a-z_]+):([1-9][0-9]*)=([a-z]+)")


@dataclass
class Failpoints:
    """The failpoints of one process; the empty one does nothing."""

    wanted: Mapping[tuple[str, int], Callable[[str], None]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._hits: dict[str, int] = {}

    def hit(self, name: str) -> None:
        """Count one passage of the place `name`, and act if it is the one wanted."""
        if not self.wanted:
            return
        with self._lock:
            count = self._hits[name] = self._hits.get(name, 0) + 1
        action = self.wanted.get((name, count))
        if action is not None:
            action(f"{name}:{count}")


def parse(text: str, actions: Mapping[str, Callable[[str], None]]) -> Failpoints:
    """Return the failpoints that `text` asks for: `name:count=action`, comma-separated.

    Raises:
        ConfigError: not of that form, or an action that there is not.
    """
    wanted = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        match = _ONE.fullmatch(part)
        if match is None or match[3] not in actions:
            raise ConfigError(
                f"{VARIABLE}: {part!r} is not name:count=action, with action one of "
                f"{', '.join(sorted(actions))}"
            )
        wanted[match[1], int(match[2])] = actions[match[3]]
    return Failpoints(wanted)
