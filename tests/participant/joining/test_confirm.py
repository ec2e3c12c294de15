"""What is shown to people who compare, and what comes next for them."""

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from participant.config import CoordinatorAddress
from participant.joining import status as statuses
from participant.joining.admitting import FOLDER, admit, proposed, signed_before
from participant.joining.confirm import shown
from participant.joining.place import Place
from participant.joining.status import NONE, NOT_FOUNDED, RosterSeen, next_step, status_of
from participant.kept import Kept
from privacy.canonical import encode
from privacy.documents import Signed
from privacy.errors import (
    CertificateRevoked,
    FolderHeld,
    InvalidSignature,
    MalformedMessage,
    NotYet,
    PeerUnreachable,
    WrongContext,
    WrongIdentity,
)
from privacy.roster import Role, SignedRoster
from privacy.signing import Purpose, sign
from privacy.words import ROSTER_WORDS, words_of
from tests.attacks.test_uninvited_members import (
    FIRST,
    MAJORITY,
    MEMBERS,
    Shows,
    changed,
    grown,
    signed_by,
)
from tests.loopback import make_federation
from tests.participant import signed_round as made
from veilsum.cli.joining import _status_text
from veilsum.files import holding

ME = (made.keys("amber"), "amber")
MINE = FIRST.member("amber")


@pytest.fixture
def seen(tmp_path):
    """The versions of the roster on this site's disk: none yet."""
    return Kept(tmp_path / "kept")


def before(roster, *signers):
    """A coordinator with version 0 founded, and a version before its trainers."""
    coordinator = Shows(signed_by(FIRST, *MEMBERS))
    body = encode(roster)
    signatures = {n: sign(made.keys(n).signing, Purpose.ROSTER, body) for n in signers}
    coordinator.proposal_of = Signed(body, signatures)
    return coordinator


async def test_each_member_is_shown_with_what_people_can_compare():
    found = await shown(Shows(signed_by(FIRST, "birch")), *ME, made.FEDERATION, MINE)

    assert [each.participant for each in found.members] == list(MEMBERS)
    assert {each.participant for each in found.members if each.signed} == {"birch"}
    assert (found.fingerprint, found.words()) == (
        FIRST.digest(),
        words_of(FIRST.digest(), ROSTER_WORDS),
    )
    assert (found.organisations, found.included, found.founded) == (4, True, False)


async def test_who_came_later_compares_version_0_and_sees_the_newest():
    """Every later version hangs on it by its trainers' signatures, which are checked."""
    history = [signed_by(FIRST, *MEMBERS), signed_by(grown("elder"), *MAJORITY)]

    found = await shown(Shows(*history), made.keys("elder"), "elder", made.FEDERATION, None)
    outside = await shown(Shows(*history), made.keys("fir"), "fir", made.FEDERATION, None)

    assert (found.fingerprint, found.version, found.included) == (FIRST.digest(), 1, True)
    assert not outside.included


@pytest.mark.parametrize(
    ("history", "error", "says"),
    [
        ([], NotYet, "has not closed version 0"),
        (
            [signed_by(FIRST, *MEMBERS), SignedRoster(grown("mallory"), {})],
            InvalidSignature,
            "version 1: signed by 0 of 4 trainers",
        ),
        (
            [signed_by(FIRST), signed_by(grown("mallory"), *MAJORITY)],
            WrongContext,
            "a roster that nobody has founded",
        ),
        (
            [SignedRoster(changed(FIRST, "amber"), {})],
            WrongContext,
            "version 1 where version 0 was expected",
        ),
    ],
    ids=["none", "uninvited", "not-founded", "not-version-0"],
)
async def test_what_is_not_as_it_must_be_is_shown_to_nobody(history, error, says):
    """Nobody is asked to compare what no comparison could mend; each for its own reason."""
    with pytest.raises(error, match=says):
        await shown(Shows(*history), *ME, made.FEDERATION, MINE)


async def test_another_federations_roster_is_shown_to_nobody():
    """However well it is signed."""
    with pytest.raises(WrongContext, match=f"a roster of {made.FEDERATION}"):
        await shown(Shows(signed_by(FIRST, *MEMBERS)), *ME, "cardiology", MINE)


