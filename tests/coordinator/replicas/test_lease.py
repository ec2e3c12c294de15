"""Holding a lease: one leads at a time, knows that it does, and stops in time when it does not."""

import os
import shutil
import time
from dataclasses import dataclass

import pytest

from coordinator.replicas.lease import SURE_SHARE, Leader, Lease, Renewing, Turn, holder_of
from privacy.errors import ConfigError, LeaseLost, StoreUnavailable
from veilsum.files import hold

SECONDS = 5.0


@dataclass
class Clock:
    """Seconds that a test lets pass."""

    at: float = 1000.0

    def __call__(self):
        return self.at


@dataclass
class MemoryLeases:
    """`Leases` by a clock of its own; `slow` is how long it takes to answer."""

    clock: Clock
    own: Clock
    token: int = 0
    until: float = 0.0
    holder: str = ""
    slow: float = 0.0
    away: bool = False

    def acquire(self, holder, seconds):
        self._asked()
        if self.until > self.clock() and self.holder != holder:
            return None
        self.token, self.holder = self.token + 1, holder
        self.until = self.clock() + seconds
        self._answered()
        return self.token

    def leader(self):
        self._asked()
        return Leader(self.holder, self.until) if self.until > self.clock() else None

    def renew(self, token, seconds):
        self._asked()
        if token != self.token or self.until <= self.clock():
            return False
        self.until = self.clock() + seconds
        self._answered()
        return True

    def release(self, token):
        self._asked()
        if token == self.token:
            self.until = 0.0

    def _asked(self):
        if self.away:
            raise StoreUnavailable("no answer")

    def _answered(self):
        self.own.at += self.slow


@pytest.fixture
def leases():
    return MemoryLeases(Clock(77.0), Clock())


def lease(leases, holder="first"):
    return Lease(leases, holder, SECONDS, leases.own)


def test_one_holds_it_and_the_next_after_it(leases):
    first, second = lease(leases), lease(leases, "second")

    assert (first.take(), second.take()) == (True, False)
    leases.clock.at += SECONDS
    assert second.take()
    assert first.token < second.token


def test_a_lease_that_is_let_go_is_free_at_once(leases):
    first, second = lease(leases), lease(leases, "second")
    first.take()

    first.release()

    assert second.take()
    with pytest.raises(LeaseLost):
        first.require()


def test_a_holder_is_sure_from_before_it_asked_and_for_less_than_the_lease(leases):
    """The answer may take long; meanwhile the database's clock has run."""
    leases.slow = 2.0
    held = lease(leases)

    held.take()

    assert held.sure_seconds() == pytest.approx(SURE_SHARE * SECONDS - leases.slow)


def test_who_was_stopped_for_longer_than_a_lease_is_not_sure_of_it(leases):
    """By its own clock, before it asks anybody: this is what keeps a zombie silent."""
    held = lease(leases)
    held.take()

    leases.own.at += SURE_SHARE * SECONDS

    with pytest.raises(LeaseLost, match="first has not renewed"):
        held.require()


def test_a_renewed_lease_is_held_for_another_while(leases):
    held = lease(leases)
    held.take()
    for clock in (leases.own, leases.clock):
        clock.at += 4.0

    held.renew()

    assert held.sure_seconds() == pytest.approx(SURE_SHARE * SECONDS)


def test_a_lease_that_another_has_taken_is_lost(leases):
    held = lease(leases)
    held.take()
    leases.clock.at += SECONDS
    lease(leases, "second").take()

    with pytest.raises(LeaseLost):
        held.renew()
    with pytest.raises(LeaseLost):
        held.require()


def test_a_renewal_that_is_answered_too_late_does_not_revive(leases):
    """In between this process was sure of nothing, and another may have led."""
    held = lease(leases)
    held.take()
    leases.slow = SECONDS

    with pytest.raises(LeaseLost):
        held.renew()


