"""Rosters closed and proposed: what the operator may do, and what only members can."""

from threading import Thread

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from coordinator.members import enrolment
from coordinator.members.rosters import Rosters
from privacy import canonical
from privacy.errors import (
    ConfigError,
    InvalidSignature,
    MalformedMessage,
    NotYet,
    RosterRefused,
    StoreUnavailable,
    WrongContext,
    WrongIdentity,
)
from privacy.roster import Role, admit_all
from privacy.signing import Purpose, sign
from tests.coordinator.members.desk import HOSPITALS, Desk, Killed, NoSealingKey, Site
from tests.coordinator.memory_store import MemoryStore


@pytest.fixture
def desk():
    return Desk()


def after(before, *members, without=()):
    """Return the version after `before`, with more members, or others under their names."""
    kept = {each.participant: each for each in before.members if each.participant not in without}
    kept |= {each.participant: each for each in members}
    return replace(
        before,
        version=before.version + 1,
        previous=before.digest(),
        members=tuple(kept[name] for name in sorted(kept)),
    )


def signature(site, roster):
    return sign(site.keys.signing, Purpose.ROSTER, canonical.encode(roster))


def test_the_draft_grows_with_each_member_that_is_approved_until_it_is_closed(desk):
    first = desk.enrol("hospital-a")
    grown = [each.participant for each in desk.rosters.draft.members]

    fingerprint = desk.proposals.close_founding("operator")

    desk.enrol("hospital-b")
    assert grown == ["hospital-a", "operator"]
    assert desk.rosters.draft.digest() == fingerprint
    assert desk.rosters.draft.members[0] == first.entry
    assert desk.again().proposals.close_founding("operator") == fingerprint


def test_a_closed_roster_is_nothing_until_each_founding_member_has_signed(desk):
    site = desk.enrol("hospital-a")
    desk.proposals.close_founding("operator")
    body = desk.rosters.draft

    desk.rosters.sign("hospital-a", 0, signature(site, body))

    with pytest.raises(NotYet, match="operator"):
        desk.rosters.current()
    desk.rosters.sign("operator", 0, signature(desk.operator, body))
    assert desk.rosters.current() == body


def test_rounds_that_could_not_run_with_a_roster_keep_it_open(desk):
    desk.enrol("hospital-a")

    def refuse(_):
        raise ConfigError("rounds.openers: the roster has one of them not as a trainer")

    desk.proposals.check = refuse

    with pytest.raises(RosterRefused, match=r"rounds\.openers"):
        desk.proposals.close_founding("operator")
    assert not desk.rosters.is_closed()


def test_a_version_counts_with_more_than_half_of_the_trainers_and_not_before(desk):
    sites = desk.found(*HOSPITALS)
    before = desk.rosters.current()
    proposed = after(before, desk.enrol("hospital-d").entry)
    fingerprint = desk.proposals.propose("operator", canonical.encode(proposed))

    desk.proposals.sign("hospital-a", fingerprint, signature(sites["hospital-a"], proposed))

    assert desk.rosters.current() == before
    desk.proposals.sign("hospital-b", fingerprint, signature(sites["hospital-b"], proposed))
    assert desk.rosters.current() == proposed
    assert desk.proposals.proposed() is None
    history = desk.rosters.versions()
    assert admit_all(history, before.digest())[-1] == proposed
    assert desk.again().rosters.current() == proposed


def test_an_operators_signature_admits_nobody(desk):
    """It enrols; it has no voice in whom members admit."""
    desk.found("hospital-a")
    proposed = after(desk.rosters.current(), desk.enrol("hospital-d").entry)
    fingerprint = desk.proposals.propose("operator", canonical.encode(proposed))

    desk.proposals.sign("operator", fingerprint, signature(desk.operator, proposed))

    assert desk.rosters.current().version == 0


def test_a_newer_proposal_takes_the_place_of_one_that_is_not_admitted(desk):
    sites = desk.found(*HOSPITALS)
    before = desk.rosters.current()
    wrong = after(before, without=("hospital-c",))
    right = after(before, desk.enrol("hospital-d").entry)
    first = desk.proposals.propose("operator", canonical.encode(wrong))
    second = desk.proposals.propose("operator", canonical.encode(right))

    with pytest.raises(WrongContext, match="look at it again"):
        desk.proposals.sign("hospital-a", first, signature(sites["hospital-a"], wrong))

    for name in ("hospital-a", "hospital-c"):
        desk.proposals.sign(name, second, signature(sites[name], right))
    assert desk.rosters.current() == right


