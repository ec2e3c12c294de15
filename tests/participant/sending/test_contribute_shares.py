"""A site's part of a round under `shares`: split once, kept as it is, sent as often as it takes."""

import os
from pathlib import Path

import numpy as np
import pytest

from participant.kept import Kept
from participant.opening.frozen import check_header
from participant.sending import share as module
from participant.sending.contribute import Contributor
from participant.wire.send import Sender
from privacy.documents import Signed, pack
from privacy.errors import PeerUnreachable, UpdateOutOfRange
from privacy.failpoints import Failpoints
from privacy.identifiers import sha256_hex
from privacy.ledger import NOTHING_SENT, RowType
from privacy.records import Receipt, digest_of
from privacy.schemes.shares.layout import VALUE_WORDS
from privacy.signing import public_bytes
from tests.participant import endpoint, signed_round
from tests.participant import shared_round as made
from tests.participant.sending import test_contribute
from tests.participant.wire import test_send
from veilsum.v1 import contribution_pb2 as pb
from veilsum.v1 import contribution_pb2_grpc as service

PLAN = made.plan()


class Site(test_contribute.Site):
    """A site whose worker splits for good, and whose sender notes what it is given."""

    def __init__(self, folder: Path, failpoints: Failpoints | None = None) -> None:
        super().__init__(folder)
        self.drawn = []
        self.contributor = Contributor(
            "amber", "ward", signed_round.keys("amber").signing, os.urandom,
            made.roster(), self, self.ledger, self, folder / "receipts", Kept(folder / "kept"),
            failpoints or Failpoints(),
        )  # fmt: skip

    async def protect(self, plan, public_key, mask, folder):
        raise AssertionError("nothing is encrypted under shares")

    async def share(self, plan, participant, secrets, folder):
        self.drawn.append(secrets)
        update = signed_round.update(participant)
        shared = module.share(plan, participant, secrets, update, Path(folder))
        self.note("share")
        return shared

    async def send(self, outbox, header):
        chunks = (body for _, body in outbox.chunks(0, PLAN.arithmetic.chunks))
        self.sent.append(b"".join((pack(header), *outbox.seals(3), *chunks)))
        self.note("send")
        return Signed(b"what the coordinator has signed", {"coordinator": b"signature"})

    async def contribute(self, plan=PLAN):
        await self.contributor.contribute(plan, b"", self.outbox)


async def test_what_is_sent_is_what_seats_and_coordinator_expect(tmp_path):
    """The header passes every check, and its seals are those in the outbox."""
    site = Site(tmp_path)

    await site.contribute()

    header = check_header(PLAN, "amber", site.outbox.header(), made.roster())
    seals = site.outbox.seals(3)
    assert [each.seat for each in header.seals] == list(made.SEATS)
    assert [each.sealed for each in header.seals] == [sha256_hex(each) for each in seals]
    assert site.log[-2:] == ["share after RESERVE", "send after RESERVE,COMMIT"]
    (commit,) = [row for row in site.ledger.rows() if row.type is RowType.COMMIT]
    assert commit.out == digest_of(header)
    assert header.ledger.size == commit.seq - 1
    assert header.ledger.root == site.ledger.root_at(header.ledger.size)


async def test_seats_add_what_the_site_has_sent(tmp_path):
    """From its own outbox: the three components of its update."""
    site = Site(tmp_path)
    await site.contribute()
    payloads = tuple(body for _, body in site.outbox.chunks(0, PLAN.arithmetic.chunks))
    sent = made.Sent(site.drawn[0], None, site.outbox.seals(3), payloads)

    (total, *_), (other, *_) = (made.totals(PLAN, seat, {"amber": sent}) for seat in (0, 1))

    words = total.blocks[0] + total.blocks[1] + other.blocks[2]
    first = words[:, :VALUE_WORDS].reshape(-1).view(np.int64)[: made.PER_CHUNK]
    assert np.array_equal(first, signed_round.update("amber")[: made.PER_CHUNK])


async def test_a_contribution_that_a_crash_left_is_sent_as_it_is(tmp_path):
    """Chunks, seals and header, to the byte; nothing is trained or drawn again."""
    site = Site(tmp_path)
    site.fails["send"] = PeerUnreachable("cut")
    with pytest.raises(PeerUnreachable):
        await site.contribute()
    site.ledger.close()
    after = Site(tmp_path)

    await after.contribute()

    assert after.sent == site.sent
    assert after.drawn == []
    assert after.rows(RowType.COMMIT) == after.rows(RowType.SENT) == 1


async def test_what_was_not_finished_is_split_under_new_secrets(tmp_path):
    """Chunks of two tries never share a keystream."""
    site = Site(tmp_path)
    site.fails["share"] = PeerUnreachable("died")
    with pytest.raises(PeerUnreachable):
        await site.contribute()

    await site.contribute()

    first, second = site.drawn
    assert not set(first.secrets) & set(second.secrets)
    assert len(site.sent) == 1


async def test_a_headers_round_of_the_other_scheme_is_not_sent(tmp_path):
    """What is in the outbox is of a plan, and of that plan alone."""
    before = test_contribute.Site(tmp_path)
    before.fails["send"] = PeerUnreachable("cut")
    with pytest.raises(PeerUnreachable):
        await before.contribute()
    before.ledger.close()
    site = Site(tmp_path)

    assert site.contributor._finished(PLAN, site.outbox) is None
    assert before.contributor._finished(signed_round.plan(), before.outbox) is not None


async def test_secrets_are_in_no_file_of_the_site(tmp_path):
    """Whoever finds the outbox finds one component, encrypted."""
    site = Site(tmp_path)

    await site.contribute()

    files = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    for secret in site.drawn[0].secrets:
        assert secret not in files
        assert secret.hex().encode() not in files


async def test_an_update_that_is_refused_sends_nothing_and_is_paid_for(tmp_path):
    """It was trained."""
    site = Site(tmp_path)
    site.fails["share"] = UpdateOutOfRange("not finite")

    with pytest.raises(UpdateOutOfRange):
        await site.contribute()

    (commit,) = [row for row in site.ledger.rows() if row.type is RowType.COMMIT]
    assert (site.sent, site.outbox.header(), commit.out) == ([], None, NOTHING_SENT)


# -- on the wire -------------------------------------------------------------------


async def test_seals_travel_to_seats_beside_the_header(tmp_path):
    """In the plan's order, and nothing as masks; the receipt is for this very header."""
    site = Site(tmp_path)
    await site.contribute()
    header = check_header(PLAN, "amber", site.outbox.header(), made.roster())
    receipt = Receipt(signed_round.FEDERATION, 1, PLAN.digest(), "amber", digest_of(header))
    door = test_send.Door(receipt=receipt)

    adder = service.add_ContributionServiceServicer_to_server
    async with endpoint.coordinator((adder, door)) as coordinator:
        key = public_bytes(signed_round.COORDINATOR_KEY)
        sender = Sender(coordinator, key, Failpoints())
        await sender.send(site.outbox, site.outbox.header())

    begun = pb.BeginContributionRequest.FromString(door.begun[0])
    assert tuple(begun.sealed_parts) == site.outbox.seals(3)
    assert not begun.sealed_masks
    assert tuple(door.chunks[at] for at in sorted(door.chunks)) == tuple(
        body for _, body in site.outbox.chunks(0, PLAN.arithmetic.chunks)
    )
