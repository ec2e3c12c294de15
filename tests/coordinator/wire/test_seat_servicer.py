"""Seats and letters as they travel: what each stream holds, over real connections."""

import asyncio
import time
from contextlib import asynccontextmanager
from types import SimpleNamespace

import grpc
import pytest

from coordinator.members.relay import LANE_BYTES, LETTER_BYTES, LONGEST_BODY, Relay
from coordinator.members.revocations import Revocations
from coordinator.members.seen import SeenBook
from coordinator.rounds.state import Phase
from coordinator.wire import codec
from participant.wire.coordinator import Coordinator
from participant.wire.seat_calls import SeatCalls
from participant.wire.whole import Whole
from privacy.errors import IllegalEvent, MalformedMessage, NotYet, WrongIdentity
from privacy.records import digest_of
from privacy.signing import Purpose, sign
from tests.coordinator.seated_round import (
    SEALED_BYTES,
    SEATS,
    Seated,
    make_settings,
    payload,
    sealed,
    sealed_secrets,
)
from tests.coordinator.served import channel_of, served
from tests.fakes import AUDITOR, SITES, signed_by, signing_key
from tests.loopback import make_federation
from tests.sent import whole_sums
from veilsum.v1 import seat_pb2, seat_pb2_grpc


@pytest.fixture(scope="module")
def certified():
    return make_federation()


@asynccontextmanager
async def members(certified, phase=Phase.OPEN):
    """Serve a round at some phase; give a function that returns a member's channel."""
    seated = Seated(phase)
    rounds = SimpleNamespace(on_change=lambda _: None)
    service = SimpleNamespace(
        rosters=seated.rosters,
        seats=seated.seats,
        relay=Relay(),
        rounds=rounds,
        contributions=None,
        sums=None,
        models=None,
        products=None,
        revocations=Revocations(seated.store, time.time),
        now=time.time,
        seen=SeenBook(time.time),
    )
    channels = []
    async with served(service, certified, make_settings()) as address:

        def channel(name):
            made = channel_of(address, certified, f"spiffe://oncology/participant/{name}")
            channels.append(made)
            return made

        try:
            yield SimpleNamespace(seated=seated, channel=channel, relay=service.relay)
        finally:
            for each in channels:
                await each.close()


async def unexplained():
    return "the connection failed"


def calls(served_round, name):
    return SeatCalls(Coordinator(served_round.channel(name), unexplained))


def seat_stub(served_round, name):
    return seat_pb2_grpc.SeatServiceStub(served_round.channel(name))


def relay_stub(served_round, name):
    return seat_pb2_grpc.RelayServiceStub(served_round.channel(name))


async def refusal(call):
    """Return the status and the error's code of a call that is refused."""
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    return refused.value.code(), dict(refused.value.trailing_metadata())["veilsum-error"]


# -- what a seat is given ----------------------------------------------------------------


@pytest.mark.parametrize(("seat", "chunks"), [(SEATS[0], 0), (SEATS[1], 2), (SEATS[2], 2)])
async def test_a_part_is_its_header_with_its_seals_and_the_chunks_a_seat_holds(
    certified, seat, chunks
):
    async with members(certified) as round1, calls(round1, seat).part(1, SITES[1]) as part:
        found = [chunk async for chunk in part.chunks]

    assert part.sealed == sealed_secrets(SITES[1], seat)
    assert part.header.body == b"header of hospital-b"
    assert found == [payload(SITES[1], at) for at in range(chunks)]


@pytest.mark.parametrize(("first", "left"), [(1, [1]), (2, []), ((1 << 32) - 1, [])])
async def test_a_part_goes_on_from_the_chunk_that_is_asked_for(certified, first, left):
    async with members(certified) as round1, calls(round1, SEATS[2]).part(1, SITES[0], first) as p:
        found = [chunk async for chunk in p.chunks]

    assert found == [payload(SITES[0], at) for at in left]


async def test_what_is_not_to_be_had_is_an_error_and_no_empty_stream(certified):
    async with members(certified, Phase.OPENING) as round1:
        with pytest.raises(IllegalEvent):
            async with calls(round1, SEATS[1]).part(1, SITES[0]):
                pass
        with pytest.raises(NotYet):
            async with calls(round1, SITES[0]).words(1, "nobody", 0) as words:
                await anext(words)


# -- what it states ----------------------------------------------------------------------


def in_order(seat):
    return [(position, chunk) for position, c in enumerate(sealed(seat)) for chunk in c]


