"""A call that is given up ends at the coordinator, though its answer's release is looked at."""

import asyncio
import time

import grpc.aio
import pytest

from coordinator import server
from coordinator.wire import interceptors
from coordinator.wire.credits import Transfers
from coordinator.wire.interceptors import Shares
from participant.wire.addresses import Addresses
from participant.wire.channel import open_channel
from tests import fakes
from tests.coordinator.served import served
from tests.loopback import make_federation
from veilsum.v1 import contribution_pb2, round_pb2

NAME = fakes.SITES[0]
URI = f"spiffe://oncology/participant/{NAME}"
SECONDS = 1.0
"""Within this a call that nobody waits for is over at the coordinator."""


@pytest.fixture(scope="module")
def certified():
    return make_federation()


@pytest.fixture
def shares(monkeypatch):
    """What callers have under way, as the coordinator counts it."""
    made = Shares()
    monkeypatch.setattr(interceptors, "Shares", lambda: made)
    return made


@pytest.fixture
def transfers(monkeypatch):
    """The room for what uploads have under way."""
    made = Transfers(8)
    monkeypatch.setattr(server, "Transfers", lambda _: made)
    return made


@pytest.fixture
def federation():
    made = fakes.Federation()
    made.open_round()
    return made


def one_address(address, certified):
    return open_channel(address, certified.forged(URI))


def two_addresses(address, certified):
    return Addresses([one_address(address, certified) for _ in range(2)])


def long_poll(federation, channel):
    """Ask for what is new, and wait longer than this test."""
    seen = federation.service.rounds.revision
    request = round_pb2.WatchRoundsRequest(seen=seen, wait_seconds=20)
    return channel.unary_unary("/veilsum.v1.RoundService/WatchRounds")(request.SerializeToString())


def upload(_, channel):
    """Begin an upload, and wait for what it answers to nothing."""
    return channel.stream_stream("/veilsum.v1.ContributionService/PutChunks")()


async def answer_of(call):
    return await (call.read() if hasattr(call, "read") else call)


async def by_its_task(_, __, task):
    task.cancel()


async def by_the_call(call, _, __):
    call.cancel()


async def by_the_channel(_, channel, __):
    await channel.close(None)


async def until(holds):
    """Return how many seconds it took; no more than five."""
    began = time.monotonic()
    while not holds() and time.monotonic() < began + 5:
        await asyncio.sleep(0.01)
    return time.monotonic() - began


@pytest.mark.parametrize(
    ("opened", "begin", "give_up"),
    [
        (one_address, long_poll, by_its_task),
        (one_address, long_poll, by_the_call),
        (one_address, long_poll, by_the_channel),
        (one_address, upload, by_its_task),
        (one_address, upload, by_the_call),
        (one_address, upload, by_the_channel),
        (two_addresses, long_poll, by_its_task),
        (two_addresses, long_poll, by_the_channel),
        (two_addresses, upload, by_its_task),
        (two_addresses, upload, by_the_call),
        (two_addresses, upload, by_the_channel),
    ],
)
async def test_a_call_that_is_given_up_gives_its_place_back(
    certified, shares, federation, opened, begin, give_up
):
    """A member has so many places; calls of which it knows nothing any more would take them."""
    async with served(federation.service, certified) as address:
        channel = opened(address, certified)
        call = begin(federation, channel)
        task = asyncio.ensure_future(answer_of(call))
        await until(lambda: shares._calls[NAME])

        await give_up(call, channel, task)

        assert await until(lambda: not shares._calls[NAME]) < SECONDS
        await asyncio.wait({task})
        assert task.cancelled()
        await channel.close(None)


async def test_an_upload_that_is_given_up_gives_its_credit_back(certified, transfers, federation):
    """In the middle of a chunk: what is here of it stays, in room that others may have."""
    part = contribution_pb2.PutChunksRequest(round=1, payload=bytes(16 << 10), length=1 << 20)
    async with served(federation.service, certified) as address:
        channel = one_address(address, certified)
        call = upload(federation, channel)
        await call.write(part.SerializeToString())
        assert await call.read() is not grpc.aio.EOF
        assert transfers._sending[NAME]

        call.cancel()

        assert await until(lambda: not transfers._sending[NAME]) < SECONDS
        assert list(transfers._idle) == [NAME]
        await channel.close(None)
