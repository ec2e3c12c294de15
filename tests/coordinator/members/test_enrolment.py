"""Enrolment at the coordinator: one link, one set of keys, one decision."""

from dataclasses import replace
from datetime import UTC, datetime

import msgspec
import pytest
from cryptography import x509
from structlog.testing import capture_logs

from coordinator.members import enrolment
from coordinator.members.enrolment import approved
from privacy import canonical
from privacy.enrolment import RENEWABLE_SECONDS
from privacy.errors import (
    CertificateEnded,
    CertificateRevoked,
    InvalidSignature,
    InvitationRefused,
    MalformedMessage,
    NotYet,
    RosterRefused,
    StoreUnavailable,
    WrongIdentity,
)
from tests.coordinator.members.desk import LIFE, NOW, Desk, Killed, NoSealingKey, Site

NAME = "hospital-a"


@pytest.fixture
def desk():
    return Desk()


def begins(pem):
    made = x509.load_pem_x509_certificate(pem.encode())
    return made.not_valid_before_utc.timestamp()


def test_a_link_leads_to_a_certificate_by_way_of_the_operators_word(desk):
    site = Site(NAME)
    token = desk.invite(NAME)
    asked = desk.request(site, token)

    desk.approve(NAME, asked.words)

    answer = desk.request(site, token)
    made = x509.load_pem_x509_certificates(answer.certificate.encode())
    assert asked.decision is None
    assert asked.words == site.asked(desk, token).words()
    assert (answer.decision, answer.decided_by) == ("approved", "operator")
    assert made[0].public_key() == site.keys.tls.public_key()
    assert len(made) == 1  # who issued it is what the member trusts already
    assert approved(desk.store) == [site.entry]


def test_a_link_cut_in_the_middle_works_again_for_the_same_keys(desk):
    """Whatever was lost, the question, the answer or the process: the same is said again."""
    site, token = Site(NAME), desk.invite(NAME)
    first = desk.request(site, token)
    again = desk.again()

    assert again.request(site, token) == first
    again.approve(NAME, first.words)
    granted = again.request(site, token)
    assert again.again().request(site, token) == granted
    assert len(desk.store.certificates()) == 1


def test_a_link_that_was_used_is_refused_to_other_keys_and_the_attempt_is_logged(desk):
    """S3: a stolen link after its use."""
    site, token = Site(NAME), desk.invite(NAME)
    asked = desk.request(site, token)

    for decided in (False, True):
        if decided:
            desk.approve(NAME, asked.words)
        with capture_logs() as said, pytest.raises(InvitationRefused, match="other keys"):
            desk.request(Site(NAME), token)
        assert said[0]["event"] == "enrolment_refused"

    assert desk.request(site, token).certificate


def test_an_invitation_that_has_ended_is_refused_and_the_attempt_is_logged(desk):
    """S3: an expired token."""
    token = desk.invite(NAME, seconds=60)
    desk.clock.at += 60

    with capture_logs() as said, pytest.raises(InvitationRefused, match="has ended"):
        desk.request(Site(NAME), token)

    assert (said[0]["event"], said[0]["code"]) == ("enrolment_refused", "invitation_refused")
    assert [each.state(desk.clock.at) for each in desk.enrolment.page().invitations] == ["ended"]


def test_who_asked_in_time_has_the_answer_after_the_end(desk):
    """The operator decides in the morning on what was asked in the last minute of the day."""
    site, token = Site(NAME), desk.invite(NAME, seconds=60)
    asked = desk.request(site, token)
    desk.clock.at += 3600

    desk.approve(NAME, asked.words)

    assert desk.request(site, token).certificate


def test_a_token_that_was_never_made_is_refused_and_the_attempt_is_logged(desk):
    """S3: brute force; how often it may be tried is told by the wire's tests."""
    with capture_logs() as said, pytest.raises(InvitationRefused, match="no such invitation"):
        desk.request(Site(NAME), bytes(32))

    assert said[0]["event"] == "enrolment_refused"
    assert not any("token" in field for field in said[0])


