"""A coordinator that hands out its own keys as somebody's, or its own roster as everybody's.

It composes version 0, and passes on what later members ask. What stands against it are words that
people read to each other, and what each member has on its own disk. Each attack stands beside the
honest case, which the same code lets through.
"""

from types import SimpleNamespace

import pytest
from msgspec.structs import replace

from participant.auditing import run as auditing
from participant.joining import found as founding
from participant.joining.admitting import proposed
from participant.joining.confirm import shown
from participant.joining.found import entry
from participant.joining.own import ENTRY, keep_asked, own_words
from participant.joining.versions import admitted_versions
from participant.kept import Kept
from participant.model.wrap import pass_on
from participant.policy.plans import check_auditor, check_cohort, check_seats
from participant.wire import operating
from participant.wire.operating import Operator
from privacy import canonical
from privacy.documents import Signed
from privacy.enrolment import Proven
from privacy.errors import (
    CohortTooSmall,
    ConfigError,
    InvalidSignature,
    MalformedMessage,
    NotYet,
    PolicyRefusal,
    WrongContext,
)
from privacy.policy_line import PolicyLine
from privacy.roster import Role, Roster, SignedRoster, decode_roster
from privacy.signing import Purpose, verify
from privacy.words import ROSTER_WORDS, words_of
from tests.attacks.test_uninvited_members import (
    FIRST,
    MAJORITY,
    MEMBERS,
    Shows,
    asked_for,
    changed,
    founded,
    grown,
    proofs_of,
    signed_by,
)
from tests.participant import auditor_at_work
from tests.participant import signed_round as made
from veilsum.cli.joining import _proposal_text, _roster_text
from veilsum.v1 import operator_pb2

AMBER = (made.keys("amber"), "amber")
ELDER = grown("elder").member("elder")
EVIL = made.keys("the coordinator's own")
PAID_ELSEWHERE = "0x" + "66" * 20


@pytest.fixture
def kept(tmp_path):
    return Kept(tmp_path / "kept")


def proposes(roster, *proven):
    coordinator = Shows(founded())
    coordinator.proposal_of = Signed(canonical.encode(roster), {})
    coordinator.proven = {each.asked.entry.participant: each for each in proven}
    return coordinator


def look(coordinator, kept):
    return proposed(coordinator, *AMBER, FIRST.digest(), kept)


def with_elder(member):
    members = tuple(
        member if each.participant == "elder" else each for each in grown("elder").members
    )
    return replace(grown("elder"), members=members)


# -- the keys of a later member --------------------------------------------------------------


async def test_a_trainer_hears_from_a_new_member_the_words_that_its_screen_shows(kept, tmp_path):
    """The positive control: what `join` has shown the member, and its `status` shows."""
    proven = asked_for(ELDER, made.keys("elder"))
    keep_asked(tmp_path, proven.asked)

    found = await look(proposes(grown("elder"), proven), kept)

    [call] = found.calls()
    assert (call.participant, call.words) == ("elder", own_words(tmp_path))
    assert " · ".join(call.words.split()) in _proposal_text(found)


async def test_keys_that_a_coordinator_puts_in_have_other_words_than_the_member_reads(kept):
    """It can sign for its own keys. It cannot make the member read the words of that."""
    bent = entry(EVIL, "elder", ELDER.organisation, "", ("trainer",))
    genuine, forged = asked_for(ELDER, made.keys("elder")), asked_for(bent, EVIL)

    found = await look(proposes(with_elder(bent), forged), kept)

    [call] = found.calls()
    assert call.words != genuine.asked.words()


async def test_the_members_own_words_do_not_go_with_other_keys(kept):
    """What it has asked beside an entry that is not it, or under another's signature."""
    bent = entry(EVIL, "elder", ELDER.organisation, "", ("trainer",))
    genuine = asked_for(ELDER, made.keys("elder"))
    forged = Proven(replace(genuine.asked, entry=bent), genuine.proof)

    with pytest.raises(WrongContext, match="elder that it has not asked for"):
        await look(proposes(with_elder(bent), genuine), kept)
    with pytest.raises(InvalidSignature):
        await look(proposes(with_elder(bent), forged), kept)
    assert await look(proposes(grown("elder"), genuine), kept)


@pytest.mark.parametrize(
    "fields",
    [
        {"payout_address": PAID_ELSEWHERE},
        {"organisation": "Another clinic"},
        {"signing_key": EVIL.signing_public},
        {"sealing_key": EVIL.sealing_public},
    ],
    ids=lambda fields: next(iter(fields)),
)
async def test_whoever_is_otherwise_than_before_has_asked_for_it(kept, fields):
    """Of members that are there already, too: a new key is as good as a new member."""
    bent = changed(FIRST, "birch", **fields)

    with pytest.raises(WrongContext, match="birch that it has not asked for"):
        await look(proposes(bent), kept)
    with pytest.raises(WrongContext, match="birch that it has not asked for"):
        await look(proposes(bent, *proofs_of(FIRST.member("birch")).values()), kept)


