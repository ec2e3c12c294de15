"""Certificates as they are issued: recorded first, for one name, never for who is shut out."""

from datetime import UTC, datetime

import pytest
from cryptography import x509

from coordinator.members.issuing import BACKDATE_SECONDS, Issuing, NoAuthority
from coordinator.members.revocations import Revocations
from privacy.enrolment import RENEWABLE_SECONDS
from privacy.errors import (
    CertificateEnded,
    CertificateRevoked,
    InvitationRefused,
    MalformedMessage,
    NotYet,
    StoreUnavailable,
    WrongIdentity,
)
from tests.coordinator.members.desk import LIFE, NOW, Desk, Killed, Site
from tests.coordinator.memory_store import MemoryStore

NAME = "hospital-a"


@pytest.fixture
def desk():
    return Desk()


@pytest.fixture
def site(desk):
    return desk.enrol(NAME)


def leaf(pem):
    return x509.load_pem_x509_certificates(pem.encode())[0]


def test_what_is_issued_is_what_is_recorded(desk):
    made, issued = desk.issuing.first(NAME, Site(NAME).request)

    certificate = leaf(made.pem)
    assert issued.participant == NAME
    assert int(issued.serial, 16) == certificate.serial_number
    assert issued.ends_at == NOW + LIFE == certificate.not_valid_after_utc.timestamp()
    assert desk.store.certificates() == []  # the caller does, with the approval


def test_a_certificate_is_recorded_before_it_is_given_out(desk, site, monkeypatch):
    def full(_):
        raise StoreUnavailable("full")

    monkeypatch.setattr(desk.store, "record_certificate", full)

    with pytest.raises(StoreUnavailable):
        desk.renew(site)


@pytest.mark.parametrize(
    ("place", "recorded"), [("issuing.before_record", 1), ("issuing.after_record", 2)]
)
def test_one_that_dies_while_it_renews_has_given_out_nothing(desk, site, place, recorded):
    desk.dies_at = place

    with pytest.raises(Killed):
        desk.renew(site)

    assert len(desk.store.certificates(NAME)) == recorded


def test_a_renewal_is_for_the_callers_own_name(desk, site):
    other = desk.enrol("hospital-b")
    mine = site.request
    site.request = other.request
    said, proof = site.renewal(desk, NOW)
    site.request = "none"
    nothing, by_me = site.renewal(desk, NOW)

    with pytest.raises(WrongIdentity):
        desk.issuing.renew(said, proof, site.entry.signing_key, NOW)
    with pytest.raises(MalformedMessage):
        desk.issuing.renew(nothing, by_me, site.entry.signing_key, NOW)

    assert len(desk.store.certificates()) == 2
    site.request = mine
    assert desk.renew(site)


def test_who_was_shut_out_since_its_certificate_began_gets_no_other(desk, site):
    desk.clock.at += 10
    desk.revocations.revoke(NAME, "stolen", "operator")

    with pytest.raises(CertificateRevoked, match="stolen"):
        desk.renew(site)

    said, proof = site.renewal(desk, desk.clock.at)
    with pytest.raises(CertificateRevoked, match="stolen"):
        desk.issuing.renew_ended(said, proof, site.entry.signing_key)


@pytest.mark.parametrize("since", [0.0, 0.4, BACKDATE_SECONDS - 1.0])
def test_one_that_is_enrolled_again_begins_after_it_was_shut_out(desk, site, since):
    """However soon: a certificate that began before would be shut out with the stolen one."""
    desk.clock.at = NOW + 100.3
    shut_out = desk.revocations.revoke(NAME, "stolen", "operator").at
    desk.clock.at += since

    made, _ = desk.issuing.first(NAME, site.request)

    begins = leaf(made.pem).not_valid_before_utc.timestamp()
    assert begins > shut_out
    desk.revocations.check(NAME, begins)


def test_a_certificate_begins_somewhat_before_for_clocks_that_are_behind(desk, site):
    made, _ = desk.issuing.first(NAME, site.request)

    assert leaf(made.pem).not_valid_before_utc == datetime.fromtimestamp(
        NOW - BACKDATE_SECONDS, UTC
    )


@pytest.mark.parametrize(("late", "renewed"), [(0.0, True), (1.0, False)])
def test_an_ended_certificate_is_renewed_for_a_week_by_the_signing_key(desk, site, late, renewed):
    desk.clock.at = NOW + LIFE + RENEWABLE_SECONDS + late
    said, proof = site.renewal(desk, desk.clock.at)

    if renewed:
        assert leaf(desk.issuing.renew_ended(said, proof, site.entry.signing_key))
    else:
        with pytest.raises(CertificateEnded, match="more than 7 days ago"):
            desk.issuing.renew_ended(said, proof, site.entry.signing_key)


def test_who_was_never_certified_here_renews_nothing(desk):
    stranger = Site("hospital-b")
    said, proof = stranger.renewal(desk, NOW)

    with pytest.raises(CertificateEnded):
        desk.issuing.renew_ended(said, proof, stranger.entry.signing_key)


def test_the_newest_end_of_each_member_is_known(desk, site):
    desk.clock.at += 10
    desk.renew(site)

    assert desk.issuing.ends() == {NAME: NOW + 10 + LIFE}


def test_a_coordinator_without_authority_certifies_nobody_and_says_what_to_do():
    store = MemoryStore()
    issuing = Issuing(NoAuthority(), store, Revocations(store, lambda: NOW), LIFE, lambda: NOW)
    site = Site(NAME)
    said, proof = site.renewal(Desk(), NOW)

    with pytest.raises(NotYet, match="adds the table enrolment"):
        issuing.first(NAME, "")
    with pytest.raises(NotYet):
        issuing.renew(said, proof, site.entry.signing_key, NOW)
    for name in ("fingerprint", "certificate_pem"):
        with pytest.raises(NotYet):
            getattr(issuing.authority, name)


def test_who_was_never_certified_here_is_not_told_that_it_came_too_late(desk):
    """An operator whose first certificate is on no record learns what helps it."""
    site = Site(NAME)
    said, proof = site.renewal(desk, desk.clock.at)

    with pytest.raises(CertificateEnded, match=r"recorded here.*recertify"):
        desk.issuing.renew_ended(said, proof, site.entry.signing_key)


def test_who_was_shut_out_by_a_clock_that_was_ahead_gets_no_certificate_of_the_future(desk, site):
    """It would be certified, and refused by everybody for as long as the clock was ahead."""
    desk.clock.at += 365 * 86_400
    desk.revocations.revoke(NAME, "stolen", "operator")
    desk.clock.at = NOW

    with pytest.raises(InvitationRefused, match="clock was ahead"):
        desk.issuing.first(NAME, site.request)
