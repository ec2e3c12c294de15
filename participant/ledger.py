"""The site's privacy ledger on disk: what may be spent, what is, and proof of both.

Each method that writes is one transaction under an exclusive lock, on disk (fsync) before it
returns. So a commit that has returned survives a kill, and a reservation that has returned
counts against the budget until it is committed or retired, whoever restarts.
"""

import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from os import O_CREAT, O_EXCL, O_RDONLY, O_RDWR, close, fsync
from os import open as open_descriptor
from pathlib import Path
from threading import Lock
from typing import Any

import rfc8785

from privacy import canonical
from privacy.accounting import ACCOUNTANT
from privacy.budget import Budget, Spend, SpendLimits, spend_of
from privacy.errors import (
    ConflictingContribution,
    IllegalEvent,
    InsecureKeyFile,
    RootMismatch,
    SchemaMismatch,
    StoreUnavailable,
    VeilsumError,
)
from privacy.events import DpEvent, check_depth, to_json
from privacy.identifiers import sha256_hex
from privacy.ledger import (
    Dataset,
    LedgerState,
    Reservation,
    Row,
    RowType,
    check_cost,
    cumulative,
    divergence_of,
    follow,
)

_SCHEMA_VERSION = 1
_LOCK_TIMEOUT_SECONDS = 30.0
# the insert trigger also stops INSERT OR REPLACE, which deletes without asking a delete trigger
_SCHEMA = (
    "CREATE TABLE row (seq INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT",
    """CREATE TRIGGER row_follows BEFORE INSERT ON row
       WHEN NEW.seq IS NOT (SELECT coalesce(max(seq), 0) + 1 FROM row)
       BEGIN SELECT raise(ABORT, 'ledger rows are appended in order'); END""",
    """CREATE TRIGGER row_stays BEFORE UPDATE ON row
       BEGIN SELECT raise(ABORT, 'ledger rows are never changed'); END""",
    """CREATE TRIGGER row_remains BEFORE DELETE ON row
       BEGIN SELECT raise(ABORT, 'ledger rows are never deleted'); END""",
)


