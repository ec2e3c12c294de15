"""Calls that are refused are counted by their code, and each call is a span; none is changed."""

from contextlib import nullcontext

import grpc
import grpc.aio
import pytest

from coordinator.wire.metered import Metered
from privacy.errors import MalformedMessage
from veilsum.metrics.book import Book
from veilsum.metrics.catalogue import RPC_REJECTED
from veilsum.v1 import round_pb2 as pb
from veilsum.v1 import round_pb2_grpc as service

METHOD = "veilsum.v1.RoundService/GetPlan"


class Notes:
    """A tracer that keeps names."""

    def __init__(self):
        self.names = []

    def span(self, name, attributes):
        self.names.append(name)
        return nullcontext()


class Refusing(service.RoundServiceServicer):
    """Answers round 1, refuses round 2 by a code, and breaks over all others."""

    async def GetPlan(self, request, context):  # noqa: N802
        if request.round == 2:
            context.set_trailing_metadata((("veilsum-error", MalformedMessage.code),))
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "no")
        if request.round > 2:
            raise RuntimeError("a bug")
        return pb.GetPlanResponse(terms=b"terms")


@pytest.fixture
async def asked():
    book, notes = Book(), Notes()
    server = grpc.aio.server(interceptors=(Metered(book, notes),))
    service.add_RoundServiceServicer_to_server(Refusing(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield book, notes, channel
    await server.stop(None)


async def get(channel, number):
    return await service.RoundServiceStub(channel).GetPlan(pb.GetPlanRequest(round=number))


async def test_an_answer_is_passed_on(asked):
    """With a span, and without a count."""
    book, notes, channel = asked

    assert (await get(channel, 1)).terms == b"terms"
    assert notes.names == [METHOD]
    assert list(book.samples()) == []


@pytest.mark.parametrize(("number", "reason"), [(2, "malformed_message"), (3, "internal")])
async def test_a_refusal_is_counted_by_its_code(asked, number, reason):
    """Whoever refuses: the guard, or the call itself."""
    book, _, channel = asked

    with pytest.raises(grpc.aio.AioRpcError):
        await get(channel, number)

    assert list(book.samples()) == [(RPC_REJECTED, (METHOD, reason), 1.0)]


async def test_a_method_that_nobody_serves_is_no_label(asked):
    """Anybody can make up names; they would fill the memory."""
    book, notes, channel = asked

    with pytest.raises(grpc.aio.AioRpcError, match="UNIMPLEMENTED"):
        await channel.unary_unary("/made.up/Name")(b"")

    assert list(book.samples()) == []
    assert notes.names == []
