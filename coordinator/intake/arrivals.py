"""How much of each upload is here, how fast it comes, and what is said of who did not make it."""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

import structlog

from coordinator.rounds.state import Straggler

log = structlog.get_logger()

SAY_EVERY_SECONDS: Final = 10.0
MOST_SAID: Final = 20
"""Uploads that one line of the log tells of: the slowest."""

RATE_SECONDS: Final = 60.0
"""Over how long a rate is taken, so that a line that was cut does not count for an hour."""

_MIB: Final = float(1 << 20)


@dataclass
class Arrival:
    """One upload: bytes that are here, in all, and since when they have come at what rate."""

    of: int
    durable: int
    at: float
    partial: int = 0
    _since: float = 0.0
    _from: int = 0

    def __post_init__(self) -> None:
        self._since, self._from = self.at, self.durable

    @property
    def here(self) -> int:
        """Bytes that are here, those of a chunk that is here in part included."""
        return min(self.durable + self.partial, self.of)

    def came(self, now: float) -> None:
        """Note that something has come."""
        if now - self._since > RATE_SECONDS:
            # Half of the time that is counted is forgotten, and what came in it.
            self._from += (self.here - self._from) // 2
            self._since = (self._since + now) / 2
        self.at = now

    def bytes_per_second(self, now: float) -> float:
        """Return at which rate it comes, silence included."""
        return max(self.here - self._from, 0) / max(now - self._since, 1.0)

    def seconds_left(self, now: float) -> float | None:
        """Return when it will be here at that rate; None if nothing comes."""
        rate = self.bytes_per_second(now)
        return (self.of - self.here) / rate if rate else None


@dataclass
class Arrivals:
    """The uploads of every round that is open. Kept in memory: a site begins again anyhow."""

    monotonic: Callable[[], float]
    _of: dict[int, dict[str, Arrival]] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _said: float = float("-inf")

    def begun(self, number: int, participant: str, of: int, durable: int) -> None:
        """Note an upload of so many bytes, of which some are durable already."""
        with self._lock:
            arrivals = self._of.setdefault(number, {})
            if participant not in arrivals:
                arrivals[participant] = Arrival(of, durable, self.monotonic())

    def came(self, number: int, participant: str, *, durable: int = 0, partial: int = 0) -> None:
        """Note a chunk that is durable, or how much of the next is here."""
        with self._lock:
            arrival = self._of.get(number, {}).get(participant)
            if arrival is not None:
                arrival.durable += durable
                arrival.partial = partial
                arrival.came(self.monotonic())

    def seconds_left(self, number: int, without: Iterable[str]) -> float:
        """Return when the slowest upload will be here; 0 if none is under way or one has stopped.

        Args:
            without: those whose contributions are complete.
        """
        with self._lock:
            now, done = self.monotonic(), {*without}
            under_way = [a for name, a in self._of.get(number, {}).items() if name not in done]
            left = [each.seconds_left(now) for each in under_way]
        return 0.0 if None in left else max((each for each in left if each), default=0.0)

    def stragglers(self, number: int, missing: Iterable[str]) -> tuple[Straggler, ...]:
        """Return who is missing, and what was seen of each."""
        with self._lock:
            now, arrivals = self.monotonic(), self._of.get(number, {})
            return tuple(
                Straggler(name, _reason(arrivals.get(name), now)) for name in sorted(missing)
            )

    def say(self, number: int, missing: Iterable[str]) -> None:
        """Write a line about the uploads under way, every few seconds."""
        now = self.monotonic()
        if now - self._said < SAY_EVERY_SECONDS:
            return
        with self._lock:
            wanted = {*missing}
            under_way = {n: a for n, a in self._of.get(number, {}).items() if n in wanted}
            slowest = sorted(under_way.items(), key=lambda each: -_left(each[1], now))[:MOST_SAID]
            said = {name: _words(each, now) for name, each in slowest}
        if said:
            self._said = now
            silent = len(wanted) - len(under_way)
            log.info("uploads_under_way", round=number, uploads=said, not_begun=silent)

    def forget(self, number: int) -> None:
        """Forget the uploads of a round that is over."""
        with self._lock:
            self._of.pop(number, None)


def _left(arrival: Arrival, now: float) -> float:
    left = arrival.seconds_left(now)
    return float("inf") if left is None else left


def _words(arrival: Arrival, now: float) -> str:
    left, rate = arrival.seconds_left(now), arrival.bytes_per_second(now)
    when = "nothing comes" if left is None else f"{left:.0f} s left"
    return f"{_share(arrival)} of {arrival.of / _MIB:.1f} MiB at {rate / _MIB:.3f} MiB/s, {when}"


def _reason(arrival: Arrival | None, now: float) -> str:
    if arrival is None:
        return "never began to send"
    silent = f"silent for {now - arrival.at:.0f} s"
    if arrival.here >= arrival.of:
        return f"all of it is here, and never committed; {silent}"
    return f"at {_words(arrival, now)}; {silent}"


def _share(arrival: Arrival) -> str:
    return f"{100 * arrival.here // max(arrival.of, 1)} %"
