"""Opening the coordinator's database: durable, private to its owner, at the right revision.

SQLite by default, with a write-ahead log that is forced to the disk at each
commit, because what was acknowledged must outlive a power cut. All that is
SQLite's own stands here.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from sqlite3 import Connection as SqliteConnection
from typing import Final

from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from privacy.errors import ConfigError, MissingDependency, SchemaMismatch, StoreUnavailable

from .objects import make_folder
from .schema import REVISIONS, metadata

_BUSY_SECONDS: Final = 10.0
_WRITES: Final = "veilsum_writes"


def open_database(url: str) -> Engine:
    """Return an engine for the database at `url`, made or brought up to date if need be.

    Raises:
        ConfigError: the URL names no database that can be shared and kept.
        MissingDependency: the database's driver is not installed.
        SchemaMismatch: the database was written by a newer Veilsum, or not by Veilsum.
        StoreUnavailable: the database does not answer.
    """
    parsed = _parse(url)
    if parsed.get_backend_name() == "sqlite":
        _make_file(parsed)
    engine = _engine(parsed)
    try:
        with door(parsed):
            _bring_up_to_date(engine)
    except BaseException:
        engine.dispose()
        raise
    return engine


def writer(engine: Engine) -> Engine:
    """Return the same engine, whose transactions take the right to write when they begin."""
    return engine.execution_options(**{_WRITES: True})


@contextmanager
def migrating(url: URL) -> Iterator[Connection]:
    """Begin the one transaction of a migration: whole, or as if it had never begun.

    SQLite changes a column by making its table anew, so references are checked
    when all is done and not before.

    Raises:
        StoreUnavailable: rows would refer to rows that are not there.
    """
    engine = _engine(url, references=False)
    try:
        with writer(engine).begin() as connection:
            yield connection
            _check_references(connection)
    finally:
        engine.dispose()


@contextmanager
def door(url: URL) -> Iterator[None]:
    """Turn what the database raises into `StoreUnavailable`, without statement or values."""
    try:
        yield
    except SQLAlchemyError as error:
        cause = str(getattr(error, "orig", None) or type(error).__name__).partition("\n")[0]
        raise StoreUnavailable(
            f"{url.render_as_string(hide_password=True)}: {cause}; check its disk, its space and "
            "who may write there; nothing was saved, and it is retried"
        ) from error


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise ConfigError("the database's URL is not of the form sqlite:///path") from None
    if parsed.get_backend_name() == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise ConfigError("a database in memory keeps nothing: give sqlite:///path")
    return parsed


def _make_file(url: URL) -> None:
    path = Path(str(url.database)).absolute()
    try:
        make_folder(path.parent, set())
        # its log and index take the same mode from it
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        os.fchmod(handle, 0o600)
        os.close(handle)
    except OSError as error:
        raise StoreUnavailable(
            f"{path}: {error.strerror}; let this process write there, or free space"
        ) from error


def _engine(url: URL, *, references: bool = True) -> Engine:
    if url.get_backend_name() != "sqlite":
        return _create(url, {"isolation_level": "SERIALIZABLE"})
    engine = _create(url, {"connect_args": {"timeout": _BUSY_SECONDS}})
    event.listen(engine, "connect", _set_up if references else _set_up_without_references)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _create(url: URL, options: Mapping[str, object]) -> Engine:
    try:
        return create_engine(url, hide_parameters=True, **options)
    except ModuleNotFoundError as error:
        raise MissingDependency(
            f"the driver of {url.drivername} is not installed: pip install {error.name}"
        ) from None
    except NoSuchModuleError:
        raise ConfigError(f"no database is called {url.drivername!r}") from None


def _set_up(connection: SqliteConnection, _: object) -> None:
    connection.isolation_level = None  # transactions begin where we say so, see below
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _set_up_without_references(connection: SqliteConnection, _: object) -> None:
    _set_up(connection, _)
    connection.execute("PRAGMA foreign_keys=OFF")


def _begin_sqlite(connection: Connection) -> None:
    # A writer that begins as a reader may find, too late to wait, that another was first.
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _bring_up_to_date(engine: Engine) -> None:
    with engine.begin() as connection:
        if _is_up_to_date(connection):
            return
    from . import migrations  # noqa: PLC0415  it takes longer to import than all else to start

    with migrating(engine.url) as connection:
        if not _is_up_to_date(connection):  # another process may have been first
            migrations.upgrade(connection, REVISIONS[-1])


def _check_references(connection: Connection) -> None:
    if connection.dialect.name != "sqlite":
        return  # others have checked each statement
    lost = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
    if lost is not None:
        raise StoreUnavailable(
            f"rows of {lost[0]} refer to rows of {lost[2]} that are not there; the schema was "
            "not changed; restore a backup"
        )


def _is_up_to_date(connection: Connection) -> bool:
    revision = _revision(connection)
    if revision is not None and revision not in REVISIONS:
        raise SchemaMismatch(
            f"the database has schema {revision}, this version of Veilsum knows {REVISIONS[-1]}: "
            "start the newer version, or restore the backup made before the upgrade"
        )
    return revision == REVISIONS[-1]


def _revision(connection: Connection) -> str | None:
    tables = inspect(connection).get_table_names()
    revision: str | None = None
    if "alembic_version" in tables:
        revision = connection.scalar(text("SELECT version_num FROM alembic_version"))
    if revision is None and not metadata.tables.keys().isdisjoint(tables):
        raise SchemaMismatch(
            f"the database has tables and no schema revision, this version of Veilsum knows "
            f"{REVISIONS[-1]}: give an empty database, or restore a backup"
        )
    return revision
