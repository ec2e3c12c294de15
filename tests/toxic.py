"""A TCP proxy that a test makes as bad as a hospital's line: slow, late, cut, deaf or false.

    with toxic("127.0.0.1", port) as proxy:
        site.connect(proxy.address)
        proxy.bandwidth(64_000)       # bits per second, each way, over all connections
        proxy.cut_after(500_000)      # a reset, when so many more bytes have gone up

It runs in a thread of its own, so tests with and without a loop use it alike. "Up" is from
the client to the server. Every control holds from the next piece of bytes on.
"""

import asyncio
import contextlib
import random
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

PIECE = 16 << 10
"""Bytes that are read at once: at 4 Mbit/s, a thirtieth of a second."""

BUFFER = 32 << 10
"""Of the sockets of the proxy: what a sender believes to be sent and is still here."""

QUEUED_PIECES = 1024
_NOW = struct.pack("ii", 1, 0)  # linger for no time: close is a reset


@dataclass(eq=False)
class Line:
    """One direction: its bytes so far, and what is done to those that come."""

    carried: int = 0
    bits_per_second: float | None = None
    seconds_late: float = 0.0
    jitter: float = 0.0
    cuts: list[int] = field(default_factory=list)
    deaf_from: int | None = None
    corrupt_at: int | None = None
    _free_at: float = 0.0

    def room(self) -> int:
        """Return how many bytes may be taken before something happens, at most a piece."""
        stops = [*self.cuts[:1], *([] if self.deaf_from is None else [self.deaf_from])]
        room = min([PIECE, *(max(stop - self.carried, 1) for stop in stops)])
        if self.bits_per_second is not None:  # a tenth of a second, so that slow is smooth
            room = min(room, max(int(self.bits_per_second / 80), 1))
        return room

    def spoil(self, data: bytes) -> bytes:
        """Count `data`, and return it, or with one bit flipped if that is its turn."""
        at = None if self.corrupt_at is None else self.corrupt_at - self.carried
        self.carried += len(data)
        if at is None or not 0 <= at < len(data):
            return data
        self.corrupt_at = None
        return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]

    def is_cut(self) -> bool:
        """Return whether the line is to be cut here; each cut is made once."""
        due = bool(self.cuts) and self.carried >= self.cuts[0]
        if due:
            del self.cuts[0]
        return due

    def is_deaf(self) -> bool:
        """Return whether nothing goes on from here; once, for the connections there are."""
        due = self.deaf_from is not None and self.carried >= self.deaf_from
        if due:
            self.deaf_from = None
        return due

    def seconds_for(self, length: int, now: float) -> float:
        """Return how long a piece has to wait until the line has carried it."""
        if self.bits_per_second is None:
            return 0.0
        self._free_at = max(self._free_at, now) + length * 8 / self.bits_per_second
        return self._free_at - now


@dataclass(eq=False)
class Connection:
    """One connection through the proxy: both its sockets and what it carried each way."""

    client: socket.socket
    server: socket.socket
    up: int = 0
    down: int = 0
    is_deaf: bool = False

    def reset(self) -> None:
        """End it at once, on both sides; what is under way is lost."""
        for each in (self.client, self.server):
            with contextlib.suppress(OSError):
                each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NOW)
            each.close()


