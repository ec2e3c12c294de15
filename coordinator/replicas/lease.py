"""Which of several coordinators leads: the one that holds the lease, and knows that it does.

The lease and its clock are in the database that all of them share. A leader answers only
while it knows by its own clock that the lease is its own: that clock started before the
database was asked, and runs for less than the lease does, so whoever leads next does so later.
"""

import hashlib
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

import structlog

from privacy.errors import ConfigError, LeaseLost, Unavailable

log = structlog.get_logger()

COORDINATOR: Final = "coordinator"
"""The name of the lease."""

SURE_SHARE: Final = 0.9
"""Part of a lease for which its holder is sure of it.

The rest is for clocks of two machines that do not run equally fast: this one may run up to a
tenth slower than the database's.
"""


@dataclass(frozen=True, slots=True)
class Leader:
    """Who holds the lease, and until when by the clock of the database, in seconds since 1970."""

    holder: str
    until: float


class Leases(Protocol):
    """The one lease of a federation's coordinators, by a clock that all of them share."""

    def acquire(self, holder: str, seconds: float) -> int | None:
        """Take the lease if no other holds it; return its new token, or None.

        Each token is higher than the one before. Writes under an older one have ended.

        Args:
            holder: as `holder_of` returns it; no other process that is alive has it.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        ...

    def leader(self) -> Leader | None:
        """Return who holds the lease, or None.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        ...

    def renew(self, token: int, seconds: float) -> bool:
        """Hold the lease for `seconds` from now; return whether it is still held.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        ...

    def release(self, token: int) -> None:
        """Let go of the lease, if it is held.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        ...


_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_LONGEST_NAME: Final = 46


def holder_of(name: str, held: int) -> str:
    """Return as whom a process holds the lease: its name, and a digest of the lock that it has.

    The lock is a file of its state folder, on this machine, since this machine has started. A
    process keeps it to its end, so whoever has it next knows that the one before has ended, and
    need not wait for the lease of that one. Another folder, a copy of it, another machine, or
    this one after a new start: another lock, which says nothing of anybody.

    Args:
        held: what `hold` returned of the state folder.
    """
    lock = os.fstat(held)
    where = f"{_BOOT_ID.read_text()} {lock.st_dev} {lock.st_ino}"
    return f"{name[:_LONGEST_NAME]} {hashlib.sha256(where.encode()).hexdigest()[:16]}"


def boot_seconds() -> float:
    """Return seconds since this machine started, those in which it slept included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


RENEWALS: Final = 3
"""How often a lease is renewed while it lasts: two of them may fail."""

_RETRY_SHARE: Final = 0.05
_JOIN_SECONDS: Final = 1.0


@dataclass
class Lease:
    """One process's hold on the lease: taken, renewed, let go of, or lost for good.

    It is never taken twice: what was given this one to ask stays silent for ever once it is lost.
    """

    leases: Leases
    holder: str
    seconds: float
    now: Callable[[], float] = boot_seconds
    token: int = 0
    _until: float = 0.0
    _lost: bool = False
    _turn: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def take(self) -> bool:
        """Take the lease if nobody holds it, and return whether this process now does.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        asked = self.now()
        token = self.leases.acquire(self.holder, self.seconds)
        if token is None:
            return False
        self.token, self._until = token, asked + SURE_SHARE * self.seconds
        return True

    def renew(self) -> None:
        """Hold it for another while.

        Raises:
            LeaseLost: another process has taken it, or may have.
            StoreUnavailable: the database does not answer.
        """
        with self._turn:
            asked = self.now()
            held = self.leases.renew(self.token, self.seconds)
            self._lost = self._lost or not held
            self.require()
            self._until = asked + SURE_SHARE * self.seconds

    def release(self) -> None:
        """Let another process take it at once; this one holds it no more.

        Raises:
            StoreUnavailable: the database does not answer; the lease ends by itself.
        """
        self._lost = True
        with self._turn:
            self.leases.release(self.token)

    def sure_seconds(self) -> float:
        """Return for how long this process is still sure to hold it; not above 0 if it is not."""
        left = self._until - self.now()
        # Once it was not, another may have led since: no later answer makes it so again.
        self._lost = self._lost or left <= 0
        return 0.0 if self._lost else left

    def require(self) -> None:
        """Return if this process holds it.

        Raises:
            LeaseLost: it may not.
        """
        if self.sure_seconds() <= 0:
            raise LeaseLost(
                f"{self.holder} has not renewed its lease of {self.seconds:g} s in time, or "
                "another coordinator has taken it"
            )


@dataclass
class Turn:
    """A process's wait for its turn to lead.

    Args:
        shares_objects: False if whoever leads next here would have none of the objects that
            another has taken in.
    """

    lease: Lease
    shares_objects: bool
    _seen: Leader | None = None

    def come(self) -> bool | None:
        """Take the lease if nobody else leads; return True, or None if it must be waited for.

        Raises:
            ConfigError: another leads that is alive, and this process could not stand in for it.
            StoreUnavailable: the database does not answer.
        """
        if self.lease.take():
            return True
        before, self._seen = self._seen, self.lease.leases.leader()
        if self._seen is None:
            return None
        if before is None or before.holder != self._seen.holder:
            log.info("another_leads", name=self._seen.holder)
        elif before.until != self._seen.until and not self.shares_objects:
            # It renews: it is alive. One that has died is followed, whoever it was.
            raise ConfigError(
                f"database: {self._seen.holder} leads with it, and objects would be this "
                "process's own; stop one of the two, or set objects to one store for both"
            )
        return None


class Renewing:
    """Renews a lease in a thread of its own, whatever else this process is busy with."""

    def __init__(self, lease: Lease) -> None:
        self._lease = lease
        self._ended = threading.Event()
        # A daemon: it may wait for a database that never answers.
        self._thread = threading.Thread(target=self._run, name="lease", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Renew no more."""
        self._ended.set()
        self._thread.join(_JOIN_SECONDS)

    def _run(self) -> None:
        pause = self._lease.seconds / RENEWALS
        while not self._ended.wait(pause):
            try:
                self._lease.renew()
                pause = self._lease.seconds / RENEWALS
            except LeaseLost:
                return
            except Unavailable as error:
                log.warning("lease_not_renewed", code=error.code, reason=str(error))
                pause = self._lease.seconds * _RETRY_SHARE