def test_the_token_is_stored_nowhere(desk):
    token = desk.invite(NAME)

    [stored] = desk.store.invitations()
    assert token not in stored.body
    assert token.hex() not in stored.token
    assert token.hex().encode() not in stored.body


def test_a_newer_invitation_takes_the_place_of_one_that_is_open(desk):
    """A link that went to the wrong address is worth nothing once there is another."""
    lost, sent = desk.invite(NAME), desk.invite(NAME)

    with pytest.raises(InvitationRefused, match="replaced"):
        desk.request(Site(NAME), lost)
    assert desk.request(Site(NAME), sent).words


@pytest.mark.parametrize(
    ("made", "match"),
    [(Site("hospital-b"), "hospital-b as trainer"), (Site(NAME, "auditor"), "as auditor")],
)
def test_a_link_is_for_one_name_and_its_roles(desk, made, match):
    token = desk.invite(NAME)

    with pytest.raises(InvitationRefused, match=match):
        desk.request(made, token)


def test_who_has_not_the_keys_of_its_entry_is_refused(desk):
    """A proof by other keys, or one that was made for another authority or invitation."""
    site, other, token = Site(NAME), Site(NAME), desk.invite(NAME)
    entry = canonical.encode(site.entry)
    proofs = [
        other.proof(desk, token),
        site.proof(desk, bytes(32)),
        site.proof(Desk(), token),
    ]

    for proof in proofs:
        with pytest.raises(InvalidSignature):
            desk.enrolment.request(token, entry, site.request, proof)


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        (lambda request: request[:-60], MalformedMessage, "not a certificate request"),
        (lambda _: Site("hospital-b").request, WrongIdentity, "names other than"),
        (lambda request: request + " " * 9000, MalformedMessage, r"a request of \d+ bytes"),
    ],
    ids=["cut", "another-name", "too-long"],
)
def test_a_request_that_is_none_is_refused(desk, change, error, says):
    """Each for its own reason, though its proof is good; the one that it was made of is taken."""
    site, token = Site(NAME), desk.invite(NAME)
    good, site.request = site.request, change(site.request)
    entry, proof = canonical.encode(site.entry), site.proof(desk, token)

    with pytest.raises(error, match=says):
        desk.enrolment.request(token, entry, site.request, proof)

    site.request = good
    assert desk.request(site, token).words


def test_nobody_is_enrolled_with_a_key_of_somebody_else(desk):
    """Two names with one key would be two voices."""
    first = desk.enrol(NAME)
    second = Site("hospital-b")
    second.keys = replace(second.keys, sealing=first.keys.sealing)
    token = desk.invite("hospital-b")

    with pytest.raises(InvitationRefused, match="another member has"):
        desk.request(second, token)


def test_nobody_is_enrolled_with_a_key_to_which_nothing_can_be_sealed(desk):
    """Else one bad enrolment would be found when members sign, and end the founding for all."""
    broken, token = NoSealingKey(NAME), desk.invite(NAME)

    with pytest.raises(InvitationRefused, match="nothing can be sealed"):
        desk.request(broken, token)

    # the link is open still: the same member comes again with keys that are some
    assert desk.request(Site(NAME), token).words


def test_a_request_with_a_key_that_is_none_is_not_approved(desk, monkeypatch):
    """As an earlier release has let it in; the operator is told why, and nothing is issued."""
    token = desk.invite(NAME)
    monkeypatch.setattr(enrolment, "check_sealing_key", lambda _: None)
    words = desk.request(NoSealingKey(NAME), token).words
    monkeypatch.undo()

    with pytest.raises(InvitationRefused, match="nothing can be sealed"):
        desk.approve(NAME, words)

    assert desk.store.certificates() == []


