"""Opening the coordinator's database: durable, private to its owner, at the right revision.

SQLite by default, PostgreSQL by its URL. What is one's own stands in `sqlite.py` and
`postgres.py`; what both promise is here: a transaction is whole or not at all, a migration
too, and a database that is newer, or somebody else's, is left alone.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Final, TypeVar

import structlog
from sqlalchemy import URL, Connection, Engine, inspect, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from privacy.errors import ConfigError, MissingDependency, SchemaMismatch, StoreUnavailable
from privacy.failpoints import Step, pass_by

from . import sqlite
from .checksums import damaged
from .schema import REVISIONS

log = structlog.get_logger()

Result = TypeVar("Result")

# Between attempts, in seconds: about as long as the transaction that was first, then longer.
_PAUSES: Final = (0.0, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2)
_RETRY_SECONDS: Final = 5.0
# A serialization failure, a deadlock, and a row that was not there when this transaction looked
# (or was): all is undone, and who looks again sees what the other one did.
_TRY_AGAIN: Final = ("40001", "40P01", "23503", "23505")

_IN_USE: Final = "55P03"
_IN_USE_PAUSE: Final = 1.0
_IN_USE_SECONDS: Final = 3600.0


def open_database(url: str, password: Path | None = None, *, step: Step = pass_by) -> Engine:
    """Return an engine for the database at `url`, made or brought up to date if need be.

    Args:
        password: a file that holds the password of PostgreSQL's role, where it needs one.

    Raises:
        ConfigError: the URL names no database that can be shared and kept, or not safely.
        MissingDependency: the database's driver is not installed.
        SchemaMismatch: the database was written by a newer Veilsum, or not by Veilsum.
        StoreUnavailable: the database does not answer, or a coordinator leads with its schema as
            it is, which is older.
    """
    parsed = parse(url, password)
    engine = _engine(parsed, password)
    try:
        with door(parsed):
            _bring_up_to_date(engine, password, step)
            _check_whole(engine)
    except BaseException:
        engine.dispose()
        raise
    return engine


def open_as_it_is(url: str, password: Path | None = None, *, at: str = REVISIONS[-1]) -> Engine:
    """Return an engine for a database that a coordinator has made; its schema is not moved.

    Args:
        at: the revision it must have; by default this version's.

    Raises:
        ConfigError: there is none; or as for `open_database`.
        MissingDependency, StoreUnavailable: as for `open_database`.
        SchemaMismatch: it is not of that schema; another version runs it.
    """
    parsed = parse(url, password)
    engine = _engine(parsed, password)
    try:
        with door(parsed), engine.begin() as connection:
            revision = _known_revision(connection)
    except BaseException:
        engine.dispose()
        raise
    if revision == at:
        return engine
    engine.dispose()
    if revision is None:
        raise ConfigError(f"database: no coordinator has made {_shown(parsed)} yet")
    raise SchemaMismatch(
        f"the database has schema {revision}, not {at}: use the version of Veilsum that runs it"
    )


def upgrade(
    url: str, password: Path | None = None, *, to: str = REVISIONS[-1]
) -> tuple[str | None, str]:
    """Move the schema of the database at `url` up to a revision; return what it was and is.

    Raises:
        ConfigError: there is no such revision, or it is below the database's; or as for
            `open_database`.
        MissingDependency, SchemaMismatch, StoreUnavailable: as for `open_database`.
    """

    def up(connection: Connection) -> str | None:
        before = _known_revision(connection)
        if before is not None and before > to:
            raise ConfigError(f"--to {to}: the database is at {before}; that way is `downgrade`")
        _check_nobody_leads(connection)
        _migrations().upgrade(connection, to)
        return before

    return _moved(url, password, to, up), to


def downgrade(url: str, password: Path | None = None, *, to: str) -> tuple[str, str]:
    """Move the schema of the database at `url` down to a revision; return what it was and is.

    What the older schema has no place for is forgotten.

    Raises:
        ConfigError: there is no such revision, or it is above the database's; or as for
            `open_database`.
        MissingDependency, SchemaMismatch, StoreUnavailable: as for `open_database`.
    """

    def down(connection: Connection) -> str:
        before = _known_revision(connection)
        if before is None or before < to:
            at = before or "nothing"
            raise ConfigError(f"--to {to}: the database is at {at}; that way is `upgrade`")
        _check_nobody_leads(connection)
        _migrations().downgrade(connection, to)
        return before

    return _moved(url, password, to, down), to


def parse(url: str, password: Path | None = None) -> URL:
    """Return the address in `url`, with all that the settings leave out.

    Raises:
        ConfigError, MissingDependency: as for `open_database`.
        StoreUnavailable: the folder of a file cannot be made.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise ConfigError("database: a URL like sqlite:////path or postgresql://…") from None
    kind = parsed.drivername.partition("+")[0]
    if kind == "sqlite":
        if password is not None:
            raise ConfigError("database_password: a file needs none; leave it out")
        sqlite.make_file(sqlite.check(parsed))
        return parsed
    if kind != "postgresql":
        raise ConfigError(
            f"database: {parsed.drivername}:// is neither sqlite:////path nor "
            "postgresql://user@host/name"
        )
    checked: URL = _postgres().check(parsed, password)
    return checked


