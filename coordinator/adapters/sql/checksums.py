"""What a row was when it was written: a database's pages may lose a bit, and say nothing.

A digest over a row's values, kept beside them. It names damage and proves nothing: who
changes a row on purpose can change its digest too.
"""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final

from sqlalchemy import RowMapping, Table

from privacy.errors import ConfigError

# The database numbers effects itself, and an upload is marked as complete when it is there.
_LEFT_OUT: Final = ("id", "committed", "checksum")


def with_checksum(table: Table, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row as it is to be written: its values, and what they are."""
    return {**row, "checksum": _checksum(table, row)}


def checked(table: Table, row: RowMapping) -> RowMapping:
    """Return a whole row of the table, if it is as it was written.

    One from before there were checksums has none, and is believed.

    Raises:
        ConfigError: it is not; nothing may go on from it.
    """
    if row["checksum"] is not None and row["checksum"] != _checksum(table, {**row}):
        key = ", ".join(f"{column.name} {row[column.name]}" for column in table.primary_key)
        raise damaged(f"the row of {table.name} with {key}")
    return row


def damaged(where: str) -> ConfigError:
    """Return what is said of a part of the database that is not as it was written."""
    return ConfigError(
        f"the coordinator's database is damaged: {where} is not as it was written; stop the "
        "coordinator, keep the file, check the disk, and restore the newest backup"
    )


def _checksum(table: Table, row: Mapping[str, Any]) -> bytes:
    found = sha256(table.name.encode())
    for column in table.c:
        if column.name not in _LEFT_OUT:
            value = row[column.name]
            body = value if isinstance(value, bytes) else str(value).encode()
            found.update(f" {column.name} {len(body)} ".encode())
            found.update(body)
    return found.digest()
