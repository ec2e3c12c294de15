"""A seat as a process of its own that answers one question, over gRPC to a relay of the test."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import grpc
import grpc.aio

from participant.seat.memory import SeatMemory
from participant.seat.questions import Asking
from participant.wire.coordinator import Coordinator
from participant.wire.letters import Letters, Mailbox
from participant.wire.patience import Patience
from privacy.errors import Unavailable
from tests.participant.seat.asked import MemoryUpdates
from tests.participant.seat.table import SEATS, Relay, party
from veilsum.v1 import seat_pb2, seat_pb2_grpc

SPAWN = get_context("spawn")
CONTEXT = "ab" * 32
_MORE = {"scores": {"checked": True}}


class Servicer(seat_pb2_grpc.RelayServiceServicer):
    """The test's relay behind gRPC; a caller's name is in its metadata."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay

    async def PostLetter(self, request: Any, context: Any) -> Any:  # noqa: N802
        try:
            await self._relay.post(_caller(context), request.recipient, request.topic, request.body)
        except Unavailable:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "down")
        return seat_pb2.PostLetterResponse()

    async def CollectLetters(self, request: Any, context: Any) -> Any:  # noqa: N802
        epoch, letters = await self._relay.collect(
            _caller(context), request.after, request.wait_seconds
        )
        return seat_pb2.CollectLettersResponse(
            epoch=epoch,
            letters=[
                seat_pb2.Letter(
                    number=each.number, sender=each.sender, topic=each.topic, body=each.body
                )
                for each in letters[:8]
            ],
        )


def _caller(context: Any) -> str:
    return dict(context.invocation_metadata())["me"]


@asynccontextmanager
async def serving(relay: Relay) -> AsyncIterator[int]:
    """Serve a relay on loopback; give the port."""
    server = grpc.aio.server()
    seat_pb2_grpc.add_RelayServiceServicer_to_server(Servicer(relay), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield port
    finally:
        await server.stop(None)


class _Named(grpc.aio.UnaryUnaryClientInterceptor):  # type: ignore[misc]
    def __init__(self, me: str) -> None:
        self._me = me

    async def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        named = details._replace(metadata=(("me", self._me),))
        return await continuation(named, request)


def start(seat: int, port: int, question: str, updates: MemoryUpdates) -> tuple[Any, Connection]:
    """Start a seat that answers one question; give the process and where its answer comes."""
    ours, theirs = SPAWN.Pipe()
    process = SPAWN.Process(target=_main, args=(seat, port, question, updates, theirs), daemon=True)
    process.start()
    return process, ours


async def answer(pipe: Connection, seconds: float = 60) -> Any:
    """Return a seat's answer with the seconds that it took, or the error's name and words."""
    async with asyncio.timeout(seconds):
        while not pipe.poll():
            await asyncio.sleep(0.05)
    return pipe.recv()


def _main(seat: int, port: int, question: str, updates: MemoryUpdates, pipe: Connection) -> None:
    asyncio.run(_ask(seat, port, question, updates, pipe))


async def _ask(
    seat: int, port: int, question: str, updates: MemoryUpdates, pipe: Connection
) -> None:
    name = SEATS[seat]
    channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}", interceptors=[_Named(name)])
    box = Mailbox(Letters(Coordinator(channel, _unexplained)), Patience(os.urandom))
    collecting = asyncio.create_task(box.run())
    began = time.monotonic()
    try:
        with TemporaryDirectory() as folder:
            asking = Asking(party(box, name), SeatMemory(Path(folder)))
            found = await getattr(asking, question)(CONTEXT, updates, **_MORE.get(question, {}))
        pipe.send((found, time.monotonic() - began))
    except Exception as error:
        pipe.send((type(error).__name__, str(error)))
    collecting.cancel()
    await channel.close()


async def _unexplained() -> str:
    return "no connection to the relay"
