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
from google.protobuf.message import DecodeError, Message

from coordinator.members.seen import SeenBook
from privacy.errors import (
    ConfigError,
    MalformedMessage,
    NotYet,
    PeerUnreachable,
    TooManyRequests,
    Unavailable,
    VeilsumError,
    WrongIdentity,
)
from privacy.releases import check_together
from veilsum.release import METADATA, RELEASE, TIME

from .authorise import ANYONE, OPERATOR, Callers
from .certified import certified
from .credits import GAVE_WAY, SLOWEST_CHUNK_SECONDS
from .pace import Bucket, Pace, address_of
from .standing import Arriving, Attended, Call, CallOfAnyone, Check, Standing
from .status import status_of
from .tls import Context, Continuation, Handler, ServerInterceptor, peer_identity

log = structlog.get_logger()

ERROR_CODE = "veilsum-error"

HEALTH: Final = "/grpc.health.v1.Health/"
"""Asked by load balancers, which are nobody; it tells nothing of the federation."""

_LONGEST_RELEASE: Final = 64

MOST_REFUSALS: Final = 1024
"""Callers and methods whose last refusal is remembered; who is not among them is said again."""

SAID_AGAIN_SECONDS: Final = 3600.0
"""After which the same refusal of the same caller is said again, with how often it was."""

LINES_OF_NOBODY: Final = 5
"""Lines at once, and then one a second, of refusals whose caller has no name: anybody may call."""

LONGEST_REASON: Final = 300
"""Characters of a reason in the log: some of it may be what the caller sent."""