async def test_new_roles_alone_are_for_trainers_to_admit(kept):
    """No member is called for what the screen says in full."""
    found = await look(proposes(changed(FIRST, "delta", roles=(Role.PARTICIPANT,))), kept)

    assert (found.asked, [each.what for each in found.changed]) == ((), ["roles"])


async def test_where_a_member_is_paid_is_on_the_screen(kept):
    """Of one that is added, and of one whose address would change."""
    paid = replace(ELDER, payout_address=PAID_ELSEWHERE)
    birch = changed(FIRST, "birch", payout_address=PAID_ELSEWHERE)
    proof = asked_for(birch.member("birch"), made.keys("birch"))

    added = await look(proposes(with_elder(paid), asked_for(paid, made.keys("elder"))), kept)
    moved = await look(proposes(birch, proof), kept)

    assert PAID_ELSEWHERE in _proposal_text(added)
    [change] = moved.changed
    assert (change.what, change.after) == ("payout address", PAID_ELSEWHERE)
    assert PAID_ELSEWHERE in _proposal_text(moved)


# -- the operator ----------------------------------------------------------------------------


def listed(proven, words, state="asked", name="elder"):
    return operator_pb2.Invitation(
        participant=name,
        roles=["trainer"],
        state=state,
        words=words,
        organisation=proven.asked.entry.organisation,
        asked=proven.asked.body(),
        proof=proven.proof,
    )


def operator(home, *invitations, shows=None):
    """An operator, before a coordinator that lists and closes what it likes."""
    page = operator_pb2.ListInvitationsResponse(invitations=invitations)
    made_of = shows and shows.history[0].roster.digest()

    async def call(answer):
        return answer

    stub = SimpleNamespace(
        ListInvitations=lambda *_, **__: page,
        CloseFounding=lambda *_, **__: operator_pb2.CloseFoundingResponse(fingerprint=made_of),
    )
    found = Operator.__new__(Operator)
    found._config = SimpleNamespace(participant="desk", state=home, federation=made.FEDERATION)
    found._coordinator = shows or SimpleNamespace()
    found._coordinator.call = call
    found._stub = stub
    return found


async def test_the_operator_computes_the_words_of_a_request_itself(tmp_path):
    """The list says what was asked, and cannot say other words for it."""
    proven = asked_for(ELDER, made.keys("elder"))
    bent = asked_for(entry(EVIL, "elder", ELDER.organisation, "", ("trainer",)), EVIL)
    words = proven.asked.words()

    [one] = await operator(tmp_path, listed(proven, words)).invitations()
    assert one.words == words
    with pytest.raises(WrongContext, match="other words for elder"):
        await operator(tmp_path, listed(bent, words)).invitations()
    unsigned = Proven(bent.asked, proven.proof)
    with pytest.raises(InvalidSignature):
        await operator(tmp_path, listed(unsigned, bent.asked.words())).invitations()
    with pytest.raises(WrongContext, match="what another has asked"):
        await operator(tmp_path, listed(proven, words, name="fir")).invitations()


DESK = entry(made.keys("desk"), "desk", "The office", "", ("operator",))
OPERATED = replace(
    FIRST, members=tuple(sorted((*FIRST.members, DESK), key=lambda each: each.participant))
)


class Closes(Shows):
    """A coordinator that has closed a version 0, and notes who signs it."""

    signed = None

    async def sign_roster(self, version, signature):
        self.signed = signature


@pytest.fixture
def office(tmp_path, monkeypatch):
    (tmp_path / ENTRY).write_bytes(canonical.encode(DESK))
    monkeypatch.setattr(operating, "load_keys", lambda _: made.keys("desk"))
    return tmp_path


async def test_an_operator_signs_a_version_0_that_it_was_shown_before(office):
    """The positive control; and who says no has signed nothing."""
    closes, seen = Closes(SignedRoster(OPERATED, {})), []

    def agrees(roster):
        assert closes.signed is None
        seen.append(roster)
        return True

    assert await operator(office, shows=closes).found(lambda _: False) == (OPERATED, False)
    assert closes.signed is None
    assert await operator(office, shows=closes).found(agrees) == (OPERATED, True)

    assert seen == [OPERATED]
    body = canonical.encode(OPERATED)
    verify(made.keys("desk").signing_public, Purpose.ROSTER, body, closes.signed)


