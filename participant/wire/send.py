"""Send a contribution: begin, ask how much is there, send the rest, commit.

Every byte comes from the outbox. However often this runs, and wherever it was
cut before, the same bytes go and the contribution counts once.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeAlias

import grpc
import grpc.aio
import structlog
from google.protobuf.message import Message

from participant.pace import Pace, say_in_log
from participant.sending.outbox import Outbox
from participant.sending.sign import read_header
from privacy import canonical
from privacy.documents import Signed, check_signer
from privacy.errors import MalformedMessage, VeilsumError
from privacy.failpoints import Failpoints
from privacy.identifiers import COORDINATOR
from privacy.records import Header, Receipt, SharedContribution, digest_of
from privacy.signing import Purpose
from veilsum.v1 import contribution_pb2 as wire
from veilsum.v1 import contribution_pb2_grpc

from .coordinator import CALL_SECONDS, CHUNK_SECONDS, Coordinator, signed_from_wire, signed_to_wire
from .window import LEAST_PART, Window

log = structlog.get_logger()

_Call: TypeAlias = Any
"""A stream both ways, written step by step; the stubs know those from an iterator only."""

_FRAME_BYTES = 5  # gRPC's prefix of every message


@dataclass
class Sender:
    """Sends contributions over one channel; keeps nothing, so it can start again."""

    coordinator: Coordinator
    coordinator_key: bytes
    failpoints: Failpoints

    def __post_init__(self) -> None:
        self._count = 0
        self._stub = contribution_pb2_grpc.ContributionServiceStub(self.coordinator.bulk)

    async def send(self, outbox: Outbox, header: Signed) -> Signed:
        """Send what is in the outbox under its signed header; return the receipt.

        Raises:
            PeerUnreachable: the connection broke; send again, it resumes.
            OutsideHours: the policy sends nothing at this hour; the same.
            ConflictingContribution, RootMismatch, …: the coordinator refuses.
            InvalidSignature: the receipt is not the coordinator's.
        """
        contribution = read_header(header.body)
        self.coordinator.tempo.go_on()
        try:
            begin, self._count = _begin(outbox, header), 0
            begun = await self._ask(begin)
            while not begun.committed and not await self._put_chunks(outbox, contribution, begun):
                begun = await self._ask(begin)
            commit = wire.CommitContributionRequest(round=contribution.round)
            answer = await self._stub.CommitContribution(commit, timeout=CALL_SECONDS)
            self._count += _framed(commit)
        except grpc.aio.AioRpcError as error:
            raise await self.coordinator.error(error) from None
        receipt = signed_from_wire(answer.receipt)
        self._check_receipt(receipt, contribution)
        log.info("contribution_sent", round=contribution.round, bytes=self._count)
        return receipt

    async def _ask(self, begin: wire.BeginContributionRequest) -> wire.BeginContributionResponse:
        begun = await self._stub.BeginContribution(begin, timeout=CALL_SECONDS)
        self._count += _framed(begin)
        return begun

    async def _put_chunks(
        self, outbox: Outbox, contribution: Header, begun: wire.BeginContributionResponse
    ) -> bool:
        """Send what is missing; return whether all is there, or another connection's turn came."""
        (piece,), have = contribution.pieces, list(begun.chunks)
        if len(have) != 1 or have[0] > piece.chunks:
            raise MalformedMessage(f"the coordinator says that it has {have} chunks")
        if have[0] == piece.chunks:
            return True
        failed: list[VeilsumError] = []
        window, turn = Window(), self.coordinator.turns.number
        call: _Call = self._stub.PutChunks()  # type: ignore[call-arg]
        requests = self._requests(outbox, contribution, begun, window, turn)
        writing = asyncio.create_task(_write(call, requests, failed))
        try:
            pace = Pace(piece.chunks, say_in_log("sending", contribution.round), have[0])
            # A part is short where the line is slow; a coordinator of before takes whole chunks.
            seconds = CALL_SECONDS if begun.parts else CHUNK_SECONDS
            durable = await self._read(call, window, pace, seconds)
        finally:
            writing.cancel()
            call.cancel()
            await asyncio.wait({writing})
        if failed:
            raise failed[0]
        if durable < piece.chunks and turn != self.coordinator.turns.number:
            return False
        if durable != piece.chunks:
            raise MalformedMessage(f"the coordinator kept {durable} of {piece.chunks} chunks")
        return True

    async def _read(self, call: _Call, window: Window, pace: Pace, seconds: float) -> int:
        """Return how many chunks are durable, once there is no answer left."""
        durable, sent = pace.done, 0
        async for answer in self.coordinator.stream(call, seconds):
            sent += window.answered()
            if answer.chunks > durable:
                durable = answer.chunks
                pace.step(sent)
                sent = 0
        return durable

    async def _requests(
        self,
        outbox: Outbox,
        contribution: Header,
        begun: wire.BeginContributionResponse,
        window: Window,
        turn: int,
    ) -> AsyncIterator[wire.PutChunksRequest]:
        number, first, tempo = contribution.round, begun.chunks[0], self.coordinator.tempo
        for index, payload in outbox.chunks(first, contribution.pieces[0].chunks):
            offset = begun.bytes if begun.parts and index == first else 0
            if offset >= len(payload):
                raise MalformedMessage(f"the coordinator has {offset} bytes of chunk {index}")
            while offset < len(payload):
                await window.room()
                if self.coordinator.turns.number != turn:
                    # What is under way is answered here; the rest goes over the new connection.
                    return
                tempo.go_on()
                length = window.part() if begun.parts else len(payload)
                if begun.parts:
                    length = tempo.up.part(length, LEAST_PART)
                request = _part(number, index, payload, offset, length)
                await tempo.up.take(_framed(request))
                self._count += _framed(request)
                window.sent(len(request.payload))
                offset += len(request.payload)
                yield request
            await asyncio.to_thread(self.failpoints.hit, "send.after_chunk")

    def _check_receipt(self, signed: Signed, contribution: Header) -> None:
        check_signer(signed, Purpose.RECEIPT, COORDINATOR, self.coordinator_key)
        receipt = canonical.decode(signed.body, Receipt)
        expected = (contribution.round, contribution.participant, digest_of(contribution))
        if (receipt.round, receipt.participant, receipt.contribution) != expected:
            raise MalformedMessage("the coordinator's receipt is for another contribution")


