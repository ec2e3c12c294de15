"""One channel over several addresses of a coordinator, of which one serves at a time."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

import grpc
import grpc.aio

from privacy.errors import LeaseLost, Standby

from .ending import Ending

_ERROR_CODE: Final = "veilsum-error"
_NOT_HERE: Final = frozenset({Standby.code, LeaseLost.code})


def is_elsewhere(code: grpc.StatusCode, trailing: Any) -> bool:  # noqa: ANN401
    """Return whether a call may succeed at another address: nobody is there, or it stands by."""
    named = {str(value) for key, value in trailing or () if key == _ERROR_CODE}
    return code is grpc.StatusCode.UNAVAILABLE and (not named or bool(named & _NOT_HERE))


class Addresses(grpc.aio.Channel):
    """A channel to whichever address serves; it stays there until that one does so no more.

    A call with one request and one answer is tried at each address before it fails; repeating
    one is harmless, in this protocol. A stream fails where it is cut, and its next try, which
    goes on where it stopped, is at the next address.
    """

    def __init__(self, channels: Sequence[grpc.aio.Channel]) -> None:
        self._channels = tuple(channels)
        self._turn = 0
        self._watching: set[asyncio.Task[None]] = set()

    def unary_unary(self, *method: Any, **options: Any) -> Any:  # noqa: ANN401
        """Return a call of that method, tried at each address."""
        calls = [each.unary_unary(*method, **options) for each in self._channels]

        async def call(*request: Any, **settings: Any) -> Any:  # noqa: ANN401
            for last in (*(False for _ in calls[1:]), True):
                turn = self._turn
                try:
                    return await calls[turn](*request, **settings)
                except grpc.aio.AioRpcError as error:
                    again = is_elsewhere(error.code(), error.trailing_metadata())
                    self._ended(turn, error.code(), error.trailing_metadata())
                    if last or not again:
                        raise
            raise AssertionError("the last try returns or raises")

        return call

    def unary_stream(self, *method: Any, **options: Any) -> Any:  # noqa: ANN401
        """Return a call of that method, at the address that serves."""
        return self._stream([each.unary_stream(*method, **options) for each in self._channels])

    def stream_unary(self, *method: Any, **options: Any) -> Any:  # noqa: ANN401
        """Return a call of that method, at the address that serves."""
        return self._stream([each.stream_unary(*method, **options) for each in self._channels])

    def stream_stream(self, *method: Any, **options: Any) -> Any:  # noqa: ANN401
        """Return a call of that method, at the address that serves."""
        return self._stream([each.stream_stream(*method, **options) for each in self._channels])

    async def close(self, grace: float | None = None) -> None:
        """Close the connections to all addresses."""
        for each in self._channels:
            await each.close(grace)

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        """Return the state of the connection to the address that serves."""
        return self._channels[self._turn].get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """Wait until that connection is in another state."""
        await self._channels[self._turn].wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        """Wait until that connection is made."""
        await self._channels[self._turn].channel_ready()

    async def __aenter__(self) -> "Addresses":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def _stream(self, calls: Sequence[Callable[..., Any]]) -> Callable[..., Any]:
        def call(*request: Any, **settings: Any) -> Any:  # noqa: ANN401
            turn = self._turn
            made = calls[turn](*request, **settings)
            watching = asyncio.create_task(self._watch(turn, made))
            self._watching.add(watching)
            watching.add_done_callback(self._watching.discard)
            return made

        return call

    async def _watch(self, turn: int, call: Any) -> None:  # noqa: ANN401
        ending, code = Ending(call), await call.code()
        if ending.error is None:
            self._ended(turn, code, await call.trailing_metadata())
        else:
            self._ended(turn, ending.error.code(), ending.error.trailing_metadata())

    def _ended(self, turn: int, code: grpc.StatusCode, trailing: Any) -> None:  # noqa: ANN401
        gone = code is grpc.StatusCode.DEADLINE_EXCEEDED or is_elsewhere(code, trailing)
        # Calls that were under way together fail together, and it is one step for all of them.
        if gone and turn == self._turn:
            self._turn = (turn + 1) % len(self._channels)