def reader(engine: Engine) -> Engine:
    """Return the same engine, whose transactions see one moment and change nothing."""
    if engine.dialect.name == "sqlite":
        return engine
    return engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)


def writer(engine: Engine) -> Engine:
    """Return the same engine, whose transactions take the right to write when they begin."""
    return engine.execution_options(**{sqlite.WRITES: True})


@contextmanager
def transaction(engine: Engine) -> Iterator[Connection]:
    """Begin a transaction; it is committed at the end, or undone if anything is raised.

    Raises:
        StoreUnavailable: the connection was lost while it was committed: all of it is kept, or
            nothing.
        SQLAlchemyError: anything else; nothing is kept.
    """
    asked = False
    try:
        with engine.begin() as connection:
            yield connection
            asked = True
    except DBAPIError as error:
        if asked and error.connection_invalidated:
            raise StoreUnavailable(
                f"{_shown(engine.url)}: the connection was lost while this was saved, so nobody "
                "knows whether it is; said again, it is saved once"
            ) from error
        raise


def again(attempt: Callable[[], Result]) -> Result:
    """Return what a transaction returns, tried a few times while it surely comes to nothing.

    Others were first, or the server was started anew since the connection was made.
    """
    begun = time.monotonic()
    for pause in _PAUSES:
        try:
            return attempt()
        except DBAPIError as error:
            # A server that hangs is not asked again and again for as long as it hangs.
            if not _came_to_nothing(error) or time.monotonic() - begun > _RETRY_SECONDS:
                raise
        time.sleep(pause)
    return attempt()


@contextmanager
def migrating(url: URL, password: Path | None = None) -> Iterator[Connection]:
    """Begin the one transaction of a migration: whole, or as if it had never begun.

    SQLite changes a column by making its table anew, so references are checked
    when all is done and not before.

    Raises:
        StoreUnavailable: rows would refer to rows that are not there.
        DBAPIError: somebody else uses a table that is changed; see `migrated`.
    """
    engine = _engine(url, password, migrating=True)
    try:
        with transaction(writer(engine)) as connection:
            if connection.dialect.name != "sqlite":
                _postgres().take_turns(connection)
            yield connection
            if connection.dialect.name == "sqlite":
                sqlite.check_references(connection)
    finally:
        engine.dispose()


def migrated(
    url: URL, password: Path | None, work: Callable[[Connection], Result], *, step: Step = pass_by
) -> Result:
    """Return what `work` returns, done in the one transaction of a migration.

    A table that others use is asked for during a second or two, and then again after a pause:
    whoever came behind the question, like the leader's every call, would wait as long as it does.

    Raises:
        SQLAlchemyError: as for `transaction`; or tables were in use for an hour.
    """
    begun = time.monotonic()
    while True:
        try:
            with migrating(url, password) as connection:
                done = work(connection)
                step("migrate.before_commit")
        except DBAPIError as error:
            if not _is_in_use(error) or time.monotonic() - begun > _IN_USE_SECONDS:
                raise
            _say_in_use(url, password)
        else:
            return done
        time.sleep(_IN_USE_PAUSE)


