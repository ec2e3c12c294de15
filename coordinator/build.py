"""The coordinator put together: the only place that builds things."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from privacy import canonical
from privacy.errors import ConfigError, MissingDependency
from privacy.failpoints import Failpoints
from privacy.roster import Role, Roster
from privacy.schemes.shares.layout import SEATS
from veilsum.files import hold, read_file, read_secret

from .adapters.engines.engines import engine_of
from .adapters.objects.objects_at import open_objects_at
from .adapters.sql.database import open_database
from .adapters.sql.leases import SqlFence, SqlLeases
from .adapters.sql.store import open_store
from .config import Settings
from .keys import load_signing_key
from .members.capacity import check_members, check_trainers
from .members.rosters import Rosters
from .replicas.lease import Lease
from .replicas.leased_objects import LeasedObjects
from .rounds import plan
from .rounds.progress import Progress
from .service import Service
from .settling.settlement import Settlement

_PROBED: Final = "readiness"


@dataclass(frozen=True)
class Term:
    """What a coordinator leads under that others could follow: its lease, and its folder's lock."""

    lease: Lease
    held: int


@dataclass(frozen=True)
class Built:
    """The parts of a coordinator that outlive a single call."""

    settings: Settings
    service: Service
    settlement: Settlement | None
    held: int

    def probe(self) -> None:
        """Return if the database and the object store answer.

        Raises:
            StoreUnavailable: one of them does not.
        """
        self.service.store.pending_effects()
        self.service.objects.exists(_PROBED)


def build(settings: Settings, failpoints: Failpoints, term: Term | None = None) -> Built:
    """Return a coordinator that has resumed where the last one stopped.

    Args:
        term: what it leads under, over a database that others reach; None over a file.

    Raises:
        ConfigError: a file, a key, the database or the settings are not what they must be.
        UnsafeParameters: no scheme parameters fit the settings.
        LeaseLost: the term is over.
    """
    assert (term is not None) == is_shared(settings)  # nobody writes there without the lease
    # What others must supply comes first: a start that fails for want of it leaves nothing.
    draft, signing_key = check(settings)
    held = hold(settings.state) if term is None else term.held
    fence = None if term is None else SqlFence(term.lease.token, term.lease.seconds)
    store = open_store(
        settings.database, settings.database_password, step=failpoints.hit, fence=fence
    )
    rosters = Rosters(store, draft)
    objects = open_objects_at(
        settings.objects or str((settings.state / "objects").absolute()),
        settings.s3,
        step=failpoints.hit,
    )
    objects = objects if term is None else LeasedObjects(objects, term.lease)
    service = Service(
        settings=settings,
        store=store,
        objects=objects,
        rosters=rosters,
        signing_key=signing_key,
        now=time.time,
        progress=Progress(time.monotonic),
        failpoints=failpoints,
        engine=engine_of(settings, objects),
    )
    return Built(settings, service, _settlement(settings, service), held)


def check(settings: Settings) -> tuple[Roster, Ed25519PrivateKey]:
    """Return the roster's draft and the signing key, if a coordinator can be built of them.

    Raises:
        ConfigError: a file, a key or the settings are not what they must be.
        UnsafeParameters: no scheme parameters fit the settings.
    """
    plan.parameters(settings)
    draft, signing_key = _draft(settings.roster), load_signing_key(settings.signing_key)
    _check_key(signing_key, draft)
    _check_rounds(settings, draft)
    plan.check(settings, draft)
    if settings.replica is not None:
        _check_shared(settings)
    return draft, signing_key


def is_shared(settings: Settings) -> bool:
    """Return whether another coordinator may reach the database, so that a lease says who leads."""
    return settings.database.startswith("postgresql")


def open_leases(settings: Settings) -> SqlLeases:
    """Return the lease of whoever leads with the database.

    Raises:
        ConfigError: the database is not what it must be.
        StoreUnavailable: the database does not answer.
    """
    return SqlLeases(open_database(settings.database, settings.database_password))


def _check_shared(settings: Settings) -> None:
    if not is_shared(settings):
        raise ConfigError(
            "replica: several coordinators need PostgreSQL, which all of them reach: set database "
            "to postgresql://host/name, or leave out the table replica and run one"
        )
    if settings.objects is None:
        raise ConfigError(
            "replica: several coordinators need one object store: set objects to a bucket, or to "
            "a folder that all of them have mounted, or leave out the table replica and run one"
        )


def _settlement(settings: Settings, service: Service) -> Settlement | None:
    if settings.settlement is None:
        return None
    read_secret(settings.settlement.passphrase)
    read_secret(settings.settlement.keystore)
    if find_spec("web3") is None:
        raise MissingDependency("settlement: web3 is not installed; install the extra `chain`")
    return Settlement(
        settings.settlement,
        service.store,
        service.roster,
        os.urandom,
        settings.state / "transactions",
    )


def _draft(path: Path) -> Roster:
    return canonical.decode(read_file(path), Roster)


def _check_key(key: Ed25519PrivateKey, roster: Roster) -> None:
    if key.public_key().public_bytes_raw() != roster.coordinator_key:
        raise ConfigError("signing_key: not the key that the roster has for the coordinator")


def _check_rounds(settings: Settings, roster: Roster) -> None:
    rounds, trainers = settings.rounds, [each.participant for each in roster.trainers()]
    check_members(roster)
    if rounds.seats:
        _check_seats(rounds.seats, rounds.auditor, roster)
        check_trainers(rounds.seats, roster)
    if not set(rounds.openers) <= set(trainers):
        raise ConfigError("rounds.openers: the roster has one of them not as a trainer")
    if not rounds.quorum <= len(trainers) <= settings.scheme.cohort_max:
        raise ConfigError(
            f"{len(trainers)} trainers: not from the quorum of {rounds.quorum} to the cohort_max "
            f"of {settings.scheme.cohort_max}, so a round could not be closed or not be added up"
        )
    if rounds.auditor is not None:
        _check_auditor(rounds.auditor, roster)


def _check_auditor(auditor: str, roster: Roster) -> None:
    """Return if `auditor` is one, and of an organisation that trains and opens nothing."""
    entries = [each for each in roster.members if each.participant == auditor]
    if not any(Role.AUDITOR in each.roles for each in entries):
        raise ConfigError(f"rounds.auditor: the roster has {auditor} not as an auditor")
    # Openers are trainers: who trains may hold the key to what an auditor is handed.
    if entries[0].organisation in {each.organisation for each in roster.trainers()}:
        raise ConfigError(
            f"rounds.auditor: {auditor} is a trainer, or of the organisation of one; an auditor "
            "must be of another"
        )


def _check_seats(seats: Sequence[str], auditor: str | None, roster: Roster) -> None:
    """Return if `seats` are aggregators and nothing else, each of an organisation of its own."""
    entries = [each for each in roster.members if each.participant in seats]
    if len(entries) != SEATS or any(each.roles != (Role.AGGREGATOR,) for each in entries):
        raise ConfigError(
            f"rounds.seats: {SEATS} members are needed that the roster has as aggregators alone"
        )
    # Whoever has two seats has all three components, and opens every update.
    apart = [*entries, *(each for each in roster.members if each.participant == auditor)]
    if len({each.organisation for each in apart}) != len(apart):
        raise ConfigError("rounds.seats: two seats, or a seat and the auditor, have one owner")
