"""Sending resumes where it stopped, and ends with the coordinator's own receipt or not at all."""

import asyncio

import msgspec
import pytest

from participant.sending.outbox import Outbox
from participant.wire.coordinator import signed_to_wire
from participant.wire.send import Sender
from privacy import canonical
from privacy.errors import (
    ConflictingContribution,
    InvalidSignature,
    MalformedMessage,
    PeerUnreachable,
    StoreUnavailable,
)
from privacy.failpoints import Failpoints
from privacy.identifiers import sha256_hex
from privacy.records import Contribution, Receipt, digest_of
from privacy.signing import public_bytes
from tests.participant import endpoint
from tests.participant import signed_round as made
from veilsum.files import write_durably
from veilsum.v1 import contribution_pb2 as pb
from veilsum.v1 import contribution_pb2_grpc as service

HEADER = made.header_of(made.plan(), "amber")
SIGNED = made.signed_by(HEADER, "amber")
RECEIPT = Receipt("oncology", 1, HEADER.plan, "amber", digest_of(HEADER))


class Door(service.ContributionServiceServicer):
    """Keeps chunks, and can be told to lie."""

    def __init__(self, have=0, receipt=RECEIPT, key=made.COORDINATOR_KEY):
        self.have, self.receipt, self.key = have, receipt, key
        self.chunks, self.begun, self.committed, self.says = {}, [], False, None
        self.breaks_after = self.refuses = None

    async def BeginContribution(self, request, context):  # noqa: N802
        if self.refuses:
            await endpoint.refuse(context, self.refuses)
        self.begun.append(request.SerializeToString())
        have = [self.have] if self.says is None else self.says
        return pb.BeginContributionResponse(chunks=have, committed=self.committed)

    async def PutChunks(self, requests, context):  # noqa: N802
        async for part in requests:
            if self.breaks_after == len(self.chunks):
                self.breaks_after = None
                await context.abort(endpoint.grpc.StatusCode.UNAVAILABLE, "cut")
            self.chunks[part.chunk] = part.payload
            self.have = part.chunk + 1
            yield pb.PutChunksResponse(piece=0, chunks=self.have)

    async def CommitContribution(self, request, context):  # noqa: N802
        self.committed = True
        signed = made.by_coordinator(self.receipt, self.key)
        return pb.CommitContributionResponse(receipt=signed_to_wire(signed))


@pytest.fixture
def outbox(tmp_path):
    outbox = Outbox(tmp_path, 1)
    folder = outbox.start()
    for index, chunk in enumerate(made.payloads("amber")):
        write_durably(folder / f"{index:08d}", chunk)
    outbox.finish(SIGNED, made.sealed_mask(made.plan(), "amber").seals)
    return outbox


async def send(door, outbox, times=1):
    async with endpoint.coordinator(
        (service.add_ContributionServiceServicer_to_server, door)
    ) as coordinator:
        key = public_bytes(made.COORDINATOR_KEY)
        for _ in range(times):
            receipt = await Sender(coordinator, key, Failpoints()).send(outbox, SIGNED)
    return receipt


async def test_everything_arrives_and_the_receipt_comes_back(outbox):
    """Byte for byte what is on disk, under the header that was signed."""
    door = Door()

    receipt = await send(door, outbox)

    assert canonical.decode(receipt.body, Receipt) == RECEIPT
    assert [door.chunks[at] for at in (0, 1)] == list(made.payloads("amber"))
    begun = pb.BeginContributionRequest.FromString(door.begun[0])
    header = canonical.decode(begun.header.body, Contribution)
    assert header == HEADER
    assert [sha256_hex(each) for each in begun.sealed_masks] == [m.sealed for m in header.masks]
    assert len(begun.sealed_masks) == len(made.OPENERS)


async def test_only_what_is_missing_is_sent(outbox):
    """From the offset that is durable."""
    door = Door(have=1)

    await send(door, outbox)

    assert list(door.chunks) == [1]


@pytest.mark.parametrize("have", [0, 2])
async def test_what_is_committed_is_not_sent_again(outbox, have):
    """A lost receipt is asked for, and nothing else."""
    door = Door(have)
    door.committed = True

    await send(door, outbox)

    assert door.chunks == {}


async def test_a_cut_upload_resumes_with_the_same_bytes(outbox):
    """The second try begins with the same header and sends the rest."""
    door = Door()
    door.breaks_after = 1

    with pytest.raises(PeerUnreachable, match="found by a handshake"):
        await send(door, outbox)
    assert list(door.chunks) == [0]
    await send(door, outbox)

    assert [door.chunks[at] for at in (0, 1)] == list(made.payloads("amber"))
    assert len(set(door.begun)) == 1


