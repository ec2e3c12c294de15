"""A proxy in this process that takes HTTP CONNECT, or answers what a test wants instead."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

HEAD_END = b"\r\n\r\n"


@dataclass
class Proxy:
    """Where it listens, and what was asked of it."""

    port: int
    asked: list[str] = field(default_factory=list)

    @property
    def setting(self) -> str:
        """What a site's file says of it."""
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def connecting(answer: bytes = b"") -> Iterator[Proxy]:
    """Give a proxy that connects; or one that gives an answer and does not."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        proxy = Proxy(listener.getsockname()[1])
        thread = threading.Thread(target=_serve, args=(listener, proxy, answer), daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(5)


def _serve(listener: socket.socket, proxy: Proxy, answer: bytes) -> None:
    with suppress(OSError):
        while True:
            plain, _ = listener.accept()
            threading.Thread(target=_one, args=(plain, proxy, answer), daemon=True).start()


def _one(plain: socket.socket, proxy: Proxy, answer: bytes) -> None:
    with plain, suppress(OSError):
        head = b""
        while HEAD_END not in head and (more := plain.recv(4096)):
            head += more
        proxy.asked.append(head.split(b"\r\n")[0].decode())
        if answer:
            plain.sendall(answer)
            return
        host, port = head.split()[1].decode().rsplit(":", 1)
        with socket.create_connection((host, int(port))) as far:
            plain.sendall(b"HTTP/1.1 200 Connection established\r\nVia: 1.1 test\r\n\r\n")
            back = threading.Thread(target=_pump, args=(far, plain), daemon=True)
            back.start()
            _pump(plain, far)
            back.join()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
