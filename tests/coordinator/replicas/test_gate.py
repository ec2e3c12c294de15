"""A process that may not answer says nothing of what it has in memory."""

import asyncio
from contextlib import asynccontextmanager

import grpc
import pytest
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer

from coordinator import server as process
from coordinator.replicas.gate import Gate, StandingBy
from coordinator.wire.authorise import Permissions
from privacy.errors import LeaseLost, MalformedMessage
from tests.coordinator.served import channel_of, served
from tests.fakes import SITES
from tests.loopback import make_federation

ONE, MANY = "/test/One", "/test/Many"


class Lease:
    """Held, until a test says otherwise; `calls` counts how often it was asked."""

    def __init__(self):
        self.held, self.asked = True, 0

    def __call__(self):
        self.asked += 1
        if not self.held:
            raise LeaseLost("gone")


class Handlers(grpc.GenericRpcHandler):
    """One answer, or as many as wanted; `between` runs after the work and before the answer."""

    def __init__(self):
        self.worked, self.between = 0, lambda: None

    def service(self, details):
        if details.method == ONE:
            return grpc.unary_unary_rpc_method_handler(self._one)
        return grpc.stream_stream_rpc_method_handler(self._many)

    async def _one(self, _, context):
        self.worked += 1
        self.between()
        return b"state"

    async def _many(self, requests, context):
        async for each in requests:
            self.worked += 1
            self.between()
            yield each


