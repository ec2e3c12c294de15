"""Around every call and message: whether its caller may, and errors as statuses after it."""

import asyncio
import inspect
import time
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn

import grpc
import structlog
from google.protobuf.message import Message

from coordinator.members.seen import SeenBook
from privacy.errors import (
    ConfigError,
    NotYet,
    PeerUnreachable,
    Unavailable,
    VeilsumError,
    WrongIdentity,
)
from privacy.releases import check_together
from veilsum.release import METADATA, RELEASE, TIME

from .authorise import ANYONE, Callers
from .certified import certified
from .credits import GAVE_WAY
from .standing import Arriving, Attended, Call, CallOfAnyone, Check, Standing
from .status import status_of
from .tls import Context, Continuation, Handler, ServerInterceptor, peer_identity

log = structlog.get_logger()

ERROR_CODE = "veilsum-error"

HEALTH: Final = "/grpc.health.v1.Health/"
"""Asked by load balancers, which are nobody; it tells nothing of the federation."""

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


CALLS_OF_A_CALLER: Final = 64
"""Calls that one member may have under way: as many as one connection carries."""

BYTES_OF_A_CALLER: Final = 16 << 20
"""What those that are no streams may ask and answer in all; messages of streams have credits."""


@dataclass
class Shares:
    """What each caller has under way, so that none takes what is there for all."""

    _calls: Counter[str] = field(default_factory=Counter)
    _bytes: Counter[str] = field(default_factory=Counter)

    def begin(self, caller: str) -> "Share":
        """Count one call of a caller, until it ends.

        Raises:
            Unavailable: too many of its calls are under way; one of them must end first.
        """
        if self._calls[caller] >= CALLS_OF_A_CALLER:
            raise Unavailable(f"{caller}: {CALLS_OF_A_CALLER} calls are under way, no more may be")
        self._calls[caller] += 1
        return Share(self, caller)

    def _carry(self, caller: str, size: int) -> None:
        if self._bytes[caller] + size > BYTES_OF_A_CALLER:
            raise Unavailable(
                f"{caller}: messages of {BYTES_OF_A_CALLER >> 20} MiB are under way, no more may be"
            )
        self._bytes[caller] += size

    def _end(self, caller: str, size: int) -> None:
        for counter, count in ((self._calls, 1), (self._bytes, size)):
            counter[caller] -= count
            if not counter[caller]:
                del counter[caller]


@dataclass
class Share:
    """What one call takes of its caller's share."""

    _shares: Shares
    _caller: str
    _size: int = 0

    def carry(self, message: Any) -> None:  # noqa: ANN401
        """Count a message while the call is under way; what comes as a stream is none.

        Raises:
            Unavailable: the caller's messages are too large together.
        """
        size = message.ByteSize() if isinstance(message, Message) else 0
        self._shares._carry(self._caller, size)
        self._size += size

    def end(self) -> None:
        """Give back all of it."""
        self._shares._end(self._caller, self._size)


