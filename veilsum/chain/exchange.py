"""Exchanges by HTTP that end in time: one deadline for all of each, however its bytes come.

A socket's timeout begins again with each byte, so that headers which drip would keep for hours
whoever waits for them. Here to connect, a handshake, the request, headers and body share one. Only
the name of a host is looked up in the time that this machine gives for it.
"""

# ruff: noqa: ANN401 (libraries pass these through)

import io
import socket
import time
from http.client import HTTPResponse
from typing import Any, Final

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager, Timeout
from urllib3.connection import HTTPConnection, HTTPSConnection

_PART: Final = 1 << 16
_SHORTEST_SECONDS: Final = 0.001
"""A socket takes 0 for not to wait at all."""


def prompt_session() -> requests.Session:
    """Return a session in which a `timeout` is for a whole exchange, by way of a proxy as well.

    It follows nobody elsewhere.
    """
    session = _Session()
    for scheme in ("http://", "https://"):
        session.mount(scheme, _Prompt())
    return session


class _Session(requests.Session):
    def get_redirect_target(self, resp: requests.Response) -> None:  # noqa: ARG002 (its name)
        # Of an answer that names another address, the whole body would be taken into memory.
        return None


class _Prompt(HTTPAdapter):
    """Sends requests on connections that know when their exchange must be over."""

    def init_poolmanager(self, *args: Any, **more: Any) -> None:
        super().init_poolmanager(*args, **more)
        _make_prompt(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **more: Any) -> Any:
        return _make_prompt(super().proxy_manager_for(proxy, **more))

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        *args: Any,
        **more: Any,
    ) -> requests.Response:
        # A total: what connecting has taken is not there any more to wait for an answer.
        whole: Any = Timeout(total=timeout)
        return super().send(request, stream, whole, *args, **more)


class _Plain(HTTPConnection):
    """A connection whose timeout, once it is set, ends at one moment."""

    _end: float | None = None

    @property
    def timeout(self) -> float | None:
        """The seconds that are left, and a little more where none are; None: no end."""
        return None if self._end is None else max(self._end - time.monotonic(), _SHORTEST_SECONDS)

    @timeout.setter
    def timeout(self, seconds: object) -> None:
        # Whatever is no number is how urllib3 says that nothing is set.
        given = seconds if isinstance(seconds, int | float) else None
        self._end = None if given is None else time.monotonic() + given

    def _new_conn(self) -> socket.socket:
        """Connect to the first address that answers; all of them together have the time."""
        failed = OSError(f"{self.host} has no address")
        for found in socket.getaddrinfo(self._dns_host, self.port, type=socket.SOCK_STREAM):
            line = socket.socket(*found[:3])
            try:
                self._connect(line, found[4])
            except OSError as error:
                line.close()
                failed = error
            else:
                return line
        raise failed

    def _connect(self, line: socket.socket, address: Any) -> None:
        for option in self.socket_options or ():
            line.setsockopt(*option)
        line.settimeout(_left(self._end))
        line.connect(address)
        # For the handshake, which is one operation however many bytes it takes.
        line.settimeout(_left(self._end))

    def send(self, data: Any) -> None:
        """Send bytes, however slowly the other side takes them, until the end."""
        if self.sock is None:
            self.connect()
        rest = memoryview(data)
        while rest:
            self.sock.settimeout(_left(self._end))
            rest = rest[self.sock.send(rest[:_PART]) :]

    def response_class(self, *args: Any, **more: Any) -> HTTPResponse:  # type: ignore[override]
        """Return an answer that is read until the end."""
        return _Answer(*args, end=self._end, **more)


class _Tls(_Plain, HTTPSConnection):
    """The same, over TLS."""


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _Plain


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _Tls


def _make_prompt(manager: PoolManager) -> PoolManager:
    manager.pool_classes_by_scheme = {"http": _PlainPool, "https": _TlsPool}
    return manager


class _Answer(HTTPResponse):
    """An answer whose status, headers and body come before the end, or not at all."""

    def __init__(self, line: socket.socket, *args: Any, end: float | None, **more: Any) -> None:
        super().__init__(line, *args, **more)
        self.fp = io.BufferedReader(_Until(line, self.fp.detach(), end))


class _Until(io.RawIOBase):
    """Reads a socket; each byte may come until the end, and puts it off by nothing."""

    def __init__(self, line: socket.socket, raw: io.RawIOBase, end: float | None) -> None:
        self._line = line
        self._raw = raw
        self._end = end

    def readable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._raw.fileno()

    def readinto(self, into: Any) -> int | None:
        self._line.settimeout(_left(self._end))
        return self._raw.readinto(into)

    def close(self) -> None:
        self._raw.close()
        super().close()


def _left(end: float | None) -> float | None:
    """Return the seconds until the end.

    Raises:
        TimeoutError: there are none.
    """
    left = None if end is None else end - time.monotonic()
    if left is not None and left <= 0:
        raise TimeoutError("the time for this exchange is over")
    return left
