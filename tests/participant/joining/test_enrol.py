"""A member enrols with a link: whatever cuts it off, the same again goes on where it was."""

import asyncio
import os
import stat
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from coordinator.adapters.authority import certify_participant
from participant.joining import enrol as module
from participant.joining.enrol import check_certificate, enrol
from participant.joining.init import init
from participant.joining.own import own_words
from participant.keys import certificate_request, load_keys
from privacy.errors import (
    ConfigError,
    InvitationRefused,
    PeerUnreachable,
    TooManyRequests,
    WrongIdentity,
)
from privacy.roster import Role

from . import desk as at


class Screen:
    """What is shown, noted; what a test does when it is shown."""

    def __init__(self, then=None):
        self.shown, self.waits, self.cuts, self._then = [], 0, [], then

    def words(self, words):
        self.shown.append(words)

    def waiting(self):
        self.waits += 1
        if self._then:
            self._then()

    def cut(self, reason):
        self.cuts.append(reason)


async def no_sleep(seconds):
    assert 0 < seconds <= module.LONGEST_SECONDS
    await asyncio.sleep(0.01)


def join(link, state, screen=None, organisation="Amber hospital", role=Role.TRAINER, **more):
    now = more.pop("now", lambda: datetime.now(UTC))
    return enrol(
        *(link, state, organisation, role, screen or Screen(), os.urandom),
        now=now,
        sleep=more.pop("sleep", no_sleep),
        **more,
    )


async def test_a_member_that_is_approved_has_keys_and_a_certificate_of_its_own(tmp_path):
    """Keys never leave the site, and only their owner reads them."""
    async with at.desk(folder=tmp_path) as office:
        screen = Screen(then=office.approve)

        enrolled = await join(office.link(), tmp_path / "amber", screen)

    assert enrolled.addresses == at.ADDRESSES
    assert (enrolled.federation, enrolled.decided_by) == (at.FEDERATION, "desk")
    assert screen.shown == [office.words()]
    for path in (tmp_path / "amber").rglob("*"):
        if path.is_file():
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    sent = b"".join(request.SerializeToString() for _, request in office.servicer.calls)
    keys = load_keys(tmp_path / "amber" / "keys")
    for secret in (keys.signing.private_bytes_raw(), keys.sealing.seed, keys.tls_pem):
        assert secret not in sent


async def test_who_stops_and_joins_again_shows_the_same_words_and_gets_the_answer(tmp_path):
    """Ctrl-C, a reboot, a laptop that was closed: the operator decides meanwhile."""
    async with at.desk(folder=tmp_path) as office:
        link, first = office.link(), Screen()
        stopped = asyncio.create_task(join(link, tmp_path / "amber", first))
        while not first.waits:
            await asyncio.sleep(0.01)
        stopped.cancel()
        office.approve(words=first.shown[0])
        again = Screen()

        await join(link, tmp_path / "amber", again, organisation="")

    assert again.shown == first.shown
    assert again.waits == 0


async def test_an_answer_that_was_lost_is_given_again(tmp_path):
    """The token is used up, and still works for the same keys."""
    async with at.desk(folder=tmp_path) as office:
        link = office.link()
        await join(link, tmp_path / "amber", Screen(then=office.approve))
        certificate = (tmp_path / "amber" / "certificate.pem").read_bytes()
        (tmp_path / "amber" / "certificate.pem").unlink()

        await join(link, tmp_path / "amber")

    assert (tmp_path / "amber" / "certificate.pem").read_bytes() == certificate


@pytest.mark.parametrize("left", [(), ("entry.json",), ("entry.json", "request.pem")])
def test_a_crash_between_keys_and_request_leaves_what_can_be_gone_on_with(tmp_path, left):
    """The keys stay, whatever else has to be written again."""
    state = tmp_path / "amber"
    init(state, at.FEDERATION, "amber", "Amber hospital")
    before = load_keys(state / "keys").signing_public
    for name in ("entry.json", "request.pem"):
        if name not in left:
            (state / name).unlink()

    async def joined():
        async with at.desk(folder=tmp_path) as office:
            return await join(office.link(), state, Screen(then=office.approve))

    enrolled = asyncio.run(joined())

    assert enrolled.member.signing_key == before


async def test_a_coordinator_that_is_away_is_waited_for_and_why_is_said(tmp_path):
    """A network cut after the request; the wait grows, and ends."""
    async with at.desk(folder=tmp_path) as office:
        link, screen = office.link(), Screen()
        joining = asyncio.create_task(join(link, tmp_path / "amber", screen))
        while not screen.waits:
            await asyncio.sleep(0.01)
    while not screen.cuts:
        await asyncio.sleep(0.01)

    async with at.desk(folder=tmp_path, port=office.port, before=office) as again:
        again.approve()
        enrolled = await asyncio.wait_for(joining, 20)

    assert enrolled.decided_by == "desk"
    assert "refused" in screen.cuts[0]


