"""A seat's calls over a real channel: bytes in, values out, and nothing that is cut passes."""

import pytest

from participant.wire.coordinator import signed_from_wire, signed_to_wire
from participant.wire.seat_calls import SeatCalls
from privacy.documents import Signed
from privacy.errors import IllegalEvent, MalformedMessage, StoreUnavailable
from tests.participant import endpoint
from tests.sent import whole_sums
from veilsum.v1 import seat_pb2, seat_pb2_grpc

SAID = Signed(b'{"said":1}', {"north": b"s" * 64})
OTHER = Signed(b'{"said":2}', {"south": b"t" * 64})


class Seats(seat_pb2_grpc.SeatServiceServicer):
    """Answers with what it was asked, and keeps what it is given."""

    def __init__(self):
        self.got = []

    async def GetPart(self, request, context):  # noqa: N802
        self.got.append((request.round, request.participant, request.from_chunk))
        if request.round == 2:
            yield seat_pb2.GetPartResponse(chunk=b"no header")
            return
        header = seat_pb2.PartHeader(header=signed_to_wire(SAID), sealed=b"sealed")
        yield seat_pb2.GetPartResponse(header=header)
        yield seat_pb2.GetPartResponse(chunk=b"one")
        if request.round == 3:
            yield seat_pb2.GetPartResponse(header=header)
        if request.round == 4:
            await endpoint.refuse(context, StoreUnavailable("the disk is full"))
        yield seat_pb2.GetPartResponse(chunk=b"two")

    async def GetCandidates(self, request, context):  # noqa: N802
        header = seat_pb2.GetCandidatesResponse(contribution=signed_to_wire(OTHER))
        if request.round != 2:
            yield seat_pb2.GetCandidatesResponse(candidates=signed_to_wire(SAID))
        yield header
        if request.round == 3:
            yield seat_pb2.GetCandidatesResponse(candidates=signed_to_wire(SAID))
        if request.round == 4:
            await endpoint.refuse(context, StoreUnavailable("the disk is full"))
        while request.round == 5:
            yield header

    async def PutVerdict(self, request, context):  # noqa: N802
        self.got.append(signed_from_wire(request.verdict))
        return seat_pb2.PutVerdictResponse()

    async def SignCohort(self, request, context):  # noqa: N802
        self.got.append((request.round, request.cohort, request.signature))
        return seat_pb2.SignCohortResponse()

    async def PutSeatSum(self, requests, context):  # noqa: N802
        async for part in requests:
            self.got.append(part)
            if len(self.got) == 9:
                await endpoint.refuse(context, IllegalEvent("the round is over"))
            yield seat_pb2.PutSeatSumResponse(chunks=len(self.got) - 1)

    async def GetSeatSums(self, request, context):  # noqa: N802
        for each in (SAID, OTHER):
            yield seat_pb2.GetSeatSumsResponse(statement=signed_to_wire(each))
        while request.round == 5:
            yield seat_pb2.GetSeatSumsResponse(statement=signed_to_wire(OTHER))

    async def GetSealedWords(self, request, context):  # noqa: N802
        self.got.append((request.round, request.seat, request.position, request.from_chunk))
        for chunk in (b"three", b"four"):
            yield seat_pb2.GetSealedWordsResponse(chunk=chunk)

    async def PutScores(self, request, context):  # noqa: N802
        self.got.append(signed_from_wire(request.scores))
        return seat_pb2.PutScoresResponse()

    async def GetScores(self, request, context):  # noqa: N802
        return seat_pb2.GetScoresResponse(scores=signed_to_wire(OTHER))

    async def PutPledge(self, request, context):  # noqa: N802
        self.got.append(signed_from_wire(request.pledge))
        return seat_pb2.PutPledgeResponse()

    async def GetPledges(self, request, context):  # noqa: N802
        shown = (SAID, OTHER, SAID, OTHER)[: request.round]
        return seat_pb2.GetPledgesResponse(pledges=[signed_to_wire(each) for each in shown])

    async def NameLiar(self, request, context):  # noqa: N802
        self.got.append((request.round, tuple(request.seats)))
        return seat_pb2.NameLiarResponse()


