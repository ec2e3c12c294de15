"""What the coordinator answers becomes a value, or the error it names, or an explanation."""

import asyncio

import pytest

from participant.coordinator import Coordinator, signed_from_wire, signed_to_wire
from participant.view import View
from privacy import errors
from privacy.errors import MalformedMessage, PeerUnreachable, VeilsumError
from tests.participant import signed_round as made
from tests.participant import wire
from veilsum.v1 import (
    cohort_pb2,
    cohort_pb2_grpc,
    model_pb2,
    model_pb2_grpc,
    round_pb2,
    round_pb2_grpc,
)


class Rounds(round_pb2_grpc.RoundServiceServicer):
    def __init__(self, error=None, status=None):
        self.error, self.status = error, status

    async def GetPlan(self, request, context):  # noqa: N802
        if self.error is None:
            await context.abort(*self.status)
        await wire.refuse(context, self.error)

    async def WatchRounds(self, request, context):  # noqa: N802
        return round_pb2.WatchRoundsResponse(
            revision=7,
            finished=True,
            released=3,
            rounds=[
                round_pb2.RoundStatus(number=1, phase=round_pb2.PHASE_OPENING, turn="amber"),
                round_pb2.RoundStatus(number=2, phase=99),
            ],
        )


class Streams(cohort_pb2_grpc.CohortServiceServicer, model_pb2_grpc.ModelServiceServicer):
    async def GetSum(self, request, context):  # noqa: N802
        if request.round == 2:
            yield cohort_pb2.GetSumResponse(chunk=b"chunk without manifest")
        if request.round == 3:
            yield cohort_pb2.GetSumResponse(
                manifest=signed_to_wire(made.signed_by(RECORD, "amber"))
            )
            yield cohort_pb2.GetSumResponse(chunk=b"one")
            await wire.refuse(context, errors.StoreUnavailable("gone"))

    async def GetSealedModel(self, request, context):  # noqa: N802
        if request.round == 2:
            yield model_pb2.GetSealedModelResponse(chunk=b"chunk without envelope")


RECORD = made.header_of(made.plan(), "amber")


def rounds(**said):
    return (round_pb2_grpc.add_RoundServiceServicer_to_server, Rounds(**said))


def leaves(kind=VeilsumError):
    found = [leaf for child in kind.__subclasses__() for leaf in leaves(child)]
    return found or [kind]


THEIRS = (errors.ConfigError, errors.InternalError)


def made_of(kind):
    return kind.__new__(kind, "words")


@pytest.mark.parametrize("kind", [k for k in leaves() if not issubclass(k, THEIRS)])
async def test_an_error_comes_back_as_the_same_leaf(kind):
    """Whoever acts on it acts on its family."""
    async with wire.coordinator(rounds(error=made_of(kind))) as coordinator:
        with pytest.raises(VeilsumError) as caught:
            await coordinator.plan(1)

    assert type(caught.value) is kind


@pytest.mark.parametrize("kind", [*THEIRS, errors.InsecureKeyFile, VeilsumError])
async def test_what_the_coordinators_operator_must_mend_does_not_stop_a_site(kind):
    """It is retried: the operator of this process can do nothing about it."""
    async with wire.coordinator(rounds(error=made_of(kind))) as coordinator:
        with pytest.raises(PeerUnreachable):
            await coordinator.plan(1)


async def test_a_bug_on_the_other_side_says_nothing_of_itself():
    """The words of an unexpected error may hold data."""
    async with wire.coordinator(rounds(error=RuntimeError("secret words"))) as coordinator:
        with pytest.raises(PeerUnreachable) as caught:
            await coordinator.plan(1)

    assert "secret words" not in str(caught.value)


async def test_a_connection_that_fails_is_explained():
    """grpc alone says UNAVAILABLE, whatever the reason."""
    unavailable = (wire.grpc.StatusCode.UNAVAILABLE, "")
    async with wire.coordinator(rounds(status=unavailable)) as coordinator:
        with pytest.raises(PeerUnreachable, match="found by a handshake"):
            await coordinator.plan(1)


async def test_a_view_is_read_and_a_phase_of_the_future_has_no_task():
    """An older site under a newer coordinator goes on."""
    async with wire.coordinator(rounds()) as coordinator:
        view = await coordinator.watch(0, [1], 0.1)

    assert (view.revision, view.finished, view.released) == (7, True, 3)
    assert [each.phase for each in view.rounds] == ["opening", ""]
    assert isinstance(view, View)


@pytest.mark.parametrize("number", [1, 2])
async def test_a_stream_without_its_first_part_is_malformed(number):
    """Chunks without a manifest, or nothing at all."""
    streams = Streams()
    pairs = (
        (cohort_pb2_grpc.add_CohortServiceServicer_to_server, streams),
        (model_pb2_grpc.add_ModelServiceServicer_to_server, streams),
    )
    async with wire.coordinator(*pairs) as coordinator:
        with pytest.raises(MalformedMessage, match="without its manifest"):
            await coordinator.sum(number)
        with pytest.raises(MalformedMessage, match="without its envelope"):
            await coordinator.model(number)


async def test_a_stream_that_breaks_is_no_shorter_sum():
    """The error comes through, and no part of the sum."""
    pair = (cohort_pb2_grpc.add_CohortServiceServicer_to_server, Streams())
    async with wire.coordinator(pair) as coordinator:
        with pytest.raises(errors.StoreUnavailable):
            await coordinator.sum(3)


def test_a_signed_document_travels_unchanged():
    """Body and signatures, by signer."""
    signed = made.signed_by(RECORD, "amber", "birch")

    assert signed_from_wire(signed_to_wire(signed)) == signed
    assert Coordinator.__doc__


async def test_a_stream_that_stops_is_not_waited_for(monkeypatch):
    """A coordinator that holds its half of a stream must not hold the site."""
    monkeypatch.setattr("participant.coordinator.CALL_SECONDS", 0.2)
    streams = Streams()

    async def stops(request, context):
        yield cohort_pb2.GetSumResponse(manifest=signed_to_wire(made.signed_by(RECORD, "amber")))
        await asyncio.sleep(60)

    streams.GetSum = stops
    pair = (cohort_pb2_grpc.add_CohortServiceServicer_to_server, streams)
    async with wire.coordinator(pair) as coordinator:
        with pytest.raises(PeerUnreachable, match="in the middle of a stream"):
            await coordinator.sum(1)


async def test_a_call_without_an_answer_is_not_waited_for(monkeypatch):
    """Whatever deadline was sent with it: the other side need not keep it."""
    monkeypatch.setattr("participant.coordinator.LONGEST_CALL_SECONDS", 0.2)
    silent = Rounds()

    async def says_nothing(request, context):
        await asyncio.sleep(60)

    silent.GetPlan = says_nothing
    pair = (round_pb2_grpc.add_RoundServiceServicer_to_server, silent)
    async with wire.coordinator(pair) as coordinator:
        with pytest.raises(PeerUnreachable, match="without an answer"):
            await coordinator.plan(1)


async def test_a_halted_programme_is_seen():
    """Its operator must look; sites say so in their logs."""
    halted = Rounds()

    async def watched(request, context):
        return round_pb2.WatchRoundsResponse(revision=1, halted=True)

    pair = (round_pb2_grpc.add_RoundServiceServicer_to_server, halted)
    async with wire.coordinator(pair) as coordinator:
        assert not (await coordinator.watch(0, [], 0.1)).halted
    halted.WatchRounds = watched
    async with wire.coordinator(pair) as coordinator:
        assert (await coordinator.watch(0, [], 0.1)).halted
