"""A channel whose connection is replaced under all who call over it.

gRPC cannot change the certificate of a connection. So a member whose certificate is renewed makes
another connection, and the old one is drained: what is under way on it ends there, what begins
after that begins on the new one. Whoever holds a long stream looks at `Turns` between two
messages, ends it when the number has changed, and goes on where it stopped.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio


@dataclass
class Turns:
    """Which connection's turn it is; the number grows with each one that takes over."""

    number: int = 0


class _Connection:
    """One connection, and how many calls are under way on it."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.channel = channel
        self._under_way = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def call(self, kind: str, method: Any, options: Any) -> Callable[..., Any]:  # noqa: ANN401
        made = getattr(self.channel, kind)(*method, **options)

        def begin(*request: Any, **settings: Any) -> Any:  # noqa: ANN401
            call = made(*request, **settings)
            self._under_way += 1
            self._idle.clear()
            call.add_done_callback(self._ended)
            return call

        return begin

    def _ended(self, _: Any) -> None:  # noqa: ANN401
        self._under_way -= 1
        if not self._under_way:
            self._idle.set()

    async def drain(self, seconds: float) -> None:
        """Close the connection when nothing is under way on it, or after so many seconds."""
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._idle.wait()
        finally:
            await self.channel.close(None)


class Rotating(grpc.aio.Channel):
    """A channel over one connection at a time; another one takes over without a lost call."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._now = _Connection(channel)
        self._draining: dict[asyncio.Task[None], grpc.aio.Channel] = {}

    def take_over(self, channel: grpc.aio.Channel, seconds: float) -> None:
        """Begin every further call on `channel`; drain the one before.

        Args:
            seconds: for what is under way on the one before; what is not over then is cut.
        """
        before, self._now = self._now, _Connection(channel)
        draining = asyncio.create_task(before.drain(seconds))
        self._draining[draining] = before.channel
        draining.add_done_callback(self._draining.pop)

    @property
    def connections(self) -> int:
        """How many connections are open: one, and those that are being drained."""
        return 1 + len(self._draining)

    def unary_unary(self, *method: Any, **options: Any) -> Any:  # noqa: ANN401
        """Return a call of that method, on the connection whose turn it is when it is made."""
        return self._calls("unary_unary", method, options)

    def unary_stream(self, *method: Any, **options: Any) -> Any:  # noqa: ANN401
        """Return a call of that method, on the connection whose turn it is when it is made."""
        return self._calls("unary_stream", method, options)

    def stream_unary(self, *method: Any, **options: Any) -> Any:  # noqa: ANN401
        """Return a call of that method, on the connection whose turn it is when it is made."""
        return self._calls("stream_unary", method, options)

    def stream_stream(self, *method: Any, **options: Any) -> Any:  # noqa: ANN401
        """Return a call of that method, on the connection whose turn it is when it is made."""
        return self._calls("stream_stream", method, options)

    async def close(self, grace: float | None = None) -> None:
        """Close the connection, and those that are being drained."""
        for draining, channel in list(self._draining.items()):
            draining.cancel()
            # A task that had not begun ends without a word, and closes nothing.
            await channel.close(grace)
        await self._now.channel.close(grace)

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        """Return the state of the connection whose turn it is."""
        return self._now.channel.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """Wait until that connection is in another state."""
        await self._now.channel.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        """Wait until that connection is made."""
        await self._now.channel.channel_ready()

    async def __aenter__(self) -> "Rotating":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def _calls(self, kind: str, method: Any, options: Any) -> Callable[..., Any]:  # noqa: ANN401
        def call(*request: Any, **settings: Any) -> Any:  # noqa: ANN401
            return self._now.call(kind, method, options)(*request, **settings)

        return call
