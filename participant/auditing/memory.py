"""What an auditor must remember over a restart: the one sum of each round that it has signed.

And how far it has seen the sites' privacy ledgers, so that an old copy of one is noticed.

SQLite with synchronous=FULL, mode 0600.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from privacy.errors import OpeningRefused, StoreUnavailable
from privacy.growth import LastSeen, SeenOf, seen_in
from privacy.ledger import Checkpoint
from privacy.records import Header
from veilsum.damage import check_log, check_rows, damaged, is_damage, sealing
from veilsum.files import disk_errors

_SCHEMA = """
CREATE TABLE IF NOT EXISTS countersigned
    (round INTEGER PRIMARY KEY, cohort TEXT NOT NULL, sum TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS checkpoints
    (participant TEXT PRIMARY KEY, round INTEGER NOT NULL, out TEXT NOT NULL,
     size INTEGER NOT NULL, root TEXT NOT NULL);
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
        with _store_errors(path):
            check_log(path)
            self._database = sqlite3.connect(path, isolation_level=None)
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=FULL")
            self._database.executescript(_SCHEMA)
            check_rows(path, self._database)

    def countersigns(self, number: int, cohort: str, total: str) -> None:
        """Record, before it is signed, which sum of a round this auditor signs.

        Raises:
            OpeningRefused: it signed, or recorded, another one; of a round one sum is signed.
        """
        with _store_errors(), sealing(self._database):
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

    def sees_ledgers(self, headers: Iterable[Header]) -> None:
        """Record how far sites' privacy ledgers have come; never less far than before."""
        with _store_errors(), sealing(self._database):
            self._database.executemany(
                "INSERT INTO checkpoints VALUES (?, ?, ?, ?, ?) ON CONFLICT (participant) "
                "DO UPDATE SET round = excluded.round, out = excluded.out, size = excluded.size, "
                "root = excluded.root WHERE excluded.size > checkpoints.size",
                [(each.participant, *_columns(seen_in(each))) for each in headers],
            )

    def ledgers_seen(self) -> SeenOf:
        """Return how far each site's privacy ledger had come when it was last seen."""
        with _store_errors():
            rows = self._database.execute(
                "SELECT participant, round, out, size, root FROM checkpoints"
            ).fetchall()
        return {
            name: LastSeen(number, out, Checkpoint(size, root))
            for name, number, out, size, root in rows
        }

    def close(self) -> None:
        """Close the database."""
        self._database.close()


def _columns(said: LastSeen) -> tuple[int, str, int, str]:
    return said.round, said.out, said.ledger.size, said.ledger.root


@contextmanager
def _store_errors(path: Path | None = None) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        if is_damage(error):
            raise damaged(path or Path("audits.sqlite"), str(error)) from None
        raise StoreUnavailable(f"memory of this auditor: {error}") from None