async def test_another_key_for_this_site_is_said_before_anybody_compares():
    wrong = msgspec.structs.replace(
        FIRST,
        members=changed(FIRST, "amber", sealing_key=made.keys("mallory").sealing_public).members,
    )

    with pytest.raises(WrongContext, match="other keys for amber"):
        await shown(Shows(SignedRoster(wrong, {})), *ME, made.FEDERATION, MINE)


async def test_a_proposal_is_shown_as_what_it_changes(seen):
    later = grown("elder")
    later = msgspec.structs.replace(
        later,
        members=tuple(
            msgspec.structs.replace(each, roles=(Role.PARTICIPANT,))
            if each.participant == "delta"
            else each
            for each in later.members
            if each.participant != "watch"
        ),
    )

    found = await proposed(before(later, "birch"), *ME, FIRST.digest(), seen)

    assert found is not None
    assert [each.participant for each in found.added] == ["elder"]
    assert found.removed == ("watch",)
    [one] = found.changed
    assert (one.who, one.what, one.before, one.after) == (
        "delta",
        "roles",
        "trainer",
        "participant",
    )
    assert (found.signed, found.needed) == (("birch",), 3)


async def test_a_forged_voice_is_not_shown_as_one(seen):
    coordinator = before(grown("elder"))
    forged = {"birch": bytes(64), "mallory": bytes(64)}
    coordinator.proposal_of = Signed(coordinator.proposal_of.body, forged)

    found = await proposed(coordinator, *ME, FIRST.digest(), seen)

    assert found is not None
    assert found.signed == ()


async def test_nothing_proposed_is_nothing(seen):
    assert await proposed(Shows(signed_by(FIRST, *MEMBERS)), *ME, FIRST.digest(), seen) is None


@pytest.mark.parametrize(
    ("roster", "error"),
    [
        (msgspec.structs.replace(grown("elder"), version=2), WrongContext),
        (msgspec.structs.replace(grown("elder"), previous="0" * 64), WrongContext),
        (msgspec.structs.replace(grown("elder"), federation="cardiology"), WrongContext),
        (changed(FIRST, "birch", sealing_key=b"\xff" * 1216), MalformedMessage),
    ],
    ids=["a-gap", "another-past", "another-federation", "a-key-that-is-none"],
)
async def test_a_version_that_may_not_follow_is_not_put_to_people(roster, error, seen):
    with pytest.raises(error):
        await proposed(before(roster), *ME, FIRST.digest(), seen)


async def test_who_has_no_voice_is_told(seen):
    with pytest.raises(WrongIdentity, match="no trainer"):
        await proposed(before(grown("elder")), made.keys("watch"), "watch", FIRST.digest(), seen)


async def test_before_version_0_is_founded_nothing_follows_it(seen):
    coordinator = before(grown("elder"))
    coordinator.history = [signed_by(FIRST, "birch")]

    with pytest.raises(NotYet, match="have not all signed"):
        await proposed(coordinator, *ME, FIRST.digest(), seen)


async def test_a_signature_is_remembered_before_it_is_given(tmp_path, seen):
    """And given again for the same version: the answer to the first may have been lost."""
    coordinator = before(grown("elder"))
    found = await proposed(coordinator, *ME, FIRST.digest(), seen)

    async def lost(fingerprint, signature):
        assert signed_before(tmp_path, 1) == (fingerprint,)
        raise NotYet("lost")

    coordinator.sign_proposal, given = lost, coordinator.sign_proposal
    with pytest.raises(NotYet):
        await admit(coordinator, ME[0], tmp_path, found)
    coordinator.sign_proposal = given
    await admit(coordinator, ME[0], tmp_path, found)

    assert [each for each, _ in coordinator.admitted] == [found.fingerprint]


async def test_a_site_signs_one_version_at_a_time_and_beside_its_agent(tmp_path, seen):
    """Two people at two screens would not see each other's; the agent's own hold is another."""
    coordinator = before(grown("elder"))
    found = await proposed(coordinator, *ME, FIRST.digest(), seen)

    with holding(tmp_path / FOLDER), pytest.raises(FolderHeld):
        await admit(coordinator, ME[0], tmp_path, found)

    assert (coordinator.admitted, signed_before(tmp_path, 1)) == ([], ())
    with holding(tmp_path):
        await admit(coordinator, ME[0], tmp_path, found)
    assert [each for each, _ in coordinator.admitted] == [found.fingerprint]


