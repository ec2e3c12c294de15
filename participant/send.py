"""Send a contribution: begin, ask how much is there, send the rest, commit.

Every byte comes from the outbox. However often this runs, and wherever it was
cut before, the same bytes go and the contribution counts once.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import grpc
import grpc.aio
import structlog
from google.protobuf.message import Message

from privacy import canonical
from privacy.documents import Signed, check_signer
from privacy.errors import MalformedMessage, VeilsumError
from privacy.failpoints import Failpoints
from privacy.identifiers import COORDINATOR
from privacy.records import Header, Receipt, SharedContribution, digest_of
from privacy.signing import Purpose
from veilsum.v1 import contribution_pb2 as wire
from veilsum.v1 import contribution_pb2_grpc

from .coordinator import CALL_SECONDS, Coordinator, signed_from_wire, signed_to_wire
from .outbox import Outbox
from .pace import Pace, say_in_log
from .sign import read_header

log = structlog.get_logger()

_FRAME_BYTES = 5  # gRPC's prefix of every message


@dataclass
class Sender:
    """Sends contributions over one channel; keeps nothing, so it can start again."""

    coordinator: Coordinator
    coordinator_key: bytes
    failpoints: Failpoints

    def __post_init__(self) -> None:
        self._count = 0
        self._stub = contribution_pb2_grpc.ContributionServiceStub(self.coordinator.channel)

    async def send(self, outbox: Outbox, header: Signed) -> Signed:
        """Send what is in the outbox under its signed header; return the receipt.

        Raises:
            PeerUnreachable: the connection broke; send again, it resumes.
            ConflictingContribution, RootMismatch, …: the coordinator refuses.
            InvalidSignature: the receipt is not the coordinator's.
        """
        contribution = read_header(header.body)
        try:
            begin = _begin(outbox, header)
            offset = await self._stub.BeginContribution(begin, timeout=CALL_SECONDS)
            self._count = _framed(begin)
            if not offset.committed:
                await self._put_chunks(outbox, contribution, list(offset.chunks))
            commit = wire.CommitContributionRequest(round=contribution.round)
            answer = await self._stub.CommitContribution(commit, timeout=CALL_SECONDS)
            self._count += _framed(commit)
        except grpc.aio.AioRpcError as error:
            raise await self.coordinator.error(error) from None
        receipt = signed_from_wire(answer.receipt)
        self._check_receipt(receipt, contribution)
        log.info("contribution_sent", round=contribution.round, bytes=self._count)
        return receipt

    async def _put_chunks(self, outbox: Outbox, contribution: Header, have: list[int]) -> None:
        (piece,) = contribution.pieces
        if len(have) != 1 or have[0] > piece.chunks:
            raise MalformedMessage(f"the coordinator says that it has {have} chunks")
        if have[0] == piece.chunks:
            return
        failed: list[VeilsumError] = []
        requests = self._requests(outbox, contribution.round, (have[0], piece.chunks), failed)
        durable = have[0]
        async for answer in self.coordinator.stream(self._stub.PutChunks(requests)):
            durable = answer.chunks
        # gRPC would drop an error of the requests, and cancel whoever waits for the answers.
        if failed:
            raise failed[0]
        if durable != piece.chunks:
            raise MalformedMessage(f"the coordinator kept {durable} of {piece.chunks} chunks")

    async def _requests(
        self,
        outbox: Outbox,
        number: int,
        chunks: tuple[int, int],
        failed: list[VeilsumError],
    ) -> AsyncIterator[wire.PutChunksRequest]:
        pace = Pace(chunks[1], say_in_log("sending", number), chunks[0])
        try:
            for index, payload in outbox.chunks(*chunks):
                request = wire.PutChunksRequest(round=number, piece=0, chunk=index, payload=payload)
                self._count += _framed(request)
                yield request
                pace.step(len(payload))
                await asyncio.to_thread(self.failpoints.hit, "send.after_chunk")
        except VeilsumError as error:
            failed.append(error)

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


def _framed(message: Message) -> int:
    return message.ByteSize() + _FRAME_BYTES
