"""Whether a disk has changed what SQLite had kept there: SQLite itself may say nothing of it.

Its pages have no checksums. So a small database keeps a digest of all its rows, written with
each of them, and whoever opens it compares.

Its write-ahead log has checksums. A reader of it stops at the first frame whose checksum is
wrong, since a power cut leaves such an end. But an end has nothing behind it: where whole
transactions follow, each forced to the disk after the one before it, the disk has changed what
it had kept. Without a check those transactions would be gone as if they had never been.

Source: SQLite, "Database File Format", 4 (the write-ahead log).
"""

import sqlite3
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Final

from privacy.errors import ConfigError

from .files import disk_errors

_WHOLE: Final = """
CREATE TABLE whole (one INTEGER PRIMARY KEY CHECK (one = 1), digest BLOB NOT NULL)
"""

_HEADER: Final = struct.Struct(">8I")
_FRAME: Final = struct.Struct(">6I")
_MAGIC: Final = 0x377F0682
"""Its last bit is set where checksums read words as big-endian."""

_LOW: Final = 0xFFFFFFFF

# Read twice the same: nobody wrote between the first byte and the last.
_SETTLING_SECONDS: Final = 0.05


@dataclass(frozen=True)
class _Frame:
    """One page as the log has it, with what vouches for it."""

    commits: bool
    salt: tuple[int, int]
    said: tuple[int, int]
    covered: bytes


def check_log(database: Path) -> None:
    """Return if the log beside a database is whole up to its end; others may be writing to it.

    Raises:
        ConfigError: it is not; what it holds would be forgotten.
        StoreUnavailable: it cannot be read.
    """
    path = database.with_name(f"{database.name}-wal")
    body = _read(path)
    while not is_whole(body):
        time.sleep(_SETTLING_SECONDS)
        before, body = body, _read(path)
        if body == before:
            raise damaged(path, "what was written last would be forgotten")


def check_pages(path: Path, database: sqlite3.Connection) -> None:
    """Return if the pages fit together; what rows say is not looked at.

    Raises:
        ConfigError: they do not.
        sqlite3.Error: it cannot be read.
    """
    (found,) = database.execute("PRAGMA integrity_check(1)").fetchone()
    if found != "ok":
        raise damaged(path, str(found).splitlines()[0])


def check_rows(path: Path, database: sqlite3.Connection) -> None:
    """Return if all rows are those that were written; seal those of an older version.

    Raises:
        ConfigError: they are not.
        sqlite3.Error: it cannot be read.
    """
    check_pages(path, database)
    with _transaction(database):
        known = database.execute("SELECT 1 FROM sqlite_master WHERE name = 'whole'").fetchone()
        if known is None:
            database.execute(_WHOLE)
            _seal(database)
        (sealed,) = database.execute("SELECT digest FROM whole").fetchone() or (b"",)
        if sealed != _digest(database):
            raise damaged(path, "its rows are not those that were written")


@contextmanager
def sealing(database: sqlite3.Connection) -> Iterator[None]:
    """Make one transaction of what is written, and of the digest of all rows after it."""
    with _transaction(database):
        yield
        _seal(database)


def is_damage(error: sqlite3.Error) -> bool:
    """Return whether SQLite means by an error that a file is damaged; time does not mend that."""
    code: int = getattr(error, "sqlite_errorcode", 0)  # none where Python itself raises
    return code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def damaged(path: Path, how: str) -> ConfigError:
    """Return what is said of a file that is not as it was written."""
    return ConfigError(
        f"{path}: the file is damaged: {how}; keep it and the files beside it, check the disk, "
        "and put the newest whole copy back"
    )


@contextmanager
def _transaction(database: sqlite3.Connection) -> Iterator[None]:
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise


def _seal(database: sqlite3.Connection) -> None:
    database.execute("INSERT OR REPLACE INTO whole VALUES (1, ?)", (_digest(database),))


def _digest(database: sqlite3.Connection) -> bytes:
    """Return the digest of every row of every table but its own, in an order of their own."""
    found = sha256()
    query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name != 'whole' ORDER BY name"
    for (table,) in database.execute(query).fetchall():
        query = f'SELECT * FROM "{table}"'  # noqa: S608  one of the database's own names
        rows = sorted(map(repr, database.execute(query)))
        found.update(repr((table, rows)).encode())
    return found.digest()


def is_whole(log: bytes) -> bool:
    """Return whether a log has no whole transaction behind a damaged one."""
    if len(log) <= _HEADER.size:
        return True
    magic, _, page, _, salt, other, *said = _HEADER.unpack_from(log)
    order = ">" if magic & 1 else "<"
    if magic | 1 != _MAGIC | 1 or _sum(log[:24], (0, 0), order) != (said[0], said[1]):
        return False  # it is forced to the disk before any frame is written
    frames = list(_frames(log, page))
    before, reached = (said[0], said[1]), 0
    for frame in frames:
        if frame.salt != (salt, other) or _sum(frame.covered, before, order) != frame.said:
            break
        before, reached = frame.said, reached + 1
    return not _goes_on(frames[reached:], (salt, other), order)


def _read(path: Path) -> bytes:
    with disk_errors(path):
        return path.read_bytes() if path.exists() else b""


def _goes_on(rest: list[_Frame], salt: tuple[int, int], order: str) -> bool:
    """Return whether a transaction ends behind the one that is damaged: it was kept, once.

    What a frame vouches for begins with what the frame before it says, damaged or not.
    """
    ends = 0
    for before, frame in pairwise(rest):
        whole = frame.salt == salt and _sum(frame.covered, before.said, order) == frame.said
        ends += before.commits and before.salt == salt
        if whole and ends:
            return True
    return False


def _frames(log: bytes, page: int) -> Iterator[_Frame]:
    size = _FRAME.size + page
    for start in range(_HEADER.size, len(log) - size + 1, size):
        _, pages, salt, other, *said = _FRAME.unpack_from(log, start)
        covered = log[start : start + 8] + log[start + _FRAME.size : start + size]
        yield _Frame(pages != 0, (salt, other), (said[0], said[1]), covered)


def _sum(body: bytes, before: tuple[int, int], order: str) -> tuple[int, int]:
    first, second = before
    for even, odd in struct.iter_unpack(f"{order}2I", body):
        first = (first + even + second) & _LOW
        second = (second + odd + first) & _LOW
    return first, second