@asynccontextmanager
async def serving(gate, handlers):
    server = grpc.aio.server(interceptors=(gate,) if gate else ())
    health = HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    server.add_generic_rpc_handlers((handlers,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield channel
    await server.stop(None)


def turned_away(error):
    named = ("veilsum-error", "standby") in list(error.trailing_metadata())
    return named and error.code() is grpc.StatusCode.UNAVAILABLE


@pytest.fixture
def lease():
    return Lease()


@pytest.fixture
def handlers():
    return Handlers()


async def test_who_holds_the_lease_answers(lease, handlers):
    async with serving(Gate(lease), handlers) as channel:
        answer = await channel.unary_unary(ONE)(b"")

    assert answer == b"state"
    assert lease.asked == 2


async def test_without_the_lease_nothing_is_even_begun(lease, handlers):
    lease.held = False

    async with serving(Gate(lease), handlers) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await channel.unary_unary(ONE)(b"")

    assert turned_away(failed.value)
    assert handlers.worked == 0


async def test_an_answer_found_before_the_lease_was_lost_is_not_given(lease, handlers):
    """A process that is stopped in the middle of a call: what it found may be true no more."""
    handlers.between = lambda: setattr(lease, "held", False)

    async with serving(Gate(lease), handlers) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await channel.unary_unary(ONE)(b"")

    assert turned_away(failed.value)
    assert handlers.worked == 1


async def test_a_stream_ends_where_the_lease_does(lease, handlers):
    async with serving(Gate(lease), handlers) as channel:
        call = channel.stream_stream(MANY)()
        await call.write(b"first")
        first = await call.read()
        lease.held = False
        await call.write(b"second")
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await call.read()

    assert first == b"first"
    assert turned_away(failed.value)


async def test_who_leaves_acknowledges_the_message_on_its_way_and_ends_the_stream(lease, handlers):
    """The sender knows what is durable, and goes on elsewhere with the next."""
    gate = Gate(lease)

    async with serving(gate, handlers) as channel:
        call = channel.stream_stream(MANY)()
        await call.write(b"first")
        await call.read()
        gate.leave()
        await call.write(b"second")
        second = await call.read()
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await call.read()

    assert second == b"second"
    assert turned_away(failed.value)


async def test_health_is_asked_without_any_lease(lease, handlers):
    lease.held = False

    async with serving(Gate(lease), handlers) as channel:
        request = health_pb2.HealthCheckRequest()
        answer = await health_pb2_grpc.HealthStub(channel).Check(request)

    assert answer.status == health_pb2.HealthCheckResponse.SERVING


@pytest.mark.parametrize("method", [ONE, MANY, "/veilsum.v1.RoundService/WatchRounds"])
async def test_a_standby_turns_every_call_away(method):
    """Whatever is asked, and before any of it is read."""
    async with serving(None, StandingBy()) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as one:
            await channel.unary_unary(method)(b"x" * 100_000, timeout=5)
        with pytest.raises(grpc.aio.AioRpcError) as many:
            async with asyncio.timeout(5):
                await channel.stream_stream(method)().read()

    assert turned_away(one.value)
    assert turned_away(many.value)


# -- in front of all that the process serves ---------------------------------------------

STREAMS = [
    method
    for proto in process.PROTOS
    for service in proto.DESCRIPTOR.services_by_name.values()
    for method in service.methods
    if method.server_streaming
]
MESSAGES = 5
MEMBER = f"spiffe://oncology/participant/{SITES[0]}"

streams = pytest.mark.parametrize("method", STREAMS, ids=lambda each: each.name)


@pytest.fixture(scope="module")
def certified():
    return make_federation()


@pytest.fixture
def answering(monkeypatch, certified, federation):
    """What serves one streaming method of the process, in which `after` runs at each message."""

    @asynccontextmanager
    async def serve(method, gate, after):
        async def many(servicer, request, context):
            for at in range(MESSAGES):
                yield GetMessageClass(method.output_type)()
                after(at)

        servicer = getattr(process, method.containing_service.name.replace("Service", "Servicer"))
        monkeypatch.setattr(servicer, method.name, many)
        monkeypatch.setattr(Permissions, "check", lambda *_: None)
        async with (
            served(federation.service, certified, gate=gate) as address,
            channel_of(address, certified, MEMBER) as channel,
        ):
            yield opened(channel, method)

    return serve


def opened(channel, method):
    """Begin a call of a streaming method, whatever it is sent."""
    path = f"/{method.containing_service.full_name}/{method.name}"
    if method.client_streaming:
        return channel.stream_stream(path)(iter(()), timeout=10)
    return channel.unary_stream(path)(b"", timeout=10)


async def given_out(call):
    """Return how many messages a call brings, and the error that it ends with, if any."""
    count = 0
    try:
        async for _ in call:
            count += 1
    except grpc.aio.AioRpcError as error:
        return count, error
    return count, None


@streams
async def test_who_leads_gives_out_every_message_of_every_stream(method, lease, answering):
    async with answering(method, Gate(lease), lambda _: None) as call:
        assert await given_out(call) == (MESSAGES, None)

    assert lease.asked > MESSAGES


@streams
async def test_no_stream_goes_on_without_the_lease(method, lease, answering):
    """Whichever it is, and however the interceptors behind the gate pass its messages on."""

    def lose(at):
        lease.held = at < 1

    async with answering(method, Gate(lease), lose) as call:
        count, error = await given_out(call)

    assert count == 2
    assert turned_away(error)


@streams
async def test_every_stream_ends_behind_its_message_when_its_process_leaves(
    method, lease, answering
):
    gate = Gate(lease)

    async with answering(method, gate, lambda at: at < 1 or gate.leave()) as call:
        count, error = await given_out(call)

    assert count == 3  # the one on its way is finished
    assert turned_away(error)


async def test_a_refusal_found_before_the_lease_was_lost_is_not_given(
    lease, certified, federation, monkeypatch
):
    """It says what was true as much as an answer does: a site that is refused may give up."""

    def refuse(_):
        lease.held = False
        raise MalformedMessage("a round that is over")

    monkeypatch.setattr(Permissions, "check", lambda *_: None)
    monkeypatch.setattr(federation.service, "plan_as_kept", refuse)

    async with (
        served(federation.service, certified, gate=Gate(lease)) as address,
        channel_of(address, certified, MEMBER) as channel,
    ):
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await channel.unary_unary("/veilsum.v1.RoundService/GetPlan")(b"", timeout=10)

    assert turned_away(failed.value)
