"""A coordinator's backup, made while it runs, and its way back into an empty place.

In it are all rows of one moment and the objects that its rounds need: those of live rounds, the
ciphertexts that demands are answered from, and the sealed models that are kept. Not in it is any
private key, password or certificate: `keep_also` names what the operator keeps beside it. It reads
the same from SQLite and PostgreSQL, from a folder and a bucket, and goes back into any of them.
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, Protocol

from sqlalchemy import Engine

from coordinator.adapters.backup_file import FORMAT, Backup, Head, Writer, open_backup, write_backup
from coordinator.adapters.objects.objects_at import objects_at, open_objects_at
from coordinator.adapters.sql.database import open_as_it_is, open_database, upgrade
from coordinator.adapters.sql.rows import check_empty, read_rows, write_rows
from coordinator.adapters.sql.schema import REVISIONS
from coordinator.adapters.sql.store import SqlStore
from coordinator.archive import Archive
from coordinator.config import Settings
from coordinator.keys import load_signing_key
from coordinator.members.enrolment import end_open, shut_out_keys
from coordinator.members.revocations import Revocations
from coordinator.members.rosters import Rosters, versions_in
from coordinator.ports import ObjectStore, Store
from coordinator.rounds import round as machine
from coordinator.rounds.state import Phase, Round
from coordinator.settling.settlement import is_needed
from privacy import canonical
from privacy.documents import check_agreement, check_signer
from privacy.errors import (
    ConfigError,
    NotYet,
    ProtocolError,
    SchemaMismatch,
    UnsafeParameters,
)
from privacy.identifiers import COORDINATOR, check_name
from privacy.records import Cohort, Release, digest_of
from privacy.remembered import Remembered, unpack
from privacy.roster import Roster, admit_all, is_founded
from privacy.signing import Purpose
from veilsum.files import hold, make_folder, read_file
from veilsum.release import RELEASE

from .kept import Inventory, Kept, Kind
from .relearn import Relearnt, check_remembered, give_up_live, relearn

Clock = Callable[[], float]


class Watcher(Protocol):
    """Is told how far a backup, or its way back, is: a command shows it."""

    def total(self, of: int) -> None:
        """Take note of how many objects there are."""

    def step(self, length: int = 0) -> None:
        """Count one of them, of so many bytes."""


class _Nobody:
    def total(self, of: int) -> None:
        pass

    def step(self, length: int = 0) -> None:
        pass


NOBODY: Final[Watcher] = _Nobody()

TRIES: Final = 3
"""Looks at a coordinator that goes on meanwhile, until all that one moment needs is still there."""

_OF_LIVE_ROUNDS: Final = (Kind.CHUNK, Kind.SEAL, Kind.SUM, Kind.SEAT_SUM)


@dataclass(frozen=True)
class BackedUp:
    """What a backup holds.

    Attributes:
        missing: objects that were damaged or gone before.
        live: rounds under way, or that can still be disputed, whose protected contributions are
            in it: a coordinator erases those in time, and nobody erases them in a backup.
    """

    rounds: int
    objects: int
    missing: tuple[str, ...]
    live: tuple[int, ...]


@dataclass(frozen=True)
class Restored:
    """What was put back, and what was learnt from members on top of it."""

    made: str
    rounds: int
    objects: int
    missing: tuple[str, ...]
    relearnt: Relearnt
    revoked: tuple[str, ...] = ()
    known_revoked: tuple[str, ...] = ()


def back_up(settings: Settings, path: Path, now: Clock, watcher: Watcher = NOBODY) -> BackedUp:
    """Write a backup of a coordinator, which may run meanwhile, to the new file `path`.

    Raises:
        ConfigError: the database is damaged or was never made, or there is such a file.
        SchemaMismatch: another version of Veilsum runs it.
        StoreUnavailable: the database, the object store or the disk does not answer.
    """
    engine = open_as_it_is(settings.database, settings.database_password)
    try:
        for last in (*(False for _ in range(TRIES - 1)), True):
            with _scratch(settings.state) as scratch:
                write_rows(scratch, read_rows(engine))
                made = _back_up(settings, path, scratch, now, watcher, whole=not last)
            if made is not None:
                return made
        raise AssertionError("the last try makes one")
    finally:
        engine.dispose()


def _back_up(
    settings: Settings,
    path: Path,
    scratch: Engine,
    now: Clock,
    watcher: Watcher,
    *,
    whole: bool,
) -> BackedUp | None:
    """Write a backup of the rows in `scratch`; None if it must be whole, and an object is gone."""
    key = load_signing_key(settings.signing_key)
    store, objects = SqlStore(scratch), objects_at(_objects_of(settings), settings.s3)
    kept = _kept(store, Archive(store, key), settings)
    # Objects of a round that has gone on meanwhile are gone: another moment, then.
    if whole and not all(objects.exists(name) for each in kept for name in each.names):
        return None
    made: list[BackedUp] = []

    def write(out: Writer) -> None:
        made.append(_write(out, scratch, kept, objects, watcher))
        at = datetime.fromtimestamp(now(), UTC).isoformat(timespec="seconds")
        missing = made[0].missing
        head = Head(FORMAT, RELEASE, REVISIONS[-1], settings.federation, at, missing)
        out.finish(head, key)

    write_backup(path, write)
    return made[0]


def restore(
    settings: Settings,
    path: Path,
    remembered: Sequence[Path] = (),
    watcher: Watcher = NOBODY,
    revoked: Sequence[str] | None = None,
    now: Clock = time.time,
) -> Restored:
    """Put a backup into an empty database and an empty object store; all of it, or nothing.

    Everything is checked before anything is written: digests, signatures, every object against
    the row or document that names it. Cut short, it is run again.

    Args:
        remembered: what members remember of rounds, one file each.
        revoked: the members that were revoked since the backup was made, which knows nothing of
            it; None if the operator has not said.

    Raises:
        ConfigError: the backup is not whole or not this coordinator's, there is something in
            the database or the object store, or members are enrolled and nobody has said which
            of them were revoked since.
        SchemaMismatch: a newer version of Veilsum made it.
        StoreUnavailable: the database, the object store or the disk does not answer.
    """
    held = hold(settings.state)
    try:
        key = load_signing_key(settings.signing_key)
        with open_backup(path, key.public_key().public_bytes_raw()) as backup:
            _check_head(backup.head, settings, path)
            backup.check()
            with _scratch(settings.state, backup) as scratch:
                known = _known_revoked(SqlStore(scratch))
                _revoke_again(SqlStore(scratch), revoked, now)
                made = _restore(settings, path, backup, scratch, remembered, watcher)
                return replace(made, revoked=tuple(revoked or ()), known_revoked=known)
    finally:
        os.close(held)


def keep_also(settings: Settings) -> list[Path]:
    """Return the files that no backup holds and no coordinator starts, or is known, without."""
    listen, settlement, s3 = settings.listen, settings.settlement, settings.s3
    found: list[Path | None] = [
        settings.signing_key,
        settings.roster,
        listen.certificate,
        listen.key,
        listen.authority,
        settings.database_password,
    ]
    if settings.enrolment is not None:
        enrolment = settings.enrolment
        found += [enrolment.authority, enrolment.authority_key, enrolment.passphrase]
        found += [enrolment.operator]
    if settlement is not None:
        found += [*settlement.secrets(), settings.state / "transactions"]
    if s3 is not None:
        found += [s3.access_key, s3.secret_key, s3.authority]
    return [each for each in found if each is not None]


def _restore(
    settings: Settings,
    path: Path,
    backup: Backup,
    scratch: Engine,
    remembered: Sequence[Path],
    watcher: Watcher,
) -> Restored:
    store = SqlStore(scratch)
    archive = Archive(store, load_signing_key(settings.signing_key))
    try:
        rosters = _check_rosters(store, settings)
        _check_documents(store, archive, rosters)
    except (ProtocolError, NotYet) as error:
        raise ConfigError(f"{path}: {error}; take an older backup") from error
    relearnt = _relearn(store, rosters, settings, remembered)
    kept = _kept(store, archive, settings)
    _check_objects(backup, kept, path)
    there = {*backup.objects()}
    wanted = [name for each in kept for name in each.names if name in there]
    _put_back(settings, backup, scratch, wanted, watcher)
    rounds = len(store.round_numbers())
    return Restored(backup.head.made, rounds, len(wanted), backup.head.missing, relearnt)


# -- making one --------------------------------------------------------------------------


def _write(
    out: Writer, scratch: Engine, kept: Sequence[Kept], objects: ObjectStore, watcher: Watcher
) -> BackedUp:
    for table, rows in read_rows(scratch):
        out.rows(table, rows)
    missing: list[str] = []
    count = 0
    watcher.total(sum(len(each.names) for each in kept))
    for each in kept:
        for name in each.names:
            try:
                body = objects.get(name)
                out.object(name, body)
                watcher.step(len(body))
                count += 1
            except NotYet:
                missing.append(name)
    store = SqlStore(scratch)
    numbers = store.round_numbers()
    held = {each.round for each in kept if each.kind in _OF_LIVE_ROUNDS}
    return BackedUp(len(numbers), count, tuple(missing), tuple(sorted(held)))


def _kept(store: Store, archive: Archive, settings: Settings) -> list[Kept]:
    """Return the objects that the rounds in `store` need, and how each is known."""
    inventory = Inventory(store, archive)
    rounds = [_round(store, number) for number in store.round_numbers()]
    released = [each.number for each in rounds if each.phase is Phase.DONE]
    settles = settings.settlement is not None
    newest = {*sorted(released)[-settings.retention.models :]}
    found: list[Kept] = []
    for each in rounds:
        try:
            disputed = settles and is_needed(store, each.number)
            models = not each.is_over() or each.number in newest or disputed
            found += inventory.of(each, models=models, disputed=disputed)
        except SchemaMismatch:
            continue  # of another version: a start ends it
    return found


def _round(store: Store, number: int) -> Round:
    stored = store.load_round(number)
    assert stored is not None  # the number came from the store itself
    return machine.decode(stored.state)


def _objects_of(settings: Settings) -> str:
    return settings.objects or str((settings.state / "objects").absolute())


@contextmanager
def _scratch(state: Path, backup: Backup | None = None) -> Iterator[Engine]:
    """Give a database that is thrown away, with the rows of a backup in it if there is one."""
    make_folder(state)
    with TemporaryDirectory(prefix=".backup-", dir=state) as folder:
        url = f"sqlite:///{folder}/rows.sqlite"
        if backup is not None:
            _fill(url, backup)
        engine = open_database(url)
        try:
            yield engine
        finally:
            engine.dispose()


def _fill(url: str, backup: Backup) -> None:
    revision = backup.head.revision
    if revision not in REVISIONS:
        raise SchemaMismatch(
            f"the backup has schema {revision} and was made by Veilsum {backup.head.release}; this "
            f"is {RELEASE}, which knows {REVISIONS[-1]}: restore with that version"
        )
    upgrade(url, to=revision)
    engine = open_as_it_is(url, at=revision)
    try:
        write_rows(engine, backup.rows())
    finally:
        engine.dispose()


# -- checking one ------------------------------------------------------------------------


def _check_head(head: Head, settings: Settings, path: Path) -> None:
    if head.federation != settings.federation:
        raise ConfigError(f"{path}: of the federation {head.federation}, not {settings.federation}")


def _check_rosters(store: Store, settings: Settings) -> tuple[Roster, ...]:
    versions = versions_in(store)
    if settings.roster is not None:
        draft = canonical.decode(read_file(settings.roster), Roster)
        versions = Rosters(store, draft).versions()
    if not versions:
        return ()  # nobody has founded anything yet
    if not is_founded(versions[0]):
        return (versions[0].roster,)
    return admit_all(versions, versions[0].roster.digest())


def _check_documents(store: Store, archive: Archive, rosters: Sequence[Roster]) -> None:
    """Return if every released round has the cohort and release that were signed for it."""
    by_digest = {each.digest(): each for each in rosters}
    for current in (_round(store, number) for number in store.round_numbers()):
        if current.phase is not Phase.DONE:
            continue
        cohort, signed = archive.document("cohort", current.cohort), current.release
        check_signer(cohort, Purpose.COHORT, COORDINATOR, rosters[0].coordinator_key)
        release = archive.with_signatures("release", signed)
        _check_names(current, canonical.decode(cohort.body, Cohort), release.body)
        try:
            terms = archive.plan(current.number).terms
        except SchemaMismatch:
            continue  # a version that is older by much; members hold the release
        roster = by_digest.get(terms.roster, rosters[-1])
        check_agreement(release, Purpose.RELEASE, terms.openers, terms.agreement, roster)


def _check_names(current: Round, cohort: Cohort, release: bytes) -> None:
    named = (digest_of(cohort), digest_of(canonical.decode(release, Release)))
    if named != (current.cohort, current.release):
        raise ConfigError(f"backup: round {current.number} has another cohort or release")


def _check_objects(backup: Backup, kept: Sequence[Kept], path: Path) -> None:
    there, known = {*backup.objects()}, {*backup.head.missing}
    for each in kept:
        missing = [name for name in each.names if name not in there]
        if missing and not known.issuperset(missing):
            raise ConfigError(f"{path}: it has no {missing[0]}, which round {each.round} needs")
        if not missing and not each.fits(map(backup.object, each.names)):
            raise ConfigError(
                f"{path}: {each.names[0]} is not what round {each.round} needs; it was damaged "
                "when the backup was made: take an older one"
            )


def _relearn(
    store: Store, rosters: Sequence[Roster], settings: Settings, paths: Sequence[Path]
) -> Relearnt:
    if not rosters:
        if paths:
            raise ConfigError("--rounds: nobody had founded anything when the backup was made")
        return Relearnt()
    said: list[Remembered] = []
    for path in paths:
        try:
            each = unpack(read_file(path))
            check_remembered(each, rosters, settings.federation)
        except (ProtocolError, UnsafeParameters) as error:
            raise ConfigError(
                f"{path}: {error}; leave it out, or ask that member for another one"
            ) from error
        said.append(each)
    try:
        learnt = relearn(store, rosters, settings.federation, said)
    except (ProtocolError, UnsafeParameters) as error:
        raise ConfigError(f"--rounds: what members remember does not fit: {error}") from error
    if settings.settlement is None:
        return learnt
    given_up = {*learnt.forgotten, *give_up_live(store)}
    return replace(learnt, forgotten=tuple(sorted(given_up)))


def _known_revoked(store: Store) -> tuple[str, ...]:
    return tuple(sorted({each.participant for each in store.revocations()}))


def _revoke_again(store: Store, revoked: Sequence[str] | None, now: Clock) -> None:
    """Shut out, in the rows that go back, who was shut out since; end links that were open then."""
    if revoked is None and (store.certificates() or store.invitations()):
        before = ", ".join(_known_revoked(store)) or "none"
        raise ConfigError(
            "the backup knows nothing of who was revoked since it was made, and whoever was would "
            "be let in again: give --revoked NAME for each, or --none-revoked; revocations that "
            f"it has: {before}"
        )
    known = Revocations(store, now)
    for name in revoked or ():
        shut_out_keys(store, check_name(name))
        known.revoke(name, "revoked before the database was restored", "restore")
    end_open(store, now())


# -- writing it --------------------------------------------------------------------------


def _put_back(
    settings: Settings,
    backup: Backup,
    scratch: Engine,
    wanted: Sequence[str],
    watcher: Watcher,
) -> None:
    """Write objects first and rows last: without rows, nothing has happened."""
    objects = open_objects_at(_objects_of(settings), settings.s3)
    engine = open_database(settings.database, settings.database_password)
    try:
        check_empty(engine)
        others = {*objects.names()} - {*wanted}
        if others:
            raise ConfigError(
                f"objects: {objects.address} has {min(others)}, which is not in the backup; "
                "restore into an empty one, and keep this one until all is well"
            )
        watcher.total(len(wanted))
        for name in wanted:
            body = backup.object(name)
            objects.put(name, body)
            watcher.step(len(body))
        write_rows(engine, read_rows(scratch))
    finally:
        engine.dispose()
