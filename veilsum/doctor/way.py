"""The way to an address: by itself, or through an HTTP proxy that the settings name."""

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from participant.wire.proxy import dial
from privacy.errors import ConfigError

_MOST_ANSWER: Final = 16 << 10
"""Bytes of an HTTP answer that are read; the rest of a page that explains is not."""

_ADDRESS: Final = re.compile(
    r"(?P<host>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):(?P<port>[0-9]{1,5})", re.ASCII
)
_HTTP: Final = "http://"
_SERVER: Final = re.compile(rb"\r\n(?:server|via): *([^\r\n]{1,80})", re.IGNORECASE)


@dataclass(frozen=True)
class Address:
    """A host and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@dataclass(frozen=True)
class Way:
    """How an address is reached; `seconds` is how long one step of it may take."""

    to: Address
    proxy: Address | None = None
    seconds: float = 5.0

    @property
    def first(self) -> Address:
        """To whom this machine connects itself."""
        return self.proxy or self.to

    @property
    def proxy_url(self) -> str | None:
        """The proxy as a setting names it."""
        return None if self.proxy is None else f"{_HTTP}{self.proxy}"

    @contextmanager
    def open(self) -> Iterator[socket.socket]:
        """Give a connection to the address, through the proxy's tunnel if there is one.

        Raises:
            ProxyRefused: the proxy opens no tunnel.
            OSError: nobody answers.
        """
        with dial(str(self.to), self.proxy_url, self.seconds) as line:
            yield line


def parse_address(text: str) -> Address:
    """Return the host and port in `text`.

    Raises:
        ConfigError: not host:port.
    """
    found = _ADDRESS.fullmatch(text)
    if found is None or not 0 < int(found["port"]) < 1 << 16:
        raise ConfigError(f"{text[:200]!r} is not host:port, nor a join link")
    return Address(found["host"].strip("[]"), int(found["port"]))


def parse_proxy(url: str) -> Address:
    """Return where the HTTP proxy at `url` answers.

    Raises:
        ConfigError: not http://host:port.
    """
    try:
        return parse_address(url.removeprefix(_HTTP)) if url.startswith(_HTTP) else _no_proxy()
    except ConfigError:
        return _no_proxy()


def _no_proxy() -> Address:
    # Never with what was typed: some have a password in it.
    raise ConfigError("proxy: http://host:port, such as http://proxy.example.org:3128, is meant")


def read_head(line: socket.socket) -> bytes:
    """Return an HTTP answer up to the line that ends its head.

    Raises:
        OSError: it does not come.
    """
    head = b""
    while b"\r\n\r\n" not in head and len(head) < _MOST_ANSWER:
        some = line.recv(4096)
        if not some:
            break
        head += some
    return head


def server_of(head: bytes) -> str:
    """Return by what name an HTTP answer's sender calls itself; empty if by none."""
    found = _SERVER.search(head)
    return "" if found is None else printable(found[1].decode("ascii", "replace"))


def printable(text: str) -> str:
    """Return what somebody else has sent as a line that does nothing to a terminal."""
    return "".join(each if each.isprintable() else "?" for each in text).strip()
