"""What a process takes of its machine, read from outside: memory, descriptors, threads."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from veilsum.bench.memory import Peaks

_LOOK_SECONDS = 0.3
_RESIDENT = re.compile(r"^VmRSS:\s+(\d+) kB$", re.MULTILINE)
_THREADS = re.compile(r"^Threads:\s+(\d+)$", re.MULTILINE)


@dataclass(frozen=True)
class Footprint:
    """One look at a process."""

    mebibytes: float
    descriptors: int
    threads: int


def footprint(process: int) -> Footprint:
    """Return what a process takes now."""
    status = Path("/proc", str(process), "status").read_text()
    resident, threads = _RESIDENT.search(status), _THREADS.search(status)
    assert resident is not None
    assert threads is not None
    descriptors = len(list(Path("/proc", str(process), "fd").iterdir()))
    return Footprint(int(resident[1]) / 1024, descriptors, int(threads[1]))


@asynccontextmanager
async def peaks_of(process: int) -> AsyncIterator[Peaks]:
    """Give the peaks of a process and of its workers, noted as long as this block runs."""
    peaks = Peaks()

    async def look() -> None:
        while True:
            await asyncio.to_thread(peaks.look, {process: ("coordinator", "worker")})
            await asyncio.sleep(_LOOK_SECONDS)

    looking = asyncio.create_task(look())
    try:
        yield peaks
    finally:
        looking.cancel()
        await asyncio.wait({looking})
        peaks.look({process: ("coordinator", "worker")})
