"""The engine for one machine: worker processes that add up, one for each core.

Workers are spawned for one fold and end with it. They hold no key, no socket and no
database: a worker is given a task of plain values, opens the object store by its address, and
gives back a row. Killing one at any time loses nothing, because an object is
whole or absent.
"""

import multiprocessing
import multiprocessing.connection
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from typing import Final

from coordinator.adapters.objects.place import Place
from coordinator.config import S3Access
from coordinator.fold.addition import ChunkTask, add_chunk
from coordinator.fold.engine import Made, Stop, few_here, stopped
from coordinator.ports import ObjectStore, SumChunk
from privacy.errors import FoldInterrupted

from .children import Child, Spawning, begin, deaf

_STOP_SECONDS: Final = 0.1

_DYING_SECONDS: Final = 5.0

HUNG_SECONDS: Final = 1800.0
"""So long none of the workers may get a task done: the largest takes minutes, by a slow network."""


class LocalProcesses:
    """An `Engine` of processes on this machine, over objects in a folder or a bucket.

    Args:
        processes: how many at most; one for each core, if not said.
        access: to the bucket that `objects` are in.
    """

    def __init__(
        self, objects: ObjectStore, processes: int | None = None, access: S3Access | None = None
    ) -> None:
        self._objects = objects
        self._place = Place(objects.address, access)
        self._processes = processes or len(os.sched_getaffinity(0))

    def run(self, tasks: Iterable[ChunkTask], stop: Stop) -> Made:
        """Do all tasks; a few of them in this process, more in others."""
        yield from few_here(tasks, self._objects, stop, self._run)

    def _run(self, tasks: Iterator[ChunkTask], stop: Stop) -> Made:
        with _workers(self._processes) as pool:
            running: set[Future[SumChunk]] = set()
            moved = time.monotonic()
            while not stop():
                # Two each: one that is added and one that waits, so that nobody does.
                for task in islice(tasks, 2 * self._processes - len(running)):
                    with deaf():
                        running.add(pool.submit(_add_chunk, self._place, task))
                if not running:
                    return
                done, running = wait(running, _STOP_SECONDS, FIRST_COMPLETED)
                for each in done:
                    yield each.result()
                moved = time.monotonic() if done else moved
                _check_moving(moved)
            raise stopped()


def _check_moving(moved: float) -> None:
    if time.monotonic() - moved > HUNG_SECONDS:
        raise FoldInterrupted(
            f"the processes that add up have done nothing for {HUNG_SECONDS:g} s; the disk or the "
            "object store may hang; what is added is kept, and it is retried"
        )


# -- processes ---------------------------------------------------------------------


class _Worker(Child):
    """One of those that add up."""


class _Spawning(Spawning):
    Process = _Worker


@contextmanager
def _workers(count: int) -> Iterator[ProcessPoolExecutor]:
    pool = ProcessPoolExecutor(count, _Spawning(), begin, (os.getpid(),))
    try:
        yield pool
    except (BrokenProcessPool, OSError, MemoryError) as error:
        raise FoldInterrupted(
            f"a process that adds up failed ({type(error).__name__}); the machine may lack memory "
            "or processes; what is added is kept, and it is retried"
        ) from error
    finally:
        # Nobody is asked to end: one that died with the lock of a queue would keep the others
        # waiting for ever, and a stop waits for nobody. What they were writing is whole or absent.
        workers = [each for each in multiprocessing.active_children() if isinstance(each, _Worker)]
        for each in workers:
            each.kill()
        # Nor is one waited for that hangs in the kernel: it dies when the disk lets it.
        pool.shutdown(wait=_are_gone(workers), cancel_futures=True)


def _are_gone(workers: Sequence[_Worker]) -> bool:
    left, until = {each.sentinel for each in workers}, time.monotonic() + _DYING_SECONDS
    while left and time.monotonic() < until:
        left -= {*multiprocessing.connection.wait(left, until - time.monotonic())}
    return not left


def _add_chunk(place: Place, task: ChunkTask) -> SumChunk:
    return add_chunk(task, place.open())
