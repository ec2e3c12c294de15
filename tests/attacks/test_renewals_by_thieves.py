"""Whoever has copied some of a member's keys, and would stay as long as it likes.

Each attack stands beside the same step by the member itself, which is answered.
"""

from dataclasses import replace

import pytest
from cryptography import x509

from participant.keys import new_tls_key, request_for
from privacy import canonical
from privacy.enrolment import Renewal
from privacy.errors import (
    InvalidSignature,
    InvitationRefused,
    NotYet,
    RosterRefused,
    WrongIdentity,
)
from privacy.roster import Roster
from privacy.signing import Purpose, sign
from tests.coordinator.members.desk import FEDERATION, HOSPITALS, LIFE, NOW, Desk, Site

NAME, OTHERS = HOSPITALS[0], HOSPITALS[1:]


def of_the_thief(name=NAME):
    """Return a certificate request for a TLS key that the member has never seen."""
    return request_for(new_tls_key(), FEDERATION, name).decode()


def asked_by_thief(desk, keys):
    said = Renewal(desk.authority.fingerprint, NAME, of_the_thief(), int(desk.clock.at))
    return said, sign(keys.signing, Purpose.RENEW, said.body())


def admitted(desk, sites, roster):
    found = desk.proposals.propose("operator", canonical.encode(roster))
    for name in OTHERS:
        signature = sign(sites[name].keys.signing, Purpose.ROSTER, canonical.encode(roster))
        desk.proposals.sign(name, found, signature)
    return desk.rosters.current()


def without(desk, name):
    before = desk.rosters.current()
    rest = tuple(each for each in before.members if each.participant != name)
    return Roster(FEDERATION, before.version + 1, before.coordinator_key, rest, before.digest())


def renew(desk, said, proof):
    return desk.enrolment.renew(NAME, said.request, said.at_seconds, proof, NOW)


def renew_ended(desk, said, proof):
    return desk.enrolment.renew_ended(NAME, said.request, said.at_seconds, proof)


def test_a_copied_certificate_and_its_key_renew_nothing():
    """It is let in to the certificate's end; the key that signs is needed for another one."""
    desk = Desk()
    site = desk.enrol(NAME)
    said, proof = asked_by_thief(desk, Site(NAME).keys)

    with pytest.raises(InvalidSignature):
        renew(desk, said, proof)
    with pytest.raises(InvalidSignature):
        renew(desk, said, b"")

    assert len(desk.store.certificates(NAME)) == 1
    assert desk.renew(site)


def test_the_signing_key_alone_makes_no_certificate_while_the_members_own_lives():
    """Its thief waits for the end, while the member renews long before."""
    desk = Desk()
    site = desk.enrol(NAME)

    with pytest.raises(NotYet, match="has not ended"):
        renew_ended(desk, *asked_by_thief(desk, site.keys))

    desk.clock.at = NOW + LIFE
    assert renew_ended(desk, *site.renewal(desk, desk.clock.at))


def test_who_was_cut_off_from_its_answer_asks_again_at_once():
    """Beside the attack: an answer that nobody has called with keeps its own member out no day."""
    desk = Desk()
    site = desk.enrol(NAME)
    desk.clock.at = NOW + LIFE

    first = renew_ended(desk, *site.renewal(desk, desk.clock.at))
    desk.clock.at += 1
    second = renew_ended(desk, *site.renewal(desk, desk.clock.at))

    assert first != second
    desk.clock.at += 1
    desk.renew(site, desk.clock.at)
    desk.clock.at += 1
    with pytest.raises(NotYet):
        renew_ended(desk, *site.renewal(desk, desk.clock.at))


@pytest.mark.parametrize("how", [renew, renew_ended])
def test_a_request_that_is_sent_twice_makes_one_certificate(how):
    """Whoever has recorded it gets the member's own answer, for the member's own key."""
    desk = Desk()
    site = desk.enrol(NAME)
    desk.clock.at = NOW + LIFE
    said, proof = site.renewal(desk, desk.clock.at)

    first = how(desk, said, proof)
    desk.clock.at += 299
    again = how(desk, said, proof)

    assert again == first
    assert len(desk.store.certificates(NAME)) == 2
    desk.clock.at += 2
    with pytest.raises(InvalidSignature, match="clock"):
        how(desk, said, proof)


def test_who_was_taken_out_of_the_roster_renews_nothing():
    desk = Desk()
    sites = desk.found(*HOSPITALS)
    assert desk.renew(sites[NAME])

    admitted(desk, sites, without(desk, NAME))

    desk.clock.at += 1
    with pytest.raises(WrongIdentity, match="not in roster version 1"):
        desk.renew(sites[NAME])
    desk.clock.at += 2 * LIFE
    with pytest.raises(InvalidSignature):
        renew_ended(desk, *sites[NAME].renewal(desk, desk.clock.at))
    assert desk.renew(sites[OTHERS[0]])


def test_who_was_taken_out_is_proposed_again_by_another_approval_only():
    """The coordinator keeps the old one, and it says nothing any more."""
    desk = Desk()
    sites = desk.found(*HOSPITALS)
    first = desk.rosters.current()
    second = admitted(desk, sites, without(desk, NAME))
    back = Roster(FEDERATION, 2, first.coordinator_key, first.members, second.digest())

    with pytest.raises(RosterRefused, match="no operator has approved"):
        desk.proposals.propose("operator", canonical.encode(back))

    entry = desk.enrol(NAME).entry
    members = tuple(entry if each.participant == NAME else each for each in first.members)
    again = Roster(FEDERATION, 2, first.coordinator_key, members, second.digest())
    assert admitted(desk, sites, again).member(NAME) == entry


def test_revoked_keys_are_enrolled_by_nobody_again():
    """Their thief would be back with them; a member that makes new ones is enrolled."""
    desk = Desk()
    site = desk.enrol(NAME)
    desk.clock.at += 10
    desk.enrolment.revoke("operator", NAME, "a stolen laptop")
    desk.clock.at += 10
    desk = desk.again()

    with pytest.raises(InvitationRefused, match="new folder"):
        desk.request(site, desk.invite(NAME))
    half = Site(NAME)
    half.keys = replace(half.keys, sealing=site.keys.sealing)
    with pytest.raises(InvitationRefused, match="new folder"):
        desk.request(half, desk.invite(NAME))
    other = Site("hospital-z")
    other.keys = site.keys
    other.request = of_the_thief("hospital-z")
    with pytest.raises(InvitationRefused, match="new folder"):
        desk.request(other, desk.invite("hospital-z"))

    asked = desk.request(fresh := Site(NAME), token := desk.invite(NAME))
    desk.approve(NAME, asked.words)
    assert x509.load_pem_x509_certificate(desk.request(fresh, token).certificate.encode())


def test_a_revoked_tls_key_is_certified_for_nobody_again():
    desk = Desk()
    site = desk.enrol(NAME)
    desk.clock.at += 10
    desk.enrolment.revoke("operator", NAME, "a stolen laptop")
    fresh = Site(NAME)
    own, fresh.request = fresh.request, site.request

    with pytest.raises(InvitationRefused, match="new folder"):
        desk.request(fresh, desk.invite(NAME))

    fresh.request = own
    assert desk.request(fresh, desk.invite(NAME))