@pytest.mark.parametrize(
    ("roster", "error"),
    [
        (replace(OPERATED, version=7, previous="ab" * 32), WrongContext),
        (replace(OPERATED, federation="cardiology"), WrongContext),
        (
            replace(
                OPERATED,
                members=tuple(
                    replace(m, roles=(Role.AUDITOR,)) if m.participant == "desk" else m
                    for m in OPERATED.members
                ),
            ),
            WrongContext,
        ),
        (
            replace(
                OPERATED,
                members=tuple(
                    replace(m, sealing_key=b"\xff" * 1216) if m.participant == "birch" else m
                    for m in OPERATED.members
                ),
            ),
            MalformedMessage,
        ),
    ],
    ids=["version-7", "another-federation", "other-roles", "a-key-that-is-none"],
)
async def test_an_operator_signs_nothing_else_that_is_called_version_0(office, roster, error):
    """Its signature would found, or stand under, something that nobody has looked at."""
    closes = Closes(SignedRoster(roster, {}))

    with pytest.raises(error):
        await operator(office, shows=closes).found(lambda _: True)

    assert closes.signed is None


# -- version 0 -------------------------------------------------------------------------------


def first_with(**fields):
    members = changed(FIRST, "amber", **fields).members
    return replace(FIRST, members=members)


BENT = {
    "payout": {"payout_address": PAID_ELSEWHERE},
    "organisation": {"organisation": "birch hospital"},
    "roles": {"roles": (Role.TRAINER, Role.PARTICIPANT)},
}


@pytest.fixture
def home(tmp_path):
    (tmp_path / ENTRY).write_bytes(canonical.encode(FIRST.member("amber")))
    return tmp_path


class Founds(Shows):
    """A coordinator that takes signatures on version 0; the others have all signed."""

    def __init__(self, roster):
        others = [name for name in MEMBERS if name != "amber"]
        super().__init__(signed_by(roster, *others))

    async def sign_roster(self, version, signature):
        first = self.history[0]
        signed = {**first.signatures, "amber": signature}
        self.history = [SignedRoster(first.roster, signed)]


async def test_a_founder_signs_the_entry_that_it_wrote(home):
    """The positive control."""
    founds = Founds(FIRST)

    seen = await shown(founds, *AMBER, made.FEDERATION, FIRST.member("amber"))
    await founding.found(founds, *AMBER, FIRST.digest(), home)

    assert "amber" in founds.history[0].signatures
    assert seen.fingerprint == FIRST.digest()


@pytest.mark.parametrize("bent", BENT)
async def test_a_founder_neither_sees_nor_signs_another_entry_of_itself(home, bent):
    """It would be paid, counted or used as the coordinator likes, by its own signature."""
    roster = first_with(**BENT[bent])
    founds = Founds(roster)

    with pytest.raises(WrongContext, match=r"than this site's own entry\.json"):
        await shown(founds, *AMBER, made.FEDERATION, FIRST.member("amber"))
    with pytest.raises(WrongContext, match=r"than this site's own entry\.json"):
        await founding.found(founds, *AMBER, roster.digest(), home)

    assert "amber" not in founds.history[0].signatures


async def test_without_its_own_entry_a_founder_signs_nothing(tmp_path):
    founds = Founds(FIRST)

    with pytest.raises(ConfigError, match=r"entry\.json is missing"):
        await founding.found(founds, *AMBER, FIRST.digest(), tmp_path)

    assert "amber" not in founds.history[0].signatures


async def test_a_version_7_is_neither_compared_nor_signed_as_the_first(home):
    """It would be a signature on a later version, which nobody had admitted."""
    seven = replace(FIRST, version=7, previous="ab" * 32)
    founds = Founds(seven)

    with pytest.raises(WrongContext, match="version 7 where version 0"):
        await shown(founds, *AMBER, made.FEDERATION, FIRST.member("amber"))
    with pytest.raises(WrongContext, match="version 7 where version 0"):
        await founding.found(founds, *AMBER, seven.digest(), home)

    assert "amber" not in founds.history[0].signatures


async def test_what_a_coordinator_varies_freely_is_on_the_screen():
    """Its own key is the one thing in version 0 that is no member's; and words are eight."""
    other = replace(FIRST, coordinator_key=EVIL.signing_public)
    mine = FIRST.member("amber")

    one = await shown(Shows(SignedRoster(FIRST, {})), *AMBER, made.FEDERATION, mine)
    two = await shown(Shows(SignedRoster(other, {})), *AMBER, made.FEDERATION, mine)

    assert FIRST.coordinator_key.hex()[:16] in _roster_text(one)
    assert EVIL.signing_public.hex()[:16] in _roster_text(two)
    assert one.words() == words_of(FIRST.digest(), ROSTER_WORDS) != two.words()
    assert len(one.words().split()) == 8


