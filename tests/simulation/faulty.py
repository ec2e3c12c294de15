"""Storage whose writes fail, are slow or kill the process when they are told to."""

from collections.abc import Callable

from privacy.errors import StoreUnavailable
from tests.coordinator.memory_store import MemoryObjects, MemoryStore

WRITES = (
    "put",
    "delete_prefix",
    "save_step",
    "finish_effect",
    "put_document",
    "begin_upload",
    "record_chunk",
    "commit_upload",
    "record_sum_chunk",
    "forget_sum",
)


class Disk:
    """Counts down the writes that are still to fail, to be uncertain, or to be slow.

    A write that fails leaves nothing. One that is uncertain is kept, and its caller is told
    that it failed: a connection that is lost in a commit, a sync that reports an error.
    """

    def __init__(self, hit: Callable[[str], None], wait: Callable[[float], None]) -> None:
        self.failing = self.uncertain = self.slow = 0
        self.slow_seconds = 0.0
        self._hit, self._wait = hit, wait

    def heal(self) -> None:
        """Let every write succeed from now on."""
        self.failing = self.uncertain = self.slow = 0

    def guard(self, store: MemoryStore | MemoryObjects) -> MemoryStore | MemoryObjects:
        """Return `store`, whose writes ask this disk first."""
        for name in WRITES:
            if hasattr(store, name):
                setattr(store, name, self._asked(name, getattr(store, name)))
        return store

    def _asked(self, name: str, write: Callable[..., object]) -> Callable[..., object]:
        def asked(*args: object, **named: object) -> object:
            if self.slow:
                self.slow -= 1
                self._wait(self.slow_seconds)
            if self.failing:
                self.failing -= 1
                raise StoreUnavailable("the disk is full")
            self._hit(f"write.before_{name}")
            made = write(*args, **named)
            self._hit(f"write.after_{name}")
            if self.uncertain:
                self.uncertain -= 1
                raise StoreUnavailable("nobody knows whether this was written")
            return made

        return asked