@contextmanager
def door(url: URL) -> Iterator[None]:
    """Turn what the database raises into `StoreUnavailable`, without statement or values."""
    try:
        yield
    except UnicodeDecodeError:
        raise damaged("a text in it") from None
    except SQLAlchemyError as error:
        if getattr(error.__cause__, "sqlite_errorcode", 0) & 0xFF in sqlite.DAMAGED:
            raise damaged(f"its file ({error.__cause__})") from error
        cause = str(getattr(error, "orig", None) or type(error).__name__).partition("\n")[0]
        raise StoreUnavailable(
            f"{_shown(url)}: {cause}; check that it is there, its disk, its space and who may "
            "write there; nothing was saved, and it is retried"
        ) from error


def _moved(
    url: str, password: Path | None, to: str, work: Callable[[Connection], Result]
) -> Result:
    if to not in REVISIONS:
        raise ConfigError(f"--to {to}: this version of Veilsum knows {', '.join(REVISIONS)}")
    parsed = parse(url, password)
    with door(parsed):
        return migrated(parsed, password, work)


def _is_in_use(error: DBAPIError) -> bool:
    return getattr(error.orig, "sqlstate", None) == _IN_USE


def _say_in_use(url: URL, password: Path | None) -> None:
    engine = _engine(url, password)
    try:
        with engine.begin() as connection:
            used_by = _postgres().used_by(connection)
    finally:
        engine.dispose()
    log.warning("migration_waits", used_by=used_by, retried_after_seconds=_IN_USE_PAUSE)


def _check_nobody_leads(connection: Connection) -> None:
    # A file is led with by whoever holds its folder.
    if connection.dialect.name != "sqlite":
        _postgres().check_nobody_leads(connection)


def _migrations() -> ModuleType:
    from . import migrations  # noqa: PLC0415  it takes longer to import than all else to start

    return migrations


def _shown(url: URL) -> str:
    return url.render_as_string(hide_password=True)


def _engine(url: URL, password: Path | None, *, migrating: bool = False) -> Engine:
    if url.get_backend_name() == "sqlite":
        return sqlite.engine(url, migrating=migrating)
    made: Engine = _postgres().engine(url, password, migrating=migrating)
    return made


def _postgres() -> ModuleType:
    try:
        from . import postgres  # noqa: PLC0415  its driver is an extra
    except ModuleNotFoundError:
        raise MissingDependency(
            "database: psycopg is not installed; install the extra `postgres`"
        ) from None
    return postgres


def _came_to_nothing(error: DBAPIError) -> bool:
    return error.connection_invalidated or getattr(error.orig, "sqlstate", None) in _TRY_AGAIN


def _check_whole(engine: Engine) -> None:
    # PostgreSQL finds a damaged page where it reads it, if it was made with checksums.
    if engine.dialect.name == "sqlite":
        with engine.begin() as connection:
            sqlite.check_whole(connection)


def _bring_up_to_date(engine: Engine, password: Path | None, step: Step) -> None:
    if again(lambda: _look(engine)):
        return

    def up(connection: Connection) -> None:
        if not _is_up_to_date(connection):  # another process may have been first
            _check_nobody_leads(connection)
            _migrations().upgrade(connection, REVISIONS[-1])

    migrated(engine.url, password, up, step=step)
    step("migrate.after_commit")


def _look(engine: Engine) -> bool:
    with engine.begin() as connection:
        if connection.dialect.name != "sqlite":
            _postgres().check_server(connection)
        return _is_up_to_date(connection)


def _is_up_to_date(connection: Connection) -> bool:
    return _known_revision(connection) == REVISIONS[-1]


def _known_revision(connection: Connection) -> str | None:
    """Return the schema's revision, or None if there is nothing yet."""
    revision = _revision(connection)
    if revision is not None and revision not in REVISIONS:
        raise SchemaMismatch(
            f"the database has schema {revision}, this version of Veilsum knows {REVISIONS[-1]}: "
            "start the newer version, or restore the backup made before the upgrade"
        )
    return revision


def _revision(connection: Connection) -> str | None:
    tables = set(inspect(connection).get_table_names())
    revision: str | None = None
    if "alembic_version" in tables:
        revision = connection.scalar(text("SELECT version_num FROM alembic_version"))
    if revision is None and tables - {"alembic_version"}:
        raise SchemaMismatch(
            f"the database has tables and no schema revision, this version of Veilsum knows "
            f"{REVISIONS[-1]}: give an empty database, or restore a backup"
        )
    return revision
