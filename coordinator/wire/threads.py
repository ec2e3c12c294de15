"""Threads for what must wait behind nobody, and for what members ask."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, ParamSpec, TypeVar

CALLS: Final = 16
"""Members' calls that are carried out at once; the next ones wait for a thread."""

SIGNING: Final = 4
"""Calls for receipts that are carried out at once, on threads of their own: a signer may hang."""

_Args = ParamSpec("_Args")
_Answer = TypeVar("_Answer")


async def apart(
    work: Callable[_Args, _Answer], *args: _Args.args, **kwargs: _Args.kwargs
) -> _Answer:
    """Return what `work` gives, done on a thread that is made for it.

    However many calls wait for a disk that hangs, it begins at once.
    """
    assert not kwargs  # executors take none
    thread = ThreadPoolExecutor(1, thread_name_prefix="apart")
    try:
        return await asyncio.get_running_loop().run_in_executor(thread, work, *args)
    finally:
        thread.shutdown(wait=False)


def bound_calls() -> None:
    """Have what members ask done by so many threads, and nothing else by those."""
    calls = ThreadPoolExecutor(CALLS, thread_name_prefix="calls")
    asyncio.get_running_loop().set_default_executor(calls)


class Signing:
    """Threads for what waits for a signer, which may hang: no other call waits for one of them."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(SIGNING, thread_name_prefix="signing")

    async def run(
        self, work: Callable[_Args, _Answer], *args: _Args.args, **kwargs: _Args.kwargs
    ) -> _Answer:
        """Return what `work` gives, done on one of them; raises as it does."""
        assert not kwargs  # executors take none
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *args)

    def close(self) -> None:
        """Begin nothing more; each thread ends with what it does, and nobody waits for that."""
        self._threads.shutdown(wait=False, cancel_futures=True)
