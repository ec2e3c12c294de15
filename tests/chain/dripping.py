"""A peer that takes and gives a byte now and then, for ever, wherever it is told to."""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from itertools import chain, repeat

BEGUN = b"HTTP/1.1 200 OK\r\n"

PLACES: dict[str, tuple[bytes, bytes]] = {
    "status": (b"", BEGUN),
    "header": (BEGUN + b"X-Long: ", b"a"),
    "headers": (BEGUN, b"X-More: a\r\n"),
    "continues": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "body": (BEGUN + b"Content-Length: 100000\r\n\r\n", b" "),
    "chunk": (BEGUN + b"Transfer-Encoding: chunked\r\n\r\n", b"0"),
    "trailers": (BEGUN + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X-More: a\r\n"),
    "elsewhere": (BEGUN.replace(b"200", b"307") + b"Location: /\r\n\r\n", b" "),
}
"""What is said at once, and what is then said byte by byte, again and again."""


@contextmanager
def dripping(
    place: str = "header", tls: ssl.SSLContext | None = None, pause: float = 0.02
) -> Iterator[str]:
    """Serve one that drips there; give its host and port."""
    first, rest = PLACES[place]

    def answer(line: socket.socket) -> None:
        line.recv(1 << 16)
        line.sendall(first)
        for byte in chain.from_iterable(repeat(rest)):
            line.sendall(bytes([byte]))
            time.sleep(pause)

    with _serving(partial(_secured, tls, answer)) as address:
        yield address


@contextmanager
def handshaking(pause: float = 0.02) -> Iterator[str]:
    """Serve one that says a byte of a handshake of TLS now and then; give its host and port."""

    def answer(line: socket.socket) -> None:
        line.recv(1 << 16)
        # The header of a record, which says how much is to come.
        line.sendall(b"\x16\x03\x03\x3f\xff")
        while True:
            line.sendall(b"\x02")
            time.sleep(pause)

    with _serving(answer) as address:
        yield address


@contextmanager
def reading_slowly(tls: ssl.SSLContext | None = None, pause: float = 0.02) -> Iterator[str]:
    """Serve one that reads what it is asked bit by bit; give its host and port."""

    def answer(line: socket.socket) -> None:
        while line.recv(1 << 14):
            time.sleep(pause)

    with _serving(partial(_secured, tls, answer)) as address:
        yield address


def _secured(
    tls: ssl.SSLContext | None, answer: Callable[[socket.socket], None], line: socket.socket
) -> None:
    if tls is None:
        return answer(line)
    with tls.wrap_socket(line, server_side=True) as secured:
        return answer(secured)


@contextmanager
def _serving(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_serve, args=(listener, answer), daemon=True).start()
        yield "{}:{}".format(*listener.getsockname())
        with suppress(OSError):
            # Whoever waits in `accept` is told.
            listener.shutdown(socket.SHUT_RDWR)


def _serve(listener: socket.socket, answer: Callable[[socket.socket], None]) -> None:
    while True:
        try:
            line, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_answer, args=(line, answer), daemon=True).start()


def _answer(line: socket.socket, answer: Callable[[socket.socket], None]) -> None:
    # Until nobody listens.
    with line, suppress(OSError):
        answer(line)
