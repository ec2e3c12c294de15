"""What an auditor must remember over a restart: the one sum of each round that it has signed.

SQLite with synchronous=FULL, mode 0600.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from privacy.errors import OpeningRefused, StoreUnavailable
from veilsum.files import disk_errors

_SCHEMA = """
CREATE TABLE IF NOT EXISTS countersigned
    (round INTEGER PRIMARY KEY, cohort TEXT NOT NULL, sum TEXT NOT NULL);
"""


@dataclass
class AuditMemory:
    """An auditor's durable memory, in its state folder."""

    folder: Path

    def __post_init__(self) -> None:
        path = self.folder / "audits.sqlite"
        with disk_errors(path):
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.touch(mode=0o600)
        with _store_errors():
            self._database = sqlite3.connect(path, isolation_level=None)
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=FULL")
            self._database.executescript(_SCHEMA)

    def countersigns(self, number: int, cohort: str, total: str) -> None:
        """Record, before it is signed, which sum of a round this auditor signs.

        Raises:
            OpeningRefused: it signed, or recorded, another one; of a round one sum is signed.
        """
        with _store_errors():
            self._database.execute(
                "INSERT OR IGNORE INTO countersigned VALUES (?, ?, ?)", (number, cohort, total)
            )
        if self.countersigned(number) != (cohort, total):
            raise OpeningRefused(
                f"round {number}: another sum was signed or recorded before than that of cohort "
                f"{cohort[:16]}…; the coordinator shows two"
            )

    def countersigned(self, number: int) -> tuple[str, str] | None:
        """Return the digests of the cohort and the sum signed in a round, if one was."""
        with _store_errors():
            row = self._database.execute(
                "SELECT cohort, sum FROM countersigned WHERE round = ?", (number,)
            ).fetchone()
        return None if row is None else (str(row[0]), str(row[1]))

    def close(self) -> None:
        """Close the database."""
        self._database.close()


@contextmanager
def _store_errors() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise StoreUnavailable(f"memory of this auditor: {error}") from None
