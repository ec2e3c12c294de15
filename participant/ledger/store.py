"""Where a ledger's rows are: a database that appends, and refuses to change or to forget."""

import shutil
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager
from os import O_CREAT, O_EXCL, O_RDONLY, O_RDWR, close, fsync
from os import open as open_descriptor
from pathlib import Path
from tempfile import TemporaryDirectory

from privacy.errors import ConfigError, InsecureKeyFile, SchemaMismatch, StoreUnavailable
from veilsum.damage import check_log, check_pages
from veilsum.files import disk_errors

SCHEMA_VERSION = 2
_LOCK_TIMEOUT_SECONDS = 30.0
# the insert trigger also stops INSERT OR REPLACE, which deletes without asking a delete trigger
_SCHEMA = (
    """CREATE TABLE row
       (seq INTEGER PRIMARY KEY, body BLOB NOT NULL, signature BLOB NOT NULL) STRICT""",
    """CREATE TRIGGER row_follows BEFORE INSERT ON row
       WHEN NEW.seq IS NOT (SELECT coalesce(max(seq), 0) + 1 FROM row)
       BEGIN SELECT raise(ABORT, 'ledger rows are appended in order'); END""",
    """CREATE TRIGGER row_stays BEFORE UPDATE ON row
       BEGIN SELECT raise(ABORT, 'ledger rows are never changed'); END""",
    """CREATE TRIGGER row_remains BEFORE DELETE ON row
       BEGIN SELECT raise(ABORT, 'ledger rows are never deleted'); END""",
)

Entry = tuple[int, bytes, bytes]
"""A row's number, its canonical bytes, and its signature."""


class LedgerStore:
    """Rows on disk: what is committed is synced, what is not never was.

    Whoever uses it from several threads holds a lock of its own.
    """

    def __init__(self, path: Path, *, writes: bool = True) -> None:
        """Open the database at `path`, or begin one with mode 0600; its folder exists.

        Args:
            writes: whether rows are to be added; if not, the file is neither begun nor changed,
                and it may be on a disk that is read-only, or full.

        Raises:
            ConfigError: the file is damaged.
            InsecureKeyFile: others than the owner may read or write the file.
            SchemaMismatch: another version of Veilsum wrote it.
            StoreUnavailable: the database cannot be used.
        """
        if writes:
            _create_private(path)
        with store_errors(path):
            check_log(path)
            self._database = _connect(path) if writes else _connect_reading(path)
            check_pages(path, self._database)

    def close(self) -> None:
        """Close the database; nothing is pending, ever."""
        self._database.close()

    def begin(self) -> None:
        """Begin a transaction that no other process can be in at the same time."""
        self._database.execute("BEGIN IMMEDIATE")

    def add(self, seq: int, body: bytes, signature: bytes) -> None:
        """Append a row; on disk once `commit` returns."""
        query = "INSERT INTO row (seq, body, signature) VALUES (?, ?, ?)"
        self._database.execute(query, (seq, body, signature))

    def commit(self) -> None:
        """End the transaction; on return its rows are on disk."""
        self._database.execute("COMMIT")

    def abandon(self) -> None:
        """End the transaction as if it had never begun."""
        if self._database.in_transaction:
            self._database.execute("ROLLBACK")

    def entries(self, after: int, until: int = 1 << 60) -> list[Entry]:
        """Return the rows behind number `after` up to number `until`, oldest first."""
        query = "SELECT seq, body, signature FROM row WHERE seq > ? AND seq <= ? ORDER BY seq"
        return self._database.execute(query, (after, until)).fetchall()


