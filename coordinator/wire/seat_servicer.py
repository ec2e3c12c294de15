"""The gRPC methods of seats and letters: decode, delegate, encode, as in `servicer.py`."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

from coordinator.members.relay import Letter, Relay
from coordinator.members.rosters import Rosters
from coordinator.seats.serving import Seats
from coordinator.seats.sum_upload import SumUpload
from privacy.documents import Signed
from privacy.errors import MalformedMessage
from veilsum.v1 import seat_pb2, seat_pb2_grpc

from . import codec
from .credits import Transfers
from .servicer import LONGEST_WAIT_SECONDS
from .tls import Context, peer_identity


class SeatServicer(seat_pb2_grpc.SeatServiceServicer):
    """What seats are given, what they state, and who reads it."""

    def __init__(self, seats: Seats, transfers: Transfers) -> None:
        self._seats = seats
        self._transfers = transfers

    async def GetPart(
        self, request: seat_pb2.GetPartRequest, context: Context
    ) -> AsyncIterator[seat_pb2.GetPartResponse]:
        """Stream one contribution as the caller's seat holds it."""
        caller, number, who = peer_identity(context).id, request.round, request.participant
        part = await asyncio.to_thread(self._seats.parts.part, caller, number, who)
        header = seat_pb2.PartHeader(header=codec.signed_to_wire(part.header), sealed=part.sealed)
        yield seat_pb2.GetPartResponse(header=header)
        with self._transfers.stream(caller):
            for chunk in range(request.from_chunk, part.chunks):
                async with self._transfers.downloads.one(caller):
                    payload = await self._transfers.run(
                        self._seats.parts.chunk, caller, number, who, chunk
                    )
                    yield seat_pb2.GetPartResponse(chunk=payload)

    async def GetCandidates(
        self, request: seat_pb2.GetCandidatesRequest, context: Context
    ) -> AsyncIterator[seat_pb2.GetCandidatesResponse]:
        """Stream the signed candidates, and the header of each behind them."""
        caller = peer_identity(context).id
        signed, headers = await asyncio.to_thread(
            self._seats.judging.candidates, caller, request.round
        )
        yield seat_pb2.GetCandidatesResponse(candidates=codec.signed_to_wire(signed))
        for header in headers:
            yield seat_pb2.GetCandidatesResponse(contribution=codec.signed_to_wire(header))

    async def PutVerdict(
        self, request: seat_pb2.PutVerdictRequest, context: Context
    ) -> seat_pb2.PutVerdictResponse:
        """Take what the caller's seat says of the candidates."""
        caller, signed = peer_identity(context).id, codec.signed_from_wire(request.verdict)
        await asyncio.to_thread(self._seats.judging.put_verdict, caller, signed)
        return seat_pb2.PutVerdictResponse()

    async def SignCohort(
        self, request: seat_pb2.SignCohortRequest, context: Context
    ) -> seat_pb2.SignCohortResponse:
        """Take the caller's signature on the cohort."""
        caller = peer_identity(context).id
        await asyncio.to_thread(
            self._seats.certifying.sign_cohort,
            caller,
            request.round,
            request.cohort,
            request.signature,
        )
        return seat_pb2.SignCohortResponse()

    async def PutSeatSum(
        self, request: AsyncIterator[seat_pb2.PutSeatSumRequest], context: Context
    ) -> AsyncIterator[seat_pb2.PutSeatSumResponse]:
        """Store the caller's sealed sums behind their statement, each part before its answer."""
        caller = peer_identity(context).id
        with self._transfers.stream(caller):
            async with aclosing(self._transfers.arriving(caller, request)) as parts:
                async for answer in self._store(caller, parts):
                    yield answer

    async def _store(
        self, caller: str, parts: AsyncIterator[seat_pb2.PutSeatSumRequest]
    ) -> AsyncIterator[seat_pb2.PutSeatSumResponse]:
        statement = _statement(await anext(parts, None))
        upload = await asyncio.to_thread(self._seats.sums.begin, caller, statement)
        yield seat_pb2.PutSeatSumResponse(resumes=upload.announced.is_taken())
        async for part in parts:
            if part.WhichOneof("part") == "digests":
                if upload.announce(part.digests):
                    await self._find(upload)
            else:
                chunk = _chunk(part)
                await self._transfers.run(
                    self._seats.sums.put_chunk, upload, chunk.position, chunk.payload
                )
            yield seat_pb2.PutSeatSumResponse(chunks=upload.came)
        await asyncio.to_thread(self._seats.sums.finish, upload)

    async def _find(self, upload: SumUpload) -> None:
        """Take what is stored of an upload, a chunk at a time, so that others have their turn."""
        while await self._transfers.run(self._seats.sums.find, upload):
            pass

    async def GetSeatSums(
        self, request: seat_pb2.GetSeatSumsRequest, context: Context
    ) -> AsyncIterator[seat_pb2.GetSeatSumsResponse]:
        """Stream the seats' signed statements, each in a message of its own."""
        caller = peer_identity(context).id
        for each in await asyncio.to_thread(self._seats.sealed.statements, caller, request.round):
            yield seat_pb2.GetSeatSumsResponse(statement=codec.signed_to_wire(each))

    async def GetSealedWords(
        self, request: seat_pb2.GetSealedWordsRequest, context: Context
    ) -> AsyncIterator[seat_pb2.GetSealedWordsResponse]:
        """Stream the sealed sum of one component of one seat."""
        caller = peer_identity(context).id
        place = request.round, request.seat, request.position
        chunks = await asyncio.to_thread(self._seats.sealed.chunks, caller, *place)
        with self._transfers.stream(caller):
            for chunk in range(request.from_chunk, chunks):
                async with self._transfers.downloads.one(caller):
                    payload = await self._transfers.run(
                        self._seats.sealed.words, caller, *place, chunk
                    )
                    yield seat_pb2.GetSealedWordsResponse(chunk=payload)

    async def PutScores(
        self, request: seat_pb2.PutScoresRequest, context: Context
    ) -> seat_pb2.PutScoresResponse:
        """Keep the scores that the caller has signed."""
        caller, signed = peer_identity(context).id, codec.signed_from_wire(request.scores)
        await asyncio.to_thread(self._seats.scores.put, caller, signed)
        return seat_pb2.PutScoresResponse()

    async def GetScores(
        self, request: seat_pb2.GetScoresRequest, context: Context
    ) -> seat_pb2.GetScoresResponse:
        """Return the scores that enough seats or openers have signed."""
        signed = await asyncio.to_thread(self._seats.scores.shown, request.round)
        return seat_pb2.GetScoresResponse(scores=codec.signed_to_wire(signed))

    async def PutPledge(
        self, request: seat_pb2.PutPledgeRequest, context: Context
    ) -> seat_pb2.PutPledgeResponse:
        """Keep what the caller pledges for the sums that it has stated."""
        caller, signed = peer_identity(context).id, codec.signed_from_wire(request.pledge)
        await asyncio.to_thread(self._seats.pledges.put, caller, signed)
        return seat_pb2.PutPledgeResponse()

    async def GetPledges(
        self, request: seat_pb2.GetPledgesRequest, context: Context
    ) -> seat_pb2.GetPledgesResponse:
        """Return what the seats of a round have pledged."""
        caller = peer_identity(context).id
        found = await asyncio.to_thread(self._seats.pledges.of, caller, request.round)
        return seat_pb2.GetPledgesResponse(pledges=[codec.signed_to_wire(each) for each in found])

    async def NameLiar(
        self, request: seat_pb2.NameLiarRequest, context: Context
    ) -> seat_pb2.NameLiarResponse:
        """Take the auditor's word on a dispute."""
        caller, seats = peer_identity(context).id, tuple(request.seats)
        await asyncio.to_thread(self._seats.disputes.name_liar, caller, request.round, seats)
        return seat_pb2.NameLiarResponse()


