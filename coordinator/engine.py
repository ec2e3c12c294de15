"""Who adds up: an engine is given tasks, one for each chunk, and gives back what was made."""

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from typing import Protocol

from privacy.errors import FoldInterrupted

from .addition import ChunkTask, add_chunk
from .ports import ObjectStore, SumChunk

Stop = Callable[[], bool]
"""Returns whether work that has not begun must not begin any more."""

Made = Generator[SumChunk, None, None]


class Engine(Protocol):
    """Does tasks wherever it likes, over an object store that it knows.

    Promises that what it gives back is durable, and that nothing of its own works on once
    the generator is closed.
    """

    def run(self, tasks: Iterable[ChunkTask], stop: Stop) -> Made:
        """Do all tasks, in any order, taking them one by one as there is room for them.

        Raises:
            FoldInterrupted: `stop` said so, or a process died; the tasks can be done again.
            RootMismatch, NotYet, MalformedMessage, ConflictingContribution, StoreUnavailable:
                what a task raised; see `add_chunk`.
        """
        ...


@dataclass(frozen=True)
class OneProcess:
    """An engine that adds in the process and the thread that asks."""

    objects: ObjectStore

    def run(self, tasks: Iterable[ChunkTask], stop: Stop) -> Made:
        """Do all tasks in order."""
        for task in tasks:
            if stop():
                raise stopped()
            yield add_chunk(task, self.objects)


def stopped() -> FoldInterrupted:
    """Return the error that says that a fold was told to stop."""
    return FoldInterrupted("told to stop; what is added is kept, and the next start goes on")
