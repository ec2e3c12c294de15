"""The proxy that spoils lines does to them what a test asks, and nothing else."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.toxic import slow_loris, toxic


@contextmanager
def echo() -> Iterator[tuple[str, int]]:
    """Serve the bytes that come, to each connection its own."""
    door = socket.create_server(("127.0.0.1", 0))

    def answer(peer):
        with contextlib.suppress(OSError), peer:
            while data := peer.recv(1 << 16):
                peer.sendall(data)

    def accept():
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=answer, args=(door.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    with door:
        yield door.getsockname()
        door.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def proxy():
    with echo() as upstream, toxic(*upstream) as proxy:
        yield proxy


def connect(proxy):
    host, port = proxy.address.split(":")
    return socket.create_connection((host, int(port)), timeout=5)


def said_back(line, data):
    line.sendall(data)
    return read(line, len(data))


def read(line, count):
    found = b""
    while len(found) < count:
        part = line.recv(count - len(found))
        if not part:
            break
        found += part
    return found


def test_it_changes_nothing_until_it_is_told_to(proxy):
    """Bytes come as they went, and are counted each way."""
    data = bytes(range(256)) * 1000

    with connect(proxy) as line:
        found = said_back(line, data)

    assert found == data
    assert (proxy.sent, proxy.received) == (len(data), len(data))
    assert (proxy.connections[0].up, proxy.connections[0].down) == (len(data), len(data))


def test_a_cut_is_a_reset_after_so_many_bytes_and_the_next_connection_holds(proxy):
    """A client learns of it as it would of a firewall's reset."""
    proxy.cut_after(1000, times=2)

    for _ in range(2):
        with connect(proxy) as line:
            line.sendall(bytes(1000))
            with pytest.raises(ConnectionResetError):
                read(line, 1001)
    with connect(proxy) as line:
        found = said_back(line, bytes(5000))

    assert len(found) == 5000
    assert proxy.resets == 2


def test_bandwidth_is_what_was_asked_for(proxy):
    """25 kB at 400 kbit/s take half a second up, whatever comes down."""
    proxy.bandwidth(400_000, down=False)

    with connect(proxy) as line:
        began = time.monotonic()
        said_back(line, bytes(25_000))
        took = time.monotonic() - began

    assert 0.4 < took < 1.5


def test_latency_is_added_both_ways(proxy):
    """A round trip takes twice as long."""
    proxy.latency(0.1, jitter=0.01)

    with connect(proxy) as line:
        began = time.monotonic()
        found = said_back(line, b"ping")
        took = time.monotonic() - began

    assert found == b"ping"
    assert 0.18 <= took < 1.0


def test_a_black_hole_keeps_the_connection_open_and_says_nothing(proxy):
    """The client waits; a new connection is as good as before."""
    with connect(proxy) as line:
        said_back(line, b"before")
        proxy.truncate_after(3)
        line.sendall(b"after")
        line.settimeout(0.3)
        with pytest.raises(TimeoutError):
            read(line, 4)
        with connect(proxy) as another:
            assert said_back(another, b"new") == b"new"


def test_one_bit_is_flipped_where_it_was_asked_for(proxy):
    """And no other, before or after."""
    proxy.corrupt(7)

    with connect(proxy) as line:
        found = said_back(line, bytes(20))
        again = said_back(line, bytes(20))

    assert found == bytes(7) + b"\x01" + bytes(12)
    assert again == bytes(20)


def test_what_is_down_refuses_and_comes_back_at_the_same_address(proxy):
    """As a coordinator that is started again does."""
    address = proxy.address
    with connect(proxy) as line:
        said_back(line, b"here")
        proxy.down()

        with pytest.raises(OSError, match=r"reset|Broken|refused"):
            said_back(line, b"gone")
        with pytest.raises(ConnectionRefusedError):
            connect(proxy)
    proxy.up()

    assert proxy.address == address
    with connect(proxy) as line:
        assert said_back(line, b"again") == b"again"


def test_idle_connections_are_held_until_the_end(proxy):
    """Each of them has reached the server."""
    with slow_loris(proxy.address, 20, says=b"x") as idle:
        assert [read(each, 1) for each in idle] == [b"x"] * 20
        assert proxy.open_connections() == 20
