"""What a process says of its health, to whom a plaintext door is enough."""

import asyncio
import socket
import threading
from contextlib import asynccontextmanager

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from coordinator.wire import health as module
from coordinator.wire.health import (
    LIVENESS,
    OVERALL,
    READINESS,
    STORAGE,
    STUCK_SECONDS,
    Health,
    open_door,
)
from privacy.errors import AddressTaken, StoreUnavailable

SERVING = health_pb2.HealthCheckResponse.SERVING
SERVICES = (OVERALL, READINESS, LIVENESS)
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.fixture(autouse=True)
def _often(monkeypatch):
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.01)


@pytest.fixture
def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@asynccontextmanager
async def watched(health):
    """Let it look, and return what it says: overall, readiness, liveness."""
    watching = asyncio.create_task(health.watch())

    async def said():
        await asyncio.sleep(0.1)
        asked = [health_pb2.HealthCheckRequest(service=each) for each in SERVICES]
        return tuple([(await health.servicer.Check(each, None)).status for each in asked])

    yield said
    watching.cancel()


async def of(health, service):
    """Return what it says of one service."""
    return (
        await health.servicer.Check(health_pb2.HealthCheckRequest(service=service), None)
    ).status


async def begun():
    health = Health()
    await health.begin()
    return health


async def test_who_has_begun_lives_and_serves_nothing():
    """A standby, or a process that still opens its database."""
    async with watched(await begun()) as said:
        assert await said() == (NOT_SERVING, NOT_SERVING, SERVING)


async def test_who_serves_says_so():
    health = await begun()

    async with watched(health) as said:
        await health.serves(True)
        assert await said() == (SERVING, SERVING, SERVING)
        await health.serves(False)
        assert await said() == (NOT_SERVING, NOT_SERVING, SERVING)


async def test_who_stops_says_so_at_once_and_for_good():
    health = await begun()
    await health.serves(True)

    async with watched(health) as said:
        await health.stop()
        await health.serves(True)
        assert await said() == (NOT_SERVING, NOT_SERVING, SERVING)


async def test_who_cannot_reach_its_database_is_not_ready_and_lives():
    """To be started again would not help; to be asked by nobody does."""
    health = await begun()

    def broken():
        raise StoreUnavailable("no answer")

    health.probe = broken
    async with watched(health) as said:
        await health.serves(True)
        assert await said() == (SERVING, NOT_SERVING, SERVING)


async def test_a_database_that_never_answers_takes_one_thread_and_readiness(monkeypatch):
    monkeypatch.setattr(module, "PROBE_SECONDS", 0.02)
    health, asked, answer = await begun(), [], threading.Event()

    def hang():
        asked.append(1)
        answer.wait(5)

    health.probe = hang
    async with watched(health) as said:
        await health.serves(True)
        assert (await said())[1] == NOT_SERVING
        assert len(asked) == 1
        answer.set()


async def test_a_programme_that_stands_still_for_too_long_is_not_alive():
    """The tick hangs: nothing but a new start helps."""
    health = await begun()
    health.quiet_seconds = lambda: STUCK_SECONDS

    async with watched(health) as said:
        assert (await said())[2] == NOT_SERVING
        health.quiet_seconds = lambda: STUCK_SECONDS - 1
        assert (await said())[2] == SERVING


async def test_damage_is_said_of_the_storage_and_of_nothing_else():
    """It wants an operator; a new start, or another address, mends no disk."""
    health = await begun()
    await health.serves(True)

    async with watched(health) as said:
        health.is_damaged = lambda: True
        assert await said() == (SERVING, SERVING, SERVING)
        assert await of(health, STORAGE) == NOT_SERVING
        health.is_damaged = lambda: False
        await said()
        assert await of(health, STORAGE) == SERVING


async def test_the_door_answers_nothing_but_health(free_port):
    address = f"127.0.0.1:{free_port}"
    door = await open_door(address, await begun())

    async with grpc.aio.insecure_channel(address) as channel:
        request = health_pb2.HealthCheckRequest(service=LIVENESS)
        answer = await health_pb2_grpc.HealthStub(channel).Check(request)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await channel.unary_unary("/veilsum.v1.RoundService/GetPlan")(b"")
        other = health_pb2.HealthCheckRequest(service="veilsum.v1.RoundService")
        with pytest.raises(grpc.aio.AioRpcError) as unknown:
            await health_pb2_grpc.HealthStub(channel).Check(other)
    await door.stop(None)

    assert answer.status == SERVING
    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert unknown.value.code() is grpc.StatusCode.NOT_FOUND


async def test_a_door_that_cannot_be_opened_stops_the_start():
    with pytest.raises(AddressTaken, match=r"listen\.health: 192\.0\.2\.1:1 is in use or not"):
        await open_door("192.0.2.1:1", Health())


async def test_nothing_of_a_programme_that_was_led_is_asked_or_kept():
    """Its probe would hold all of it in memory until this process leads again."""
    health = await begun()
    health.quiet_seconds, health.is_damaged = lambda: STUCK_SECONDS, lambda: True

    def broken():
        raise StoreUnavailable("of a programme that was led")

    health.probe = broken

    health.forget()

    async with watched(health) as said:
        await health.serves(True)
        assert await said() == (SERVING, SERVING, SERVING)
        assert await of(health, STORAGE) == SERVING
