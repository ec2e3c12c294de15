"""The engine for one machine: worker processes that add up, one for each core.

Workers are spawned for one fold and end with it. They hold no key, no socket and no
database: a worker is given a task of plain values, reads and writes the object store's
folder, and gives back a row. Killing one at any time loses nothing, because an object is
whole or absent.
"""

import ctypes
import multiprocessing
import os
import resource
import signal
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import cache
from itertools import chain, islice
from multiprocessing.context import SpawnContext, SpawnProcess
from pathlib import Path
from typing import Final

from coordinator import object_names as names
from coordinator.addition import ChunkTask, add_chunk
from coordinator.engine import Made, OneProcess, Stop, stopped
from coordinator.ports import SumChunk
from privacy.errors import FoldInterrupted

from .objects import LocalObjects

FEW: Final = 256
"""Contributions' chunks that are added in less time than processes take to start."""

_STOP_SECONDS: Final = 0.1
_PR_SET_PDEATHSIG: Final = 1
_FOR_THE_GROUP: Final = (signal.SIGINT, signal.SIGTERM)


class LocalProcesses:
    """An `Engine` over the objects in one folder of this machine."""

    def __init__(self, objects: LocalObjects, processes: int | None = None) -> None:
        self._objects = objects
        self._processes = processes or len(os.sched_getaffinity(0))

    def run(self, tasks: Iterable[ChunkTask], stop: Stop) -> Made:
        """Do all tasks; a few of them in this process, more in others."""
        waiting = iter(tasks)
        first = list(_few(waiting))
        rest = next(waiting, None)
        for number in {task.round for task in (*first, rest) if task is not None}:
            # Left by workers that were killed; one try after the other would fill the disk.
            self._objects.clear_parts(names.sums(number))
        if rest is None:
            yield from OneProcess(self._objects).run(first, stop)
        else:
            yield from self._run(chain(first, [rest], waiting), stop)

    def _run(self, tasks: Iterator[ChunkTask], stop: Stop) -> Made:
        with _workers(self._processes) as pool:
            running: set[Future[SumChunk]] = set()
            while not stop():
                # Two each: one that is added and one that waits, so that nobody does.
                for task in islice(tasks, 2 * self._processes - len(running)):
                    with _deaf():
                        running.add(pool.submit(_add_chunk, self._objects.folder, task))
                if not running:
                    return
                done, running = wait(running, _STOP_SECONDS, FIRST_COMPLETED)
                for each in done:
                    yield each.result()
            raise stopped()


def _few(tasks: Iterator[ChunkTask]) -> Iterator[ChunkTask]:
    count = 0
    while count < FEW and (task := next(tasks, None)) is not None:
        count += len(task.inputs)
        yield task


# -- processes ---------------------------------------------------------------------


class _Worker(SpawnProcess):
    """A process of ours, among the children that this process may have."""


class _Spawning(SpawnContext):
    # Spawned, never forked: a fork would start with this process's threads, keys and sockets.
    Process = _Worker


@contextmanager
def _workers(count: int) -> Iterator[ProcessPoolExecutor]:
    pool = ProcessPoolExecutor(count, _Spawning(), _begin, (os.getpid(),))
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
        for child in multiprocessing.active_children():
            if isinstance(child, _Worker):
                child.kill()
        pool.shutdown(cancel_futures=True)


@contextmanager
def _deaf() -> Iterator[None]:
    # Both signals go to a whole group of processes; when to stop is for the coordinator to say.
    # Who is born here has them blocked from its first moment to its last.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _FOR_THE_GROUP)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin(parent: int) -> None:
    """Make a worker one that ends with its parent, and leaves nothing."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)  # it was gone before the kernel was asked
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _add_chunk(folder: Path, task: ChunkTask) -> SumChunk:
    return add_chunk(task, _objects(folder))


@cache
def _objects(folder: Path) -> LocalObjects:
    # Not `open_objects`, which clears away what other workers are writing.
    return LocalObjects(folder)
