"""What a seat must remember over a restart: all that it has signed, and sends again as it is.

Of each round one verdict, one cohort, one statement of its sums and one of its scores, each
recorded before it leaves; of which rounds the scores have arrived, what it has pledged for its
sums, how often its shares have left it for a question, and how far it has seen the sites' privacy
ledgers. SQLite with synchronous=FULL, mode 0600. Nothing here opens anything, and nothing is ever
forgotten: a seat that forgot could sign a second cohort.
"""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from privacy.documents import Signed, pack, unpack
from privacy.errors import ConfigError, OpeningRefused, StoreUnavailable
from privacy.failpoints import Step, pass_by
from privacy.growth import LastSeen
from privacy.identifiers import Digest
from privacy.ledger import Checkpoint
from veilsum.damage import check_log, check_rows, is_damage, sealing
from veilsum.files import disk_errors

MOST_SESSIONS: Final = 3
"""How often a seat's shares leave it for one question: twice more, if a seat or a line fails.

Who shifts its own share chooses what an answer tells, so each session is one bit more.
"""

MOST_UNPLEDGED: Final = 100
"""Of how many newest rounds pledges are made later: older ones have matured on any chain."""

MOST_UNSENT: Final = 100
"""Of how many newest rounds scores are handed in later: of older ones nobody waits for any."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS verdicts (round INTEGER PRIMARY KEY, document BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS certified (round INTEGER PRIMARY KEY, cohort TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS sums (round INTEGER PRIMARY KEY, document BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS pledges (round INTEGER PRIMARY KEY, document BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS scores (round INTEGER PRIMARY KEY, document BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS handed (round INTEGER PRIMARY KEY);
CREATE TABLE IF NOT EXISTS checkpoints
    (participant TEXT PRIMARY KEY, round INTEGER NOT NULL, out TEXT NOT NULL,
     size INTEGER NOT NULL, root TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS shown
    (round INTEGER, component INTEGER, chunk INTEGER NOT NULL, leaf INTEGER NOT NULL,
     PRIMARY KEY (round, component));
CREATE TABLE IF NOT EXISTS sessions
    (round INTEGER, stage TEXT, context TEXT NOT NULL, count INTEGER NOT NULL,
     PRIMARY KEY (round, stage));
"""


