"""What only a coordinator can answer: its authority, its clock, how fast it hears from here.

All of it is by calls that change nothing there. How fast is measured by such a call with padding
in it, bytes that a coordinator reads and passes over, and is bounded in bytes and in time.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Protocol

import grpc.aio

from participant.wire.channel import open_joining_channel
from participant.wire.coordinator import Coordinator
from veilsum.release import TIME
from veilsum.v1 import enrolment_pb2, enrolment_pb2_grpc, joining_pb2, joining_pb2_grpc

from .edges import Edges
from .way import Way

CALL_SECONDS: Final = 20.0
"""How long one call may take; at that, a line carries less than what a round needs."""

STEPS: Final = (64 << 10, 256 << 10, 1 << 20)
"""Bytes of padding, one call each: 1.3 MiB in all. The next one is not sent if one took long."""

STEPS_OF_STRANGERS: Final = (48 << 10,) * 3
"""The same for who has no certificate: 144 KiB in all; larger requests are refused there."""

_LONG_SECONDS: Final = 1.0
_TRIES: Final = 3
_NO_VERSION: Final = (1 << 32) - 1
_PADDING: Final = 1000
"""A field that no message has, nor will have: whoever reads a message passes over it."""


@dataclass(frozen=True)
class Clock:
    """How far the coordinator's clock is ahead of this machine's, and how well that is known."""

    ahead_seconds: float
    within_seconds: float


@dataclass(frozen=True)
class Uplink:
    """How many bytes went up in how many seconds, beyond those of an empty call."""

    sent_bytes: int
    seconds: float

    @property
    def bytes_per_second(self) -> float:
        """What this line carries up, at least: the first of it is slower than what follows."""
        return self.sent_bytes / max(self.seconds, 1e-4)


@dataclass(frozen=True)
class Answered:
    """What a coordinator answered: its authority in PEM, if it is asked for it, and the rest.

    Attributes:
        clock: None if it does not say its time, as older releases do not.
    """

    authority_pem: bytes
    clock: Clock | None
    uplink: Uplink


class Call(Protocol):
    """Asks one question with so many bytes of padding; returns the call under way."""

    def __call__(self, padding: int) -> Any:  # noqa: ANN401 (the stubs' type is generic)
        """Return the call."""
        ...


def ask_stranger(way: Way, leaf_pem: bytes, name: str | None, edges: Edges) -> Answered:
    """Return what a coordinator says to whom it does not know.

    Args:
        leaf_pem: the certificate that was shown there, and which alone is believed.
        name: by which that certificate names who shows it, where that is not the address.

    Raises:
        grpc.aio.AioRpcError: who answers there answers no such question.
    """

    async def ask() -> Answered:
        channel = open_joining_channel(str(way.to), leaf_pem, server_name=name, proxy=way.proxy_url)
        async with channel:
            desk = joining_pb2_grpc.JoinServiceStub(channel)

            def call(padding: int) -> Any:  # noqa: ANN401
                request = joining_pb2.GetAuthorityRequest.FromString(_padded(padding))
                return desk.GetAuthority(request, timeout=CALL_SECONDS)

            return await _measure(call, STEPS_OF_STRANGERS, edges)

    return asyncio.run(ask())


async def ask_member(coordinator: Coordinator, edges: Edges) -> Answered:
    """Return what a coordinator says to a member; `authority_pem` is empty.

    Raises:
        VeilsumError: it does not answer, or not to this member.
    """
    stub = enrolment_pb2_grpc.EnrolmentServiceStub(coordinator.channel)
    empty = enrolment_pb2.GetRosterRequest(from_version=_NO_VERSION).SerializeToString()

    def call(padding: int) -> Any:  # noqa: ANN401
        request = enrolment_pb2.GetRosterRequest.FromString(empty + _padded(padding))
        return stub.GetRoster(request, timeout=CALL_SECONDS)

    try:
        return await _measure(call, STEPS, edges)
    except grpc.aio.AioRpcError as error:
        raise await coordinator.error(error) from None


async def _measure(call: Call, steps: Sequence[int], edges: Edges) -> Answered:
    tries = [await _timed(call, 0, edges) for _ in range(_TRIES)]
    best = min(tries, key=lambda each: each.seconds)
    sent, seconds = 0, 0.0
    for size in steps:
        took = (await _timed(call, size, edges)).seconds - best.seconds
        # The largest step says most; of equal ones, the fastest.
        if size > sent or took < seconds:
            sent, seconds = size, took
        if took > _LONG_SECONDS:
            break
    return Answered(best.authority, best.clock, Uplink(sent, seconds))


@dataclass(frozen=True)
class _Timed:
    seconds: float
    clock: Clock | None
    authority: bytes


async def _timed(call: Call, padding: int, edges: Edges) -> _Timed:
    asked, began = edges.now(), edges.tick()
    under_way = call(padding)
    answer = await under_way
    seconds = edges.tick() - began
    metadata = dict(await under_way.trailing_metadata() or ())
    # Cristian (1989): the server looked at its clock somewhere between question and answer.
    middle = asked + timedelta(seconds=seconds / 2)
    clock = _clock(str(metadata.get(TIME, "")), middle.timestamp(), seconds / 2)
    return _Timed(seconds, clock, bytes(getattr(answer, "authority", b"")))


def _clock(said: str, ours: float, within: float) -> Clock | None:
    try:
        return Clock(float(said) - ours, within)
    except ValueError:
        return None


def _padded(size: int) -> bytes:
    """Return a field of `size` bytes that no message has; none if 0.

    Source: Protocol Buffers, "Encoding": a tag, a length, both as varints, then the bytes.
    """
    return _varint(_PADDING << 3 | 2) + _varint(size) + bytes(size) if size else b""


def _varint(number: int) -> bytes:
    low = number & 0x7F
    return bytes([low]) if number < 0x80 else bytes([low | 0x80]) + _varint(number >> 7)