async def test_a_round_is_judged_certified_and_summed_over_the_wire(certified):
    async with members(certified, Phase.JUDGING) as round1:
        seated = round1.seated
        for seat in SEATS:
            signed, headers = await calls(round1, seat).candidates(1)
            assert (signed.body, len(headers)) == (
                seated.archive.document("candidates", digest_of(seated.candidates)).body,
                len(SITES),
            )
            verdict = signed_by(seat, seated.verdict(seat))
            await calls(round1, seat).put_verdict(verdict)
        seated.archive.state("cohort", seated.cohort)
        seated.put(cohort=digest_of(seated.cohort))
        body = seated.archive.document("cohort", seated.round().cohort).body
        for name in (*SEATS[:2], *SITES[:3]):
            signature = sign(signing_key(name), Purpose.CERTIFICATE, body)
            await calls(round1, name).sign_cohort(1, digest_of(seated.cohort), signature)
        for seat in SEATS:
            statement = signed_by(seat, seated.statement(seat))
            await calls(round1, seat).put_sum(statement, whole_sums(in_order(seat)))
        assert seated.round().phase is Phase.AGGREGATING
        seated.put(phase=Phase.OPENING)

        site = calls(round1, SITES[3])
        assert await site.sums(1) == [signed_by(s, seated.statement(s)) for s in SEATS]
        async with site.words(1, SEATS[1], 1) as words:
            assert [chunk async for chunk in words] == sealed(SEATS[1])[1]
        async with site.words(1, SEATS[1], 1, from_chunk=1) as words:
            assert [chunk async for chunk in words] == sealed(SEATS[1])[1][1:]


async def test_sums_that_are_sent_twice_count_once(certified):
    """The answer to the first was lost; the seat sends all of it again, and is told it counts."""
    async with members(certified, Phase.SUMMING) as round1:
        signed = signed_by(SEATS[0], round1.seated.statement(SEATS[0]))
        for _ in range(2):
            await calls(round1, SEATS[0]).put_sum(signed, whole_sums(in_order(SEATS[0])))

        assert len(round1.seated.round().stated) == 1


async def test_sums_that_broke_off_are_sent_again_from_their_beginning(certified):
    async with members(certified, Phase.SUMMING) as round1:
        signed = signed_by(SEATS[0], round1.seated.statement(SEATS[0]))
        call = seat_stub(round1, SEATS[0]).PutSeatSum()
        await call.write(seat_pb2.PutSeatSumRequest(statement=codec.signed_to_wire(signed)))
        assert (await call.read()).chunks == 0
        first = seat_pb2.SealedChunk(position=0, payload=sealed(SEATS[0])[0][0])
        await call.write(seat_pb2.PutSeatSumRequest(chunk=first))
        assert (await call.read()).chunks == 1
        call.cancel()

        await calls(round1, SEATS[0]).put_sum(signed, whole_sums(in_order(SEATS[0])))

        assert len(round1.seated.round().stated) == 1


async def test_a_stream_of_sums_begins_with_its_statement_and_goes_on_with_chunks(certified):
    async with members(certified, Phase.SUMMING) as round1:
        stub, seated = seat_stub(round1, SEATS[0]), round1.seated
        signed = codec.signed_to_wire(signed_by(SEATS[0], seated.statement(SEATS[0])))
        statement = seat_pb2.PutSeatSumRequest(statement=signed)
        chunk = seat_pb2.PutSeatSumRequest(chunk=seat_pb2.SealedChunk(payload=b"x"))
        nothing = seat_pb2.PutSeatSumRequest()
        for parts in ([], [chunk], [nothing], [statement] * 2, [statement, nothing], [statement]):
            call = stub.PutSeatSum(iter(parts))
            answer = await refusal(_to_end(call))
            assert answer == (grpc.StatusCode.INVALID_ARGUMENT, "malformed_message")

        assert seated.round().stated == ()
        assert seated.objects.names("rounds/000001/seats") == []


async def _to_end(call):
    async for _ in call:
        pass


async def test_a_chunk_of_another_length_ends_the_stream(certified):
    unannounced = Whole(lambda: (), lambda _: [(0, bytes(1 << 20))])
    async with members(certified, Phase.SUMMING) as round1:
        signed = signed_by(SEATS[0], round1.seated.statement(SEATS[0]))

        with pytest.raises(MalformedMessage, match=f"not {SEALED_BYTES}"):
            await calls(round1, SEATS[0]).put_sum(signed, unannounced)

        assert round1.seated.objects.names("rounds/000001/seats") == []


