"""The joining port: who has no certificate is held to a pace, and is in no member's way."""

import asyncio
import os
import ssl
import threading
import time
from contextlib import asynccontextmanager
from types import SimpleNamespace

import grpc
import grpc.aio
import pytest

from coordinator import server
from coordinator.build import Built
from coordinator.members.enrolment import Enrolment
from coordinator.replicas.gate import Gate
from coordinator.wire.join_servicer import AUTHORITY_AT_ONCE
from coordinator.wire.pace import BURST
from coordinator.wire.tls import joining_credentials
from participant.wire.channel import open_joining_channel
from tests.coordinator.members.desk import Desk
from tests.coordinator.served import channel_of, served
from tests.fakes import SITES
from tests.loopback import make_federation
from tests.toxic import HALF_A_HELLO, slow_loris
from veilsum.v1 import joining_pb2, joining_pb2_grpc, round_pb2

PLAN = "/veilsum.v1.RoundService/GetPlan"
MEMBER = f"spiffe://oncology/participant/{SITES[0]}"
UNKNOWN = joining_pb2.RequestEnrolmentRequest(token=bytes(32), entry=b"{}")


@pytest.fixture(scope="module")
def certified():
    return make_federation()


@asynccontextmanager
async def joining(opened, certified):
    """Serve the process's own joining server, with an office over a store in memory."""
    office, service = Desk(), opened.service
    enrolment = Enrolment(
        office.store, office.rosters, office.issuing, office.clock, os.urandom, office.step
    )
    wanted = SimpleNamespace(addresses=("veilsum.example.org:8443",))
    settings = SimpleNamespace(enrolment=wanted, federation=opened.settings.federation)
    built = Built(settings, service, None, -1)
    built.__dict__["office"] = SimpleNamespace(enrolment=enrolment)
    made = server._joining_server(built, Gate(lambda: None))
    credentials = joining_credentials(certified.server.certificate_pem, certified.server.key_pem)
    port = made.add_secure_port("127.0.0.1:0", credentials)
    await made.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await made.stop(None)


def stranger(address, certified):
    """A channel of somebody without a certificate."""
    return open_joining_channel(address, certified.authority.certificate_pem)


async def code_of(call):
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    return refused.value.code()


async def test_tokens_are_guessed_at_no_more_than_five_at_once_and_one_a_second(opened, certified):
    """S3, over the wire: from one address, on however many connections."""
    asked = 3 * BURST
    async with joining(opened, certified) as address:
        began = time.monotonic()

        async def guess(_):
            async with stranger(address, certified) as channel:
                stub = joining_pb2_grpc.JoinServiceStub(channel)
                return await code_of(stub.RequestEnrolment(UNKNOWN, timeout=10))

        codes = await asyncio.gather(*map(guess, range(asked)))
        took = time.monotonic() - began
        async with stranger(address, certified) as channel:
            stub = joining_pb2_grpc.JoinServiceStub(channel)
            renewal = await code_of(stub.RenewEnded(joining_pb2.RenewEndedRequest(), timeout=10))

    slowed = codes.count(grpc.StatusCode.UNAVAILABLE)
    assert asked - slowed <= BURST + took + 1
    assert slowed > 0
    assert renewal is grpc.StatusCode.UNAVAILABLE  # one turn for both questions


async def test_the_authority_is_shown_at_a_pace_of_its_own(opened, certified):
    """Whoever asks for nothing else is slowed down, and who joins has its turn for the token."""
    async with joining(opened, certified) as address, stranger(address, certified) as channel:
        stub = joining_pb2_grpc.JoinServiceStub(channel)
        asked = joining_pb2.GetAuthorityRequest()
        tries = [stub.GetAuthority(asked, timeout=10) for _ in range(3 * AUTHORITY_AT_ONCE)]

        codes = [await each.code() for each in tries]

        assert codes.count(grpc.StatusCode.OK) >= AUTHORITY_AT_ONCE
        assert grpc.StatusCode.UNAVAILABLE in codes
        await asyncio.sleep(0.5)  # until the port as a whole answers this address again
        answered = await code_of(stub.RequestEnrolment(UNKNOWN, timeout=10))
        assert answered is grpc.StatusCode.INVALID_ARGUMENT


