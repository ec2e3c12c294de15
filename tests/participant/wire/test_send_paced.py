"""An upload keeps to the policy's bandwidth, pauses when its hours end, and goes on after."""

import time

import pytest

from participant.wire.send import Sender
from participant.wire.tempo import tempo
from privacy.errors import OutsideHours
from privacy.failpoints import Failpoints
from privacy.signing import public_bytes
from tests.participant import endpoint
from tests.participant import signed_round as made
from tests.participant.wire.test_send import SIGNED, Door, outbox  # noqa: F401 - a fixture
from veilsum.v1 import contribution_pb2 as pb
from veilsum.v1 import contribution_pb2_grpc as service


class PartsDoor(Door):
    """Takes parts of chunks, and notes when each came."""

    def __init__(self):
        super().__init__()
        self.came, self.body = [], bytearray()

    async def BeginContribution(self, request, context):  # noqa: N802
        answer = await super().BeginContribution(request, context)
        return pb.BeginContributionResponse(
            chunks=answer.chunks, committed=answer.committed, parts=True, bytes=len(self.body)
        )

    async def PutChunks(self, requests, context):  # noqa: N802
        async for part in requests:
            self.came.append((time.monotonic(), len(part.payload)))
            assert (part.offset if part.length else 0) == len(self.body)
            self.body += part.payload
            if part.length and len(self.body) < part.length:
                yield pb.PutChunksResponse(piece=0, chunks=part.chunk, bytes=len(self.body))
                continue
            self.chunks[part.chunk], self.have = bytes(self.body), part.chunk + 1
            self.body.clear()
            yield pb.PutChunksResponse(piece=0, chunks=self.have)


async def send(door, outbox, line):  # noqa: F811
    add = service.add_ContributionServiceServicer_to_server
    async with endpoint.coordinator((add, door)) as coordinator:
        coordinator.tempo = line
        key = public_bytes(made.COORDINATOR_KEY)
        return await Sender(coordinator, key, Failpoints()).send(outbox, SIGNED)


async def test_an_upload_takes_what_the_policy_gives_it(outbox):  # noqa: F811
    """Measured where it arrives, within five percent."""
    door, rate = PartsDoor(), 100_000.0

    await send(door, outbox, tempo(lambda: rate, lambda: None))

    (began, first), *_, (ended, _) = door.came
    carried = sum(length for _, length in door.came) - first
    assert carried / (ended - began) == pytest.approx(rate, rel=0.05)
    assert [door.chunks[at] for at in (0, 1)] == list(made.payloads("amber"))


async def test_an_upload_pauses_at_the_end_of_its_hours_and_goes_on(outbox):  # noqa: F811
    """Where it was: no byte that has come is sent a second time."""
    door, asked = PartsDoor(), iter([False, False, False, True])

    def closes():
        if next(asked, False):
            raise OutsideHours("site.toml: policy.hours: closed until 20:00")

    line = tempo(lambda: 400_000.0, closes)
    with pytest.raises(OutsideHours):
        await send(door, outbox, line)
    before = len(door.came)

    await send(door, outbox, line)

    assert 0 < before < len(door.came)
    assert [door.chunks[at] for at in (0, 1)] == list(made.payloads("amber"))
    assert sum(length for _, length in door.came) == sum(map(len, made.payloads("amber")))


async def test_nothing_begins_outside_of_hours(outbox):  # noqa: F811
    """Not even the header goes."""
    door = PartsDoor()

    def closed():
        raise OutsideHours("closed")

    with pytest.raises(OutsideHours):
        await send(door, outbox, tempo(lambda: None, closed))

    assert door.begun == []
