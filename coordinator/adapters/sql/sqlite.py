"""All that is SQLite's own: one file, on a disk of this machine, forced to it at each commit.

What was acknowledged must outlive a power cut, so the write-ahead log is synced before a
commit returns. That holds where the file system keeps its word: one that is mounted over a
network does not, and is refused.
"""

import os
from pathlib import Path
from sqlite3 import SQLITE_CORRUPT, SQLITE_NOTADB
from sqlite3 import Connection as SqliteConnection
from typing import Final, NamedTuple

from sqlalchemy import URL, Connection, Engine, create_engine, event

from coordinator.adapters.objects.files import make_folder
from privacy.errors import ConfigError, StoreUnavailable
from veilsum.damage import check_log

from .checksums import damaged

WRITES: Final = "veilsum_writes"
"""The execution option of an engine whose transactions take the right to write at once."""

DAMAGED: Final = (SQLITE_CORRUPT, SQLITE_NOTADB)
"""What SQLite says of pages that do not fit together; time does not mend them."""

_BUSY_SECONDS: Final = 10.0
_MOUNTS: Final = Path("/proc/self/mountinfo")
_REMOTE: Final = frozenset(
    ("9p", "afs", "beegfs", "ceph", "cifs", "gpfs", "lustre", "nfs", "nfs4", "smb3", "smbfs")
)


def check(url: URL) -> URL:
    """Return `url` if it names a file.

    Raises:
        ConfigError: it names memory, or a driver that keeps other promises.
    """
    if url.drivername not in ("sqlite", "sqlite+pysqlite"):
        raise ConfigError(f"database: {url.drivername}:// is not known; write sqlite:////path")
    if url.database in (None, "", ":memory:") or url.query:
        raise ConfigError(
            "database: one in memory keeps nothing, and a file takes no options: give "
            "sqlite:////path"
        )
    return url


def make_file(url: URL, *, mounts: Path = _MOUNTS) -> None:
    """Make the database's file and its folder, their owner's alone.

    Raises:
        ConfigError: the file is on a network, or on a disk that is mounted to forget.
        StoreUnavailable: the disk refuses.
    """
    path = Path(str(url.database)).absolute()
    try:
        make_folder(path.parent, set())
        _check_mount(path, _mount(path.parent.resolve(), mounts))
        # its log and index take the same mode from it
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        os.fchmod(handle, 0o600)
        os.close(handle)
        check_log(path)
    except OSError as error:
        raise StoreUnavailable(
            f"{path}: {error.strerror}; let this process write there, or free space"
        ) from error


def engine(url: URL, *, migrating: bool = False) -> Engine:
    """Return an engine for the file; one that migrates leaves references unchecked till the end."""
    made = create_engine(url, hide_parameters=True, connect_args={"timeout": _BUSY_SECONDS})
    event.listen(made, "connect", _set_up_without_references if migrating else _set_up)
    event.listen(made, "begin", _begin)
    return made


def check_whole(connection: Connection) -> None:
    """Return if the pages of the file fit together, tables with their indexes.

    What rows say is not looked at here; they have checksums of their own.

    Raises:
        ConfigError: they do not.
    """
    found = str(connection.exec_driver_sql("PRAGMA integrity_check(1)").scalar())
    if found != "ok":
        raise damaged(f"its file ({found.splitlines()[0]})")


def check_references(connection: Connection) -> None:
    """Return if every row that rows refer to is there.

    Raises:
        StoreUnavailable: one is not.
    """
    lost = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
    if lost is not None:
        raise StoreUnavailable(
            f"rows of {lost[0]} refer to rows of {lost[2]} that are not there; the schema was "
            "not changed; restore a backup"
        )


class _Mount(NamedTuple):
    point: str
    kind: str
    options: str


def _check_mount(path: Path, mount: _Mount | None) -> None:
    if mount is None:
        return  # no list of mounts: not Linux's usual view, and nothing to go by
    if mount.kind in _REMOTE or mount.kind.partition(".")[0] == "fuse":
        raise ConfigError(
            f"database: {path} is on {mount.kind}, mounted at {mount.point}, where SQLite can "
            "neither lock nor be sure of a commit; name a folder on a disk of this machine, or a "
            "PostgreSQL: postgresql://user@host/name"
        )
    if "volatile" in mount.options.split(","):
        raise ConfigError(
            f"database: {path} is on {mount.kind}, mounted volatile at {mount.point}, so nothing "
            "is ever forced to a disk; name a folder that is"
        )


def _mount(folder: Path, mounts: Path) -> _Mount | None:
    """Return the mount that holds `folder`: the deepest, and of several there the last."""
    try:
        rows = mounts.read_text().splitlines()
    except OSError:
        return None
    holding = [each for each in map(_parse, rows) if folder.is_relative_to(each.point)]
    return max(reversed(holding), key=lambda each: len(each.point), default=None)


def _parse(row: str) -> _Mount:
    # Source: proc_pid_mountinfo(5); optional fields end at a hyphen that stands alone.
    place, _, device = row.partition(" - ")
    kind, _, options = device.split(" ", 2)
    point = place.split(" ")[4].encode().decode("unicode_escape").encode("latin-1").decode()
    return _Mount(point, kind, options)


def _set_up(connection: SqliteConnection, _: object) -> None:
    connection.isolation_level = None  # transactions begin where we say so, see below
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _set_up_without_references(connection: SqliteConnection, _: object) -> None:
    _set_up(connection, _)
    connection.execute("PRAGMA foreign_keys=OFF")


def _begin(connection: Connection) -> None:
    # A writer that begins as a reader may find, too late to wait, that another was first.
    writes = connection.get_execution_options().get(WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
