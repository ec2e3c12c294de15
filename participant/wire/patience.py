"""How long to wait before something is tried again: longer each time, and never in step."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

import structlog

from privacy.errors import VeilsumError
from privacy.sealing import Entropy

log = structlog.get_logger()

SHORTEST_SECONDS = 0.5
LONGEST_SECONDS = 1.0
"""Below any sensible progress deadline: a site that comes back late is left out."""


@dataclass
class Patience:
    """Waits twice as long each time, up to a limit, each wait shortened by chance.

    Says why only when the reason changes: an outage is one line, not one each second.

    Attributes:
        event: what the log calls a wait.
        fields: what it says beside the reason.
    """

    entropy: Entropy
    event: str = "waiting_for_coordinator"
    fields: Mapping[str, str | int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin with the shortest wait again: something has worked."""
        self._seconds = SHORTEST_SECONDS
        self._reason = ""

    async def wait(self, error: VeilsumError) -> None:
        """Wait because of `error`."""
        if str(error) != self._reason:
            log.warning(self.event, **self.fields, reason=str(error))
        self._reason = str(error)
        share = int.from_bytes(self.entropy(4), "big") / 2**32
        await asyncio.sleep(self._seconds * (0.5 + share / 2))
        self._seconds = min(2 * self._seconds, LONGEST_SECONDS)
