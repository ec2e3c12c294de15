"""The line between a coordinator and the driver of a cluster: a socket of one machine.

The kernel says whose process listens there. That is how the coordinator knows that what a
cluster sends is unpickled under another account than its own, from which no key can be read.
"""

import os
import socket
import struct
from pathlib import Path
from typing import Final

from privacy.errors import ConfigError, PeerUnreachable

_SECONDS: Final = 5.0
_SEND_SECONDS: Final = 30.0
_CREDENTIALS: Final = struct.Struct("3i")  # pid, uid, gid
_ROOT: Final = 0


class Line:
    """Messages of one line each, over a socket, whatever the other side does.

    Args:
        longest: bytes that a message of the other side may have.
    """

    def __init__(self, connection: socket.socket, longest: int) -> None:
        self._socket = connection
        self._longest = longest
        self._held = bytearray()

    def send(self, body: bytes) -> None:
        """Send a message, which is JSON and has no line's end in it.

        Raises:
            EOFError: the other side is gone, or reads nothing.
        """
        self._socket.settimeout(_SEND_SECONDS)
        try:
            self._socket.sendall(body + b"\n")
        except OSError as error:
            raise EOFError(type(error).__name__) from None

    def receive(self, seconds: float) -> bytes | None:
        """Return the next message, or None if none is whole within that time.

        Raises:
            EOFError: the other side is gone, or sends more than a message may have.
        """
        waiting = self._whole()
        if waiting is None and self._read(seconds):
            return self._whole()
        return waiting

    def _read(self, seconds: float) -> bool:
        self._socket.settimeout(seconds)
        try:
            part = self._socket.recv(1 << 16)
        except (TimeoutError, BlockingIOError):
            return False
        except OSError as error:
            raise EOFError(type(error).__name__) from None
        if not part:
            raise EOFError
        self._held += part
        return True

    def _whole(self) -> bytes | None:
        end = self._held.find(b"\n")
        if max(end, len(self._held) if end < 0 else 0) > self._longest:
            raise EOFError("a message is too long")
        if end < 0:
            return None
        message = bytes(self._held[:end])
        del self._held[: end + 1]
        return message


def connect(path: Path) -> socket.socket:
    """Return a connection to the driver that listens at a socket.

    Raises:
        ConfigError: it runs under this process's account, or root's.
        PeerUnreachable: nobody listens there, or this account is not let in.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(_SECONDS)
        connection.connect(str(path))
        _check_account(path, connection)
    except OSError as error:
        connection.close()
        raise PeerUnreachable(
            f"engine.socket: no cluster's driver answers at {path} ({error.strerror or error})"
        ) from None
    except ConfigError:
        connection.close()
        raise
    return connection


def _check_account(path: Path, connection: socket.socket) -> None:
    said = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, account, _ = _CREDENTIALS.unpack(said)
    if account in _accounts_with_keys():
        raise ConfigError(
            f"engine.socket: the driver at {path} runs under account {account}, which can read "
            "this coordinator's keys, and who gets into a cluster runs what they like there; "
            "start Ray and `veilsum coordinator driver` under an account of their own"
        )


def _accounts_with_keys() -> set[int]:
    return {_ROOT, os.getuid(), os.geteuid()}
