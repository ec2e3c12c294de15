"""What goes out of a round and moves: it keeps the round waiting, but not for ever."""

import threading
from dataclasses import dataclass, field
from typing import Final

from .progress import Progress

STARTS_THAT_COUNT: Final = 8
"""How often a stream that begins again counts; whoever fetches for ever keeps no round."""

_FIRST: Final = (0, 0)


@dataclass(frozen=True)
class Moving:
    """Notes the payloads that a caller is given for the first time since its stream began."""

    progress: Progress
    _reached: dict[tuple[int, str, str], tuple[int, int]] = field(default_factory=dict, repr=False)
    _starts: dict[tuple[int, str, str], int] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def given(self, number: int, caller: str, stream: str, chunk: int, position: int = 0) -> None:
        """Note that `caller` was given a payload of one of the round's streams.

        Args:
            stream: what it is a stream of.
            position: of the payload among those of the same chunk, from 0.
        """
        if self._is_new((number, caller, stream), (chunk, position)):
            self.progress.came_of_it(number)

    def forget(self, number: int) -> None:
        """Forget what was given of a round that is over."""
        with self._lock:
            for noted in (self._reached, self._starts):
                for key in [key for key in noted if key[0] == number]:
                    del noted[key]

    def _is_new(self, key: tuple[int, str, str], place: tuple[int, int]) -> bool:
        with self._lock:
            reached = self._reached.get(key)
            # Who was killed has lost what it was given, and must be able to finish.
            again = place == _FIRST and reached is not None
            may_start = self._starts.get(key, 0) < STARTS_THAT_COUNT
            if again and may_start:
                self._starts[key] = self._starts.get(key, 0) + 1
            elif reached is not None and place <= reached:
                return False
            self._reached[key] = place
            return True