def test_the_operator_decides_on_the_words_that_it_has_heard(desk):
    """Whoever used the link before the member shows other words, and is not approved."""
    thief, token = Site(NAME), desk.invite(NAME)
    desk.request(thief, token)
    heard = Site(NAME).asked(desk, token).words()

    with pytest.raises(InvitationRefused, match="not the words"):
        desk.approve(NAME, heard)

    assert desk.store.certificates() == []


def test_words_are_compared_as_people_write_them(desk):
    site, token = Site(NAME), desk.invite(NAME)
    words = desk.request(site, token).words

    desk.approve(NAME, f"  {words.upper().replace(' ', ' · ')}\n")

    assert desk.request(site, token).certificate


def test_a_decision_is_made_once(desk):
    """The same one again changes nothing; another one is refused."""
    site, token = Site(NAME), desk.invite(NAME)
    words = desk.request(site, token).words
    desk.approve(NAME, words)
    granted = desk.request(site, token)

    desk.approve(NAME, words)

    assert desk.request(site, token) == granted
    with pytest.raises(InvitationRefused, match="was approved by operator"):
        desk.enrolment.decide("operator", NAME, False, words, "no")


def test_who_is_refused_is_told_why_and_gets_nothing(desk):
    site, token = Site(NAME), desk.invite(NAME)
    words = desk.request(site, token).words

    desk.enrolment.decide("operator", NAME, False, words, "wrong department")

    answer = desk.request(site, token)
    assert (answer.decision, answer.reason) == ("refused", "wrong department")
    assert answer.certificate == ""
    assert approved(desk.store) == []


def test_nothing_is_decided_before_somebody_asks(desk):
    desk.invite(NAME)

    with pytest.raises(NotYet, match="nobody has used"):
        desk.approve(NAME, "a b c d")
    with pytest.raises(InvitationRefused, match="nobody was invited"):
        desk.approve("hospital-z", "a b c d")


@pytest.mark.parametrize("name", ["coordinator", "Hospital A", ""])
def test_nobody_is_invited_under_a_name_that_is_none(desk, name):
    with pytest.raises(MalformedMessage):
        desk.invite(name)


@pytest.mark.parametrize("roles", [(), ("surgeon",), ("trainer", "trainer")])
def test_an_invitation_has_roles_of_the_roster(desk, roles):
    with pytest.raises(MalformedMessage):
        desk.enrolment.invite("operator", NAME, roles, 600)


@pytest.mark.parametrize("seconds", [0, 30 * 86_400 + 1])
def test_no_invitation_lasts_for_ever(desk, seconds):
    with pytest.raises(MalformedMessage, match="lasts"):
        desk.invite(NAME, seconds=seconds)


@pytest.mark.parametrize("role", ["trainer", "aggregator", "auditor"])
def test_who_operates_is_invited_to_nothing_else(desk, role):
    """It would hold one of the keys that sums are kept from it by."""
    with pytest.raises(
        RosterRefused, match=f"hospital-a would be operator and {role}.*two members"
    ):
        desk.enrolment.invite("operator", NAME, (role, "operator"), 600)


@pytest.mark.parametrize(("role", "first"), [("auditor", "operator"), ("operator", "auditor")])
def test_no_operator_and_auditor_are_enrolled_of_one_organisation(desk, role, first):
    """It would audit its own coordinator; whoever of the two comes second is told."""
    there, other = Site("one", first), Site("two", role, house="House of one")
    asked = desk.request(there, desk.invite("one", first))
    desk.approve("one", asked.words)

    with pytest.raises(InvitationRefused, match="an organisation that operates nothing"):
        desk.request(other, desk.invite("two", role))

    assert [each.participant for each in approved(desk.store)] == ["one"]


def test_an_operators_organisation_may_hold_one_seat(desk):
    """Two are needed to open anything."""
    there = Site("one", "aggregator", house="House of operator")

    assert desk.request(there, desk.invite("one", "aggregator")).words


