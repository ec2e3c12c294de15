"""Things that take long to make, and are the same for everybody who needs them."""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Thing = TypeVar("Thing")


class Held(Generic[Thing]):
    """Something made when it is first asked for, once for all threads; a failure is not held."""

    def __init__(self, make: Callable[[], Thing]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._made: list[Thing] = []

    def __call__(self) -> Thing:
        """Return it; whoever asks while it is made waits.

        Raises whatever making it raises; the next caller tries again.
        """
        with self._lock:
            if not self._made:
                self._made.append(self._make())
            return self._made[0]
