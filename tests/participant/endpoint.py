"""A coordinator's endpoint on loopback, in this process, that answers as a test tells it to."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio

from coordinator.wire.interceptors import Refusals, _answer
from participant.wire.coordinator import Coordinator


@asynccontextmanager
async def coordinator(*servicers: Any) -> AsyncIterator[Coordinator]:
    """Serve (registrar, servicer) pairs; yield the participant's end of a channel to them."""
    server = grpc.aio.server()
    for register, servicer in servicers:
        register(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}")

    async def explain() -> str:
        return "the reason, found by a handshake"

    try:
        yield Coordinator(channel, explain)
    finally:
        await channel.close(None)
        await server.stop(None)


async def refuse(context: Any, error: Exception) -> None:
    """End a call as the coordinator's own interceptor does."""
    await _answer(context, "/test", error, Refusals())