class Time:
    """A clock that goes on by what is slept, in no time."""

    def __init__(self):
        self.at, self.slept = datetime.now(UTC), []

    def __call__(self):
        return self.at

    async def sleep(self, seconds):
        self.slept.append(seconds)
        self.at += timedelta(seconds=seconds)
        await asyncio.sleep(0)


async def test_nobody_at_the_address_is_said_at_once_tried_for_a_minute_and_nothing_is_made(
    tmp_path,
):
    """A wrong address must not look like an operator who takes long."""
    async with at.desk(folder=tmp_path) as office:
        link = office.link()
    time, screen = Time(), Screen()

    with pytest.raises(PeerUnreachable, match="refused"):
        await join(link, tmp_path / "amber", screen, now=time, sleep=time.sleep)

    assert "refused" in screen.cuts[0]
    assert "tried for 60 s" in screen.cuts[0]
    assert (screen.shown, screen.waits) == ([], 0)
    assert len(time.slept) > 2
    assert module.FIRST_SECONDS <= sum(time.slept) <= module.FIRST_SECONDS + 1.25 * 30
    assert not (tmp_path / "amber").exists()


@pytest.mark.parametrize("error", [TooManyRequests("once a second"), PeerUnreachable("refused")])
async def test_a_coordinator_that_lets_nobody_in_yet_is_tried_again(tmp_path, monkeypatch, error):
    """Behind one address with many others, or while it starts: the same command goes on."""
    refusals, real, time, screen = [error] * 3, module.authority_of, Time(), Screen()

    async def busy(*named):
        if refusals:
            raise refusals.pop()
        return await real(*named)

    monkeypatch.setattr(module, "authority_of", busy)
    async with at.desk(folder=tmp_path) as office:
        screen = Screen(then=office.approve)
        enrolled = await join(office.link(), tmp_path / "amber", screen, now=time, sleep=time.sleep)

    assert enrolled.decided_by == "desk"
    assert len(screen.cuts) == 3
    assert str(error) in screen.cuts[0]


async def test_who_joins_never_tries_again_in_step_with_others(tmp_path):
    """Each wait has a share of chance: many sites that lost one coordinator come back apart."""
    async with at.desk(folder=tmp_path) as office:
        link = office.link()
    first, second = Time(), Time()

    for time in (first, second):
        with pytest.raises(PeerUnreachable):
            await join(link, tmp_path / "amber", now=time, sleep=time.sleep)

    assert first.slept[:2] != second.slept[:2]


async def test_another_coordinator_at_the_address_is_not_tried_again(tmp_path):
    """It answered, and is not the link's: no time mends that."""
    time, screen = Time(), Screen()
    async with at.desk(folder=tmp_path) as office, at.desk(folder=tmp_path) as other:
        link = replace(office.link(), address=other.address)

        with pytest.raises(WrongIdentity, match="not the coordinator"):
            await join(link, tmp_path / "amber", screen, now=time, sleep=time.sleep)

    assert (time.slept, screen.cuts) == ([], [])


async def test_a_refusal_says_who_and_why(tmp_path):
    async with at.desk(folder=tmp_path) as office:
        screen = Screen(then=lambda: office.refuse(reason="we expected another machine"))

        with pytest.raises(WrongIdentity, match="by desk: we expected another machine"):
            await join(office.link(), tmp_path / "amber", screen)

    assert not (tmp_path / "amber" / "certificate.pem").exists()


async def test_keys_of_another_member_are_not_used(tmp_path):
    """Two members with one key would be one voice twice."""
    async with at.desk(folder=tmp_path) as office:
        await join(office.link(), tmp_path / "state", Screen(then=office.approve))
        asked = len(office.servicer.calls)

        with pytest.raises(ConfigError, match="holds the keys of amber"):
            await join(office.link("birch"), tmp_path / "state")
        with pytest.raises(ConfigError, match="a member that is trainer"):
            await join(office.link(), tmp_path / "state", role=Role.AUDITOR)
        with pytest.raises(ConfigError, match="--organisation"):
            await join(office.link(), tmp_path / "state", organisation="Other hospital")

    names = [name for name, _ in office.servicer.calls[asked:]]
    assert "RequestEnrolment" not in names


async def test_keys_of_another_federation_are_not_used(tmp_path):
    """A request that names another federation is not signed over again."""
    init(tmp_path / "amber", "cardiology", "amber", "Amber hospital")

    async with at.desk(folder=tmp_path) as office:
        with pytest.raises(ConfigError, match="cardiology"):
            await join(office.link(), tmp_path / "amber")