class Guard(ServerInterceptor):
    """Lets a call through to callers of a declared role, and turns errors into statuses.

    What is asked before a call is asked again before each of its messages, and every second.
    Nobody has more than a share of the calls under way, however many connections it opens.
    """

    def __init__(self, standing: Standing, callers: Mapping[str, Callers], seen: SeenBook) -> None:
        self._standing = standing
        self._callers = callers
        self._seen = seen
        self._refusals = Refusals()
        self._shares = Shares()

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> Handler:
        """Return the handler of the call behind the guard; the health service has none."""
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None or method.startswith(HEALTH):
            return handler
        # What declares nothing is open to nobody.
        return self._guarded(handler, method, self._callers.get(method, frozenset()))

    def _guarded(self, handler: Handler, method: str, callers: Callers) -> Handler:
        kind = "stream" if handler.request_streaming else "unary"
        answer = "stream" if handler.response_streaming else "unary"
        inner: Callable[..., Any] = getattr(handler, f"{kind}_{answer}")

        async def once(request: Any, context: Context) -> Any:  # noqa: ANN401
            try:
                share, call = await self._admit(context, callers)
                with call:
                    share.carry(request)
                    answer = await inner(*_attended(request, context, call.check))
                    call.check()
                    share.carry(answer)
                    return answer
            except Exception as error:
                await _answer(context, method, error, self._refusals)

        # Written, and not yielded: a stream that gives way while it writes must still be answered.
        async def many(request: Any, context: Context) -> None:  # noqa: ANN401
            try:
                share, call = await self._admit(context, callers)
                with call:
                    share.carry(request)
                    parts = inner(*_attended(request, context, call.check))
                    async with aclosing(parts):
                        async for part in parts:
                            call.check()
                            await _write(context, part)
            except asyncio.CancelledError as error:
                if GAVE_WAY not in error.args:
                    raise
                # By this name: whoever fetches goes on where it was, as after a cut.
                await _answer(context, method, PeerUnreachable(GAVE_WAY), self._refusals)
            except Exception as error:
                await _answer(context, method, error, self._refusals)

        make = getattr(grpc, f"{kind}_{answer}_rpc_method_handler")
        guarded: Handler = make(
            many if inspect.isasyncgenfunction(inner) else once,
            handler.request_deserializer,
            handler.response_serializer,
        )
        return guarded

    async def _admit(self, context: Context, callers: Callers) -> tuple[Share, Call | CallOfAnyone]:
        """Return what the call takes of its caller's share, until its answer is sent, and the call.

        Raises:
            ReleaseMismatch, WrongIdentity, CertificateEnded, CertificateRevoked, NotYet,
                Unavailable: it is not let through.
        """
        release = _meet(context)
        if callers == ANYONE:
            return self._share(context, _host(context)), CallOfAnyone()
        caller = certified(context)
        share = self._share(context, caller.peer.id)
        await self._standing.admit(caller, callers)
        self._seen.note(caller.peer.id, release)
        return share, Call(self._standing, caller, callers)

    def _share(self, context: Context, caller: str) -> Share:
        share = self._shares.begin(caller)
        # The stubs want a class of theirs, where any callable does.
        context.add_done_callback(lambda _: share.end())  # type: ignore[arg-type]
        return share


def _attended(request: Any, context: Context, check: Check) -> tuple[Any, Any]:  # noqa: ANN401
    arriving = Arriving(request, check) if isinstance(request, AsyncIterator) else request
    return arriving, Attended(context, check)


def _host(context: Context) -> str:
    # No name of a member has a colon: nobody takes a member's share.
    return str(context.peer()).rsplit(":", 1)[0]


def _meet(context: Context) -> str:
    """Say our release with the answer, and return the caller's if it understands ours.

    Raises:
        ReleaseMismatch: it does not, or does not say which it is.
    """
    context.set_trailing_metadata(((METADATA, RELEASE), _clock()))
    said = str(dict(context.invocation_metadata() or ()).get(METADATA, ""))
    check_together(RELEASE, "the coordinator", said, "this site")
    return said


def _clock() -> tuple[str, str]:
    # For `veilsum doctor`: a member whose clock is off finds no certificate valid.
    return TIME, f"{time.time():.3f}"


async def _write(context: Context, message: Any) -> None:  # noqa: ANN401
    """Write a message of a stream.

    Raises:
        CancelledError: the caller is gone, which is no fault of ours and which nobody is told.
    """
    try:
        await context.write(message)
    except Exception as error:
        # gRPC's own class for it has no public name.
        if type(error).__name__ != "ExecuteBatchError":
            raise
        raise asyncio.CancelledError from error


async def _answer(context: Context, method: str, error: Exception, refusals: Refusals) -> NoReturn:
    if isinstance(error, grpc.aio.AbortError):
        raise error
    if isinstance(error, VeilsumError):
        if not isinstance(error, NotYet):
            refusals.say(_caller(context), method, error)
        context.set_trailing_metadata(((ERROR_CODE, error.code), (METADATA, RELEASE), _clock()))
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
