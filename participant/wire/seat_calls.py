"""The coordinator, as those talk to it who take part in a round under `shares`.

What seats are given and state, and what those read who open their sums. Bytes become values
here; what they say is checked by whoever uses them.
"""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from privacy.documents import Signed
from privacy.errors import MalformedMessage
from privacy.identifiers import Digest
from privacy.schemes.shares.layout import SEATS
from veilsum.v1 import seat_pb2, seat_pb2_grpc

from .coordinator import Coordinator, signed_from_wire, signed_to_wire
from .whole import Whole, joined

MOST_CANDIDATES: Final = 1_000
"""Headers that are read of one round: no more trainers than that have room in a statement."""


@dataclass(frozen=True)
class Part:
    """One contribution as it comes to a seat: header, sealed secrets and chunks, unchecked."""

    header: Signed
    sealed: bytes = field(repr=False)
    chunks: AsyncIterator[bytes]


@dataclass
class SeatCalls:
    """What a coordinator answers about seats, over the channel of `coordinator`."""

    coordinator: Coordinator

    def __post_init__(self) -> None:
        self._seats = seat_pb2_grpc.SeatServiceStub(self.coordinator.channel)
        self._long = seat_pb2_grpc.SeatServiceStub(self.coordinator.bulk)

    @asynccontextmanager
    async def part(self, number: int, participant: str, from_chunk: int = 0) -> AsyncIterator[Part]:
        """Give one contribution as the caller's seat holds it, its chunks from one on.

        A seat that does not hold the component that travels gets no chunks.
        """

        def call(chunk: int) -> Any:  # noqa: ANN401
            request = seat_pb2.GetPartRequest(
                round=number, participant=participant, from_chunk=chunk
            )
            return self._long.GetPart(request)

        async with aclosing(self.coordinator.stream_on(call, from_chunk)) as parts:
            first = await anext(parts, None)
            if first is None or first.WhichOneof("part") != "header":
                raise MalformedMessage(
                    f"round {number}: a part of {participant} without its header"
                )
            header = first.header
            yield Part(signed_from_wire(header.header), header.sealed, _chunks(parts))

    async def candidates(self, number: int) -> tuple[Signed, list[Signed]]:
        """Return the signed candidates and the header of each.

        Raises:
            MalformedMessage: they do not come first, or there are more headers than any
                cohort has.
        """
        call = self._seats.GetCandidates(seat_pb2.GetCandidatesRequest(round=number))
        try:
            parts = self.coordinator.stream(call)
            first = await anext(parts, None)
            if first is None or first.WhichOneof("part") != "candidates":
                raise MalformedMessage(f"round {number}: headers without their candidates")
            return signed_from_wire(first.candidates), await _headers(parts)
        finally:
            call.cancel()

    async def put_verdict(self, verdict: Signed) -> None:
        """Hand in what this seat says of the candidates."""
        request = seat_pb2.PutVerdictRequest(verdict=signed_to_wire(verdict))
        await self.coordinator.call(self._seats.PutVerdict(request))

    async def sign_cohort(self, number: int, cohort: Digest, signature: bytes) -> None:
        """Hand in this signer's part of the certificate of a cohort."""
        request = seat_pb2.SignCohortRequest(round=number, cohort=cohort, signature=signature)
        await self.coordinator.call(self._seats.SignCohort(request))

    async def put_sum(self, statement: Signed, sums: Whole[tuple[int, bytes]]) -> None:
        """Store what is missing of this seat's sums, each part once the one before is durable.

        Args:
            statement: the signed `SeatSum`.
            sums: position and sealed chunk: all of the first sum, then all of the second.

        Raises:
            PeerUnreachable: one step of it stopped; however long the whole takes, that is all
                it waits for. Put them again, they go on where they stopped.
        """
        first = seat_pb2.PutSeatSumRequest(statement=signed_to_wire(statement))

        def digests() -> Iterator[Any]:
            for each in joined(sums.digests()):
                yield seat_pb2.PutSeatSumRequest(digests=each)

        def parts(durable: int) -> Iterator[Any]:
            for position, payload in sums.chunks(durable):
                chunk = seat_pb2.SealedChunk(position=position, payload=payload)
                yield seat_pb2.PutSeatSumRequest(chunk=chunk)

        await self.coordinator.upload(self._long.PutSeatSum, first, digests, parts)

    async def sums(self, number: int) -> list[Signed]:
        """Return the signed statements of a round's seats, as many as there are.

        Raises:
            MalformedMessage: there are more than seats.
        """
        call = self._seats.GetSeatSums(seat_pb2.GetSeatSumsRequest(round=number))
        statements: list[Signed] = []
        try:
            async for part in self.coordinator.stream(call):
                if len(statements) == SEATS:
                    raise MalformedMessage(f"round {number}: more statements than {SEATS} seats")
                statements.append(signed_from_wire(part.statement))
        finally:
            call.cancel()
        return statements

    @asynccontextmanager
    async def words(
        self, number: int, seat: str, position: int, from_chunk: int = 0
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Give the sealed sum of one component of one seat, its chunks from one on."""

        def call(chunk: int) -> Any:  # noqa: ANN401
            request = seat_pb2.GetSealedWordsRequest(
                round=number, seat=seat, position=position, from_chunk=chunk
            )
            return self._long.GetSealedWords(request)

        async with aclosing(self.coordinator.stream_on(call, from_chunk)) as parts:
            yield (part.chunk async for part in parts)

    async def put_scores(self, scores: Signed) -> None:
        """Hand in what seats opened about a cohort's updates, signed by this seat."""
        request = seat_pb2.PutScoresRequest(scores=signed_to_wire(scores))
        await self.coordinator.call(self._seats.PutScores(request))

    async def scores(self, number: int) -> Signed:
        """Return the scores of a round with the signatures they have."""
        request = seat_pb2.GetScoresRequest(round=number)
        return signed_from_wire(
            (await self.coordinator.call(self._seats.GetScores(request))).scores
        )

    async def put_pledge(self, pledge: Signed) -> None:
        """Hand in what this seat pledges for the sums that it has stated."""
        request = seat_pb2.PutPledgeRequest(pledge=signed_to_wire(pledge))
        await self.coordinator.call(self._seats.PutPledge(request))

    async def pledges(self, number: int) -> list[Signed]:
        """Return what the seats of a round have pledged, as many as there are.

        Raises:
            MalformedMessage: there are more than seats.
        """
        request = seat_pb2.GetPledgesRequest(round=number)
        found = (await self.coordinator.call(self._seats.GetPledges(request))).pledges
        if len(found) > SEATS:
            raise MalformedMessage(f"round {number}: more pledges than {SEATS} seats")
        return [signed_from_wire(each) for each in found]

    async def name_liar(self, number: int, seats: Sequence[str]) -> None:
        """Say, as the auditor, which seats' sums are not those of what sites signed."""
        request = seat_pb2.NameLiarRequest(round=number, seats=seats)
        await self.coordinator.call(self._seats.NameLiar(request))


async def _headers(parts: AsyncIterator[Any]) -> list[Signed]:
    headers: list[Signed] = []
    async for part in parts:
        # Whoever streams for ever must not fill this process's memory.
        if part.WhichOneof("part") != "contribution" or len(headers) == MOST_CANDIDATES:
            raise MalformedMessage("something other than a header of a candidate")
        headers.append(signed_from_wire(part.contribution))
    return headers


async def _chunks(parts: AsyncIterator[Any]) -> AsyncIterator[bytes]:
    async for part in parts:
        if part.WhichOneof("part") != "chunk":
            raise MalformedMessage("something other than a chunk among the chunks of a part")
        yield part.chunk
