"""What the coordinator said at a stream's end is heard over what was being sent."""

import asyncio
import time
from contextlib import suppress

import grpc.aio
import pytest

from participant.wire.ending import Ending
from privacy.errors import MalformedMessage
from tests.participant import endpoint
from veilsum.v1 import contribution_pb2 as pb
from veilsum.v1 import contribution_pb2_grpc as service
from veilsum.v1 import model_pb2, model_pb2_grpc

TRIES = 20
"""Without it the reason is lost in most tries, and not in each."""


class Refuses(service.ContributionServiceServicer, model_pb2_grpc.ModelServiceServicer):
    """Ends a stream while the other side is in the middle of what it sends."""

    async def PutChunks(self, requests, context):  # noqa: N802
        await endpoint.refuse(context, MalformedMessage("no such piece"))
        yield pb.PutChunksResponse()

    async def PutSealedModel(self, requests, context):  # noqa: N802
        yield model_pb2.PutSealedModelResponse()
        await endpoint.refuse(context, MalformedMessage("no such model"))


def refusing():
    return endpoint.coordinator(
        (service.add_ContributionServiceServicer_to_server, Refuses()),
        (model_pb2_grpc.add_ModelServiceServicer_to_server, Refuses()),
    )


async def write(call):
    with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
        for _ in range(8):
            await call.write(pb.PutChunksRequest(round=1, payload=bytes(60_000)))


async def test_a_refusal_in_the_middle_of_an_upload_comes_with_its_reason():
    """A site that learns only that something failed tries again for ever, with what is refused."""
    async with refusing() as coordinator:
        for _ in range(TRIES):
            call = service.ContributionServiceStub(coordinator.channel).PutChunks()
            writing = asyncio.create_task(write(call))
            with pytest.raises(MalformedMessage, match="no such piece"):
                _ = [part async for part in coordinator.stream(call)]
            await writing


def slow_chunks():
    time.sleep(0.2)
    yield model_pb2.PutSealedModelRequest(chunk=bytes(60_000))


async def test_a_refusal_between_two_parts_comes_with_its_reason():
    """While the next one is read from the disk; the call has ended before it is written."""
    async with refusing() as coordinator:
        put = model_pb2_grpc.ModelServiceStub(coordinator.channel).PutSealedModel
        first = model_pb2.PutSealedModelRequest()

        with pytest.raises(MalformedMessage, match="no such model"):
            await coordinator.upload(put, first, lambda: iter(()), lambda _: slow_chunks())


async def test_an_end_that_nothing_overtook_is_told_as_it_is():
    """The reason is the same, whichever way it is read."""
    async with refusing() as coordinator:
        call = service.ContributionServiceStub(coordinator.channel).GetOffset(pb.GetOffsetRequest())
        ending = Ending(call)

        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call

    assert ending.of(caught.value).code() is caught.value.code()
    assert ending.of(caught.value).details() == caught.value.details()