def test_what_is_no_signature_of_a_member_does_not_count(desk):
    sites = desk.found(*HOSPITALS)
    proposed = after(desk.rosters.current(), desk.enrol("hospital-d").entry)
    fingerprint = desk.proposals.propose("operator", canonical.encode(proposed))

    made = signature(sites["hospital-b"], proposed)
    with pytest.raises(InvalidSignature):
        desk.proposals.sign("hospital-a", fingerprint, made)
    with pytest.raises(WrongIdentity):
        desk.proposals.sign("hospital-z", fingerprint, b"")


def test_a_signature_that_is_sent_again_after_it_counted_is_well(desk):
    """The answer may have been cut off."""
    sites = desk.found("hospital-a")
    proposed = after(desk.rosters.current(), desk.enrol("hospital-d").entry)
    fingerprint = desk.proposals.propose("operator", canonical.encode(proposed))
    made = signature(sites["hospital-a"], proposed)
    desk.proposals.sign("hospital-a", fingerprint, made)

    desk.proposals.sign("hospital-a", fingerprint, made)

    assert desk.rosters.current() == proposed


@pytest.mark.parametrize("what", ["stranger", "keys", "version", "previous", "coordinator_key"])
def test_a_proposal_follows_and_has_nobody_in_it_whom_no_operator_has_approved(desk, what):
    desk.found("hospital-a")
    before = desk.rosters.current()
    stranger = Site("hospital-a" if what == "keys" else "hospital-z").entry
    proposed = {
        "stranger": lambda: after(before, stranger),
        "keys": lambda: after(before, stranger),
        "version": lambda: replace(after(before), version=2),
        "previous": lambda: replace(after(before), previous="0" * 64),
        "coordinator_key": lambda: replace(after(before), coordinator_key=b"k" * 32),
    }[what]()

    with pytest.raises(RosterRefused):
        desk.proposals.propose("operator", canonical.encode(proposed))

    assert desk.proposals.proposed() is None


def test_a_proposal_may_give_other_roles_to_a_member(desk):
    desk.found(*HOSPITALS)
    before = desk.rosters.current()
    suspended = replace(before.member("hospital-c"), roles=(Role.PARTICIPANT,))

    desk.proposals.propose("operator", canonical.encode(after(before, suspended)))

    assert desk.proposals.proposed().roster.member("hospital-c").roles == (Role.PARTICIPANT,)


def test_nothing_is_proposed_before_there_is_a_roster(desk):
    with pytest.raises(NotYet):
        desk.proposals.propose("operator", canonical.encode(desk.rosters.draft))
    with pytest.raises(MalformedMessage):
        desk.proposals.propose("operator", b"{}")
    assert desk.proposals.proposed() is None


@pytest.mark.parametrize("place", ["proposals.before_close", "proposals.after_close"])
def test_a_coordinator_killed_while_it_closes_goes_on(desk, place):
    desk.enrol("hospital-a")
    desk.dies_at = place

    with pytest.raises(Killed):
        desk.proposals.close_founding("operator")

    again = desk.again()
    assert again.rosters.is_closed() == (place == "proposals.after_close")
    assert again.proposals.close_founding("operator") == again.rosters.draft.digest()


def test_a_coordinator_killed_before_it_proposes_has_proposed_nothing(desk):
    """What was proposed before still stands; the operator says it again."""
    desk.found(*HOSPITALS)
    now, late = desk.rosters.current(), desk.enrol("hospital-d")
    older = after(now, without=("hospital-a",))
    desk.proposals.propose("operator", canonical.encode(older))
    body = canonical.encode(after(now, late.entry))
    desk.dies_at = "proposals.before_propose"

    with pytest.raises(Killed):
        desk.proposals.propose("operator", body)

    again = desk.again()
    assert again.proposals.proposed().roster == older
    again.proposals.propose("operator", body)
    assert canonical.encode(again.proposals.proposed().roster) == body


@pytest.mark.parametrize("writes", [0, 1, 2])
def test_a_coordinator_killed_before_a_version_counts_makes_it_count_when_it_is_back(
    desk, writes, monkeypatch
):
    """Signatures are kept, then a version; in between there is the version before, and no half."""
    sites = desk.found(*HOSPITALS)
    before = desk.rosters.current()
    proposed = after(before, desk.enrol("hospital-d").entry)
    fingerprint = desk.proposals.propose("operator", canonical.encode(proposed))
    desk.proposals.sign("hospital-a", fingerprint, signature(sites["hospital-a"], proposed))
    left, put = [writes + 1], desk.store.put_document

    def dying(kind, name, body):
        if left[0] == 0:
            raise Killed
        left[0] -= 1
        put(kind, name, body)

    monkeypatch.setattr(desk.store, "put_document", dying)
    with pytest.raises(Killed):
        desk.proposals.sign("hospital-b", fingerprint, signature(sites["hospital-b"], proposed))
    assert desk.rosters.versions()[-1].roster == before
    monkeypatch.undo()

    again = desk.again()

    assert again.rosters.current() == proposed
    assert len(again.rosters.versions()[1].signatures) == 2


