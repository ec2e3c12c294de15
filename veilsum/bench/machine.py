"""What the figures were measured on: without it they mean nothing."""

import os
import platform
import re
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec


class Machine(msgspec.Struct, frozen=True):
    """The processor, the cores this process may use, the versions, and how busy it was.

    Attributes:
        day: the date, in UTC.
        memory_gib: of the whole machine, rounded.
        load: mean number of running processes over the minute before the start; well above 0
            on a machine that was shared.
    """

    day: str
    cpu: str
    cores: int
    memory_gib: int
    system: str
    python: str
    numpy: str
    tenseal: str
    load: float


def this_machine() -> Machine:
    """Describe the machine this runs on."""
    return Machine(
        day=datetime.now(UTC).date().isoformat(),
        cpu=_processor(Path("/proc/cpuinfo")),
        cores=len(os.sched_getaffinity(0)),
        memory_gib=round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / (1 << 30)),
        system=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
        numpy=_installed("numpy"),
        tenseal=_installed("tenseal"),
        load=round(os.getloadavg()[0], 2),
    )


def _processor(described: Path) -> str:
    found = re.search(r"^model name\s*: (.+)$", described.read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()


def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