def test_every_invitation_is_listed_page_by_page_in_order(desk, monkeypatch):
    """By participant, oldest first, none twice; what is made meanwhile stands in its place."""
    monkeypatch.setattr(enrolment, "PAGE", 3)
    for name in ("delta", "amber", "birch", "amber", "amber", "amber", "cedar"):
        desk.invite(name)
        desk.clock.at += 1

    pages = [desk.enrolment.page()]
    while pages[-1].next:
        desk.invite("aaron")
        pages.append(desk.enrolment.page(pages[-1].next))

    listed = [(each.participant, each.made_at) for page in pages for each in page.invitations]
    assert [len(page.invitations) for page in pages] == [3, 3, 1]
    assert listed == sorted(set(listed))
    assert len(listed) == 7


def test_a_page_that_is_full_and_the_last_leads_nowhere(desk, monkeypatch):
    monkeypatch.setattr(enrolment, "PAGE", 2)
    for name in ("amber", "birch"):
        desk.invite(name)

    assert desk.enrolment.page().next == ""


def test_a_page_goes_on_after_one_that_was_forgotten(desk, monkeypatch):
    monkeypatch.setattr(enrolment, "PAGE", 2)
    for name in ("amber", "birch", "cedar"):
        desk.invite(name)
    first = desk.enrolment.page()
    desk.store.forget_invitations([each.token for each in desk.store.invitations()[:2]])

    assert [e.participant for e in desk.enrolment.page(first.next).invitations] == ["cedar"]


@pytest.mark.parametrize(
    "after", ["amber", "amber/", "amber/x/y", "amber/\u0661/y", "a/" + "9" * 5000]
)
def test_what_no_page_has_said_begins_none(desk, after):
    with pytest.raises(MalformedMessage, match="begin with the first"):
        desk.enrolment.page(after)


def test_a_coordinator_killed_before_it_invites_has_ended_the_older_link_and_made_none(desk):
    """The operator has no new link, and asks again."""
    older = desk.invite(NAME)
    desk.dies_at = "enrolment.before_invite"

    with pytest.raises(Killed):
        desk.invite(NAME)

    again = desk.again()
    states = [each.state(desk.clock.at) for each in again.enrolment.page().invitations]
    assert states == ["ended"]
    with pytest.raises(InvitationRefused, match="replaced"):
        again.request(Site(NAME), older)
    assert again.request(Site(NAME), again.invite(NAME)).words


PLACES = (
    "enrolment.before_ask",
    "enrolment.after_ask",
    "enrolment.before_decide",
    "enrolment.after_decide",
)


@pytest.mark.parametrize("place", PLACES)
def test_a_coordinator_killed_at_any_place_has_enrolled_nobody_by_half(desk, place):
    """There is an approval with its certificate, or neither; and the same words go on."""
    site, token = Site(NAME), desk.invite(NAME)
    desk.dies_at = place

    with pytest.raises(Killed):
        desk.approve(NAME, desk.request(site, token).words)

    again = desk.again()
    decided = [each for each in again.enrolment.page().invitations if each.decision is not None]
    assert len(decided) == len(again.store.certificates()) == (place == PLACES[3])
    words = again.request(site, token).words
    again.approve(NAME, words)
    assert again.request(site, token).certificate
    assert len(again.store.certificates()) == 1


def test_a_store_that_fails_enrols_nobody(desk, monkeypatch):
    site, token = Site(NAME), desk.invite(NAME)
    words = desk.request(site, token).words

    def fail(*_):
        raise StoreUnavailable("full")

    monkeypatch.setattr(desk.store, "save_invitation", fail)
    with pytest.raises(StoreUnavailable):
        desk.approve(NAME, words)
    monkeypatch.undo()

    assert desk.store.certificates() == []
    assert desk.request(site, token).decision is None


# -- certificates made again --------------------------------------------------------------


def test_a_member_renews_while_its_certificate_counts(desk):
    site = desk.enrol(NAME)

    made = desk.renew(site)

    read = x509.load_pem_x509_certificate(made.encode())
    assert read.not_valid_after_utc == datetime.fromtimestamp(NOW + LIFE, UTC)
    assert [each.participant for each in desk.store.certificates()] == [NAME, NAME]


