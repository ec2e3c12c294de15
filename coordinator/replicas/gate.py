"""In front of every call: whether this process may answer it, asked again before each answer."""

import inspect
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any, Final

import grpc

from coordinator.wire.interceptors import ERROR_CODE
from coordinator.wire.tls import Context, Continuation, Handler, ServerInterceptor
from privacy.errors import LeaseLost, Standby

HEALTH: Final = "/grpc.health.v1.Health/"
ELSEWHERE: Final = "this coordinator stands by or stops; go on to the next address"


async def turn_away(context: Context) -> None:
    """End a call that another coordinator of the federation may answer."""
    context.set_trailing_metadata(((ERROR_CODE, Standby.code),))
    await context.abort(grpc.StatusCode.UNAVAILABLE, ELSEWHERE)


class Gate(ServerInterceptor):
    """Lets a call in, and each answer, message and refusal out, only while this process may answer.

    What a call found in memory is thus true when it is given out: a process that was stopped
    and goes on says nothing but what had passed here before. A stream ends between two
    messages, and goes on elsewhere.

    Args:
        require: raises LeaseLost if this process may not answer now.
    """

    def __init__(self, require: Callable[[], None]) -> None:
        self._require = require
        self._leaving = False

    def leave(self) -> None:
        """End streams after the message that is on its way; other calls finish."""
        self._leaving = True

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> Handler:
        """Return the handler of the call behind the gate; that of health has none."""
        handler = await continuation(handler_call_details)
        if handler is None or handler_call_details.method.startswith(HEALTH):
            return handler
        kind = "stream" if handler.request_streaming else "unary"
        answer = "stream" if handler.response_streaming else "unary"
        make = getattr(grpc, f"{kind}_{answer}_rpc_method_handler")
        inner = getattr(handler, f"{kind}_{answer}")
        # What the call is says its kind: a stream may yield its messages, or write them.
        gated: Handler = make(
            self._many(inner) if handler.response_streaming else self._once(inner),
            handler.request_deserializer,
            handler.response_serializer,
        )
        return gated

    def _once(self, inner: Callable[..., Any]) -> Callable[..., Any]:
        async def once(request: Any, context: Context) -> Any:  # noqa: ANN401
            await self.check(context)
            answer = await inner(request, _Gated(context, self))
            await self.check(context)
            return answer

        return once

    def _many(self, inner: Callable[..., Any]) -> Callable[..., Any]:
        async def many(request: Any, context: Context) -> None:  # noqa: ANN401
            await self.check(context)
            gated = _Gated(context, self)
            answers = inner(request, gated)
            if not inspect.isasyncgen(answers):
                await answers
                return
            async with aclosing(answers):
                async for answer in answers:
                    await gated.write(answer)

        return many

    async def check(self, context: Context) -> None:
        """Return if this process may answer now, or end the call."""
        try:
            self._require()
        except LeaseLost:
            await turn_away(context)

    async def check_next(self, context: Context) -> None:
        """Return if a stream may go on after a message, or end it."""
        if self._leaving:
            await turn_away(context)


class _Gated:
    """A call's context whose messages and refusals go through the gate; all else is the call's."""

    def __init__(self, context: Context, gate: Gate) -> None:
        self._context = context
        self._gate = gate

    async def write(self, message: Any) -> None:  # noqa: ANN401
        """Write a message of a stream, if this process may."""
        await self._gate.check(self._context)
        await self._context.write(message)
        await self._gate.check_next(self._context)

    async def abort(self, *why: Any) -> None:  # noqa: ANN401
        """End the call with a status, if this process may say it."""
        await self._gate.check(self._context)
        await self._context.abort(*why)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self._context, name)


class StandingBy(grpc.GenericRpcHandler):  # type: ignore[type-arg]  # not at run time
    """Turns every call away, whatever it is."""

    def service(self, _: grpc.HandlerCallDetails) -> Handler:
        """Return a handler that reads nothing of what is sent."""

        async def refuse(_: Any, context: Context) -> AsyncIterator[bytes]:  # noqa: ANN401
            await turn_away(context)
            yield b""  # never: that there is one makes it an answer in parts

        handler: Handler = grpc.stream_stream_rpc_method_handler(refuse)
        return handler