async def test_people_may_say_that_an_earlier_version_was_withdrawn(tmp_path, seen):
    """By its fingerprint, so that they know which."""
    first = await proposed(before(grown("elder")), *ME, FIRST.digest(), seen)
    await admit(before(grown("elder")), ME[0], tmp_path, first)
    coordinator = before(grown("fir"))
    second = await proposed(coordinator, *ME, FIRST.digest(), seen)

    await admit(coordinator, ME[0], tmp_path, second, first.fingerprint)

    assert signed_before(tmp_path, 1) == (first.fingerprint, second.fingerprint)


# -- what comes next -------------------------------------------------------------------------

SEEN = RosterSeen(0, "ab" * 32, (), ("trainer",), "")


def step(
    link="connected", left=3600, confirmed="ab" * 32, seen=SEEN, incomplete="", kind="participant"
):
    return next_step(kind, Path("site.toml"), link, left, confirmed, seen, incomplete)


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        ({"seen": None, "link": NOT_FOUNDED}, "wait: the operator"),
        ({"seen": None, "link": "refused"}, "veilsum doctor"),
        ({"seen": None, "link": "refused", "left": -1}, "certificate has ended"),
        ({"confirmed": None}, "veilsum participant confirm"),
        ({"confirmed": None, "kind": "auditor"}, "veilsum auditor confirm"),
        ({"confirmed": "cd" * 32}, "call the operator"),
    ],
)
def test_the_next_step_is_one_and_can_be_typed(facts, says):
    assert step(**facts).startswith(says) or says in step(**facts)


def test_the_steps_come_in_order_and_end():
    """Each is done, and the next one shows."""
    waiting = RosterSeen(1, "ab" * 32, (), ("trainer",), "cd" * 32)
    outside = RosterSeen(1, "ab" * 32, (), (), "")
    unsigned = RosterSeen(0, "ab" * 32, ("birch",), ("trainer",), "")

    assert step(seen=waiting).startswith("veilsum participant admit")
    assert step(seen=outside).startswith("wait: the trainers")
    assert step(incomplete="no id").startswith("fill in site.toml")
    assert "wait for birch" in step(seen=unsigned)
    assert step() == NONE


class Answers:
    """A coordinator that answers every question with one error."""

    def __init__(self, error):
        self.error = error

    async def roster(self):
        raise self.error

    async def close(self):
        pass


@pytest.fixture
def asking(tmp_path, monkeypatch):
    """A member's own question how it stands, to a coordinator that answers with an error."""

    async def ask(error):
        keys, now = made.keys("amber"), datetime.now(UTC)
        site = make_federation().site(keys)
        (tmp_path / "certificate.pem").write_bytes(site.certificate_pem)
        (tmp_path / "authority.pem").write_bytes(site.authority_pem)
        files = (tmp_path / "authority.pem", tmp_path / "certificate.pem")
        where = CoordinatorAddress("a.test:1", *files, (), None)
        place = Place(made.FEDERATION, "amber", tmp_path, where, "ab" * 32)
        monkeypatch.setattr(statuses, "connect", lambda *_: Answers(error))
        return await status_of(place, keys, "participant", tmp_path / "site.toml", list, now)

    return ask


async def test_a_member_that_was_shut_out_is_told_so_why_and_who_acts(asking):
    """No line of its file and no doctor would help, and its certificate is not to be renewed."""
    why = CertificateRevoked("amber: desk has shut out this member's certificates: a stolen laptop")

    found = await asking(why)

    assert found.revoked
    assert found.next.startswith("call the operator who revoked this member")
    text = _status_text(found, keys_run="participant")
    assert "desk has shut out this member's certificates: a stolen laptop" in text
    assert "revoked by an operator" in text
    assert "renews itself" not in text
    assert "doctor" not in text


@pytest.mark.parametrize("error", [PeerUnreachable("refused"), WrongIdentity("another")])
async def test_a_member_that_gets_no_answer_was_not_shut_out(asking, error):
    found = await asking(error)

    assert not found.revoked
    assert found.next.startswith("veilsum doctor")
    assert "renews itself" in _status_text(found, keys_run="participant")