def test_a_certificate_that_has_ended_is_renewed_by_the_signing_key_for_seven_days(desk):
    site = desk.enrol(NAME)
    desk.clock.at = NOW + LIFE + RENEWABLE_SECONDS - 1
    said, proof = site.renewal(desk, desk.clock.at)

    made = desk.enrolment.renew_ended(NAME, said.request, said.at_seconds, proof)

    assert begins(made) < desk.clock.at
    desk.clock.at += LIFE + RENEWABLE_SECONDS + 1
    said, proof = site.renewal(desk, desk.clock.at)
    with pytest.raises(CertificateEnded, match="7 days"):
        desk.enrolment.renew_ended(NAME, said.request, said.at_seconds, proof)


@pytest.mark.parametrize("off", [-301, 301])
def test_a_renewal_that_was_signed_at_another_time_is_refused(desk, off):
    """Whoever has recorded one has nothing."""
    site = desk.enrol(NAME)
    said, proof = site.renewal(desk, NOW + off)

    with pytest.raises(InvalidSignature, match="clock"):
        desk.enrolment.renew_ended(NAME, said.request, said.at_seconds, proof)


def test_a_renewal_by_other_keys_or_of_nobody_is_refused_alike(desk):
    site = desk.enrol(NAME)
    said, proof = Site(NAME).renewal(desk, NOW)

    with capture_logs() as logged:
        refused = []
        for name in (NAME, "hospital-z"):
            with pytest.raises(InvalidSignature) as refusal:
                desk.enrolment.renew_ended(name, said.request, said.at_seconds, proof)
            refused.append(str(refusal.value).replace(name, "it"))

    assert refused[0] == refused[1]  # who is a member is not for strangers
    assert [each["event"] for each in logged] == ["renewal_refused"] * 2
    desk.clock.at = NOW + LIFE
    said, proof = site.renewal(desk, desk.clock.at)
    assert desk.enrolment.renew_ended(NAME, said.request, said.at_seconds, proof)


# -- shut out -------------------------------------------------------------------------------


def test_who_is_shut_out_is_renewed_in_no_way(desk):
    site = desk.enrol(NAME)
    desk.clock.at += 10

    desk.enrolment.revoke("operator", NAME, "a stolen laptop")

    said, proof = site.renewal(desk, desk.clock.at)
    with pytest.raises(CertificateRevoked):
        desk.renew(site, NOW - 900)
    with pytest.raises(CertificateRevoked):
        desk.enrolment.renew_ended(NAME, said.request, said.at_seconds, proof)
    with pytest.raises(CertificateRevoked):
        desk.again().renew(site, NOW - 900)
    assert approved(desk.store) == []


def test_a_new_enrolment_lets_in_again_and_the_old_certificate_stays_out(desk):
    desk.enrol(NAME)
    desk.clock.at += 10
    desk.enrolment.revoke("operator", NAME, "a stolen laptop")
    desk.clock.at += 10

    second = desk.enrol(NAME)

    last = next(
        each for each in desk.enrolment.page().invitations if each.made_at == int(desk.clock.at)
    )
    desk.revocations.check(NAME, begins(last.certificate))
    assert desk.renew(second, begins(last.certificate))
    with pytest.raises(CertificateRevoked):
        desk.revocations.check(NAME, NOW - 900)


def test_an_open_invitation_of_who_is_shut_out_ends(desk):
    desk.enrol(NAME)
    token = desk.invite(NAME)

    desk.enrolment.revoke("operator", NAME, "a stolen laptop")

    with pytest.raises(InvitationRefused, match="replaced"):
        desk.request(Site(NAME), token)


