"""Another connection takes over under all callers: no call is lost, and the old one is closed."""

import asyncio

import grpc
import pytest

from participant.wire.channel import open_channel
from participant.wire.rotating import Rotating
from tests.loopback import SITE_URI, endpoint, make_federation, new_keys

SECOND_URI = "spiffe://oncology/participant/hospital-b"


class Slow(grpc.aio.ServerInterceptor):
    """Holds every call until it is let go."""

    def __init__(self):
        self.go = asyncio.Event()
        self.here = asyncio.Event()

    async def intercept_service(self, continuation, handler_call_details):
        self.here.set()
        await self.go.wait()
        return await continuation(handler_call_details)


@pytest.fixture
def certified():
    return make_federation()


async def test_calls_made_before_end_on_the_old_connection_and_later_ones_on_the_new(certified):
    """Each says under which certificate it came."""
    slow = Slow()
    async with endpoint(certified, slow) as address:
        rotating = Rotating(open_channel(address, certified.site(new_keys())))
        ask = rotating.unary_unary("/test/WhoAmI")
        early = asyncio.ensure_future(_answer(ask(b"", timeout=5)))
        await slow.here.wait()

        rotating.take_over(open_channel(address, certified.forged(SECOND_URI)), 60)
        slow.go.set()
        late = await ask(b"", timeout=5)

        assert (await early, late) == (SITE_URI.encode(), SECOND_URI.encode())
        await rotating.close()


async def test_the_old_connection_is_closed_when_its_last_call_is_over(certified):
    slow = Slow()
    async with endpoint(certified, slow) as address:
        old = open_channel(address, certified.site(new_keys()))
        rotating = Rotating(old)
        early = asyncio.ensure_future(_answer(rotating.unary_unary("/test/WhoAmI")(b"")))
        await slow.here.wait()
        rotating.take_over(open_channel(address, certified.forged(SECOND_URI)), 60)
        during = rotating.connections

        slow.go.set()
        await early
        await asyncio.sleep(0.05)

        assert (during, rotating.connections) == (2, 1)
        assert old.get_state() is grpc.ChannelConnectivity.SHUTDOWN
        await rotating.close()


async def test_what_outlives_its_certificate_is_cut(certified):
    """The coordinator would cut it then; a connection that hangs is not kept for ever."""
    async with endpoint(certified, Slow()) as address:
        rotating = Rotating(open_channel(address, certified.site(new_keys())))
        stuck = asyncio.ensure_future(_answer(rotating.unary_stream("/test/Twice")(b"").read()))
        await asyncio.sleep(0.05)

        rotating.take_over(open_channel(address, certified.forged(SECOND_URI)), 0.1)

        with pytest.raises((grpc.aio.AioRpcError, asyncio.CancelledError)):
            await asyncio.wait_for(stuck, 5)
        assert rotating.connections == 1
        await rotating.close()


async def test_closing_closes_what_is_being_drained(certified):
    async with endpoint(certified, Slow()) as address:
        old = open_channel(address, certified.site(new_keys()))
        rotating = Rotating(old)
        stuck = asyncio.ensure_future(_answer(rotating.unary_unary("/test/WhoAmI")(b"")))
        await asyncio.sleep(0.05)
        rotating.take_over(open_channel(address, certified.forged(SECOND_URI)), 60)

        await rotating.close()

        assert old.get_state() is grpc.ChannelConnectivity.SHUTDOWN
        with pytest.raises((grpc.aio.AioRpcError, asyncio.CancelledError)):
            await stuck


async def _answer(call):
    return await call
