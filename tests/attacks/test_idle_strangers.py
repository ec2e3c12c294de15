"""Whoever has no certificate holds connections at the joining port, and says nothing over them.

Members are served by the same process: its descriptors are theirs. Each attack stands beside the
same port without what bounds it, where the very same attacker keeps all it has opened.
"""

import asyncio
import socket
import ssl
import time
from contextlib import asynccontextmanager, closing

import grpc.aio
import pytest

from coordinator import server
from coordinator.wire.tls import joining_credentials
from tests.loopback import make_federation

HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes.fromhex("000000040000000000")
BOUND = 8


@pytest.fixture(scope="module")
def certified():
    return make_federation()


def options(**changed):
    """The port's own options, some of them smaller so that a test need not wait."""
    names = {"idle": "grpc.max_connection_idle_ms", "most": "grpc.max_allowed_incoming_connections"}
    found = dict(server._JOINING_OPTIONS)
    for key, value in changed.items():
        found.pop(names[key])
        if value is not None:
            found[names[key]] = value
    return tuple(found.items())


@asynccontextmanager
async def port_of(certified, chosen):
    made = grpc.aio.server(options=chosen)
    credentials = joining_credentials(certified.server.certificate_pem, certified.server.key_pem)
    port = made.add_secure_port("127.0.0.1:0", credentials)
    await made.start()
    try:
        yield port
    finally:
        await made.stop(None)


def connected(port):
    """Return a connection that has shaken hands and asks nothing, or None if it is let go."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    try:
        found = context.wrap_socket(
            socket.create_connection(("127.0.0.1", port), 3), server_hostname="x"
        )
        found.sendall(HELLO)
        found.settimeout(1)
        return found if found.recv(64) else None
    except OSError:
        return None


def is_let_go(found, seconds):
    """Return whether the server ends a connection within so many seconds."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        found.settimeout(left)
        try:
            if not found.recv(1 << 12):
                return True
        except TimeoutError:
            return False
        except OSError:
            return True
    return False


@pytest.mark.parametrize(("most", "held"), [(BOUND, BOUND), (None, 2 * BOUND)])
async def test_strangers_have_so_many_connections_and_no_more(certified, most, held):
    """Beside it: without the bound every one of them stays."""
    async with port_of(certified, options(most=most)) as port:
        found = [await _apart(connected, port) for _ in range(2 * BOUND)]
        kept = [each for each in found if each is not None]

        count = len(kept)

        for each in kept:
            each.close()
    assert count == held


@pytest.mark.parametrize(("idle", "let_go"), [(500, True), (900_000, False)])
async def test_who_asks_nothing_is_let_go(certified, idle, let_go):
    """Beside it: at a members' port, where a connection may be idle for a quarter of an hour."""
    async with port_of(certified, options(idle=idle)) as port:
        found = await _apart(connected, port)
        with closing(found):
            gone = await _apart(is_let_go, found, 1.5)

    assert gone is let_go


def test_the_port_is_bounded_in_seconds_and_in_connections():
    """What is tried above with smaller figures."""
    found = dict(server._JOINING_OPTIONS)

    assert found["grpc.max_connection_idle_ms"] <= 10_000
    assert found["grpc.max_connection_age_ms"] <= 60_000
    assert found["grpc.server_handshake_timeout_ms"] <= 10_000
    assert found["grpc.max_allowed_incoming_connections"] == server.MOST_JOINING_CONNECTIONS <= 256
    assert found["grpc.max_receive_message_length"] == server.LARGEST_REQUEST


async def _apart(function, *arguments):
    return await asyncio.to_thread(function, *arguments)
