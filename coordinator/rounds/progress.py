"""How long each round has been quiet: the only clock a round has."""

import threading
from collections.abc import Callable
from dataclasses import dataclass


@dataclass
class Progress:
    """When somebody last worked for each round, who, and when something last came of it.

    Kept in memory: after a restart every round begins its wait again, and nobody
    is left out for a time in which the coordinator was not there.
    """

    monotonic: Callable[[], float]

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._worked: dict[int, float] = {}
        self._came: dict[int, float] = {}
        self._heard: dict[int, dict[str, float]] = {}

    def worked(self, number: int, participant: str | None = None) -> None:
        """Note that somebody the round waits for is at work; who, if it has said so itself."""
        with self._lock:
            self._worked[number] = self.monotonic()
            if participant is not None:
                self._heard.setdefault(number, {})[participant] = self._worked[number]

    def came_of_it(self, number: int) -> None:
        """Note that something durable came of the work."""
        with self._lock:
            self._worked[number] = self._came[number] = self.monotonic()

    def quiet(self, number: int) -> tuple[float, float]:
        """Return the seconds since somebody worked, and since something came of it."""
        with self._lock:
            now = self.monotonic()
            return (
                now - self._worked.setdefault(number, now),
                now - self._came.setdefault(number, now),
            )

    def heard(self, number: int, within_seconds: float) -> tuple[str, ...]:
        """Return, in order, who has said within that time to be at work for the round."""
        with self._lock:
            since = self.monotonic() - within_seconds
            heard = self._heard.get(number, {}).items()
            return tuple(sorted(name for name, at in heard if at > since))

    def forget(self, number: int) -> None:
        """Forget who worked for a round that is over."""
        with self._lock:
            self._heard.pop(number, None)
