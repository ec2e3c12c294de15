"""Threads for what must wait behind nobody, and for what members ask."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, ParamSpec, TypeVar

CALLS: Final = 16
"""Members' calls that are carried out at once; the next ones wait for a thread."""

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