def _begin(outbox: Outbox, header: Signed) -> wire.BeginContributionRequest:
    contribution, sent = read_header(header.body), signed_to_wire(header)
    if isinstance(contribution, SharedContribution):
        parts = outbox.seals(len(contribution.seals))
        return wire.BeginContributionRequest(header=sent, sealed_parts=parts)
    masks = outbox.seals(len(contribution.masks))
    return wire.BeginContributionRequest(header=sent, sealed_masks=masks)


async def _write(
    call: _Call, requests: AsyncIterator[wire.PutChunksRequest], failed: list[VeilsumError]
) -> None:
    """Write the requests of a call; an error of the outbox ends them, and is kept."""
    # A call that has ended takes no more; why it has, whoever reads the answers is told.
    with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
        try:
            async for request in requests:
                await call.write(request)
        except VeilsumError as error:
            failed.append(error)
        await call.done_writing()


def _part(
    number: int, chunk: int, payload: bytes, offset: int, length: int
) -> wire.PutChunksRequest:
    """Return the part of a chunk that begins at `offset`; all of a chunk goes as it always did."""
    part = payload[offset : offset + length]
    if len(part) == len(payload):
        return wire.PutChunksRequest(round=number, piece=0, chunk=chunk, payload=part)
    return wire.PutChunksRequest(
        round=number, piece=0, chunk=chunk, payload=part, offset=offset, length=len(payload)
    )


def _framed(message: Message) -> int:
    return message.ByteSize() + _FRAME_BYTES