class SiteLedger:
    """The ledger of one site; it alone decides what the site's data may still give away.

    Guarantees to the patients in a dataset: what is released is committed before, for one
    output per round; committed and reserved together stay within the limits, over all jobs,
    versions of the dataset, processes and crashes.

    Safe to use from several threads and several processes. Opening verifies the whole chain.
    """

    def __init__(
        self,
        path: Path,
        clock: Callable[[], float],
        *,
        site: str,
        limits: SpendLimits,
        actor: str = "agent",
    ) -> None:
        """Open the ledger at `path`, or begin one with mode 0600.

        Args:
            path: the database file; its folder exists.
            clock: seconds since 1970, for the time stamps in rows.
            site: the participant whose ledger this is.
            limits: the site's policy.
            actor: who is named as the cause of rows.

        Raises:
            InsecureKeyFile: others than the owner may read or write the file.
            SchemaMismatch: another version of Veilsum wrote it, or it is another site's.
            RootMismatch: the chain is broken, with the first bad row.
            StoreUnavailable: the database cannot be used.
        """
        self._clock, self._site, self._limits, self._actor = clock, site, limits, actor
        self._lock = Lock()
        self._state = LedgerState()
        _create_private(path)
        with _store_errors():
            self._database = _connect(path)
        self._read()

    def close(self) -> None:
        """Close the database; nothing is pending, ever."""
        self._database.close()

    def register(self, dataset: Dataset) -> None:
        """Record a dataset, or a new version of one; its spend so far is inherited.

        The same version again changes nothing.

        Raises:
            IllegalEvent: a version that does not descend from a registered one.
            UnsafeParameters: a new version that changes unit or neighbouring relation.
        """
        with self._writing():
            if dataset not in self._state.datasets.get(dataset.id, ()):
                self._append(RowType.DATASET_REGISTER, dataset)

    def reserve(self, dataset: str, job: str, round: int, event: DpEvent, clip: str) -> str:  # noqa: A002
        """Set aside what `event` costs, and return the reservation's id.

        After a restart the same call returns the reservation that is still open, without a
        second charge: it covers one output, and nothing has been sent under it.

        Args:
            dataset: id of a registered dataset.
            job: the training programme; spend is shared by all jobs.
            round: 1 or more.
            event: everything that the round will release, as one event.
            clip: L2 bound of one unit's contribution, as a decimal.

        Raises:
            BudgetExhausted: the limit for life or for one round would be passed; nothing is
                written.
            ConflictingContribution: this round has been committed, or reserved for another event.
            UnsafeParameters: an event without a proven cost.
            IllegalEvent: the dataset is not registered.
        """
        check_depth(event)
        spend = spend_of(event)
        with self._writing():
            latest = self._state.dataset(dataset)
            active = self._state.active(dataset, job, round)
            if active is not None:
                return _resumed(active, event, clip)
            self._limits.per_round().check(spend)
            name = f"r-{self._state.seq + 1}"
            budget = self._life(dataset).reserve(name, spend)
            self._append(
                RowType.RESERVE,
                latest,
                job=job,
                round=round,
                reservation=name,
                idempotency=_idempotency(dataset, job, round, event, clip),
                event=event,
                clip=clip,
                rdp=divergence_of(spend),
                cum=cumulative(budget, self._limits.delta),
            )
            return name

    def commit(self, reservation: str, out: str) -> None:
        """Spend a reservation for the one output with SHA-256 `out`; on disk on return.

        Call it before the first byte leaves. The same output again changes nothing: a retry
        that resends identical bytes costs nothing more.

        Raises:
            ConflictingContribution: committed before, for another output.
            IllegalEvent: no such reservation, or it was retired; send nothing.
        """
        with self._writing():
            held = self._state.reservation(reservation)
            if held.out is None:
                self._commit(held, out)
            elif held.out != out:
                raise ConflictingContribution(
                    f"reservation {held.id}: committed for output {held.out}, not {out[:64]}; "
                    "a second output would be a second release"
                )

    def sent(self, reservation: str) -> None:
        """Record that the committed output has been acknowledged; again changes nothing.

        Raises:
            IllegalEvent: nothing was committed under this reservation.
        """
        with self._writing():
            held = self._state.reservation(reservation)
            if held.out is None:
                raise IllegalEvent(f"reservation {held.id}: nothing was committed, send nothing")
            if held.status is not RowType.SENT:
                self._append_about(RowType.SENT, held, out=held.out)

    def retire(self, reservation: str, evidence: str) -> None:
        """Give back a reservation under which nothing was committed; again changes nothing.

        Args:
            reservation: still open.
            evidence: SHA-256, in hex, of the signed record that shows the round to be over.

        Raises:
            IllegalEvent: it was committed, and what is committed stays.
        """
        with self._writing():
            held = self._state.reservation(reservation)
            if held.status is not RowType.RETIRE:
                budget = self._life(held.dataset).retire(reservation)
                self._append_about(
                    RowType.RETIRE,
                    held,
                    evidence=evidence,
                    cum=cumulative(budget, self._limits.delta),
                )

    def spent_epsilon(self, dataset: str, delta: float) -> float:
        """Return the epsilon, in nats, of all that the dataset has committed.

        Raises:
            UnsafeParameters: delta outside (0, 1).
            IllegalEvent: the dataset is not registered.
        """
        return self._committed(dataset).epsilon(delta)

    def remaining(self, dataset: str) -> float:
        """Return the epsilon left for life, in nats: limit minus committed and reserved.

        Raises:
            IllegalEvent: the dataset is not registered.
        """
        self._read()
        self._state.dataset(dataset)
        return self._life(dataset).remaining_epsilon()

    def reservation(self, name: str) -> Reservation:
        """Return a reservation: what it is for, and how far it has come.

        Raises:
            IllegalEvent: it was never made.
        """
        self._read()
        return self._state.reservation(name)

    def committed(self, dataset: str, job: str, round: int) -> Reservation | None:  # noqa: A002
        """Return the reservation under which a round's one output was committed, if it was."""
        self._read()
        held = self._state.active(dataset, job, round)
        return None if held is None or held.out is None else held

    def reserved(self) -> tuple[Reservation, ...]:
        """Return the reservations that are open, for a caller who restarts."""
        self._read()
        held = self._state.reservations.values()
        return tuple(item for item in held if item.status is RowType.RESERVE)

    def rows(self) -> tuple[Row, ...]:
        """Return all rows, oldest first."""
        return tuple(canonical.decode(body, Row) for _, body in self._bodies(after=0))

    def verify_chain(self) -> None:
        """Return if every row follows from the one before and costs what its event costs.

        Raises:
            RootMismatch: the first row that does not, by its number.
        """
        state = LedgerState()
        for seq, body in self._bodies(after=0):
            state = self._followed(state, seq, body)
            with _naming_the_row(seq):
                check_cost(canonical.decode(body, Row))

    def _life(self, dataset: str) -> Budget:
        return self._state.budget(dataset, self._limits.for_life())

    def _committed(self, dataset: str) -> Spend:
        self._read()
        self._state.dataset(dataset)
        return self._life(dataset).committed

    def _commit(self, held: Reservation, out: str) -> None:
        self._append_about(
            RowType.COMMIT,
            held,
            idempotency=_idempotency(*held.key, held.event, held.clip),
            event=held.event,
            clip=held.clip,
            rdp=divergence_of(held.spend),
            out=out,
            cum=cumulative(self._life(held.dataset).commit(held.id), self._limits.delta),
        )

    def _append_about(self, kind: RowType, held: Reservation, **members: Any) -> None:  # noqa: ANN401
        dataset = self._state.dataset(held.dataset)
        self._append(kind, dataset, job=held.job, round=held.round, reservation=held.id, **members)

    def _append(self, kind: RowType, dataset: Dataset, **members: Any) -> None:  # noqa: ANN401
        row = Row(
            v=1,
            type=kind,
            seq=self._state.seq + 1,
            prev=self._state.head,
            ts=_timestamp(self._clock()),
            ledger=self._site,
            dataset=dataset,
            accountant=ACCOUNTANT,
            actor=self._actor,
            **members,
        )
        body = canonical.encode(row)
        # read back as any reader will, so that what cannot be read is never written
        self._state = follow(self._state, body)
        self._database.execute("INSERT INTO row (seq, body) VALUES (?, ?)", (row.seq, body))

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with self._lock, _store_errors():
            self._database.execute("BEGIN IMMEDIATE")
            before = self._state
            try:
                before = self._state = self._caught_up()
                yield
                self._database.execute("COMMIT")
            except BaseException:
                self._state = before
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise

    def _read(self) -> None:
        with self._lock, _store_errors():
            self._state = self._caught_up()

    def _caught_up(self) -> LedgerState:
        state = self._state
        for seq, body in self._select(after=state.seq):
            state = self._followed(state, seq, body)
        return state

    def _followed(self, state: LedgerState, seq: int, body: bytes) -> LedgerState:
        with _naming_the_row(seq):
            after = follow(state, body)
        if canonical.decode(body, Row).ledger != self._site:
            raise SchemaMismatch(f"ledger row {seq}: this is not the ledger of {self._site}")
        return after

    def _bodies(self, after: int) -> list[tuple[int, bytes]]:
        with self._lock, _store_errors():
            return self._select(after)

    def _select(self, after: int) -> list[tuple[int, bytes]]:
        query = "SELECT seq, body FROM row WHERE seq > ? ORDER BY seq"
        return self._database.execute(query, (after,)).fetchall()