async def test_who_has_waited_is_answered_again(opened, certified):
    """The bound is a pace, and shuts nobody out."""
    async with joining(opened, certified) as address, stranger(address, certified) as channel:
        stub = joining_pb2_grpc.JoinServiceStub(channel)
        codes = [
            await code_of(stub.RequestEnrolment(UNKNOWN, timeout=10)) for _ in range(BURST + 1)
        ]

        await asyncio.sleep(1.1)

        last = await code_of(stub.RequestEnrolment(UNKNOWN, timeout=10))
    assert codes[-1] is grpc.StatusCode.UNAVAILABLE
    assert last is codes[0] is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_question_of_more_than_64_kib_is_not_read(opened, certified):
    """Whoever asks has shown nothing yet."""
    large = joining_pb2.RequestEnrolmentRequest(entry=bytes(server.LARGEST_REQUEST + 1))
    async with joining(opened, certified) as address, stranger(address, certified) as channel:
        stub = joining_pb2_grpc.JoinServiceStub(channel)

        code = await code_of(stub.RequestEnrolment(large, timeout=10))

    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_nothing_of_the_members_port_is_answered_at_the_joining_port(opened, certified):
    async with joining(opened, certified) as address, stranger(address, certified) as channel:
        request = round_pb2.GetPlanRequest(round=1).SerializeToString()

        code = await code_of(channel.unary_unary(PLAN)(request, timeout=10))

    assert code is grpc.StatusCode.UNIMPLEMENTED


async def test_hundreds_of_idle_connections_at_the_joining_port_hinder_no_member(opened, certified):
    """Silent ones, halves of handshakes, and whole ones that say nothing; a newcomer joins too."""
    tls = ssl.create_default_context(cadata=certified.authority.certificate_pem.decode())
    tls.set_alpn_protocols(["h2"])
    held, released = threading.Event(), threading.Event()
    async with (
        joining(opened, certified) as door,
        served(opened.service, certified, opened.settings) as address,
        channel_of(address, certified, MEMBER) as channel,
    ):

        def hold():
            with (
                slow_loris(door, 100),
                slow_loris(door, 60, says=HALF_A_HELLO),
                slow_loris(door, 40, tls=tls),
            ):
                held.set()
                released.wait()

        holding = asyncio.create_task(asyncio.to_thread(hold))
        await asyncio.to_thread(held.wait)
        try:
            took = [await seconds_for_a_plan(channel) for _ in range(20)]
            async with channel_of(address, certified, MEMBER) as another:
                took.append(await seconds_for_a_plan(another))
            async with stranger(door, certified) as newcomer:
                began = time.monotonic()
                stub = joining_pb2_grpc.JoinServiceStub(newcomer)
                shown = await stub.GetAuthority(joining_pb2.GetAuthorityRequest(), timeout=10)
                took.append(time.monotonic() - began)
        finally:
            released.set()
            await holding

    assert shown.authority.startswith(b"-----BEGIN CERTIFICATE-----")
    assert max(took) < 2


async def seconds_for_a_plan(channel):
    began = time.monotonic()
    request = round_pb2.GetPlanRequest(round=1).SerializeToString()
    await channel.unary_unary(PLAN)(request, timeout=10)
    return time.monotonic() - began


async def test_a_handshake_at_the_joining_port_that_never_ends_is_ended(
    opened, certified, monkeypatch
):
    """In ten seconds; in this test, in one."""
    options = {**dict(server._JOINING_OPTIONS), "grpc.server_handshake_timeout_ms": 1_000}
    assert dict(server._JOINING_OPTIONS)["grpc.server_handshake_timeout_ms"] == 10_000
    monkeypatch.setattr(server, "_JOINING_OPTIONS", tuple(options.items()))
    async with joining(opened, certified) as address:

        def wait_to_be_let_go():
            with slow_loris(address, 3, says=HALF_A_HELLO) as idle:
                for each in idle:
                    each.settimeout(10)
                    assert each.recv(100) == b""

        await asyncio.to_thread(wait_to_be_let_go)
