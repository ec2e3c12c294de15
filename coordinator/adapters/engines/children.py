"""Processes of ours that do one fold and end with it, or with their parent.

They are spawned, never forked: a fork would start with its parent's threads, keys and sockets.
"""

import ctypes
import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
_FOR_THE_GROUP: Final = (signal.SIGINT, signal.SIGTERM)


class Child(SpawnProcess):
    """A process of ours, among the children that this process may have."""


class Spawning(SpawnContext):
    """What makes such processes."""

    Process = Child


@contextmanager
def deaf() -> Iterator[None]:
    """Have whoever is born in this block deaf to signals that go to a whole group of processes.

    When to stop is for the coordinator to say. They are blocked from a child's first moment to
    its last.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _FOR_THE_GROUP)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def begin(parent: int) -> None:
    """Make this process one that ends with its parent, and leaves nothing."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)  # it was gone before the kernel was asked
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
