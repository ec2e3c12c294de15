"""Who is shut out stays so: in memory, over a restart, and for another process that takes over."""

import pytest

from coordinator.adapters.sql.store import open_store
from coordinator.members.revocations import Revocations
from coordinator.ports import Issued
from privacy.errors import CertificateRevoked, StoreUnavailable
from tests.coordinator.memory_store import MemoryStore
from tests.fakes import ManualClock


@pytest.fixture
def store():
    return MemoryStore()


@pytest.fixture
def clock():
    return ManualClock(1_000.0)


def test_a_certificate_that_began_before_does_not_count(store, clock):
    """Not by a second, and whenever it ends; the message has the reason and who said so."""
    revocations = Revocations(store, clock)

    revocations.revoke("hospital-a", "its laptop was stolen", "operator")

    for begins_at in (0.0, 999.0, 1_000.0):
        with pytest.raises(CertificateRevoked, match=r"operator has shut .* laptop was stolen"):
            revocations.check("hospital-a", begins_at)


def test_nobody_else_is_shut_out(store, clock):
    revocations = Revocations(store, clock)

    revocations.revoke("hospital-a", "its laptop was stolen", "operator")

    revocations.check("hospital-b", 0.0)
    assert revocations.of("hospital-b") is None


def test_a_certificate_of_a_later_enrolment_counts(store, clock):
    """A member comes back with another certificate, and the one that was revoked stays so."""
    revocations = Revocations(store, clock)

    revocations.revoke("hospital-a", "its laptop was stolen", "operator")

    revocations.check("hospital-a", 1_001.0)
    with pytest.raises(CertificateRevoked):
        revocations.check("hospital-a", 999.0)


def test_a_second_revocation_shuts_out_the_certificates_in_between(store, clock):
    revocations = Revocations(store, clock)
    revocations.revoke("hospital-a", "its laptop was stolen", "operator")
    clock.advance(100.0)

    revocations.revoke("hospital-a", "and another one", "operator")

    with pytest.raises(CertificateRevoked, match="and another one"):
        revocations.check("hospital-a", 1_050.0)
    assert revocations.of("hospital-a").at == 1_100.0


def test_a_clock_that_was_set_back_lets_no_newer_certificate_through(store, clock):
    """What was issued is shut out, whatever this machine believes the time to be."""
    store.record_certificate(Issued("1", "hospital-a", "k", 5_000.0, 9_000.0))
    revocations = Revocations(store, clock)

    revocations.revoke("hospital-a", "its laptop was stolen", "operator")

    with pytest.raises(CertificateRevoked):
        revocations.check("hospital-a", 5_000.0)


def test_it_outlives_the_process(tmp_path, clock):
    """Whoever starts again, or takes over, reads it before the first call is answered."""
    place = f"sqlite:///{tmp_path}/coordinator.db"
    first = open_store(place)
    Revocations(first, clock).revoke("hospital-a", "its laptop was stolen", "operator")
    first.close()

    again = Revocations(open_store(place), clock)

    with pytest.raises(CertificateRevoked, match="laptop was stolen"):
        again.check("hospital-a", 999.0)


@pytest.mark.parametrize("order", [(1.0, 2.0), (2.0, 1.0)])
def test_of_several_that_are_read_the_newest_counts(store, clock, order):
    for at in order:
        clock.at = at
        Revocations(store, clock).revoke("hospital-a", f"at {at:.0f}", "operator")

    assert Revocations(store, clock).of("hospital-a").reason == "at 2"


def test_what_could_not_be_kept_does_not_hold_and_is_not_told(store, clock, monkeypatch):
    """An operator who was told that it failed says it again; nothing is true in memory only."""
    revocations, told = Revocations(store, clock), []
    revocations.on_change(lambda: told.append(1))

    def full(_):
        raise StoreUnavailable("disk full")

    monkeypatch.setattr(store, "put_revocation", full)

    with pytest.raises(StoreUnavailable):
        revocations.revoke("hospital-a", "its laptop was stolen", "operator")
    revocations.check("hospital-a", 0.0)
    assert told == []


def test_whoever_listens_is_told_when_it_holds(store, clock):
    revocations, told = Revocations(store, clock), []
    revocations.on_change(lambda: told.append(revocations.of("hospital-a").reason))

    revocations.revoke("hospital-a", "its laptop was stolen", "operator")

    assert told == ["its laptop was stolen"]
