"""A sealed model and a seat's sums go on where they stopped, over real connections.

Counted is what the coordinator is sent: of chunks that were durable before a cut, none again.
"""

from contextlib import asynccontextmanager

import pytest

from coordinator.opening.model_upload import ModelUpload
from coordinator.rounds.state import Phase
from participant.wire.coordinator import Coordinator
from participant.wire.whole import Whole, digests_of
from privacy.errors import MalformedMessage
from privacy.records import digest_of
from privacy.sealing import CHUNK_OVERHEAD, ciphertext_digest
from tests import fakes
from tests.coordinator.seated_round import SEATS, sealed
from tests.coordinator.served import channel_of, served
from tests.coordinator.wire.test_seat_servicer import calls, in_order, members
from tests.loopback import make_federation
from tests.sent import whole, whole_sums

SEALER = fakes.OPENERS[0]
COUNT = 6
FOLDER = "rounds/000001/model"


@pytest.fixture(scope="module")
def certified():
    return make_federation()


@pytest.fixture
def added_up():
    federation = fakes.Federation()
    federation.open_round()
    for name in fakes.SITES:
        federation.contribute(name)
    federation.tick()
    return federation


def a_model(first=b"\x01"):
    """Six chunks that have the length of the round's model."""
    values, rest = divmod(fakes.DIMENSION, COUNT)
    lengths = [8 * (values + (at < rest)) + CHUNK_OVERHEAD for at in range(COUNT)]
    return [bytes([at + first[0]]) * length for at, length in enumerate(lengths)]


def an_envelope(federation, chunks):
    plan, total = federation.service.plan(1)[0], federation.round().sum
    length, digest = sum(map(len, chunks)), ciphertext_digest(chunks)
    said = {"chunks": len(chunks), "length": length, "ciphertext": digest}
    return fakes.envelope(plan, federation.roster, total, SEALER, **said)


async def unexplained():
    return "the connection failed"


@asynccontextmanager
async def the_sealer(certified, federation):
    uri = f"spiffe://oncology/participant/{SEALER}"
    async with (
        served(federation.service, certified) as address,
        channel_of(address, certified, uri) as channel,
    ):
        yield Coordinator(channel, unexplained)


class Cut(Exception):
    """Where a sender dies."""


def counted(chunks, sent, dies_at=None, payload=lambda chunk: chunk):
    """An upload that notes each chunk it gives away, and dies before one."""

    def after(first):
        for at, chunk in list(enumerate(chunks))[first:]:
            if at == dies_at:
                raise Cut
            sent.append(at)
            yield chunk

    return Whole(lambda: digests_of(payload(each) for each in chunks), after)


@pytest.mark.parametrize("cut", range(COUNT))
async def test_a_cut_model_goes_on_at_the_chunk_that_is_missing(certified, added_up, cut):
    """Another process of the sender, and of the coordinator: the sent chunks are all there is."""
    chunks, sent = a_model(), []
    signed = fakes.signed_by(SEALER, an_envelope(added_up, chunks))
    async with the_sealer(certified, added_up) as sealer:
        with pytest.raises(Cut):
            await sealer.put_model(signed, counted(chunks, sent, dies_at=cut))
    assert added_up.round().sealed_model == ""
    added_up.start()

    async with the_sealer(certified, added_up) as sealer:
        await sealer.put_model(signed, counted(chunks, sent))

    assert sent == list(range(COUNT))
    assert added_up.round().sealed_model == digest_of(an_envelope(added_up, chunks))
    assert [added_up.service.models.chunk(SEALER, 1, at) for at in range(COUNT)] == chunks


async def test_of_a_model_whose_last_answer_was_lost_nothing_goes_again(certified, added_up):
    """It counts; its sealer is told so."""
    chunks, sent = a_model(), []
    signed = fakes.signed_by(SEALER, an_envelope(added_up, chunks))
    async with the_sealer(certified, added_up) as sealer:
        for _ in range(2):
            await sealer.put_model(signed, counted(chunks, sent))

    assert sent == list(range(COUNT))


async def test_a_model_moves_to_the_new_connection_between_two_chunks(
    certified, added_up, monkeypatch
):
    """A certificate is renewed, twice; no chunk goes twice, and none is left out."""
    chunks, came, begun = a_model(), [], []
    signed = fakes.signed_by(SEALER, an_envelope(added_up, chunks))
    put_chunk = added_up.service.models.put_chunk

    def note(models, sealed, chunk, *args):
        came.append(chunk)
        put_chunk(sealed, chunk, *args)

    monkeypatch.setattr(type(added_up.service.models), "put_chunk", note)
    async with the_sealer(certified, added_up) as sealer:

        def after(first):
            begun.append(first)
            for at in range(first, COUNT):
                yield chunks[at]
                if at in (1, 4):
                    sealer.turns.number += 1

        await sealer.put_model(signed, Whole(lambda: digests_of(chunks), after))

    assert came == list(range(COUNT))
    assert begun == [0, 2, 5]
    assert added_up.round().sealed_model


async def test_nobody_is_shown_a_part_of_a_model(certified, added_up):
    chunks = a_model()
    signed = fakes.signed_by(SEALER, an_envelope(added_up, chunks))

    async with the_sealer(certified, added_up) as sealer:
        with pytest.raises(Cut):
            await sealer.put_model(signed, counted(chunks, [], dies_at=5))

    assert len(added_up.objects.names(FOLDER)) == 5
    assert added_up.round().sealed_model == added_up.round().release == ""


