"""Ports for servers that tests kill and start again: nobody sits on one meanwhile."""

import contextlib
import fcntl
import os
import socket
import tempfile
from pathlib import Path

# Below the range from which the system takes ports for outgoing connections.
_FIRST, _LAST = 20_000, 32_000
_held: list[int] = []


def own_port() -> int:
    """Return a free port of the loopback that this process has until it ends.

    Other processes that run tests ask here, too; a lock on a file of the port's name keeps it
    while nobody listens.
    """
    folder = Path(tempfile.gettempdir()) / f"veilsum-test-ports-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    start = _FIRST + os.getpid() % 10_000
    for port in (*range(start, _LAST), *range(_FIRST, start)):
        if _is_ours(folder / str(port)) and _is_free(port):
            return port
    raise AssertionError("no free port")


def _is_ours(path: Path) -> bool:
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        return False
    _held.append(handle)  # open, and locked, for as long as this process lives
    return True


def _is_free(port: int) -> bool:
    with socket.socket() as listener, contextlib.suppress(OSError):
        listener.bind(("127.0.0.1", port))
        return True
    return False