@contextmanager
def store_errors(path: Path | None = None) -> Iterator[None]:
    """Turn what the database raises into what a caller can wait for, or somebody must mend."""
    where = "privacy ledger" if path is None else f"{path}: privacy ledger"
    try:
        yield
    except sqlite3.Error as error:
        if _code(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise ConfigError(
                f"{where}: {error}; the file is damaged: keep it, check the disk, and put the "
                "newest whole copy of it back"
            ) from None
        raise StoreUnavailable(f"{where}: {error}") from None


def _code(error: sqlite3.Error) -> int:
    code: int = getattr(error, "sqlite_errorcode", 0)  # none where Python itself raises
    return code & 0xFF


def _create_private(path: Path) -> None:
    """Make an empty file that only its owner can open, or check the one that is there.

    An existing file is never opened here: closing it would drop the locks that SQLite holds
    on it for another connection of this process.
    """
    try:
        close(open_descriptor(path, O_RDWR | O_CREAT | O_EXCL, 0o600))
        _fsync_folder(path.parent)
    except FileExistsError:
        _check_private(path)
    except OSError as error:
        raise StoreUnavailable(f"{path}: {error.strerror}") from None


def _check_private(path: Path) -> None:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError as error:
        raise StoreUnavailable(f"{path}: {error.strerror}") from None
    if mode & 0o077:
        raise InsecureKeyFile(f"{path}: mode {mode:o}, more than 600; chmod it")


def _fsync_folder(folder: Path) -> None:
    descriptor = open_descriptor(folder, O_RDONLY)
    try:
        fsync(descriptor)
    finally:
        close(descriptor)


def _connect(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(
        path, timeout=_LOCK_TIMEOUT_SECONDS, isolation_level=None, check_same_thread=False
    )
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    database.execute("PRAGMA trusted_schema=OFF")
    _prepare(database)
    return database


def _connect_reading(path: Path) -> sqlite3.Connection:
    _check_private(path)
    database = open_to_read(path)
    (version,) = database.execute("PRAGMA user_version").fetchone()
    _check_version(version)
    return database


def open_to_read(path: Path) -> sqlite3.Connection:
    """Open a database that is there; its disk may be read-only or full, and is left alone.

    Raises:
        sqlite3.Error: it is held by another process for long, or damaged.
        StoreUnavailable: there is no room for a copy of it.
    """
    try:
        return _reading(path, "mode=ro")
    except sqlite3.OperationalError as error:
        if _code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise
        return _without_writing(path)


def _reading(path: Path, how: str) -> sqlite3.Connection:
    database = sqlite3.connect(
        f"{path.resolve().as_uri()}?{how}",
        uri=True,
        timeout=_LOCK_TIMEOUT_SECONDS,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        database.execute("PRAGMA trusted_schema=OFF")
        database.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error:
        database.close()
        raise
    return database


def _without_writing(path: Path) -> sqlite3.Connection:
    """Open a database in whose folder there is no room for the file that its readers share.

    What was written last may stand in the file beside it, which can only be read with that
    shared file. So both are copied to where there is room, and from there into memory.
    """
    beside = path.with_name(f"{path.name}-wal")
    if not beside.exists() or not beside.stat().st_size:
        return _reading(path, "immutable=1")
    with TemporaryDirectory(prefix="veilsum-") as folder:
        copy = Path(folder) / path.name
        with disk_errors(copy):
            shutil.copyfile(path, copy)
            shutil.copyfile(beside, copy.with_name(beside.name))
        with closing(_reading(copy, "mode=rw")) as copied:
            database = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
            copied.backup(database)
    return database


def _prepare(database: sqlite3.Connection) -> None:
    database.execute("BEGIN IMMEDIATE")
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if version == 0:
        for statement in _SCHEMA:
            database.execute(statement)
        database.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
    database.execute("COMMIT")
    if version:
        _check_version(version)


def _check_version(version: int) -> None:
    if version != SCHEMA_VERSION:
        raise SchemaMismatch(
            f"ledger schema {version}, this Veilsum reads {SCHEMA_VERSION}: rows that are not "
            "signed cannot be vouched for later; keep the file, begin another ledger, and "
            "record there, with `veilsum budget adjust`, what this one says was spent"
        )