async def test_without_an_organisation_nothing_is_made(tmp_path):
    """The others count organisations; who runs this is for its own people to say."""
    async with at.desk(folder=tmp_path) as office:
        with pytest.raises(ConfigError, match="--organisation"):
            await join(office.link(), tmp_path / "amber", organisation="")

    assert not (tmp_path / "amber").exists()


async def test_another_role_than_the_one_invited_is_refused_by_the_coordinator(tmp_path):
    async with at.desk(folder=tmp_path) as office:
        with pytest.raises(InvitationRefused, match="as auditor"):
            await join(office.link("amber", "auditor"), tmp_path / "amber")


# -- what is handed back ---------------------------------------------------------------------


@pytest.fixture
async def approved(tmp_path):
    """An applicant, and the chain that its coordinator has made for it."""
    async with at.desk(folder=tmp_path) as office:
        link = office.link()
        await join(link, tmp_path / "amber", Screen(then=office.approve))
        authority = await module.authority_of(link)
        applicant = module.apply(link, authority, tmp_path / "amber", "", Role.TRAINER)
    chain = (tmp_path / "amber" / "certificate.pem").read_bytes()
    return applicant, chain, tmp_path


async def test_a_certificate_that_is_this_members_is_kept(approved):
    """The positive control of those below."""
    applicant, chain, _ = approved

    assert check_certificate(chain, applicant, datetime.now(UTC))


async def test_a_certificate_of_another_authority_is_not_kept(approved):
    """The site would show it to nobody else's avail, and say so only when it is too late."""
    applicant, chain, _ = approved
    _, other = at.authority()
    theirs = at.certify_coordinator(other, [at.HOST], now=datetime.now(UTC), life=at.DAY)

    for wrong in (theirs.certificate_pem, b"", b"-----BEGIN CERTIFICATE-----\n", chain[:300]):
        with pytest.raises(WrongIdentity):
            check_certificate(wrong, applicant, datetime.now(UTC))


async def test_a_certificate_of_this_members_key_by_another_authority_is_not_kept(approved):
    """Right key, right name, and nobody would take it."""
    applicant, _, _ = approved
    _, other = at.authority()
    request = applicant.asked.request.encode()
    theirs = certify_participant(other, request, "amber", now=datetime.now(UTC), life=at.DAY)

    with pytest.raises(WrongIdentity, match="not from the link's authority"):
        check_certificate(theirs, applicant, datetime.now(UTC))


async def test_a_certificate_for_another_key_or_name_is_not_kept(approved):
    """Such as another member's own."""
    applicant, _, folder = approved
    async with at.desk(folder=folder) as office:
        await join(
            office.link("birch"), folder / "birch", Screen(then=lambda: office.approve("birch"))
        )
    theirs = (folder / "birch" / "certificate.pem").read_bytes()

    with pytest.raises(WrongIdentity, match="another key"):
        check_certificate(theirs, applicant, datetime.now(UTC))


async def test_a_certificate_of_this_members_key_under_another_name_is_not_kept(approved):
    """Right key, right authority: and every call would be another member's."""
    applicant, _, folder = approved
    request = certificate_request(applicant.keys, at.FEDERATION, "birch")
    async with at.desk(folder=folder) as office:
        theirs = certify_participant(
            office.issuing, request, "birch", now=datetime.now(UTC), life=at.DAY
        )

    with pytest.raises(WrongIdentity, match="does not name amber"):
        check_certificate(theirs, applicant, datetime.now(UTC))


async def test_the_words_that_were_approved_can_be_read_again(tmp_path):
    """Trainers ask for them when they admit this member, and the screen is gone by then."""
    async with at.desk(folder=tmp_path) as office:
        screen = Screen(then=office.approve)
        enrolled = await join(office.link(), tmp_path / "amber", screen)

    assert own_words(tmp_path / "amber") == enrolled.words == office.words()


async def test_an_organisation_is_written_in_its_normal_form(tmp_path):
    """However a terminal hands it over; and the same words again are the same."""
    async with at.desk(folder=tmp_path) as office:
        link, state = office.link(), tmp_path / "amber"
        typed = "  Cafe\u0301   Nord "

        enrolled = await join(link, state, Screen(then=office.approve), organisation=typed)
        again = await join(link, state, organisation=typed)

    assert enrolled.member.organisation == again.member.organisation == "Caf\u00e9 Nord"


@pytest.mark.parametrize("days", [-1, 3])
async def test_a_certificate_that_is_not_good_now_is_not_kept(approved, days):
    """A clock that is a day off is found here, and not at three in the morning."""
    applicant, chain, _ = approved

    with pytest.raises(WrongIdentity, match="clock"):
        check_certificate(chain, applicant, datetime.now(UTC) + timedelta(days=days))
