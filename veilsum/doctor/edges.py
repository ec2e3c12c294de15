"""What checks touch of the world, passed to them: names, clocks, disks, the environment."""

import os
import shutil
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path


def _utc_now() -> datetime:
    return datetime.now(UTC)


def _free(path: Path) -> int:
    return shutil.disk_usage(path).free


def resolve(host: str, port: int, seconds: float) -> list[str]:
    """Return the addresses of a host, in the order in which they are tried.

    Raises:
        OSError: it has none, or no name server answers in time.
    """
    found: list[str] = []
    failed: list[OSError] = []

    def look() -> None:
        try:
            answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            failed.append(error)
        else:
            found.extend(dict.fromkeys(str(answer[4][0]) for answer in answers))

    # The system's resolver has no time limit of ours, and cannot be stopped: it is left behind.
    looking = threading.Thread(target=look, daemon=True)
    looking.start()
    looking.join(seconds)
    if failed:
        raise failed[0]
    if not found:
        raise TimeoutError(f"no name server answered within {seconds:.0f} s")
    return found


@dataclass(frozen=True)
class Edges:
    """The world as checks see it; a test hands in another one.

    Attributes:
        now: of this machine's clock.
        tick: seconds of a clock that nobody sets.
        free: bytes that this user may still write to the disk of a path.
    """

    resolve: Callable[[str, int, float], list[str]] = resolve
    now: Callable[[], datetime] = _utc_now
    tick: Callable[[], float] = time.monotonic
    free: Callable[[Path], int] = _free
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)