@pytest.mark.parametrize("says", [[3], [2**31], [], [1, 1]])
async def test_more_chunks_than_there_are_is_a_lie(outbox, says):
    """Nothing is sent, nothing is committed."""
    door = Door()
    door.says = says

    with pytest.raises(MalformedMessage, match="the coordinator says"):
        await send(door, outbox)
    assert (door.chunks, door.committed) == ({}, False)


async def test_a_coordinator_that_keeps_less_than_it_is_sent_is_refused(outbox):
    """Commit would count a part."""
    door = Door()

    async def forgets(requests, context):
        async for _ in requests:
            yield pb.PutChunksResponse(piece=0, chunks=1)

    door.PutChunks = forgets

    with pytest.raises(MalformedMessage, match="kept 1 of 2"):
        await send(door, outbox)
    assert not door.committed


async def test_a_forged_receipt_is_refused(outbox):
    """A receipt is evidence, so it must be the coordinator's."""
    with pytest.raises(InvalidSignature):
        await send(Door(key=made.keys("delta").signing), outbox)


@pytest.mark.parametrize(
    "members", [{"round": 2}, {"participant": "birch"}, {"contribution": "1" * 64}]
)
async def test_a_receipt_for_something_else_is_refused(outbox, members):
    """Signed by the coordinator, and not for this contribution."""
    receipt = msgspec.structs.replace(RECEIPT, **members)

    with pytest.raises(MalformedMessage, match="another contribution"):
        await send(Door(receipt=receipt), outbox)


async def test_the_coordinators_refusal_comes_back_as_it_is(outbox):
    """By its own name, so that the agent knows not to retry."""
    door = Door()
    door.refuses = ConflictingContribution("amber: a second, different contribution")

    with pytest.raises(ConflictingContribution, match="a second, different"):
        await send(door, outbox)


async def test_the_bytes_are_counted_with_their_frames(outbox):
    """What the report gives as bytes per parameter is what the wire took."""
    door = Door()
    async with endpoint.coordinator(
        (service.add_ContributionServiceServicer_to_server, door)
    ) as coordinator:
        sender = Sender(coordinator, public_bytes(made.COORDINATOR_KEY), Failpoints())
        await sender.send(outbox, SIGNED)

    payload = sum(map(len, (*made.payloads("amber"), *outbox.seals(len(made.OPENERS)))))
    assert payload < sender._count < payload + 2000


async def test_a_chunk_that_is_gone_is_the_outboxs_own_error(outbox):
    """Not a cancelled task, which would end the agent."""
    (outbox.place / "chunks" / "00000001").unlink()
    door = Door()

    with pytest.raises(StoreUnavailable, match="restore the outbox"):
        await send(door, outbox)
    assert not door.committed


async def test_a_sender_that_is_cancelled_stays_cancelled(outbox):
    """The agent's own end is no error of the outbox."""
    door, begun = Door(), asyncio.Event()

    async def hangs(requests, context):
        begun.set()
        await asyncio.sleep(60)
        yield pb.PutChunksResponse()

    door.PutChunks = hangs
    sending = asyncio.create_task(send(door, outbox))
    await begun.wait()
    sending.cancel()

    with pytest.raises(asyncio.CancelledError):
        await sending


async def test_a_coordinator_that_stops_in_an_upload_is_not_waited_for(outbox, monkeypatch):
    """It is tried again, and resumes; nothing was committed."""
    monkeypatch.setattr("participant.wire.send.CHUNK_SECONDS", 0.2)
    door = Door()

    async def hangs(requests, context):
        async for part in requests:
            door.chunks[part.chunk] = part.payload
            door.have = part.chunk + 1
            yield pb.PutChunksResponse(piece=0, chunks=door.have)
            await asyncio.sleep(60)

    door.PutChunks = hangs
    with pytest.raises(PeerUnreachable, match="in the middle of a stream"):
        await send(door, outbox)
    assert not door.committed
    del door.PutChunks

    await send(door, outbox)

    assert [door.chunks[at] for at in (0, 1)] == list(made.payloads("amber"))


async def test_progress_is_said_while_it_goes_on(outbox, monkeypatch):
    """Of the whole contribution, from where it goes on."""
    monkeypatch.setattr("participant.pace.SAY_EVERY_SECONDS", 0)
    said = []
    monkeypatch.setattr("participant.pace.log.info", lambda event, **of: said.append((event, of)))

    await send(Door(have=1), outbox)

    ((event, fields),) = said
    assert (event, fields["round"], fields["chunks"], fields["of"]) == ("sending", 1, 2, 2)