@pytest.mark.parametrize(
    ("name", "reason", "error", "says"),
    [
        ("hospital-z", "why", WrongIdentity, "hospital-z"),
        (NAME, " ", MalformedMessage, "has a reason"),
    ],
)
def test_a_revocation_has_a_member_and_a_reason(desk, name, reason, error, says):
    desk.enrol(NAME)

    with pytest.raises(error, match=says):
        desk.enrolment.revoke("operator", name, reason)

    assert desk.store.revocations() == []


@pytest.mark.parametrize("place", ["enrolment.before_revoke", "enrolment.after_revoke"])
def test_a_coordinator_killed_while_it_revokes_has_done_it_or_not(desk, place):
    desk.enrol(NAME)
    desk.dies_at = place

    with pytest.raises(Killed):
        desk.enrolment.revoke("operator", NAME, "a stolen laptop")

    known = desk.again().revocations.of(NAME)
    assert (known is not None) == (place == "enrolment.after_revoke")


@pytest.mark.parametrize("place", ["issuing.before_record", "issuing.after_record"])
def test_no_certificate_is_given_out_that_is_not_recorded(desk, place):
    site = desk.enrol(NAME)
    desk.dies_at = place

    with pytest.raises(Killed):
        desk.renew(site)

    assert len(desk.store.certificates()) == 1 + (place == "issuing.after_record")


def test_nobody_shuts_itself_out_and_somebody_is_left_who_can_let_others_in(desk):
    """Nobody could approve anybody after that, and only a second operator revokes the first."""
    with pytest.raises(WrongIdentity, match="nobody shuts itself out"):
        desk.enrolment.revoke("operator", "operator", "tired")
    with pytest.raises(WrongIdentity, match="last operator"):
        desk.enrolment.revoke("somebody", "operator", "tired")

    desk.enrol("operator-b", "operator")
    desk.enrolment.revoke("operator-b", "operator", "left")

    with pytest.raises(WrongIdentity, match="last operator"):
        desk.enrolment.revoke("operator", "operator-b", "in revenge")
    assert desk.revocations.of("operator-b") is None


# -- what is asked with -----------------------------------------------------------------------


def test_the_words_are_of_all_that_is_asked_and_not_of_the_entry_alone(desk):
    """Or whoever has the link would ask with the member's entry, which is no secret."""
    site = Site(NAME)
    asked = site.asked(desk, desk.invite(NAME))

    others = [
        msgspec.structs.replace(asked, authority="0" * 64),
        msgspec.structs.replace(asked, invitation="0" * 64),
        msgspec.structs.replace(asked, request=Site(NAME).request),
        msgspec.structs.replace(asked, entry=Site(NAME).entry),
    ]

    assert len({asked.words(), *(each.words() for each in others)}) == 1 + len(others)


def test_a_link_that_was_used_is_used_with_no_other_tls_key(desk):
    """With the member's entry and signature, even: the certificate is for the key that came."""
    site = Site(NAME)
    token = desk.invite(NAME)
    desk.request(site, token)
    own, site.request = site.request, Site(NAME).request

    with pytest.raises(InvitationRefused, match="used with other keys"):
        desk.request(site, token)

    site.request = own
    assert desk.request(site, token).asked.request == own


def test_two_who_asked_with_one_key_are_not_both_approved(desk):
    """Each was the first to come with it: it is looked for again when the operator decides."""
    first, second = Site(NAME), Site("hospital-b")
    second.keys = replace(second.keys, sealing=first.keys.sealing)
    words = {
        each.name: desk.request(each, desk.invite(each.name)).words for each in (first, second)
    }
    desk.approve(NAME, words[NAME])

    with pytest.raises(InvitationRefused, match="another member has"):
        desk.approve("hospital-b", words["hospital-b"])

    assert [each.participant for each in approved(desk.store)] == [NAME]


def test_who_refuses_what_was_approved_is_told_to_revoke(desk):
    """The words are shown no more, so nobody could give them; and time is of the essence."""
    desk.enrol(NAME)

    with pytest.raises(InvitationRefused, match="was approved by operator; revoke it"):
        desk.enrolment.decide("operator", NAME, False, "", "a mistake")