async def test_scores_and_the_auditors_word_travel(certified):
    async with members(certified, Phase.SUMMING) as round1:
        scores = round1.seated.opened()
        with pytest.raises(NotYet):
            await calls(round1, SITES[0]).scores(1)
        for seat in SEATS:
            await calls(round1, seat).put_scores(signed_by(seat, scores))
        assert list((await calls(round1, SITES[0]).scores(1)).signatures) == list(SEATS)

        with pytest.raises(IllegalEvent):
            await calls(round1, AUDITOR).name_liar(1, SEATS[:1])
        with pytest.raises(WrongIdentity):
            await calls(round1, SEATS[1]).name_liar(1, SEATS[:1])


# -- letters -----------------------------------------------------------------------------


def letter(recipient, body=b"x", topic="recall/ask"):
    return seat_pb2.PostLetterRequest(recipient=recipient, topic=topic, body=body)


def collecting(after=0, wait=0.0):
    return seat_pb2.CollectLettersRequest(after=after, wait_seconds=wait)


async def test_a_letter_says_who_handed_it_in_whatever_is_in_it(certified):
    async with members(certified) as round1:
        await relay_stub(round1, SITES[0]).PostLetter(letter(SEATS[1], b"i am seat-a"))

        answer = await relay_stub(round1, SEATS[1]).CollectLetters(collecting())

    (found,) = answer.letters
    assert (found.sender, found.topic, found.body) == (SITES[0], "recall/ask", b"i am seat-a")
    assert answer.epoch == round1.relay.epoch


async def test_nobody_collects_or_acknowledges_the_letters_of_others(certified):
    async with members(certified) as round1:
        await relay_stub(round1, SEATS[0]).PostLetter(letter(SEATS[1]))
        (found,) = (await relay_stub(round1, SEATS[1]).CollectLetters(collecting())).letters

        for name in (SEATS[0], SEATS[2], SITES[0], AUDITOR):
            other = await relay_stub(round1, name).CollectLetters(collecting(found.number))
            assert list(other.letters) == []

        again = await relay_stub(round1, SEATS[1]).CollectLetters(collecting())
        assert list(again.letters) == [found]


@pytest.mark.parametrize("recipient", ["", "hospital-z", "coordinator", "seat-a ", "ä"])
async def test_a_letter_to_nobody_is_refused(certified, recipient):
    """Or boxes that nobody empties would take the memory."""
    async with members(certified) as round1:
        answer = await refusal(relay_stub(round1, SEATS[0]).PostLetter(letter(recipient)))

        assert answer == (grpc.StatusCode.INVALID_ARGUMENT, "malformed_message")
        assert round1.relay.waiting_bytes() == 0


async def test_a_stranger_hands_in_and_collects_nothing(certified):
    async with members(certified) as round1:
        stub = relay_stub(round1, "hospital-z")
        for call in (stub.PostLetter(letter(SEATS[0])), stub.CollectLetters(collecting())):
            assert await refusal(call) == (grpc.StatusCode.PERMISSION_DENIED, "wrong_identity")


async def test_a_full_lane_is_a_reason_to_try_again(certified):
    """Written by one, and nobody else's letters wait for it."""
    async with members(certified) as round1:
        stub, body = relay_stub(round1, SITES[0]), bytes(LONGEST_BODY)
        for _ in range(LANE_BYTES // (LETTER_BYTES + LONGEST_BODY)):
            await stub.PostLetter(letter(SEATS[0], body))

        answer = await refusal(stub.PostLetter(letter(SEATS[0], body)))

        assert answer == (grpc.StatusCode.UNAVAILABLE, "unavailable")
        await relay_stub(round1, SITES[1]).PostLetter(letter(SEATS[0], body))
        (first,) = (await relay_stub(round1, SEATS[0]).CollectLetters(collecting())).letters
        assert first.body == body


async def test_a_letter_wakes_who_waits(certified):
    async with members(certified) as round1:
        waiting = asyncio.ensure_future(
            relay_stub(round1, SEATS[1]).CollectLetters(collecting(wait=1000.0))
        )
        await asyncio.sleep(0.05)

        await relay_stub(round1, SEATS[0]).PostLetter(letter(SEATS[1]))

        assert len((await asyncio.wait_for(waiting, 5)).letters) == 1


async def test_nobody_waits_longer_than_the_server_lets_it(certified, monkeypatch):
    monkeypatch.setattr("coordinator.wire.seat_servicer.LONGEST_WAIT_SECONDS", 0.05)
    async with members(certified) as round1:
        call = relay_stub(round1, SEATS[1]).CollectLetters(collecting(wait=1000.0))

        assert list((await asyncio.wait_for(call, 5)).letters) == []
