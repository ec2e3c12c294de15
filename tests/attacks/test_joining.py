"""S3, at the joining port: another coordinator, somebody in between, and links that are stolen.

Each beside the honest case, in which the same call succeeds.
"""

import os

import pytest
from structlog.testing import capture_logs

from participant.joining.link import Link
from participant.wire import desk
from privacy.errors import InvitationRefused, PeerUnreachable, WrongIdentity
from privacy.identifiers import coordinator_uri, participant_uri
from tests.participant.joining import desk as at
from tests.participant.joining.test_enrol import Screen, join
from veilsum.v1 import joining_pb2


def said_to(office, link):
    """What a coordinator was told, beside the question who it is."""
    names = [name for name, _ in office.servicer.calls]
    told = b"".join(request.SerializeToString() for _, request in office.servicer.calls)
    assert link.token not in told
    return [name for name in names if name != "GetAuthority"]


async def test_the_coordinator_that_the_link_names_enrols(tmp_path):
    """The positive control of this file."""
    async with at.desk(folder=tmp_path) as office:
        enrolled = await join(office.link(), tmp_path / "amber", Screen(then=office.approve))

    assert enrolled.decided_by == "desk"


async def test_another_coordinator_at_the_links_address_learns_nothing(tmp_path):
    """A wrong pin: DNS that lies, or an address that somebody else has now."""
    async with at.desk(folder=tmp_path) as office, at.desk(folder=tmp_path) as other:
        made = office.link()
        link = Link(other.address, made.token, made.authority, made.participant)

        with pytest.raises(WrongIdentity, match="not the coordinator that the link was made by"):
            await join(link, tmp_path / "amber")

        assert said_to(other, link) == []
    assert not (tmp_path / "amber").exists()


class ShowsAnothers(at.Watched):
    """In between: it shows the authority that the link names, under a certificate of its own."""

    anothers = b""

    async def GetAuthority(self, request, context):  # noqa: N802
        self.calls.append(("GetAuthority", request))
        return joining_pb2.GetAuthorityResponse(authority=self.anothers)


async def test_who_is_in_between_and_shows_the_right_authority_learns_nothing(
    tmp_path, monkeypatch
):
    """The fingerprint is right, and the connection is not to whom it certifies."""
    async with at.desk(folder=tmp_path) as office:
        monkeypatch.setattr(ShowsAnothers, "anothers", office.issuing.certificate_pem)
        monkeypatch.setattr(at, "Watched", ShowsAnothers)
        async with at.desk(folder=tmp_path) as between:
            made = office.link()
            link = Link(between.address, made.token, made.authority, made.participant)

            with pytest.raises(WrongIdentity, match="intercepts TLS"):
                await join(link, tmp_path / "amber")

            assert said_to(between, link) == []
    assert not (tmp_path / "amber").exists()


@pytest.mark.parametrize(
    "shown", [b"", b"garbage", b"-----BEGIN CERTIFICATE-----\n", bytes(20_000)]
)
async def test_an_authority_that_is_none_is_refused(tmp_path, monkeypatch, shown):
    """Bytes of whoever answers, before anything is known of it."""
    async with at.desk(folder=tmp_path) as office:
        monkeypatch.setattr(ShowsAnothers, "anothers", shown)
        monkeypatch.setattr(at, "Watched", ShowsAnothers)
        async with at.desk(folder=tmp_path) as between:
            made = office.link()
            link = Link(between.address, made.token, made.authority, made.participant)

            with pytest.raises(WrongIdentity, match="not the coordinator"):
                await join(link, tmp_path / "amber")

            assert said_to(between, link) == []


async def test_a_link_that_was_used_is_worth_nothing_to_a_thief(tmp_path):
    """Found in a mailbox a year later, or read from a screen a minute later."""
    async with at.desk(folder=tmp_path) as office:
        link = office.link()
        await join(link, tmp_path / "amber", Screen(then=office.approve))

        with capture_logs() as lines, pytest.raises(InvitationRefused, match="other keys"):
            await join(link, tmp_path / "thief")

    assert "enrolment_refused" in [line["event"] for line in lines]
    assert not (tmp_path / "thief" / "certificate.pem").exists()


async def test_a_thief_who_is_first_is_seen_by_the_words(tmp_path):
    """The member is told at once, and the operator compares other words than it was shown."""
    async with at.desk(folder=tmp_path) as office:

        def stop():
            raise PeerUnreachable("waits for an approval that must not come")

        link, victim, thief = office.link(), Screen(), Screen(then=stop)
        with pytest.raises(PeerUnreachable):
            await join(link, tmp_path / "thief", thief, sleep=None)
        with pytest.raises(InvitationRefused, match="call the operator"):
            await join(link, tmp_path / "amber", victim)

        assert victim.shown != thief.shown
        with pytest.raises(InvitationRefused, match="not the words"):
            office.approve(words=victim.shown[0])
    assert not (tmp_path / "thief" / "certificate.pem").exists()


async def test_a_link_that_has_ended_or_was_replaced_enrols_nobody(tmp_path):
    async with at.desk(folder=tmp_path) as office:
        old = office.link()
        new = office.link(seconds=60)

        with pytest.raises(InvitationRefused, match="replaced"):
            await join(old, tmp_path / "amber")
        office.clock[0] += 61
        with pytest.raises(InvitationRefused, match="has ended"):
            await join(new, tmp_path / "amber")


async def test_a_guessed_token_is_refused_and_noted(tmp_path):
    """256 bits, at one guess a second."""
    async with at.desk(folder=tmp_path) as office:
        link = office.link()
        guessed = Link(link.address, os.urandom(32), link.authority, link.participant)

        with capture_logs() as lines, pytest.raises(InvitationRefused, match="no such invitation"):
            await join(guessed, tmp_path / "amber")

    assert "enrolment_refused" in [line["event"] for line in lines]


def test_a_member_that_the_authority_certified_is_no_coordinator():
    """It could answer at the link's address; its certificate names a participant."""
    assert desk._federation(coordinator_uri(at.FEDERATION)) == at.FEDERATION

    with pytest.raises(WrongIdentity, match="names no coordinator"):
        desk._federation(participant_uri(at.FEDERATION, "mallory"))