@dataclass
class SeatMemory:
    """A seat's durable memory, in its state folder.

    Raises, wherever it is used:
        ConfigError: its file is damaged. StoreUnavailable: the disk refuses.
    """

    folder: Path
    step: Step = pass_by

    def __post_init__(self) -> None:
        self._path = path = self.folder / "seat.sqlite"
        self._lock = threading.Lock()
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

    def sees_ledger(self, participant: str, said: LastSeen) -> None:
        """Record how far a site's privacy ledger has come; never less far than before."""
        self._write(
            "INSERT INTO checkpoints VALUES (?, ?, ?, ?, ?) ON CONFLICT (participant) DO UPDATE "
            "SET round = excluded.round, out = excluded.out, size = excluded.size, "
            "root = excluded.root WHERE excluded.size > checkpoints.size",
            *(participant, said.round, said.out, said.ledger.size, said.ledger.root),
        )

    def ledger_seen(self, participant: str) -> LastSeen | None:
        """Return how far a site's privacy ledger had come when this seat last saw it."""
        query = "SELECT round, out, size, root FROM checkpoints WHERE participant = ?"
        row = self._run(query, participant)
        return None if row is None else LastSeen(row[0], row[1], Checkpoint(row[2], row[3]))

    def judges(self, number: int, verdict: Signed) -> Signed:
        """Record a verdict before it is sent; return the one of this round that counts.

        It is the first: a second one, after a restart, could refuse other contributions.
        """
        self._write("INSERT OR IGNORE INTO verdicts VALUES (?, ?)", number, pack(verdict))
        return self._document("SELECT document FROM verdicts WHERE round = ?", number) or verdict

    def verdict(self, number: int) -> Signed | None:
        """Return this seat's verdict of a round, if it has one."""
        return self._document("SELECT document FROM verdicts WHERE round = ?", number)

    def certifies(self, number: int, cohort: Digest) -> None:
        """Record, before it is signed or summed, which cohort of a round this seat stands for.

        Raises:
            OpeningRefused: it stood for another one; of a round one cohort is summed, ever.
        """
        self._write("INSERT OR IGNORE INTO certified VALUES (?, ?)", number, cohort)
        if self.certified(number) != cohort:
            raise OpeningRefused(
                f"round {number}: another cohort was certified or summed before than "
                f"{cohort[:16]}…; the coordinator shows two"
            )

    def certified(self, number: int) -> Digest | None:
        """Return the digest of the cohort that this seat stands for in a round, if one is."""
        row = self._run("SELECT cohort FROM certified WHERE round = ?", number)
        return None if row is None else str(row[0])

    def newest(self) -> int:
        """Return the newest round in which this seat stands for a cohort; 0 if in none."""
        row = self._run("SELECT max(round) FROM certified")
        return 0 if row is None or row[0] is None else int(row[0])

    def states(self, number: int, statement: Signed) -> Signed:
        """Record a statement of sums before it is sent; return the one of this round."""
        self._write("INSERT OR IGNORE INTO sums VALUES (?, ?)", number, pack(statement))
        return self._document("SELECT document FROM sums WHERE round = ?", number) or statement

    def statement(self, number: int) -> Signed | None:
        """Return what this seat states as the sums of a round, if it has."""
        return self._document("SELECT document FROM sums WHERE round = ?", number)

    def pledged(self, number: int, pledge: Signed) -> None:
        """Record a pledge that the coordinator has taken; it is not made again."""
        self._write("INSERT OR IGNORE INTO pledges VALUES (?, ?)", number, pack(pledge))

    def pledge(self, number: int) -> Signed | None:
        """Return what this seat has pledged for the sums of a round, if that was taken."""
        return self._document("SELECT document FROM pledges WHERE round = ?", number)

    def unpledged(self) -> tuple[int, ...]:
        """Return rounds of which sums are stated and nothing is pledged yet, the newest first."""
        with self._lock, _store_errors(self._path):
            rows = self._database.execute(
                "SELECT round FROM sums WHERE round NOT IN (SELECT round FROM pledges) "
                "ORDER BY round DESC LIMIT ?",
                (MOST_UNPLEDGED,),
            ).fetchall()
        return tuple(int(row[0]) for row in rows)

    def scores(self, number: int, scores: Signed) -> Signed:
        """Record scores before they are sent; return those of this round that count."""
        self._write("INSERT OR IGNORE INTO scores VALUES (?, ?)", number, pack(scores))
        return self._document("SELECT document FROM scores WHERE round = ?", number) or scores

    def scored(self, number: int) -> Signed | None:
        """Return the scores of a round that this seat has signed, if it has."""
        return self._document("SELECT document FROM scores WHERE round = ?", number)

    def handed(self, number: int) -> None:
        """Record that the coordinator has taken the scores of a round: they are not sent again."""
        self._write("INSERT OR IGNORE INTO handed VALUES (?)", number)

    def unsent(self) -> frozenset[int]:
        """Return the newest rounds whose scores are signed, and may not have arrived."""
        with self._lock, _store_errors(self._path):
            rows = self._database.execute(
                "SELECT round FROM scores WHERE round NOT IN (SELECT round FROM handed) "
                "ORDER BY round DESC LIMIT ?",
                (MOST_UNSENT,),
            ).fetchall()
        return frozenset(int(row[0]) for row in rows)

    def shows(self, number: int, component: int, chunk: int, leaf: int) -> None:
        """Record, before it is shown, which leaf of a component of a round an auditor sees.

        Raises:
            OpeningRefused: it was another one; of a component one leaf is shown, ever.
        """
        self._write(
            "INSERT OR IGNORE INTO shown VALUES (?, ?, ?, ?)", number, component, chunk, leaf
        )
        row = self._run(
            "SELECT chunk, leaf FROM shown WHERE round = ? AND component = ?", number, component
        )
        if row != (chunk, leaf):
            raise OpeningRefused(
                f"round {number}: another leaf of component {component} was shown before; an "
                "auditor needs one"
            )

    def asks(self, number: int, stage: str, context: Digest) -> None:
        """Record, before a share leaves, that a session of three seats asks; from any thread.

        Args:
            context: digest of the candidates, or of the cohort, that is asked about.

        Raises:
            OpeningRefused: others were asked about in this round and stage, or these as often
                as they may be. Another answer would tell more of the same updates.
        """
        counted = self._write(
            "INSERT INTO sessions VALUES (?, ?, ?, 1) ON CONFLICT DO UPDATE SET count = count + 1 "
            "WHERE context = excluded.context AND count < ? RETURNING count",
            *(number, stage, context, MOST_SESSIONS),
        )
        if counted is None:
            asked = self._run(
                "SELECT context FROM sessions WHERE round = ? AND stage = ?", number, stage
            )
            raise OpeningRefused(
                f"round {number}: {stage} were asked {MOST_SESSIONS} times, and no more"
                if asked == (context,)
                else f"round {number}: {stage} were asked of others than {context[:16]}…; the "
                "coordinator shows two"
            )

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def _document(self, statement: str, number: int) -> Signed | None:
        row = self._run(statement, number)
        return None if row is None else unpack(bytes(row[0]))

    def _write(self, statement: str, *values: int | str | bytes) -> tuple[Any, ...] | None:
        self.step("seat_memory.before_write")
        with self._lock, _store_errors(self._path), sealing(self._database):
            row = self._fetch(statement, *values)
        self.step("seat_memory.after_write")
        return row

    def _run(self, statement: str, *values: int | str | bytes) -> tuple[Any, ...] | None:
        with self._lock, _store_errors(self._path):
            return self._fetch(statement, *values)

    def _fetch(self, statement: str, *values: int | str | bytes) -> tuple[Any, ...] | None:
        row: tuple[Any, ...] | None = self._database.execute(statement, values).fetchone()
        return row


@contextmanager
def _store_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        if is_damage(error):
            # Time does not mend it, and with an empty one this seat could sign a second cohort.
            raise ConfigError(
                f"{path} is damaged ({error}): restore it, or admit new keys for this seat"
            ) from None
        raise StoreUnavailable(f"{path}, the memory of this seat: {error}") from None