async def test_where_founders_are_paid_is_on_the_screen():
    """One column more, where anybody is paid."""
    members = changed(FIRST, "birch", payout_address=PAID_ELSEWHERE).members
    paid = Shows(SignedRoster(replace(FIRST, members=members), {}))
    for_nothing = tuple(replace(each, payout_address="") for each in FIRST.members)
    free = replace(FIRST, members=for_nothing)

    seen = await shown(paid, *AMBER, made.FEDERATION, FIRST.member("amber"))
    mine = free.member("amber")
    unpaid = await shown(Shows(SignedRoster(free, {})), *AMBER, made.FEDERATION, mine)

    assert PAID_ELSEWHERE in _roster_text(seen)
    assert "paid at" not in _roster_text(unpaid)


# -- names of organisations ------------------------------------------------------------------


@pytest.mark.parametrize("name", ["Hospital A\\u001b[8m", "St. Mary\\u200b", "St. M\\u0430ry", " "])
def test_an_organisation_that_a_screen_would_show_otherwise_is_in_no_roster(name):
    """An escape hides the rest of the list; a look-alike is counted twice."""
    body = canonical.encode(FIRST)
    assert decode_roster(body) == FIRST
    bent = body.replace(b'"amber hospital"', canonical_text(name))

    with pytest.raises(MalformedMessage):
        decode_roster(bent)


def canonical_text(escaped):
    """A name as canonical JSON has it: control characters as escapes, all others as they are."""
    text = escaped.encode().decode("unicode_escape")
    return f'"{escaped if min(text) < " " else text}"'.encode()


def test_one_hospital_under_three_spellings_is_one_organisation():
    """For the cohort's minimum, the openers, the seats and the auditor."""
    names = {"amber": "St. Mary", "birch": "ST MARY", "cedar": "St.-Mary."}
    cohort, line = ("amber", "birch", "cedar"), PolicyLine("site.toml", "policy.roster", "x")
    honest, one = made.roster(), made.roster_with(**names)
    check_cohort(cohort, made.policy(smallest_cohort=3), 3, honest)
    check_auditor("watch", honest, line)

    with pytest.raises(CohortTooSmall):
        check_cohort(cohort, made.policy(smallest_cohort=3), 3, one)
    with pytest.raises(PolicyRefusal):
        check_auditor("watch", made.roster_with(watch="AMBER hospital"), line)
    with pytest.raises(PolicyRefusal, match="different organisations"):
        check_seats(cohort, seats_of(one), made.policy())
    check_seats(cohort, seats_of(honest), made.policy())


def seats_of(roster):
    members = tuple(
        replace(each, roles=(Role.AGGREGATOR,)) if Role.TRAINER in each.roles else each
        for each in roster.members
    )
    return replace(roster, members=members)


# -- a version that is hidden again ----------------------------------------------------------


def hidden(kept):
    """A coordinator that has shown who was removed, and shows it no more."""
    added = grown("mallory")
    removed = Roster(made.FEDERATION, 2, FIRST.coordinator_key, FIRST.members, added.digest())
    history = [founded(), signed_by(added, *MAJORITY), signed_by(removed, *MAJORITY)]
    kept.keep_rosters(history)
    return Shows(*history), history


async def test_whom_members_removed_is_sealed_nothing_by_hiding_the_removal(tmp_path):
    """`participant wrap` knows what its site has seen."""
    kept = Kept(tmp_path / "kept")
    shows, history = hidden(kept)
    settings = SimpleNamespace(participant="amber", state=tmp_path, policy=made.policy())
    who = (*AMBER, FIRST.digest(), kept)
    assert (await admitted_versions(shows, *who))[-1].version == 2
    shows.history = history[:2]

    with pytest.raises(NotYet, match="has seen version 2"):
        await pass_on(settings, AMBER[0], shows, 1, ("mallory",))


async def test_a_trainer_is_asked_for_no_other_version_than_it_has_seen(tmp_path):
    """`participant admit` knows it too: two versions of one number are a fork."""
    kept = Kept(tmp_path / "kept")
    shows, history = hidden(kept)
    other = Roster(
        made.FEDERATION,
        2,
        FIRST.coordinator_key,
        history[1].roster.members[:-1],
        history[1].roster.digest(),
    )
    shows.proposal_of = Signed(canonical.encode(other), {})
    shows.history = history[:2]

    with pytest.raises(NotYet, match="has seen version 2"):
        await look(shows, kept)
    assert await look(shows, Kept(tmp_path / "of another site"))


async def test_an_auditor_asked_for_one_round_knows_what_it_has_seen(tmp_path):
    """`audit sum` reads the same history as the auditor that runs."""
    settings = auditor_at_work.config(tmp_path, "watch")
    kept = Kept(settings.state / "kept")
    shows, history = hidden(kept)
    shows.history = history[:2]

    with pytest.raises(NotYet, match="has seen version 2"):
        await auditing.look(settings, made.keys("watch"), shows, 1)