def test_keys_that_were_approved_anew_may_take_the_place_of_old_ones(desk):
    desk.found(*HOSPITALS)
    desk.clock.at += 5
    anew = desk.enrol("hospital-c")
    proposed = after(desk.rosters.current(), anew.entry)

    desk.proposals.propose("operator", canonical.encode(proposed))

    assert desk.proposals.proposed().roster.member("hospital-c") == anew.entry


def test_a_version_is_kept_with_its_signatures_or_not_at_all(desk, monkeypatch):
    """A disk that fills up in between: nothing is left behind, and the same again goes on."""
    sites = desk.found(*HOSPITALS)
    first = desk.rosters.current()
    one, other = after(first, without=("hospital-c",)), after(first, without=("hospital-b",))
    found = desk.proposals.propose("operator", canonical.encode(one))
    desk.proposals.sign("hospital-a", found, signature(sites["hospital-a"], one))

    def full(_):
        raise StoreUnavailable("full")

    monkeypatch.setattr(desk.store, "put_documents", full)
    with pytest.raises(StoreUnavailable):
        desk.proposals.sign("hospital-b", found, signature(sites["hospital-b"], one))
    monkeypatch.undo()

    assert len(desk.rosters.versions()) == 1
    # what enough trainers have signed counts, whatever is proposed before they ask again
    with pytest.raises(RosterRefused, match="does not follow"):
        desk.proposals.propose("operator", canonical.encode(other))
    assert desk.rosters.current() == one == desk.again().rosters.current()


def test_signatures_on_one_version_are_none_on_another_of_its_number(desk):
    """As a release before has left them behind: they keep no other version from being admitted."""
    sites = desk.found(*HOSPITALS)
    first = desk.rosters.current()
    one, other = after(first, without=("hospital-c",)), after(first, without=("hospital-b",))
    for name in ("hospital-a", "hospital-b"):
        desk.store.put_document("roster-signature-1", name, signature(sites[name], one))
    desk.proposals.propose("operator", canonical.encode(other))

    for name in ("hospital-a", "hospital-c"):
        desk.proposals.sign(name, other.digest(), signature(sites[name], other))

    assert desk.again().rosters.current() == other


def test_somebody_operates_in_every_version(desk):
    """Or nobody could invite, propose or revoke any more, and no version would ever follow."""
    desk.found(*HOSPITALS)
    nobody = after(desk.rosters.current(), without=("operator",))

    with pytest.raises(RosterRefused, match="no operator"):
        desk.proposals.propose("operator", canonical.encode(nobody))

    kept = after(desk.rosters.current(), without=("hospital-c",))
    assert desk.proposals.propose("operator", canonical.encode(kept))


def test_the_operators_name_is_invited_to_nothing_else(desk):
    """Approved as a trainer, it would be that alone, in a version 0 that nobody operates."""
    for name in HOSPITALS:
        desk.enrol(name)

    with pytest.raises(RosterRefused, match="operates this coordinator"):
        desk.invite("operator", "trainer")

    assert desk.invite("operator", "operator")
    assert desk.proposals.close_founding("operator")


def test_a_version_0_that_nobody_operates_is_not_closed(desk):
    """However it came about: an approval that an earlier release has let in, say."""
    desk.enrolment._check_still_operates = lambda *_: None
    desk.enrol("operator", "trainer")

    with pytest.raises(RosterRefused, match="no operator"):
        desk.proposals.close_founding("operator")

    assert not desk.rosters.is_closed()


# -- version 0, opened again ------------------------------------------------------------------


def sign_first(desk, sites):
    """Sign version 0 for each of these."""
    for name, site in sites.items():
        desk.rosters.sign(name, 0, signature(site, desk.rosters.draft))


@pytest.fixture
def half_signed(desk):
    """A desk with version 0 closed, signed by one of three members, and the members."""
    sites = {name: desk.enrol(name) for name in ("hospital-a", "hospital-b")}
    sites["operator"] = desk.operator
    desk.proposals.close_founding("operator")
    sign_first(desk, {"hospital-a": sites["hospital-a"]})
    return desk, sites


def test_a_key_to_which_nothing_can_be_sealed_keeps_version_0_open(desk, monkeypatch):
    """However it was approved; once it is closed, no member would sign it, and it never counts."""
    monkeypatch.setattr(enrolment, "check_sealing_key", lambda _: None)
    token = desk.invite("hospital-a")
    desk.approve("hospital-a", desk.request(NoSealingKey("hospital-a"), token).words)

    with pytest.raises(RosterRefused, match="sealing key of hospital-a is none"):
        desk.proposals.close_founding("operator")

    assert not desk.rosters.is_closed()
    desk.clock.at += 5
    desk.enrol("hospital-a")
    assert desk.proposals.close_founding("operator")


