"""Who adds up: an engine is given tasks, one for each chunk, and gives back what was made."""

from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Final, Protocol

from coordinator import object_names as names
from coordinator.ports import ObjectStore, SumChunk
from privacy.errors import FoldInterrupted

from .addition import ChunkTask, add_chunk

Stop = Callable[[], bool]
"""Returns whether work that has not begun must not begin any more."""

Made = Generator[SumChunk, None, None]

FEW: Final = 256
"""Contributions' chunks that are added in less time than processes take to start."""


class Engine(Protocol):
    """Does tasks wherever it likes, over an object store that it knows.

    Promises that what it gives back is durable, and that nothing of its own works on once
    the generator is closed.
    """

    def run(self, tasks: Iterable[ChunkTask], stop: Stop) -> Made:
        """Do all tasks, in any order, taking them one by one as there is room for them.

        Raises:
            FoldInterrupted: `stop` said so, or a process died; the tasks can be done again.
            DistrustedSum: what it gave back cannot be believed, nor what is stored.
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


def few_here(
    tasks: Iterable[ChunkTask],
    objects: ObjectStore,
    stop: Stop,
    elsewhere: Callable[[Iterator[ChunkTask], Stop], Made],
) -> Made:
    """Do tasks in this process if they are few, and hand all of them on if they are more."""
    waiting = iter(tasks)
    first = list(_few(waiting))
    for number in {task.round for task in first}:
        # Left by workers that were killed; one try after the other would fill the disk.
        objects.clear_parts(names.sums(number))
    more = next(waiting, None)
    if more is None:
        yield from OneProcess(objects).run(first, stop)
    else:
        yield from elsewhere(chain(first, [more], waiting), stop)


def _few(tasks: Iterator[ChunkTask]) -> Iterator[ChunkTask]:
    count = 0
    for task in tasks:
        yield task
        count += len(task.inputs)
        if count >= FEW:
            return


def stopped() -> FoldInterrupted:
    """Return the error that says that a fold was told to stop."""
    return FoldInterrupted("told to stop; what is added is kept, and the next start goes on")
