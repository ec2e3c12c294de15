"""Calls whose message never comes, from who is shut out and from who has no certificate.

gRPC counts a call from its headers, waits for its message without end, and then asks nobody else.
Each attack has its control: the same calls beside a guard that leaves the waiting to gRPC, as a
server has it by itself, where the very same attacker takes all the calls there are.
"""

import asyncio
import time

import grpc
import grpc.aio
import pytest
from structlog.testing import capture_logs

from coordinator import server
from coordinator.members.revocations import Revocations
from coordinator.wire import interceptors
from coordinator.wire.interceptors import CALLS_OF_AN_ADDRESS, ERROR_CODE, LINES_OF_NOBODY
from participant.wire.channel import open_joining_channel
from tests.coordinator.served import channel_of, served
from tests.coordinator.wire.test_joining_port import joining
from tests.fakes import SITES, Federation
from tests.loopback import make_federation
from veilsum.release import METADATA, RELEASE
from veilsum.v1 import joining_pb2, joining_pb2_grpc, round_pb2

PLAN = "/veilsum.v1.RoundService/GetPlan"
AUTHORITY = "/veilsum.v1.JoinService/GetAuthority"
HEALTH = "/grpc.health.v1.Health/Watch"
THIEF, MEMBER = (f"spiffe://oncology/participant/{name}" for name in SITES[:2])
SAID = ((METADATA, RELEASE),)
ROOM = 32
"""Calls that a server under test takes at once."""


@pytest.fixture(scope="module")
def certified():
    return make_federation()


@pytest.fixture
def opened():
    federation = Federation()
    federation.open_round()
    federation.service.revocations = Revocations(federation.service.store, time.time)
    return federation


@pytest.fixture
def narrow(monkeypatch):
    """Servers that take few calls, so that a test need not open thousands."""
    monkeypatch.setattr(server, "MOST_CALLS", ROOM)
    monkeypatch.setattr(server, "CALLS_FOR_OPERATORS", 0)
    monkeypatch.setattr(server, "MOST_JOINING_CALLS", 16)


@pytest.fixture(params=[True, False], ids=["guarded", "left to gRPC"])
def guarded(request, monkeypatch):
    """Whether calls are asked for when they begin, or by gRPC once their message is there."""
    if not request.param:
        ask = interceptors.Guard.intercept_service

        async def late(self, continuation, details):
            handler = await continuation(details)
            made = await ask(self, continuation, details)
            if handler is None or handler.request_streaming or handler.response_streaming:
                return made

            async def once(message, context):
                async def requests():
                    yield message

                return await made.stream_unary(requests(), context)

            return grpc.unary_unary_rpc_method_handler(
                once, handler.request_deserializer, handler.response_serializer
            )

        monkeypatch.setattr(interceptors.Guard, "intercept_service", late)
    return request.param


def half_open(channel, path, count):
    """Begin calls, and send no message over any of them."""
    return [channel.stream_unary(path)(metadata=SAID) for _ in range(count)]


async def code_of(started):
    try:
        await started
    except grpc.aio.AioRpcError as error:
        return error.code()


async def codes_within(started, seconds):
    """Return the statuses of those calls that have ended by then; the others stay as they are."""
    until = time.monotonic() + seconds
    while time.monotonic() < until and not all(each.done() for each in started):
        await asyncio.sleep(0.05)
    return [await code_of(each) for each in started if each.done()]


async def test_who_is_shut_out_keeps_no_call_open(certified, opened, narrow, guarded):
    """It has its certificate yet, and gets as far as a call's headers on every connection."""
    opened.service.revocations.revoke(SITES[0], "stolen", "operator")
    request = round_pb2.GetPlanRequest(round=1).SerializeToString()
    async with served(opened.service, certified) as address:
        thief, member = (channel_of(address, certified, each) for each in (THIEF, MEMBER))
        held = half_open(thief, PLAN, ROOM)

        ended = await codes_within(held, 2)
        answer = await code_of(member.unary_unary(PLAN)(request, timeout=5))

        await thief.close()
        await member.close()

    assert ended == ([grpc.StatusCode.PERMISSION_DENIED] * ROOM if guarded else [])
    assert answer is (None if guarded else grpc.StatusCode.RESOURCE_EXHAUSTED)


