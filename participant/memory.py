"""What a site must remember over a restart, besides its ledger and its outbox.

How far it has seen its ledger, so that an old copy of it is noticed. Which key it vouched for in
each round, and which cohort it certified or opened, so that it never does so for a second one;
which release of a round it signed, and which it accepted. How far it has seen its peers' ledgers.
SQLite with synchronous=FULL.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from privacy.contribution.products import OpenedSum
from privacy.errors import OpeningRefused, StoreUnavailable
from privacy.failpoints import Step, pass_by
from privacy.growth import LastSeen, SeenOf
from privacy.ledger import Checkpoint
from veilsum.damage import check_log, check_rows, damaged, is_damage, sealing
from veilsum.files import disk_errors

from .ledger.store import open_to_read
from .model.models import Models

_SCHEMA = """
CREATE TABLE IF NOT EXISTS begun (what TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS ledger
    (one INTEGER PRIMARY KEY CHECK (one = 1), size INTEGER NOT NULL, root TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS checkpoints
    (participant TEXT PRIMARY KEY, round INTEGER NOT NULL, out TEXT NOT NULL,
     size INTEGER NOT NULL, root TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS keys
    (public_key TEXT PRIMARY KEY, round INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS certificates
    (round INTEGER PRIMARY KEY, cohort TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS openings
    (round INTEGER PRIMARY KEY, cohort TEXT NOT NULL, sum TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS signed
    (round INTEGER PRIMARY KEY, release TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS sums
    (round INTEGER NOT NULL, model TEXT NOT NULL, product TEXT NOT NULL,
     squared_step TEXT NOT NULL, PRIMARY KEY (round, model));
CREATE TABLE IF NOT EXISTS scores
    (round INTEGER PRIMARY KEY, scores TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS releases
    (round INTEGER PRIMARY KEY, release TEXT NOT NULL, model TEXT NOT NULL);
"""


@dataclass
class Memory:
    """A site's durable memory, in its state folder."""

    folder: Path
    step: Step = pass_by

    def __post_init__(self) -> None:
        path = self.folder / "memory.sqlite"
        with disk_errors(path):
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.touch(mode=0o600)
        with _store_errors(path):
            check_log(path)
            self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=FULL")
            self._database.executescript(_SCHEMA)
            check_rows(path, self._database)

    def has_begun_ledger(self) -> bool:
        """Return whether this site has a ledger, so that it must be found again."""
        return self._run("SELECT 1 FROM begun WHERE what = 'ledger'") is not None

    def begins_ledger(self) -> None:
        """Record that this site has a ledger."""
        self._write("INSERT OR IGNORE INTO begun VALUES ('ledger')")

    def ledger_grew(self, head: Checkpoint) -> None:
        """Record how far this site has seen its ledger; never less far than before."""
        self._write(
            "INSERT INTO ledger VALUES (1, ?, ?) ON CONFLICT (one) DO UPDATE "
            "SET size = excluded.size, root = excluded.root WHERE excluded.size > ledger.size",
            head.size,
            head.root,
        )

    def ledger_seen(self) -> Checkpoint | None:
        """Return how far this site has seen its ledger: one that is shorter is an old copy."""
        row = self._run("SELECT size, root FROM ledger")
        return None if row is None else Checkpoint(int(row[0]), str(row[1]))

    def sees_ledger(self, participant: str, said: LastSeen) -> None:
        """Record how far a site's ledger has come; never less far than before."""
        self._write(
            "INSERT INTO checkpoints VALUES (?, ?, ?, ?, ?) ON CONFLICT (participant) DO UPDATE "
            "SET round = excluded.round, out = excluded.out, size = excluded.size, "
            "root = excluded.root WHERE excluded.size > checkpoints.size",
            *(participant, said.round, said.out, said.ledger.size, said.ledger.root),
        )

    def ledgers_seen(self) -> SeenOf:
        """Return how far each site's ledger had come when it was last seen."""
        rows = self._all("SELECT participant, round, out, size, root FROM checkpoints")
        return {
            name: LastSeen(number, out, Checkpoint(size, root))
            for name, number, out, size, root in rows
        }

    def vouches(self, number: int, public_key: str) -> None:
        """Record, before it is signed, for which round this opener vouches for a cohort key.

        Raises:
            OpeningRefused: it vouched for the same key in another round; a key is for one.
        """
        self._write("INSERT OR IGNORE INTO keys VALUES (?, ?)", public_key, number)
        row = self._run("SELECT round FROM keys WHERE public_key = ?", public_key)
        if row != (number,):
            raise OpeningRefused(
                f"round {number}: the key of round {row[0] if row else '?'} again; its maker must "
                "make another"
            )

    def certifies(self, number: int, cohort: str) -> None:
        """Record, before it is signed, which cohort of a round this site certifies.

        Raises:
            OpeningRefused: it certified, or recorded, another one; of a round there is one
                certificate, and so one sum that opens.
        """
        self._write("INSERT OR IGNORE INTO certificates VALUES (?, ?)", number, cohort)
        if self._run("SELECT cohort FROM certificates WHERE round = ?", number) != (cohort,):
            raise OpeningRefused(
                f"round {number}: another cohort was certified before this one, {cohort[:16]}…; "
                "the coordinator shows two"
            )

    def newest_certified(self) -> int:
        """Return the newest round whose cohort this site has certified; 0 for none."""
        row = self._run("SELECT max(round) FROM certificates")
        return 0 if row is None or row[0] is None else int(row[0])

    def opens(self, number: int, cohort: str, total: str) -> None:
        """Record, before it is opened, which cohort's sum is opened in a round.

        Raises:
            OpeningRefused: another one was opened, or recorded, before; only one
                sum of a round is ever opened.
        """
        self._write("INSERT OR IGNORE INTO openings VALUES (?, ?, ?)", number, cohort, total)
        before = self.opening(number)
        if before != (cohort, total):
            raise OpeningRefused(
                f"round {number}: a sum was opened or recorded before, this is another, of cohort "
                f"{cohort[:16]}…; the coordinator shows two"
            )

    def opening(self, number: int) -> tuple[str, str] | None:
        """Return the digests of the cohort and the sum opened in a round, if one was."""
        row = self._run("SELECT cohort, sum FROM openings WHERE round = ?", number)
        return None if row is None else (str(row[0]), str(row[1]))

    def signs(self, number: int, release: str) -> None:
        """Record, before it is signed, which release of a round this opener signs.

        Raises:
            OpeningRefused: it signed, or recorded, another one.
        """
        self._write("INSERT OR IGNORE INTO signed VALUES (?, ?)", number, release)
        if self._run("SELECT release FROM signed WHERE round = ?", number) != (release,):
            raise OpeningRefused(f"round {number}: another release was signed before")

    def measures(self, number: int, model: str, opened: OpenedSum) -> None:
        """Record what the sum that gave a model has to say about the products that sites state."""
        numbers = str(opened.product), str(opened.squared_step)
        self._write("INSERT OR IGNORE INTO sums VALUES (?, ?, ?, ?)", number, model, *numbers)

    def opened_sum(self, number: int, model: str) -> OpenedSum | None:
        """Return what was recorded of the sum that gave a round's model, if this site opened it."""
        row = self._run(
            "SELECT product, squared_step FROM sums WHERE round = ? AND model = ?", number, model
        )
        return None if row is None else OpenedSum(int(row[0]), int(row[1]))

    def scores(self, number: int, scores: str) -> None:
        """Record, before they are signed, which scores of a round this opener signs.

        Raises:
            OpeningRefused: it signed, or recorded, others.
        """
        self._write("INSERT OR IGNORE INTO scores VALUES (?, ?)", number, scores)
        if self._run("SELECT scores FROM scores WHERE round = ?", number) != (scores,):
            raise OpeningRefused(f"round {number}: other scores were signed before")

    def releases(self, number: int, release: str, model: str) -> None:
        """Record a release that this site has accepted.

        Raises:
            OpeningRefused: it accepted another one for the round.
        """
        self._write("INSERT OR IGNORE INTO releases VALUES (?, ?, ?)", number, release, model)
        row = self._run("SELECT release, model FROM releases WHERE round = ?", number)
        if row != (release, model):
            raise OpeningRefused(f"round {number}: another release was accepted before")

    def newest_release(self) -> tuple[int, str, str] | None:
        """Return the newest accepted release: its round, its digest and its model's."""
        row = self._run("SELECT round, release, model FROM releases ORDER BY round DESC LIMIT 1")
        return None if row is None else (int(row[0]), str(row[1]), str(row[2]))

    def forget_models(
        self, models: Models, first: str, needed: frozenset[str] = frozenset()
    ) -> None:
        """Delete the models that nothing needs any more: all but the first and the newest two.

        Args:
            needed: others that stay.
        """
        rows = self._all("SELECT model FROM releases ORDER BY round DESC LIMIT 2")
        kept = {first, *needed, *(row[0] for row in rows)}
        opened = max((row[0] for row in self._all("SELECT max(round) FROM openings")), default=None)
        released = (self.newest_release() or (0, "", ""))[0]
        if opened is not None and opened > released:
            return  # a sum is open, and its model not agreed on yet
        models.forget_all_but(kept)

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def _all(self, statement: str) -> list[tuple[Any, ...]]:
        with _store_errors():
            return self._database.execute(statement).fetchall()

    def _write(self, statement: str, *values: int | str) -> None:
        self.step("memory.before_write")
        with _store_errors(), sealing(self._database):
            self._run(statement, *values)
        self.step("memory.after_write")

    def _run(self, statement: str, *values: int | str) -> tuple[Any, ...] | None:
        with _store_errors():
            row: tuple[Any, ...] | None = self._database.execute(statement, values).fetchone()
            return row


def recall_ledger(folder: Path) -> tuple[bool, Checkpoint | None]:
    """Return whether a site has begun a ledger, and how far it has seen it; nothing is written.

    Raises:
        StoreUnavailable: the memory is there, and cannot be read.
    """
    path = folder / "memory.sqlite"
    if not path.exists():
        return False, None
    with _store_errors(), closing(open_to_read(path)) as database:
        names = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
        if not {"begun", "ledger"} <= names:
            return False, None
        begun = database.execute("SELECT 1 FROM begun WHERE what = 'ledger'").fetchone()
        seen = database.execute("SELECT size, root FROM ledger").fetchone()
    head = None if seen is None else Checkpoint(int(seen[0]), str(seen[1]))
    return begun is not None or head is not None, head


@contextmanager
def _store_errors(path: Path | None = None) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        if is_damage(error):
            raise damaged(path or Path("memory.sqlite"), str(error)) from None
        raise StoreUnavailable(f"memory of this site: {error}") from None
