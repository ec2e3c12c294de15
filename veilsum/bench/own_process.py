"""Run one role in a process of its own, and say how much memory that process took at most."""

import multiprocessing
import os
import re
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TypeVar

Result = TypeVar("Result")

_MIB = 1024


def in_own_process(role: Callable[..., Result], *arguments: object) -> tuple[Result, float]:
    """Return what `role(*arguments)` returns, and the peak of its process's memory in MiB.

    Spawned, never forked: a fork would start with all that this process holds.
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(_measured, role, *arguments).result()


def _measured(role: Callable[..., Result], *arguments: object) -> tuple[Result, float]:
    _silence_standard_output()
    return role(*arguments), peak_resident_mib()


def _silence_standard_output() -> None:
    # TenSEAL's native code prints remarks there, where the caller's JSON goes.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)


def peak_resident_mib() -> float:
    """Return the most memory this process has had resident since it was started, in MiB."""
    # Not getrusage: its ru_maxrss survives exec, so a child starts with its parent's peak.
    status = Path("/proc/self/status").read_text()
    peak = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    assert peak is not None, "Linux names the peak in every process's status"
    return int(peak[1]) / _MIB