class Toxic:
    """The controls and the counters of one proxy. Its loop runs in another thread."""

    def __init__(self, upstream: tuple[str, int], loop: asyncio.AbstractEventLoop) -> None:
        self.up_line, self.down_line = Line(), Line()
        self.connections: list[Connection] = []
        self.resets = 0
        self._upstream, self._loop = upstream, loop
        self._tasks: set[asyncio.Task[None]] = set()
        self._random = random.Random(0)
        self._listening: socket.socket | None = None
        self._accepting: asyncio.Task[None] | None = None
        self._port = 0

    # -- counters -------------------------------------------------------------------

    @property
    def address(self) -> str:
        """Where clients connect, "127.0.0.1:port"; the same after `down` and `up`."""
        return f"127.0.0.1:{self._port}"

    @property
    def sent(self) -> int:
        """Bytes that came from clients, over all connections."""
        return self.up_line.carried

    @property
    def received(self) -> int:
        """Bytes that came from the server, over all connections."""
        return self.down_line.carried

    def open_connections(self) -> int:
        """Return how many connections are open by now."""
        return sum(each.client.fileno() != -1 for each in self.connections)

    # -- controls -------------------------------------------------------------------

    def bandwidth(self, bits_per_second: float | None, *, up: bool = True, down: bool = True):
        """Let no more through, each way over all connections; None for all there is."""
        for line in self._lines(up, down):
            line.bits_per_second = bits_per_second

    def latency(self, seconds: float, jitter: float = 0.0) -> None:
        """Deliver each piece so much later, each way, give or take the jitter; in order."""
        for line in self._lines():
            line.seconds_late, line.jitter = seconds, jitter

    def cut_after(self, count: int, times: int = 1, *, up: bool = True) -> None:
        """Reset all connections each time that so many more bytes have gone one way."""
        line = self.up_line if up else self.down_line
        line.cuts = [line.carried + count * (turn + 1) for turn in range(times)]

    def truncate_after(self, count: int, *, up: bool = True) -> None:
        """Forward nothing more, in either direction, once so many more bytes have gone one way.

        The connections there are stay open and deaf for ever, as after a laptop's sleep; new
        ones are as good as before.
        """
        line = self.up_line if up else self.down_line
        line.deaf_from = line.carried + count

    def black_hole(self) -> None:
        """Do what `truncate_after` does, now."""
        self._do(self._deafen)

    def corrupt(self, at: int, *, up: bool = True) -> None:
        """Flip one bit of the byte that comes `at` bytes from now."""
        line = self.up_line if up else self.down_line
        line.corrupt_at = line.carried + at

    def cut(self) -> None:
        """Reset all connections now."""
        self._do(self._reset_all)

    def down(self) -> None:
        """Reset all connections, and refuse new ones."""
        self._do(self._close_door)

    def up(self) -> None:
        """Take connections again, at the same address."""
        self._do(self._open_door)

    # -- on the loop ----------------------------------------------------------------

    def _lines(self, up: bool = True, down: bool = True) -> list[Line]:
        return [*([self.up_line] if up else []), *([self.down_line] if down else [])]

    def _do(self, act: Callable[[], None]) -> None:
        async def run() -> None:
            act()

        asyncio.run_coroutine_threadsafe(run(), self._loop).result(10)

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _open_door(self) -> None:
        door = socket.socket()
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Before it listens: accepted sockets inherit it, and announce no larger window.
        door.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        door.bind(("127.0.0.1", self._port))
        door.listen(1024)
        door.setblocking(False)
        self._port = door.getsockname()[1]
        self._listening, self._accepting = door, self._start(self._accept(door))

    def _close_door(self) -> None:
        if self._listening is not None and self._accepting is not None:
            self._accepting.cancel()
            self._loop.remove_reader(self._listening)
            self._listening.close()
            self._listening = None
        self._reset_all()

    def _reset_all(self) -> None:
        for each in self.connections:
            if each.client.fileno() != -1:
                for end in (each.client, each.server):
                    self._loop.remove_reader(end)
                    self._loop.remove_writer(end)
                each.reset()
                self.resets += 1

    def _deafen(self) -> None:
        for each in self.connections:
            each.is_deaf = True

    async def _accept(self, door: socket.socket) -> None:
        while True:
            client, _ = await self._loop.sock_accept(door)
            self._start(self._join(client))

    async def _join(self, client: socket.socket) -> None:
        server = socket.socket()
        for each in (client, server):
            each.setblocking(False)
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
        try:
            await self._loop.sock_connect(server, self._upstream)
        except OSError:
            client.close()
            server.close()
            return
        joined = Connection(client, server)
        self.connections.append(joined)
        self._start(self._carry(joined, up=True))
        self._start(self._carry(joined, up=False))

    async def _carry(self, joined: Connection, *, up: bool) -> None:
        line = self.up_line if up else self.down_line
        source, target = (joined.client, joined.server) if up else (joined.server, joined.client)
        pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(QUEUED_PIECES)
        delivering = self._start(self._deliver(joined, target, pieces))
        with contextlib.suppress(OSError, ValueError):
            while data := await self._loop.sock_recv(source, line.room()):
                data = line.spoil(data)
                if up:
                    joined.up += len(data)
                else:
                    joined.down += len(data)
                now = time.monotonic()
                wait = line.seconds_for(len(data), now)
                late = line.seconds_late + self._random.uniform(-line.jitter, line.jitter)
                await pieces.put((now + wait + max(late, 0.0), data))
                if line.is_cut():
                    self._reset_all()
                if line.is_deaf():
                    self._deafen()
                await asyncio.sleep(wait)
        await pieces.put((0.0, b""))
        await delivering

    async def _deliver(
        self,
        joined: Connection,
        target: socket.socket,
        pieces: "asyncio.Queue[tuple[float, bytes]]",
    ) -> None:
        with contextlib.suppress(OSError, ValueError):
            while True:
                due, data = await pieces.get()
                await asyncio.sleep(max(due - time.monotonic(), 0.0))
                if joined.is_deaf:
                    continue
                if not data:
                    target.shutdown(socket.SHUT_WR)
                    return
                await self._loop.sock_sendall(target, data)


@contextmanager
def toxic(upstream_host: str, upstream_port: int) -> Iterator[Toxic]:
    """Give a proxy in front of an address; it does nothing bad until it is told to."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="toxic", daemon=True)
    thread.start()
    proxy = Toxic((upstream_host, upstream_port), loop)
    try:
        proxy.up()
        yield proxy
    finally:
        proxy.down()
        asyncio.run_coroutine_threadsafe(_end(proxy), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


async def _end(proxy: Toxic) -> None:
    tasks = [*proxy._tasks]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


HALF_A_HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc"
"""The first bytes of a TLS handshake that never goes on."""


@contextmanager
def slow_loris(
    address: str, count: int, *, says: bytes = b"", tls: ssl.SSLContext | None = None
) -> Iterator[list[socket.socket]]:
    """Hold so many connections open that never get to a call.

    Args:
        says: what each sends and no more; `HALF_A_HELLO` leaves its handshake half done.
        tls: with it, each ends its handshake well and then says nothing.
    """
    host, port = address.rsplit(":", 1)
    with ExitStack() as stack:
        idle = []
        for _ in range(count):
            raw: socket.socket = stack.enter_context(
                socket.create_connection((host, int(port)), timeout=30)
            )
            if tls is not None:
                raw = stack.enter_context(tls.wrap_socket(raw, server_hostname=host))
            if says:
                raw.sendall(says)
            idle.append(raw)
        yield idle
