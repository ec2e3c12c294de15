"""Around every call: the caller's role before it, errors as statuses after it."""

import inspect
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Final, NoReturn

import grpc
import structlog

from privacy.errors import ConfigError, NotYet, Unavailable, VeilsumError, WrongIdentity

from .authorise import Callers, Permissions
from .status import status_of
from .tls import Context, Continuation, Handler, ServerInterceptor, peer_identity

log = structlog.get_logger()

ERROR_CODE = "veilsum-error"


MOST_REFUSALS: Final = 1024
"""Callers and methods whose last refusal is remembered; who is not among them is said again."""


class Refusals:
    """Says what was refused to whom, and again only when the reason is another one.

    Who tries again for days is one line of the log, not one each second.
    """

    def __init__(self) -> None:
        self._last: OrderedDict[tuple[str, str], tuple[str, str]] = OrderedDict()

    def say(self, participant: str, method: str, error: VeilsumError) -> None:
        """Write a line, unless it would be the last one about this caller and method."""
        key, said = (participant, method), (error.code, str(error))
        if self._last.get(key) != said:
            log.warning(
                "call_refused",
                participant=participant,
                method=method,
                code=error.code,
                reason=str(error),
            )
        self._last[key] = said
        self._last.move_to_end(key)
        if len(self._last) > MOST_REFUSALS:
            self._last.popitem(last=False)


class Guard(ServerInterceptor):
    """Lets a call through to callers of a declared role, and turns errors into statuses."""

    def __init__(self, permissions: Permissions, callers: Mapping[str, Callers]) -> None:
        self._permissions = permissions
        self._callers = callers
        self._refusals = Refusals()

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> Handler:
        """Return the handler of the call behind the guard; the health service has none."""
        handler = await continuation(handler_call_details)
        callers = self._callers.get(handler_call_details.method)
        if handler is None or callers is None:
            return handler
        return self._guarded(handler, handler_call_details.method, callers)

    def _guarded(self, handler: Handler, method: str, callers: Callers) -> Handler:
        kind = "stream" if handler.request_streaming else "unary"
        answer = "stream" if handler.response_streaming else "unary"
        inner: Callable[..., Any] = getattr(handler, f"{kind}_{answer}")

        async def once(request: Any, context: Context) -> Any:  # noqa: ANN401
            try:
                self._permissions.check(peer_identity(context), callers)
                return await inner(request, context)
            except Exception as error:
                await _answer(context, method, error, self._refusals)

        async def many(request: Any, context: Context) -> AsyncIterator[Any]:  # noqa: ANN401
            try:
                self._permissions.check(peer_identity(context), callers)
                async for part in inner(request, context):
                    yield part
            except Exception as error:
                await _answer(context, method, error, self._refusals)

        make = getattr(grpc, f"{kind}_{answer}_rpc_method_handler")
        guarded: Handler = make(
            many if inspect.isasyncgenfunction(inner) else once,
            handler.request_deserializer,
            handler.response_serializer,
        )
        return guarded


async def _answer(context: Context, method: str, error: Exception, refusals: Refusals) -> NoReturn:
    if isinstance(error, grpc.aio.AbortError):
        raise error
    if isinstance(error, VeilsumError):
        if not isinstance(error, NotYet):
            refusals.say(_caller(context), method, error)
        context.set_trailing_metadata(((ERROR_CODE, error.code),))
        await context.abort(status_of(error), _told(error))
    # A bug: the operator reads all of it, the peer nothing.
    log.error("unexpected_error", participant=_caller(context), method=method, exc_info=error)
    await context.abort(grpc.StatusCode.INTERNAL, "internal error")
    raise AssertionError("abort does not return")


def _caller(context: Context) -> str:
    try:
        return peer_identity(context).id
    except WrongIdentity:
        return ""  # its certificate names nobody


def _told(error: VeilsumError) -> str:
    # What only this side's operator can mend names paths and addresses of this side.
    ours = isinstance(error, (Unavailable, ConfigError)) and not isinstance(error, NotYet)
    return f"not now: {error.code}" if ours else str(error)