def test_a_database_that_does_not_answer_leaves_the_lease_as_long_as_it_is(leases):
    held = lease(leases)
    held.take()
    leases.away = True

    with pytest.raises(StoreUnavailable):
        held.renew()
    held.require()


def test_who_was_not_sure_for_a_moment_never_is_again(leases):
    """What was handed this lease to ask must stay silent: it remembers what was true before."""
    held = lease(leases)
    held.take()
    leases.own.at += SECONDS
    assert held.sure_seconds() == 0.0
    leases.own.at -= SECONDS

    with pytest.raises(LeaseLost):
        held.require()


def test_a_lease_is_renewed_while_its_process_is_busy_and_after_failures():
    """By a thread of its own; a database that is away for a while costs nothing."""
    leases = MemoryLeases(time.monotonic, time.monotonic)
    leases._answered = lambda: None
    held = Lease(leases, "first", 0.3, time.monotonic)
    held.take()

    renewing = Renewing(held)
    time.sleep(0.4)
    leases.away = True
    time.sleep(0.12)
    leases.away = False
    time.sleep(0.4)
    held.require()
    renewing.end()

    time.sleep(0.35)
    with pytest.raises(LeaseLost):
        held.require()


# -- whose it is -------------------------------------------------------------------------


def test_who_holds_the_lock_of_one_that_has_ended_takes_its_lease_at_once(leases, tmp_path):
    """The lock is proof that it has ended: a new start need not wait for the lease."""
    locks = [hold(tmp_path)]
    died = lease(leases, holder_of("north", locks[0]))
    died.take()
    os.close(locks[0])  # as the end of its process does
    locks = [hold(tmp_path)]

    again = lease(leases, holder_of("north", locks[0]))

    assert again.take()
    assert died.token < again.token
    with pytest.raises(LeaseLost):
        died.renew()
    os.close(locks[0])


def test_no_other_lock_is_taken_for_it(tmp_path, monkeypatch):
    """A copy of the folder, or the same one on a machine that has started anew or is a clone."""
    locks = [hold(tmp_path / "state")]
    shutil.copytree(tmp_path / "state", tmp_path / "copy")
    locks.append(hold(tmp_path / "copy"))
    (tmp_path / "boot_id").write_text("another start of this machine")

    here, copied = (holder_of("north", lock) for lock in locks)
    monkeypatch.setattr("coordinator.replicas.lease._BOOT_ID", tmp_path / "boot_id")

    assert len({here, copied, holder_of("north", locks[0])}) == 3
    for lock in locks:
        os.close(lock)


@pytest.mark.parametrize("name", ["n", "n" * 200])
def test_a_holder_begins_with_its_name_and_fits_the_database(name, tmp_path):
    held = hold(tmp_path)

    holder = holder_of(name, held)

    assert holder.startswith(name[:40])
    assert len(holder) <= 63
    os.close(held)


def test_a_standby_that_shares_everything_waits_as_long_as_another_leads(leases):
    first, turn = lease(leases), Turn(lease(leases, "second"), shares_objects=True)
    first.take()

    asked = []
    for _ in range(3):
        asked.append(turn.come())
        leases.clock.at += 1.0
        first.renew()
    leases.clock.at += SECONDS

    assert asked == [None] * 3
    assert turn.come()


def test_who_has_objects_of_its_own_does_not_stand_by_for_one_that_is_alive(leases):
    """It would lead without what the other has taken in, and end every round."""
    first, turn = lease(leases), Turn(lease(leases, "second"), shares_objects=False)
    first.take()
    assert turn.come() is None
    leases.clock.at += 1.0
    first.renew()

    with pytest.raises(ConfigError, match="first leads with it"):
        turn.come()


def test_who_has_objects_of_its_own_follows_one_that_has_died(leases):
    """The same coordinator, most often, whose machine was started anew."""
    first, turn = lease(leases), Turn(lease(leases, "second"), shares_objects=False)
    first.take()

    asked = [turn.come(), turn.come()]
    leases.clock.at += SECONDS

    assert asked == [None, None]
    assert turn.come()