class RelayServicer(seat_pb2_grpc.RelayServiceServicer):
    """Letters. The relay is used on the loop, where all of it is."""

    def __init__(self, relay: Relay, rosters: Rosters) -> None:
        self._relay = relay
        self._rosters = rosters

    async def PostLetter(
        self, request: seat_pb2.PostLetterRequest, context: Context
    ) -> seat_pb2.PostLetterResponse:
        """Take a letter of the caller for another member."""
        # In memory since the caller's role was looked up there: nothing here waits.
        if all(request.recipient != each.participant for each in self._rosters.current().members):
            raise MalformedMessage(f"{request.recipient[:80]!r} is no member; nobody collects that")
        caller = peer_identity(context).id
        self._relay.post(caller, request.recipient, request.topic, request.body)
        return seat_pb2.PostLetterResponse()

    async def CollectLetters(
        self, request: seat_pb2.CollectLettersRequest, context: Context
    ) -> seat_pb2.CollectLettersResponse:
        """Return the letters that wait for the caller, once there is one."""
        caller, seconds = peer_identity(context).id, min(request.wait_seconds, LONGEST_WAIT_SECONDS)
        letters = await self._relay.collect(caller, request.after, seconds)
        return seat_pb2.CollectLettersResponse(
            letters=[_letter_to_wire(each) for each in letters], epoch=self._relay.epoch
        )


def _statement(part: seat_pb2.PutSeatSumRequest | None) -> Signed:
    if part is None or part.WhichOneof("part") != "statement":
        raise MalformedMessage("a seat's sum begins with its statement")
    return codec.signed_from_wire(part.statement)


def _chunk(part: seat_pb2.PutSeatSumRequest) -> seat_pb2.SealedChunk:
    if part.WhichOneof("part") != "chunk":
        raise MalformedMessage("something other than a chunk among the chunks of a seat's sum")
    return part.chunk


def _letter_to_wire(letter: Letter) -> seat_pb2.Letter:
    return seat_pb2.Letter(
        number=letter.number, sender=letter.sender, topic=letter.topic, body=letter.body
    )
