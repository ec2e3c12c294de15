"""Storage whose writes fail when they are told to; nothing of a failed write is kept."""

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
    """Counts down the writes that are still to fail."""

    def __init__(self) -> None:
        self.failing = 0

    def guard(self, store: MemoryStore | MemoryObjects) -> MemoryStore | MemoryObjects:
        """Return `store`, whose writes ask this disk first."""
        for name in WRITES:
            if hasattr(store, name):
                setattr(store, name, self._asked(getattr(store, name)))
        return store

    def _asked(self, write: Callable[..., object]) -> Callable[..., object]:
        def asked(*args: object, **named: object) -> object:
            if self.failing:
                self.failing -= 1
                raise StoreUnavailable("the disk is full")
            return write(*args, **named)

        return asked