class Refusals:
    """Says what was refused to whom, and then for an hour only if it has another code.

    Who tries again for days is one line of the log each hour, not one each second; who sends
    another text each time is no more, and callers without a name share one line a second.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._said: OrderedDict[tuple[str, str, str], tuple[float, int]] = OrderedDict()
        self._of_nobody = Bucket(LINES_OF_NOBODY, 1.0, monotonic)
        self._unsaid = 0

    def say(self, participant: str, method: str, error: VeilsumError) -> None:
        """Write a line, unless there was one of this caller, method and code of late."""
        unsaid = self._turn(participant, method, error.code)
        if unsaid is not None:
            log.warning(
                "call_refused",
                participant=participant,
                method=method,
                code=error.code,
                reason=_shown(str(error)),
                **({"unsaid": unsaid} if unsaid else {}),
            )

    def _turn(self, participant: str, method: str, code: str) -> int | None:
        """Return how many were not said since the last one that was; None if this one is not."""
        if not participant:
            return self._turn_of_nobody()
        key, now = (participant, method, code), self._monotonic()
        at, unsaid = self._said.pop(key, (-SAID_AGAIN_SECONDS + now, 0))
        due = now - at >= SAID_AGAIN_SECONDS
        self._said[key] = (now, 0) if due else (at, unsaid + 1)
        if len(self._said) > MOST_REFUSALS:
            self._said.popitem(last=False)
        return unsaid if due else None

    def _turn_of_nobody(self) -> int | None:
        if not self._of_nobody.take():
            self._unsaid += 1
            return None
        unsaid, self._unsaid = self._unsaid, 0
        return unsaid


def _shown(text: str) -> str:
    # A line of the log is one line, and no terminal's business.
    cut = text[:LONGEST_REASON] + ("…" if len(text) > LONGEST_REASON else "")
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in cut)


CALLS_OF_A_CALLER: Final = 64
"""Calls that one member may have under way: as many as one connection carries."""

CALLS_OF_AN_ADDRESS: Final = 8
"""The same for callers without a name, by where they call from."""

MOST_CALLS: Final = 8192
"""Calls at once over all members: some for each of as many members as have room in a roster."""

CALLS_FOR_OPERATORS: Final = 1024
"""Calls beyond those, for operators alone; they end what is wrong when nobody else gets in."""

STRANGERS_SECONDS: Final = 10.0
"""So long the message of a call may take whose caller has no name: 64 KiB at 56 kbit/s."""

BYTES_OF_A_CALLER: Final = 16 << 20
"""What those that are no streams may ask and answer in all; messages of streams have credits."""


@dataclass
class Shares:
    """What each caller has under way, so that none takes what is there for all."""

    _calls: Counter[str] = field(default_factory=Counter)
    _bytes: Counter[str] = field(default_factory=Counter)

    def begin(self, caller: str, callers: Callers = frozenset()) -> "Share":
        """Count one call of a caller, until it ends.

        Args:
            callers: whom the method is for.

        Raises:
            TooManyRequests, Unavailable: too many of its calls are under way, or of all; one must
                end first.
        """
        most = CALLS_OF_AN_ADDRESS if callers == ANYONE else CALLS_OF_A_CALLER
        if self._calls[caller] >= most:
            kind = TooManyRequests if callers == ANYONE else Unavailable
            raise kind(f"{caller}: {most} calls are under way, no more may be")
        if callers != OPERATOR and self._calls.total() >= MOST_CALLS:
            raise Unavailable(f"{MOST_CALLS} calls of all callers are under way, no more may be")
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
    Nobody has more than a share of the calls under way, however many connections it opens. All
    that is asked when a call begins, before there is a message: one whose message never comes is
    a call like another, and gRPC by itself would wait for it for ever and count it as everybody's.

    Args:
        pace: how often an address may call what is open to anyone; None as often as it likes.
    """

    def __init__(
        self,
        standing: Standing,
        callers: Mapping[str, Callers],
        seen: SeenBook,
        pace: Pace | None = None,
    ) -> None:
        self._standing = standing
        self._callers = callers
        self._seen = seen
        self._pace = pace
        self._refusals = Refusals()
        self._shares = Shares()

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> Handler:
        """Return the handler of the call behind the guard."""
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None:
            return handler
        # What declares nothing is open to nobody.
        return self._guarded(handler, method, self._callers.get(method, frozenset()))

    def _guarded(self, handler: Handler, method: str, callers: Callers) -> Handler:
        kind = "stream" if handler.request_streaming else "unary"
        answer = "stream" if handler.response_streaming else "unary"
        inner: Callable[..., Any] = getattr(handler, f"{kind}_{answer}")
        stranger = callers == ANYONE or method.startswith(HEALTH)
        patience = STRANGERS_SECONDS if stranger else SLOWEST_CHUNK_SECONDS

        async def first(requests: Any, context: Context) -> Any:  # noqa: ANN401
            if handler.request_streaming:
                return requests
            return await _only(requests, context, patience)

        async def once(requests: Any, context: Context) -> Any:  # noqa: ANN401
            try:
                share, call = await self._admit(context, method, callers)
                with call:
                    request = await first(requests, context)
                    share.carry(request)
                    answer = await inner(*_attended(request, context, call.check))
                    call.check()
                    share.carry(answer)
                    return answer
            except Exception as error:
                await _answer(context, method, error, self._refusals)

        # Written, and not yielded: a stream that gives way while it writes must still be answered.
        async def many(requests: Any, context: Context) -> None:  # noqa: ANN401
            try:
                share, call = await self._admit(context, method, callers)
                with call:
                    request = await first(requests, context)
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

        # A stream of requests, always: gRPC hands over one of a single request only with it.
        make = getattr(grpc, f"stream_{answer}_rpc_method_handler")
        guarded: Handler = make(
            many if inspect.isasyncgenfunction(inner) else once,
            handler.request_deserializer,
            handler.response_serializer,
        )
        return guarded

    async def _admit(
        self, context: Context, method: str, callers: Callers
    ) -> tuple[Share, Call | CallOfAnyone]:
        """Return what the call takes of its caller's share, until its answer is sent, and the call.

        Raises:
            ReleaseMismatch, WrongIdentity, CertificateEnded, CertificateRevoked, NotYet,
                TooManyRequests, Unavailable: it is not let through.
        """
        if method.startswith(HEALTH):
            return self._share(context, _caller(context) or _host(context)), CallOfAnyone()
        if callers == ANYONE:
            if self._pace is not None:
                self._pace.take(str(context.peer()))
            share = self._share(context, _host(context), callers)
            _meet(context)
            return share, CallOfAnyone()
        release = _meet(context)
        caller = certified(context)
        share = self._share(context, caller.peer.id, callers)
        await self._standing.admit(caller, callers)
        self._seen.note(caller.peer.id, release)
        return share, Call(self._standing, caller, callers)

    def _share(self, context: Context, caller: str, callers: Callers = frozenset()) -> Share:
        share = self._shares.begin(caller, callers)
        # The stubs want a class of theirs, where any callable does.
        context.add_done_callback(lambda _: share.end())  # type: ignore[arg-type]
        return share


def _attended(request: Any, context: Context, check: Check) -> tuple[Any, Any]:  # noqa: ANN401
    arriving = Arriving(request, check) if isinstance(request, AsyncIterator) else request
    return arriving, Attended(context, check)


def _host(context: Context) -> str:
    # No name of a member has a colon: nobody takes a member's share.
    return f"address:{address_of(str(context.peer()))}"


async def _only(requests: AsyncIterator[Any], context: Context, patience: float) -> Any:  # noqa: ANN401
    """Return the message of a call that has one.

    Raises:
        PeerUnreachable: it does not come.
    """
    try:
        async with asyncio.timeout(patience):
            return await anext(requests)
    except TimeoutError:
        raise PeerUnreachable(
            f"the message of this call has not come in {patience:.0f} s"
        ) from None
    except StopAsyncIteration:
        # Whoever called is gone, most often; where it is not, it is told.
        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "a call without its message")
        raise AssertionError("abort does not return") from None


def _meet(context: Context) -> str:
    """Say our release with the answer, and return the caller's if it understands ours.

    Raises:
        ReleaseMismatch: it does not, or does not say which it is.
    """
    context.set_trailing_metadata(((METADATA, RELEASE), _clock()))
    said = str(dict(context.invocation_metadata() or ()).get(METADATA, ""))
    check_together(RELEASE, "the coordinator", said[:_LONGEST_RELEASE], "this site")
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
    if isinstance(error, DecodeError):
        error = MalformedMessage("a message that is none of this method")
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