async def test_other_chunks_under_a_signed_envelope_are_refused_and_take_nothing_away(
    certified, added_up
):
    """Digests that the signature does not vouch for; and chunks that the digests do not."""
    chunks, other = a_model(), a_model(b"\x40")
    signed = fakes.signed_by(SEALER, an_envelope(added_up, chunks))
    async with the_sealer(certified, added_up) as sealer:
        with pytest.raises(Cut):
            await sealer.put_model(signed, counted(chunks, [], dies_at=3))
        before = added_up.objects.names(FOLDER)

        with pytest.raises(MalformedMessage, match="other chunks than its signed document"):
            await sealer.put_model(signed, whole(other))
        with pytest.raises(MalformedMessage, match="not the one it announced"):
            await sealer.put_model(signed, Whole(lambda: digests_of(chunks), lambda at: other[at:]))

        assert added_up.objects.names(FOLDER) == before
        sent = []
        await sealer.put_model(signed, counted(chunks, sent))
    assert sent == [3, 4, 5]


async def test_what_was_sent_under_the_same_signature_before_is_replaced(certified, added_up):
    """By a sender of before, to a coordinator that died: nothing has to be deleted for it."""
    chunks, other = a_model(), a_model(b"\x40")
    envelope = an_envelope(added_up, chunks)
    signed = fakes.signed_by(SEALER, envelope)
    for at in (0, 1):
        added_up.service.models.put_chunk(envelope, at, [chunks, other][at][at])

    async with the_sealer(certified, added_up) as sealer:
        sent = []
        await sealer.put_model(signed, counted(chunks, sent))

    assert sent == [1, 2, 3, 4, 5]
    assert [added_up.service.models.chunk(SEALER, 1, at) for at in range(COUNT)] == chunks


async def test_a_leader_that_goes_on_takes_nothing_away_from_the_next(certified, added_up):
    """Its sender had sent it something else; the right chunks lie where those were."""
    chunks = a_model()
    envelope = an_envelope(added_up, chunks)
    signed = fakes.signed_by(SEALER, envelope)
    models = added_up.service.models
    stopped = ModelUpload(envelope, signed)
    stopped.announce(b"".join(digests_of(chunks)))
    async with the_sealer(certified, added_up) as sealer:
        with pytest.raises(Cut):
            await sealer.put_model(signed, counted(chunks, [], dies_at=4))

    for act in (lambda: models.put_next(stopped, b"else"), lambda: models.finish_upload(stopped)):
        with pytest.raises(MalformedMessage):
            act()

    assert len(added_up.objects.names(FOLDER)) == 4


async def test_a_sender_of_before_begins_again_and_is_understood(certified, added_up):
    """It announces nothing."""
    chunks, sent = a_model(), []
    signed = fakes.signed_by(SEALER, an_envelope(added_up, chunks))
    of_before = Whole(lambda: (), counted(chunks, sent).chunks)
    async with the_sealer(certified, added_up) as sealer:
        with pytest.raises(Cut):
            await sealer.put_model(signed, counted(chunks, [], dies_at=2))

        await sealer.put_model(signed, of_before)

    assert sent == list(range(COUNT))
    assert added_up.round().sealed_model


# -- the sums of a seat ------------------------------------------------------------------


@pytest.mark.parametrize("cut", range(4))
async def test_cut_sums_go_on_at_the_chunk_that_is_missing(certified, cut):
    """In either of the two: the coordinator remembers nothing but what it has stored."""
    async with members(certified, Phase.SUMMING) as round1:
        seated, seat, sent = round1.seated, SEATS[0], []
        signed, chunks = fakes.signed_by(seat, seated.statement(seat)), in_order(seat)
        with pytest.raises(Cut):
            await calls(round1, seat).put_sum(
                signed, counted(chunks, sent, cut, lambda chunk: chunk[1])
            )
        assert seated.round().stated == ()

        whole_again = counted(chunks, sent, payload=lambda chunk: chunk[1])
        await calls(round1, seat).put_sum(signed, whole_again)

        assert sent == [0, 1, 2, 3]
        assert [each.seat for each in seated.round().stated] == [seat]


async def test_of_sums_that_count_nothing_goes_again(certified):
    async with members(certified, Phase.SUMMING) as round1:
        seat, sent = SEATS[0], []
        signed = fakes.signed_by(seat, round1.seated.statement(seat))
        for _ in range(2):
            upload = counted(in_order(seat), sent, payload=lambda chunk: chunk[1])
            await calls(round1, seat).put_sum(signed, upload)

        assert sent == [0, 1, 2, 3]


async def test_other_words_under_a_seats_statement_are_refused(certified):
    async with members(certified, Phase.SUMMING) as round1:
        seat = SEATS[0]
        signed = fakes.signed_by(seat, round1.seated.statement(seat))
        swapped = [(0, sealed(seat)[1][at]) for at in range(2)]
        with pytest.raises(MalformedMessage, match="other chunks than its signed document"):
            await calls(round1, seat).put_sum(signed, whole_sums(swapped + in_order(seat)[2:]))

        await calls(round1, seat).put_sum(signed, whole_sums(in_order(seat)))

        assert len(round1.seated.round().stated) == 1
