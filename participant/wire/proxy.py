"""The way out of a site's network: straight, or through its proxy by HTTP CONNECT.

The proxy is a setting of the site; what the environment names is not looked at. What goes through
is TLS between site and coordinator: the proxy learns the coordinator's address, and no more.
"""

import socket
from typing import Final

_PREFIX: Final = "http://"
_LONGEST_ANSWER: Final = 16 << 10

Option = tuple[str, str]


class ProxyRefused(OSError):
    """The proxy answers, and does not connect; the words are for who runs that network."""


def host_of(address: str) -> str:
    """Return the host in "host:port", an IPv6 address without its brackets."""
    return address.rpartition(":")[0].strip("[]")


def route(address: str, proxy: str | None) -> tuple[str, tuple[Option, ...]]:
    """Return what gRPC connects to so as to reach `address`, and the options that this takes.

    Args:
        proxy: "http://host:port", or None for no proxy.
    """
    if proxy is None:
        return address, ()
    # These are what gRPC makes of a proxy in the environment. To set them ourselves leaves
    # `no_proxy` out, which would send a call past the proxy without a word.
    asked = ("grpc.http_connect_server", address)
    return proxy.removeprefix(_PREFIX), (asked, ("grpc.default_authority", address))


def dial(address: str, proxy: str | None, timeout_seconds: float) -> socket.socket:
    """Return a connected socket to `address`, through the proxy if there is one.

    Raises:
        ProxyRefused: the proxy answers, and does not connect.
        OSError: there is no connection, to the address or to the proxy.
        ValueError: an address without a port.
    """
    if proxy is None:
        return socket.create_connection(_split(address), timeout_seconds)
    _split(address)
    plain = socket.create_connection(_split(proxy.removeprefix(_PREFIX)), timeout_seconds)
    try:
        plain.sendall(f"CONNECT {address} HTTP/1.1\r\nHost: {address}\r\n\r\n".encode("ascii"))
        _check_answer(_head(plain), address, proxy)
    except BaseException:
        plain.close()
        raise
    return plain


def _split(address: str) -> tuple[str, int]:
    return host_of(address), int(address.rpartition(":")[2])


def _head(plain: socket.socket) -> bytes:
    """Return a proxy's answer up to its empty line, and nothing of what comes behind."""
    head = b""
    while not head.endswith(b"\r\n\r\n") and len(head) < _LONGEST_ANSWER:
        # One by one: what follows belongs to TLS, and nobody could give it back.
        byte = plain.recv(1)
        if not byte:
            break
        head += byte
    return head


def _check_answer(head: bytes, address: str, proxy: str) -> None:
    line = head.partition(b"\r\n")[0].decode("latin-1")
    version, _, rest = line.partition(" ")
    if not version.startswith("HTTP/"):
        raise ProxyRefused(
            f"{proxy} is no proxy that takes HTTP CONNECT; this site must correct coordinator.proxy"
        )
    status = rest[:3]
    if status.startswith("2"):
        return
    said = f"the proxy {proxy} answers {_printable(rest)} to CONNECT {address}; "
    if status == "407":
        raise ProxyRefused(
            f"{said}it asks for a password, which this site cannot give: its network must let"
            " this machine through without one"
        )
    if status in ("502", "503", "504"):
        raise ProxyRefused(
            f"{said}it does not reach that address: the coordinator's operator must start it, or"
            " this site's network must let the proxy connect there"
        )
    raise ProxyRefused(f"{said}this site's network must let the proxy connect there")


def _printable(text: str) -> str:
    return "".join(each for each in text[:80] if each.isprintable())
