"""Commits on the chain that this coordinator does not know: its database is older than they are."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Protocol

import structlog

from .settlement import Settlement

log = structlog.get_logger()

LOOK_SECONDS: Final = 600.0
"""From one look to the next; the first is made at the start."""

_IN_TIME: Final = (
    "stop this process and restore a backup that was made after that commit: until then no demand "
    "for a node of that round is answered, and one that is not answered costs the bond; nothing is "
    "committed either. If nothing was restored, find out who else has the key"
)
_TOO_LATE: Final = (
    "it can be disputed no more, and nothing can be committed after it here: restore a backup that "
    "was made after it, or open another programme for a new coordinator"
)


@dataclass(frozen=True, slots=True)
class OnChain:
    """What the contract keeps of a round that is not void; `matures_at` is a Unix time."""

    number: int
    commit: bytes
    matures_at: int


class NewestChain(Protocol):
    """The contract, as far as its newest rounds go."""

    def newest(self, programme: str) -> Iterator[OnChain]:
        """Yield a programme's rounds that are not void, the newest first."""
        ...


@dataclass
class Unknown:
    """Holds the chain's newest rounds against what is stored here, and says what is not.

    What this coordinator sends it stores before, so a commit that is not stored was made by one
    that knew more: this one before it was put back, or somebody else with its key.

    Attributes:
        attach: opens the door to the chain.
        now: tells the Unix time.
        rounds: those that are unknown and can be disputed, or are the newest; as of the last look.
    """

    programme: str
    settlement: Settlement
    attach: Callable[[], NewestChain]
    now: Callable[[], float] = time.time
    rounds: tuple[int, ...] = ()
    _said: set[bytes] = field(default_factory=set, init=False, repr=False)

    def look(self) -> float:
        """Say of each commit that is unknown what can be done; return when to look again.

        Raises:
            ChainUnavailable: the endpoint does not answer.
            StoreUnavailable: the store does not answer.
        """
        found = list(self._find(self.attach()))
        for each in reversed(found):
            self._say(each)
        self.rounds = tuple(each.number for each in reversed(found))
        return LOOK_SECONDS

    def _find(self, chain: NewestChain) -> Iterator[OnChain]:
        """Yield what is unknown, back to the first that is known, or can be disputed no more."""
        for at, each in enumerate(chain.newest(self.programme)):
            is_open = self.now() < each.matures_at
            if self.settlement.knows(each.number, each.commit) or (at and not is_open):
                return
            yield each
            if not is_open:
                return

    def _say(self, each: OnChain) -> None:
        if each.commit in self._said:
            return
        self._said.add(each.commit)
        log.error(
            "commit_unknown",
            round=each.number,
            commit=each.commit.hex(),
            disputable_until=datetime.fromtimestamp(each.matures_at, UTC).isoformat(),
            who_acts="operator",
            action=_IN_TIME if self.now() < each.matures_at else _TOO_LATE,
        )