def test_a_version_0_that_lacks_signatures_is_opened_closed_and_signed_anew(half_signed):
    """One member that cannot sign, or left, does not end the founding of all the others."""
    desk, sites = half_signed
    first = desk.rosters.draft.digest()

    desk.proposals.reopen_founding("operator", first, "hospital-b has lost its keys")

    assert not desk.rosters.is_closed()
    assert desk.rosters.versions() == []
    desk.clock.at += 5
    sites["hospital-b"] = desk.enrol("hospital-b")
    second = desk.proposals.close_founding("operator")
    assert second != first  # members see another fingerprint, and other words
    [closed] = desk.rosters.versions()
    assert closed.signatures == {}
    sign_first(desk, sites)
    assert desk.rosters.current().digest() == desk.again().rosters.current().digest() == second


def test_a_version_0_that_is_opened_again_is_so_after_a_new_start_and_is_opened_once(half_signed):
    """The answer may have been cut off: the same again changes nothing, and says nothing."""
    desk, _ = half_signed
    first = desk.rosters.draft.digest()
    with capture_logs() as logged:
        desk.proposals.reopen_founding("operator", first, "a typing mistake")

        desk.again().proposals.reopen_founding("operator", first, "a typing mistake")

    assert not desk.again().rosters.is_closed()
    [said] = [each for each in logged if each["event"] == "roster_reopened"]
    assert (said["by"], said["fingerprint"]) == ("operator", first)


def test_a_version_0_with_all_signatures_is_never_opened_again(half_signed):
    """What counts stays: plans, models and ledgers name it, and members have compared it."""
    desk, sites = half_signed
    sign_first(desk, sites)
    founded = desk.rosters.draft.digest()

    for each in (desk, desk.again()):
        with pytest.raises(RosterRefused, match="counts"):
            each.proposals.reopen_founding("operator", founded, "regret")

    assert desk.again().rosters.current().digest() == founded


def test_another_version_0_than_the_one_that_was_looked_at_is_not_opened(half_signed):
    """A call that comes late, or twice, must not open what was closed since."""
    desk, _ = half_signed

    with pytest.raises(RosterRefused, match="another fingerprint"):
        desk.proposals.reopen_founding("operator", "0" * 64, "late")

    [closed] = desk.rosters.versions()
    assert list(closed.signatures) == ["hospital-a"]


def test_the_last_signature_and_an_opening_do_not_meet(half_signed, monkeypatch):
    """Whichever is first counts: what its last member has just signed is opened by nobody."""
    desk, sites = half_signed
    sign_first(desk, {"operator": sites["operator"]})
    first, refused, put = desk.rosters.draft.digest(), [], desk.store.put_document

    def reopen():
        try:
            desk.proposals.reopen_founding("operator", first, "at the same moment")
        except RosterRefused as error:
            refused.append(str(error))

    other = Thread(target=reopen)

    def slow(*document):
        other.start()
        other.join(0.2)
        put(*document)

    monkeypatch.setattr(desk.store, "put_document", slow)
    desk.rosters.sign("hospital-b", 0, signature(sites["hospital-b"], desk.rosters.draft))
    other.join()

    assert refused
    assert desk.again().rosters.current().digest() == first


def test_signatures_of_a_release_before_are_forgotten_too(half_signed):
    """They are kept by number alone, and would stand on whatever is closed next."""
    desk, _ = half_signed
    first = desk.rosters.draft.digest()
    desk.store.put_document("roster-signature-0", "operator", b"of a release before")

    desk.proposals.reopen_founding("operator", first, "a typing mistake")

    desk.proposals.close_founding("operator")
    [closed] = desk.rosters.versions()
    assert closed.signatures == {}


def test_what_is_half_forgotten_is_not_forgotten(half_signed, monkeypatch):
    """A disk that fails in between leaves version 0 with its signatures."""
    desk, _ = half_signed
    first = desk.rosters.draft.digest()

    def fail(_):
        raise StoreUnavailable("full")

    monkeypatch.setattr(desk.store, "forget_documents", fail)
    with pytest.raises(StoreUnavailable):
        desk.proposals.reopen_founding("operator", first, "a typing mistake")
    monkeypatch.undo()

    [closed] = desk.again().rosters.versions()
    assert (closed.roster.digest(), list(closed.signatures)) == (first, ["hospital-a"])


def test_a_version_0_that_is_a_file_is_not_opened_here():
    """The operator's file is what it is: the next start would find the same."""
    desk = Desk()
    desk.enrol("hospital-a")
    rosters = Rosters(MemoryStore(), desk.rosters.draft)

    with pytest.raises(RosterRefused, match="file"):
        rosters.reopen(rosters.draft.digest())
    assert rosters.is_closed()