@pytest.fixture
async def served():
    seats = Seats()
    pair = (seat_pb2_grpc.add_SeatServiceServicer_to_server, seats)
    async with endpoint.coordinator(pair) as coordinator:
        yield SeatCalls(coordinator), seats.got


async def a_part(calls, number):
    async with calls.part(number, "amber", 5) as part:
        return part.header, part.sealed, [chunk async for chunk in part.chunks]


async def test_a_part_is_its_header_what_is_sealed_and_chunks(served):
    """From the chunk that was asked for."""
    calls, got = served

    assert await a_part(calls, 1) == (SAID, b"sealed", [b"one", b"two"])
    assert got == [(1, "amber", 5)]


@pytest.mark.parametrize("number", [2, 3])
async def test_a_part_of_another_shape_is_refused(served, number):
    """One header, first; chunks after it."""
    calls, _ = served

    with pytest.raises(MalformedMessage):
        await a_part(calls, number)


async def test_a_part_that_breaks_is_no_shorter_part(served):
    """The coordinator's error comes through."""
    calls, _ = served

    with pytest.raises(StoreUnavailable, match="store_unavailable"):
        await a_part(calls, 4)


async def test_what_a_seat_hands_in_arrives_as_it_is(served):
    """Signed documents byte for byte."""
    calls, got = served

    await calls.put_verdict(SAID)
    await calls.sign_cohort(3, "c" * 64, b"signature")
    await calls.put_scores(OTHER)
    await calls.put_pledge(SAID)
    await calls.name_liar(4, ("north",))

    assert got == [SAID, (3, "c" * 64, b"signature"), OTHER, SAID, (4, ("north",))]


async def test_pledges_are_those_of_three_seats_at_most(served):
    """Whoever shows more shows something else."""
    calls, _ = served

    assert await calls.pledges(2) == [SAID, OTHER]
    with pytest.raises(MalformedMessage, match="more pledges than 3 seats"):
        await calls.pledges(4)


async def test_a_sum_is_its_statement_and_chunks_in_order(served):
    """Each once the one before is durable."""
    calls, got = served

    await calls.put_sum(SAID, whole_sums([(0, b"one"), (0, b"two"), (1, b"three")]))

    first, *parts = got
    assert signed_from_wire(first.statement) == SAID
    chunks = [(each.chunk.position, each.chunk.payload) for each in parts]
    assert chunks == [(0, b"one"), (0, b"two"), (1, b"three")]


async def test_a_sum_refused_in_the_middle_is_heard(served):
    """Its error, and not that the call is over."""
    calls, _ = served

    with pytest.raises(IllegalEvent, match="the round is over"):
        await calls.put_sum(SAID, whole_sums([(0, b"chunk")] * 20))


async def test_a_sum_that_cannot_be_read_is_this_seats_own_error(served):
    """Not a call that was cancelled."""
    calls, _ = served

    def chunks():
        yield 0, b"one"
        raise StoreUnavailable("the outbox is gone")

    with pytest.raises(StoreUnavailable, match="is gone"):
        await calls.put_sum(SAID, whole_sums(chunks()))


async def test_what_others_read_comes_as_values(served):
    """Candidates with headers, statements, words, scores."""
    calls, got = served

    assert await calls.candidates(1) == (SAID, [OTHER])
    assert await calls.sums(1) == [SAID, OTHER]
    assert await calls.scores(1) == OTHER
    async with calls.words(1, "north", 1, 7) as words:
        assert [chunk async for chunk in words] == [b"three", b"four"]
    assert got == [(1, "north", 1, 7)]


@pytest.mark.parametrize("number", [2, 3, 5])
async def test_candidates_of_another_shape_are_refused(served, number):
    """They come first, once, and not with headers for ever."""
    calls, _ = served

    with pytest.raises(MalformedMessage):
        await calls.candidates(number)


async def test_candidates_that_break_are_no_shorter_list(served):
    calls, _ = served

    with pytest.raises(StoreUnavailable):
        await calls.candidates(4)


async def test_no_more_statements_are_read_than_there_are_seats(served):
    """A stream that does not end fills no memory."""
    calls, _ = served

    with pytest.raises(MalformedMessage, match="more statements"):
        await calls.sums(5)
