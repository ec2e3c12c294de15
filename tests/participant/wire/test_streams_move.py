"""A stream goes on over the connection whose turn it is: every chunk once, in order, no gap."""

import pytest

from participant.wire.coordinator import signed_to_wire
from participant.wire.seat_calls import SeatCalls
from privacy.errors import PeerUnreachable
from tests.participant import endpoint
from tests.participant import signed_round as made
from tests.participant.wire.test_coordinator import RECORD
from veilsum.v1 import (
    cohort_pb2,
    cohort_pb2_grpc,
    model_pb2,
    model_pb2_grpc,
    seat_pb2,
    seat_pb2_grpc,
)

CHUNKS = [bytes([each]) * 10 for each in range(6)]
SITES = ("amber", "birch")


class Cohorts(cohort_pb2_grpc.CohortServiceServicer):
    """Streams a sum and contributions, and notes from which chunk on it was asked for them."""

    def __init__(self):
        self.asked, self.manifests = [], [signed_to_wire(made.signed_by(RECORD, "amber"))] * 9

    async def GetSum(self, request, context):  # noqa: N802
        self.asked.append(request.from_chunk)
        yield cohort_pb2.GetSumResponse(manifest=self.manifests.pop(0))
        for chunk in CHUNKS[request.from_chunk :]:
            yield cohort_pb2.GetSumResponse(chunk=chunk)

    async def GetContributions(self, request, context):  # noqa: N802
        self.asked.append(request.from_chunk)
        for index in range(request.from_chunk, len(CHUNKS)):
            for name in SITES:
                yield cohort_pb2.GetContributionsResponse(
                    chunk=index, participant=name, payload=CHUNKS[index]
                )


class Models(model_pb2_grpc.ModelServiceServicer):
    def __init__(self):
        self.asked = []

    async def GetSealedModel(self, request, context):  # noqa: N802
        self.asked.append(request.from_chunk)
        document = signed_to_wire(made.signed_by(RECORD, "amber"))
        yield model_pb2.GetSealedModelResponse(envelope=document)
        # A wrap more each time: another trainer has joined meanwhile.
        for _ in self.asked:
            yield model_pb2.GetSealedModelResponse(wraps=document)
        for chunk in CHUNKS[request.from_chunk :]:
            yield model_pb2.GetSealedModelResponse(chunk=chunk)


class Seats(seat_pb2_grpc.SeatServiceServicer):
    def __init__(self):
        self.asked = []

    async def GetPart(self, request, context):  # noqa: N802
        self.asked.append(request.from_chunk)
        document = signed_to_wire(made.signed_by(RECORD, "amber"))
        header = seat_pb2.PartHeader(header=document, sealed=b"sealed")
        yield seat_pb2.GetPartResponse(header=header)
        for chunk in CHUNKS[request.from_chunk :]:
            yield seat_pb2.GetPartResponse(chunk=chunk)

    async def GetSealedWords(self, request, context):  # noqa: N802
        self.asked.append(request.from_chunk)
        for chunk in CHUNKS[request.from_chunk :]:
            yield seat_pb2.GetSealedWordsResponse(chunk=chunk)


COHORTS = cohort_pb2_grpc.add_CohortServiceServicer_to_server
MODELS = model_pb2_grpc.add_ModelServiceServicer_to_server
SEATS = seat_pb2_grpc.add_SeatServiceServicer_to_server


async def taken(coordinator, chunks, *turns):
    """Return all chunks; another connection takes over once so many have come."""
    found = []
    async for chunk in chunks:
        found.append(chunk)
        if len(found) in turns:
            coordinator.turns.number += 1
    return found


async def test_a_sum_goes_on_at_the_next_chunk():
    servicer = Cohorts()
    async with (
        endpoint.coordinator((COHORTS, servicer)) as coordinator,
        coordinator.sum(1) as (_, chunks),
    ):
        found = await taken(coordinator, chunks, 2, 5)

    assert found == CHUNKS
    assert servicer.asked == [0, 2, 5]


async def test_a_turn_at_the_very_end_leaves_nothing_out_and_adds_nothing():
    servicer = Cohorts()
    async with (
        endpoint.coordinator((COHORTS, servicer)) as coordinator,
        coordinator.sum(1, 3) as (_, chunks),
    ):
        found = await taken(coordinator, chunks, 3)

    assert found == CHUNKS[3:]
    assert servicer.asked == [3, 6]


async def test_contributions_go_on_between_two_chunks():
    """Of one chunk the auditor adds all payloads, from one answer."""
    servicer = Cohorts()
    async with (
        endpoint.coordinator((COHORTS, servicer)) as coordinator,
        coordinator.contributions(1) as parts,
    ):
        found = await taken(coordinator, parts, 3, 8)

    assert found == [(at, name, CHUNKS[at]) for at in range(len(CHUNKS)) for name in SITES]
    assert servicer.asked == [0, 2, 4]


async def test_a_model_goes_on_behind_the_envelope_and_wraps_that_were_read():
    """Wraps that have come meanwhile do not stand among the chunks."""
    servicer = Models()
    async with (
        endpoint.coordinator((MODELS, servicer)) as coordinator,
        coordinator.model(1) as sealed,
    ):
        found = await taken(coordinator, sealed.chunks, 1, 4)

    assert found == CHUNKS
    assert len(sealed.wraps) == 1
    assert servicer.asked == [0, 1, 4]


async def test_a_part_and_sealed_words_go_on_at_the_next_chunk():
    servicer = Seats()
    async with endpoint.coordinator((SEATS, servicer)) as coordinator:
        calls = SeatCalls(coordinator)
        async with calls.part(1, "amber") as part:
            of_part = await taken(coordinator, part.chunks, 3)
        async with calls.words(1, "seat-1", 0, 2) as words:
            of_words = await taken(coordinator, words, 2)

    assert of_part == CHUNKS
    assert of_words == CHUNKS[2:]
    assert servicer.asked == [0, 3, 2, 4]


async def test_another_sum_on_the_new_connection_is_not_taken_for_the_rest_of_this_one():
    """Chunks of two sums would be fetched for nothing, and refused at the end."""
    servicer = Cohorts()
    servicer.manifests[1] = signed_to_wire(made.signed_by(RECORD, "birch"))
    async with (
        endpoint.coordinator((COHORTS, servicer)) as coordinator,
        coordinator.sum(1) as (_, chunks),
    ):
        with pytest.raises(PeerUnreachable, match="another answer by now"):
            await taken(coordinator, chunks, 2)