def _resumed(held: Reservation, event: DpEvent, clip: str) -> str:
    if held.status is not RowType.RESERVE:
        raise ConflictingContribution(
            f"job {held.job}, round {held.round}: committed before ({held.id}); "
            "resend those bytes, a second output would be a second release"
        )
    if (held.event, held.clip) != (event, clip):
        raise ConflictingContribution(
            f"job {held.job}, round {held.round}: {held.id} is reserved for another event; "
            "retire it when its round is over"
        )
    return held.id


def _idempotency(dataset: str, job: str, round: int, event: DpEvent, clip: str) -> str:  # noqa: A002
    return sha256_hex(rfc8785.dumps([dataset, job, round, to_json(event), clip]))


def _timestamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def _create_private(path: Path) -> None:
    """Make an empty file that only its owner can open, or check the one that is there.

    An existing file is never opened here: closing it would drop the locks that SQLite holds
    on it for another connection of this process.
    """
    try:
        close(open_descriptor(path, O_RDWR | O_CREAT | O_EXCL, 0o600))
        _fsync_folder(path.parent)
    except FileExistsError:
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            raise InsecureKeyFile(f"{path}: mode {mode:o}, more than 600; chmod it") from None
    except OSError as error:
        raise StoreUnavailable(f"{path}: {error.strerror}") from None


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


def _prepare(database: sqlite3.Connection) -> None:
    database.execute("BEGIN IMMEDIATE")
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if version == 0:
        for statement in _SCHEMA:
            database.execute(statement)
        database.execute(f"PRAGMA user_version={_SCHEMA_VERSION}")
    database.execute("COMMIT")
    if version not in (0, _SCHEMA_VERSION):
        raise SchemaMismatch(f"ledger schema {version}, this Veilsum reads {_SCHEMA_VERSION}")


@contextmanager
def _naming_the_row(seq: int) -> Iterator[None]:
    try:
        yield
    except (VeilsumError, AssertionError) as error:
        raise RootMismatch(
            f"ledger row {seq}: {error}; restore nothing, keep the file and call the site's officer"
        ) from None


@contextmanager
def _store_errors() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise StoreUnavailable(f"privacy ledger: {error}") from None
