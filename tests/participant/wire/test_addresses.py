"""A site with several addresses of its coordinator finds the one that serves."""

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager

import grpc
import pytest

from coordinator.replicas.gate import StandingBy, turn_away
from coordinator.wire.tls import server_credentials
from participant.wire.addresses import Addresses
from participant.wire.channel import open_channel
from tests.loopback import make_federation, new_keys

ASK, STREAM, REFUSED = "/test/Ask", "/test/Stream", "/test/Refused"
HERE = b"answered here"


class Serving(grpc.GenericRpcHandler):
    """A coordinator that leads: it answers, and has its own reasons to refuse."""

    def service(self, details):
        async def answer(_, context):
            if details.method == REFUSED:
                context.set_trailing_metadata((("veilsum-error", "store_unavailable"),))
                await context.abort(grpc.StatusCode.UNAVAILABLE, "not now")
            yield HERE

        return grpc.stream_stream_rpc_method_handler(answer)


class SlowStandby(StandingBy):
    """A standby that takes its time to end a stream."""

    def service(self, details):
        async def refuse(_, context):
            await asyncio.sleep(0.2 if details.method == STREAM else 0)
            await turn_away(context)
            yield b""

        return grpc.stream_stream_rpc_method_handler(refuse)


@pytest.fixture
def certified():
    return make_federation()


@asynccontextmanager
async def coordinator(certified, handler):
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((handler,))
    credentials = server_credentials(
        certified.server.certificate_pem,
        certified.server.key_pem,
        certified.authority.certificate_pem,
    )
    port = server.add_secure_port("127.0.0.1:0", credentials)
    await server.start()
    yield f"127.0.0.1:{port}"
    await server.stop(None)


def standby(certified):
    return coordinator(certified, StandingBy())


def leader(certified):
    return coordinator(certified, Serving())


@asynccontextmanager
async def over(certified, *addresses):
    site = certified.site(new_keys())
    async with Addresses([open_channel(each, site) for each in addresses]) as channel:
        yield channel


async def test_one_call_finds_the_address_that_serves(certified):
    """The first is not there, the second stands by; nobody has to wait or to try again."""
    async with AsyncExitStack() as stack:
        waiting = await stack.enter_async_context(standby(certified))
        serving = await stack.enter_async_context(leader(certified))
        channel = await stack.enter_async_context(over(certified, "127.0.0.1:1", waiting, serving))

        answers = [await channel.unary_unary(ASK)(b"", timeout=5) for _ in range(2)]

    assert answers == [HERE] * 2


async def test_only_after_all_addresses_a_call_fails(certified):
    async with standby(certified) as waiting, over(certified, "127.0.0.1:1", waiting) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await channel.unary_unary(ASK)(b"", timeout=5)

    assert ("veilsum-error", "standby") in list(failed.value.trailing_metadata())


async def test_what_the_serving_address_refuses_is_asked_nowhere_else(certified):
    """A refusal is an answer; asking the next one would hide it behind a standby's."""
    async with (
        leader(certified) as serving,
        standby(certified) as waiting,
        over(certified, serving, waiting) as channel,
    ):
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await channel.unary_unary(REFUSED)(b"", timeout=5)
        answer = await channel.unary_unary(ASK)(b"", timeout=5)

    assert ("veilsum-error", "store_unavailable") in list(failed.value.trailing_metadata())
    assert answer == HERE


async def test_a_stream_that_is_turned_away_goes_to_the_next_address_when_it_is_tried_again(
    certified,
):
    async with (
        standby(certified) as waiting,
        leader(certified) as serving,
        over(certified, waiting, serving) as channel,
    ):
        with pytest.raises(grpc.aio.AioRpcError):
            await anext(aiter(channel.unary_stream(STREAM)(b"")))
        again = await anext(aiter(channel.unary_stream(STREAM)(b"")))

    assert again == HERE


async def test_what_fails_late_leads_nobody_away_from_the_address_that_serves(certified):
    """A stream to the one that has gone may end long after calls have found another."""
    async with (
        coordinator(certified, SlowStandby()) as gone,
        standby(certified) as waiting,
        leader(certified) as serving,
        over(certified, gone, waiting, serving) as channel,
    ):
        late = channel.unary_stream(STREAM)(b"")
        await channel.unary_unary(ASK)(b"", timeout=5)
        await late.code()
        await asyncio.sleep(0.05)  # its end has been looked at
        answer = await anext(aiter(channel.unary_stream(STREAM)(b"")))

    assert answer == HERE


async def test_each_address_must_have_a_certificate_of_its_own_name(certified):
    """Another way in is no way around TLS: an address that another authority certified is none."""
    stranger = make_federation()
    async with leader(stranger) as false, over(certified, false, "127.0.0.1:1") as channel:
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await channel.unary_unary(ASK)(b"", timeout=5)

    assert failed.value.code() is grpc.StatusCode.UNAVAILABLE
