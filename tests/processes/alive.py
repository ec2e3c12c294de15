"""Which processes a test has started, however far down, and whether they are gone."""

import os
import time
import uuid
from collections.abc import Callable
from pathlib import Path

MARK = "TEST_RUN_OF_VEILSUM"


def new_mark() -> str:
    """Return a value for the variable `MARK`, which every descendant inherits."""
    return uuid.uuid4().hex


def alive(mark: str) -> dict[int, str]:
    """Return the processes that carry the mark, with their command lines; zombies are dead."""
    found = {}
    for place in Path("/proc").glob("[0-9]*"):
        try:
            environment = (place / "environ").read_bytes()
            command = (place / "cmdline").read_bytes()
        except OSError:
            continue  # it ended meanwhile
        if f"{MARK}={mark}".encode() in environment.split(b"\0") and int(place.name) != os.getpid():
            found[int(place.name)] = command.replace(b"\0", b" ").decode()
    return found


def left_after(mark: str, seconds: float) -> dict[int, str]:
    """Return what is still alive after as many seconds; return early once nothing is."""
    deadline = time.monotonic() + seconds
    while (left := alive(mark)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


def wait_until(holds: Callable[[], bool], seconds: float) -> None:
    """Return when it holds."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s"
        time.sleep(0.05)
