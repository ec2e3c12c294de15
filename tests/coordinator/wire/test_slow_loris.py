"""Connections that never get to a call take nobody's place, and are let go."""

import asyncio
import ssl
import threading
import time

import pytest

from coordinator import server
from tests.coordinator.served import channel_of, served
from tests.fakes import SITES
from tests.loopback import make_federation
from tests.toxic import HALF_A_HELLO, slow_loris
from veilsum.v1 import round_pb2

PLAN = "/veilsum.v1.RoundService/GetPlan"
MEMBER = f"spiffe://oncology/participant/{SITES[0]}"


@pytest.fixture(scope="module")
def certified():
    return make_federation()


def tls_of(certified, tmp_path):
    """Return what opens a good handshake in a member's name."""
    member = certified.forged(MEMBER)
    (tmp_path / "member.pem").write_bytes(member.certificate_pem)
    (tmp_path / "member.key").write_bytes(member.key_pem)
    context = ssl.create_default_context(cadata=member.authority_pem.decode())
    context.load_cert_chain(tmp_path / "member.pem", tmp_path / "member.key")
    context.set_alpn_protocols(["h2"])
    return context


async def seconds_for_a_plan(channel):
    began = time.monotonic()
    request = round_pb2.GetPlanRequest(round=1).SerializeToString()
    await channel.unary_unary(PLAN)(request, timeout=10)
    return time.monotonic() - began


async def test_a_member_is_answered_beside_hundreds_of_idle_connections(
    opened, certified, tmp_path
):
    """Silent ones, halves of handshakes, and whole ones that say nothing afterwards."""
    async with (
        served(opened.service, certified, opened.settings) as address,
        channel_of(address, certified, MEMBER) as channel,
    ):
        await seconds_for_a_plan(channel)

        def hold():
            tls = tls_of(certified, tmp_path)
            with (
                slow_loris(address, 100),
                slow_loris(address, 100, says=HALF_A_HELLO),
                slow_loris(address, 50, tls=tls),
            ):
                held.set()
                released.wait()

        held, released = threading.Event(), threading.Event()
        holding = asyncio.create_task(asyncio.to_thread(hold))
        await asyncio.to_thread(held.wait)
        took = [await seconds_for_a_plan(channel) for _ in range(20)]
        async with channel_of(address, certified, MEMBER) as another:
            took.append(await seconds_for_a_plan(another))
        released.set()
        await holding

    assert max(took) < 2


async def test_a_handshake_that_never_ends_is_ended(opened, certified, monkeypatch):
    """In twenty seconds; in this test, in one."""
    options = tuple({**dict(server._OPTIONS), "grpc.server_handshake_timeout_ms": 1_000}.items())
    monkeypatch.setattr(server, "_OPTIONS", options)
    async with served(opened.service, certified, opened.settings) as address:

        def wait_to_be_let_go():
            with slow_loris(address, 3, says=HALF_A_HELLO) as idle:
                for each in idle:
                    each.settimeout(10)
                    assert each.recv(100) == b""

        await asyncio.to_thread(wait_to_be_let_go)

    assert dict(server._OPTIONS)["grpc.server_handshake_timeout_ms"] == 1_000


def test_what_a_server_allows_is_bounded():
    """Calls over all connections, streams of one, and how long a connection may say nothing."""
    options = dict(server._OPTIONS)

    assert server.MOST_CALLS <= 8192
    assert options["grpc.max_concurrent_streams"] <= 64
    assert options["grpc.max_connection_idle_ms"] <= 300_000
