"""Every row of a coordinator's database, read at one moment, and put into an empty one.

Whichever databases the two are: rows travel as values, and what a database numbers by itself it
numbers anew, in the same order. Who leads is not copied: a lease is of the database it is in.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Engine, Table, insert, inspect, literal, select

from privacy.errors import ConfigError

from .checksums import checked
from .database import door, reader, transaction, writer
from .schema import leases, metadata

Row = Mapping[str, Any]

BATCH: Final = 500
"""Rows in memory at once."""

_TABLES: Final = {table.name: table for table in metadata.sorted_tables if table is not leases}


def read_rows(engine: Engine) -> Iterator[tuple[str, list[Row]]]:
    """Yield the rows of every table as of one moment, some at a time; who writes is not stopped.

    Raises:
        ConfigError: a row is not as it was written; the database is damaged.
    """
    with door(engine.url), transaction(reader(engine)) as connection:
        for name, table in _TABLES.items():
            ordered = select(table).order_by(*table.primary_key.columns)
            found = connection.execution_options(yield_per=BATCH).execute(ordered)
            for rows in found.mappings().partitions():
                yield name, [_plain(table, row) for row in rows]


def write_rows(engine: Engine, parts: Iterator[tuple[str, Sequence[Row]]]) -> None:
    """Put rows into an empty database: all of them, or none.

    Raises:
        ConfigError: it is not empty, or a table's name is not ours.
    """
    with door(engine.url), transaction(writer(engine)) as connection:
        _check_empty(connection)
        for name, rows in parts:
            if name not in _TABLES:
                raise ConfigError(f"a table {name[:40]!r} that this version does not know")
            if rows:
                connection.execute(insert(_TABLES[name]), [dict(row) for row in rows])


def check_empty(engine: Engine) -> None:
    """Return if no table of the database has a row.

    Raises:
        ConfigError: one has; nothing is written over.
    """
    with door(engine.url), transaction(reader(engine)) as connection:
        _check_empty(connection)


def _check_empty(connection: Connection) -> None:
    there = {*inspect(connection).get_table_names()}  # an older schema has not all of them
    for name, table in _TABLES.items():
        any_row = select(literal(1)).select_from(table).limit(1)
        if name in there and connection.execute(any_row).first() is not None:
            raise ConfigError(
                f"database: it has rows of {name}; restore into an empty one, and keep this one "
                "until all is well"
            )


def _plain(table: Table, row: Any) -> Row:  # noqa: ANN401
    if "checksum" in row:
        checked(table, row)
    return {name: value for name, value in row.items() if not _is_numbered(table, name)}


def _is_numbered(table: Table, name: str) -> bool:
    return name == "id" and table.c[name].autoincrement is not False