async def test_who_is_shut_out_while_its_message_is_waited_for_waits_no_longer(certified, opened):
    async with (
        served(opened.service, certified) as address,
        channel_of(address, certified, THIEF) as channel,
    ):
        held = half_open(channel, PLAN, 4)
        await asyncio.sleep(0.3)
        begun = [each.done() for each in held]

        opened.service.revocations.revoke(SITES[0], "stolen", "operator")

        ended = await codes_within(held, 2)
    assert not any(begun)
    assert ended == [grpc.StatusCode.PERMISSION_DENIED] * 4


async def test_a_members_message_is_waited_for_and_not_for_ever(certified, opened, monkeypatch):
    """As long as the slowest line takes; in this test, a second. In time it is answered."""
    monkeypatch.setattr(interceptors, "SLOWEST_CHUNK_SECONDS", 1.0)
    request = round_pb2.GetPlanRequest(round=1).SerializeToString()
    async with (
        served(opened.service, certified) as address,
        channel_of(address, certified, MEMBER) as channel,
    ):
        late, in_time = half_open(channel, PLAN, 2)
        await asyncio.sleep(0.5)
        await in_time.write(request)

        answer = await in_time

        assert answer
        assert await codes_within([late], 2) == [grpc.StatusCode.UNAVAILABLE]


async def test_watching_health_takes_a_share_as_well(certified, opened, monkeypatch):
    """It is asked by nobody in particular, over the port that all members need."""
    monkeypatch.setattr(interceptors, "CALLS_OF_A_CALLER", 4)
    async with (
        served(opened.service, certified) as address,
        channel_of(address, certified, THIEF) as channel,
    ):
        ended = await codes_within(half_open(channel, HEALTH, 10), 1)

    assert ended == [grpc.StatusCode.UNAVAILABLE] * 6


async def test_strangers_keep_nobody_from_joining(certified, opened, narrow, guarded, monkeypatch):
    """From one address, over five connections, and without a certificate."""
    monkeypatch.setattr(interceptors, "STRANGERS_SECONDS", 1.0)
    async with joining(opened, certified) as address:
        root = certified.authority.certificate_pem
        strangers = [open_joining_channel(address, root) for _ in range(5)]
        held = [each for one in strangers for each in half_open(one, AUTHORITY, 4)]
        await codes_within(held, 4)
        async with open_joining_channel(address, root) as newcomer:
            stub = joining_pb2_grpc.JoinServiceStub(newcomer)

            asked = stub.GetAuthority(joining_pb2.GetAuthorityRequest(), timeout=5)
            answer = await code_of(asked)

        for each in strangers:
            await each.close()

    assert answer is (None if guarded else grpc.StatusCode.RESOURCE_EXHAUSTED)


async def test_one_address_has_few_calls_under_way_at_the_joining_port(certified, opened):
    async with (
        joining(opened, certified) as address,
        open_joining_channel(address, certified.authority.certificate_pem) as first,
        open_joining_channel(address, certified.authority.certificate_pem) as second,
        open_joining_channel(address, certified.authority.certificate_pem) as third,
    ):
        held = [each for one in (first, second, third) for each in half_open(one, AUTHORITY, 4)]

        ended = await codes_within(held, 2)

    assert ended == [grpc.StatusCode.UNAVAILABLE] * (len(held) - CALLS_OF_AN_ADDRESS)


async def test_what_strangers_send_fills_no_log(certified, opened):
    """Another text with each call, 4 KB of it, and escapes for the operator's terminal."""
    # Not one of ours, which would say the release that it is.
    root = grpc.ssl_channel_credentials(certified.authority.certificate_pem)
    with capture_logs() as said:
        async with (
            joining(opened, certified) as address,
            grpc.aio.secure_channel(address, root) as channel,
        ):
            calls = [
                channel.unary_unary(AUTHORITY)(b"", metadata=((METADATA, f"9.{at}" + "x" * 4000),))
                for at in range(200)
            ]
            ended = await codes_within(calls, 5)
            # Some gRPC resets by itself, more of them on a slower machine: nobody hears of those.
            answered = [
                each for each in calls if ERROR_CODE in dict(await each.trailing_metadata())
            ]
            await asyncio.sleep(1.1)
            await code_of(channel.unary_unary(AUTHORITY)(b"", metadata=((METADATA, "9.9"),)))

    lines = [each for each in said if each["event"] == "call_refused"]
    assert len(ended) == 200
    assert 1 < len(lines) <= LINES_OF_NOBODY + 6
    assert len(answered) > 2 * len(lines)  # the control: one line each would be far more
    assert len(lines) + sum(each.get("unsaid", 0) for each in lines) >= len(answered)
    assert all(len(each["reason"]) <= interceptors.LONGEST_REASON + 1 for each in lines)
