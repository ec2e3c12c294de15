"""Reading a ledger: each row signed, in its place, and what all of them add up to."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Literal

from privacy import canonical
from privacy.budget import Budget, Budgets, SpendLimits
from privacy.errors import (
    IllegalEvent,
    LedgerRolledBack,
    RootMismatch,
    SchemaMismatch,
    VeilsumError,
)
from privacy.ledger import (
    Checkpoint,
    LedgerState,
    Output,
    Reservation,
    Row,
    check_cost,
    check_signature,
    check_sums,
    follow_row,
    read_row,
)
from privacy.log_tree import log_of

from .store import LedgerStore, store_errors

View = Literal["sums", "vector"]
"""Towards whom: those who see sums only, or the coalition that can open one update."""


@dataclass(frozen=True, slots=True)
class ViewStatus:
    """One view of a dataset's budget: epsilons in nats at the policy's delta."""

    committed: float
    charged: float
    limit: float
    remaining: float


@dataclass(frozen=True, slots=True)
class Status:
    """What a dataset has spent, and what it may still spend, in both views."""

    dataset: str
    delta: str
    sums: ViewStatus
    vector: ViewStatus
    reserved: tuple[Reservation, ...]
    outputs: tuple[Output, ...]


class LedgerReading:
    """The part of a site's ledger that only reads; opening verifies the whole chain."""

    def __init__(
        self,
        path: Path,
        *,
        site: str,
        limits: SpendLimits,
        keys: Collection[str],
        writes: bool = False,
    ) -> None:
        """Open the ledger at `path`; begin one, with mode 0600, only for who `writes`.

        Args:
            path: the database file; its folder exists.
            site: the participant whose ledger this is.
            limits: of the site's policy.
            keys: public keys in hex, whose rows are accepted.
            writes: whether rows are to be added; if not, the file is not changed.

        Raises:
            InsecureKeyFile: others than the owner may read or write the file.
            SchemaMismatch: another version of Veilsum wrote it, or it is another site's.
            RootMismatch: the chain is broken, or a row not signed; with the first bad row.
            StoreUnavailable: the database cannot be used.
        """
        self._site, self._own, self._keys = site, limits, frozenset(keys)
        self._lock = Lock()
        self._state = LedgerState()
        self._store = LedgerStore(path, writes=writes)
        self._read()

    def close(self) -> None:
        """Close the database; nothing is pending, ever."""
        self._store.close()

    def limits(self) -> SpendLimits:
        """Return the limits that count: the lower of `site.toml`'s and of those agreed."""
        self._read()
        return self._in_force()

    def budgets(self, dataset: str) -> Budgets:
        """Return the dataset's budgets, charged with all that it has committed and reserved.

        Raises:
            IllegalEvent: the dataset is not registered.
        """
        self._read()
        self._state.dataset(dataset)
        return self._budgets(dataset)

    def status(self, dataset: str) -> Status:
        """Return what the dataset has spent, and what it may still spend.

        Raises:
            IllegalEvent: the dataset is not registered.
        """
        budgets = self.budgets(dataset)
        made = tuple(each for each in self._state.outputs.values() if each.dataset == dataset)
        return Status(
            dataset=dataset,
            delta=self._in_force().delta,
            sums=_view(budgets.sums),
            vector=_view(budgets.vector),
            reserved=self._state.unspent(dataset),
            outputs=made,
        )

    def spent_epsilon(self, dataset: str, delta: float, view: View = "sums") -> float:
        """Return the epsilon, in nats, of all that the dataset has committed.

        Raises:
            UnsafeParameters: delta outside (0, 1).
            IllegalEvent: the dataset is not registered.
        """
        budget: Budget = getattr(self.budgets(dataset), view)
        return budget.committed.epsilon(delta)

    def remaining(self, dataset: str, view: View = "sums") -> float:
        """Return the epsilon left for life, in nats: limit minus committed and reserved.

        Raises:
            IllegalEvent: the dataset is not registered.
        """
        budget: Budget = getattr(self.budgets(dataset), view)
        return budget.remaining_epsilon()

    def reservation(self, name: str) -> Reservation:
        """Return a reservation: what it is for, and how much of it is left.

        Raises:
            IllegalEvent: it was never made.
        """
        self._read()
        return self._state.reservation(name)

    def committed(self, dataset: str, job: str, round: int) -> Output | None:  # noqa: A002
        """Return a round's one output, if it was committed."""
        self._read()
        return self._state.output(dataset, job, round)

    def reserved(self) -> tuple[Reservation, ...]:
        """Return the reservations that have rounds left, for a caller who restarts."""
        self._read()
        return tuple(held for held in self._state.reservations.values() if held.left)

    def state(self) -> LedgerState:
        """Return what all rows add up to."""
        self._read()
        return self._state

    def rows(self) -> tuple[Row, ...]:
        """Return all rows, oldest first."""
        return tuple(canonical.decode(body, Row) for body, _ in self.entries())

    def entries(self) -> tuple[tuple[bytes, bytes], ...]:
        """Return all rows as they are signed, oldest first: canonical bytes and signature."""
        return tuple((body, signature) for _, body, signature in self._entries())

    def checkpoint(self) -> Checkpoint:
        """Return the head of the ledger's tree: its number of rows, and their root.

        Raises:
            IllegalEvent: there is no row yet.
        """
        self._read()
        head = self._state.checkpoint()
        if head is None:
            raise IllegalEvent("the ledger has no row yet; register a dataset first")
        return head

    def root_at(self, size: int) -> str:
        """Return the root over the first `size` rows, in hex.

        Raises:
            IllegalEvent: there are fewer.
        """
        log = log_of(body for _, body, _ in self._entries(until=size))
        if log.size != size or size < 1:
            raise IllegalEvent(f"the ledger has {log.size} rows, not {size}")
        return log.root().hex()

    def require_extends(self, seen: Checkpoint) -> None:
        """Return if the ledger begins with all rows that led to `seen`.

        Raises:
            LedgerRolledBack: it does not: an older copy, or another ledger.
        """
        size = self._state.seq
        if size < seen.size:
            raise LedgerRolledBack(
                f"the privacy ledger has {size} rows, and this site has seen {seen.size}: an older "
                "copy was put back; put the newest one back, or what was spent since is forgotten"
            )
        if self.root_at(seen.size) != seen.root:
            raise LedgerRolledBack(
                f"the privacy ledger's first {seen.size} rows are not those that this site has "
                "seen: it went on from an older copy, or is another one; put the newest one back"
            )

    def verify_chain(self) -> None:
        """Return if every row follows from the one before and states what its event costs.

        Raises:
            RootMismatch: the first row that does not, by its number.
        """
        state = LedgerState()
        for seq, body, signature in self._entries():
            state = self._followed(state, seq, body, signature)
            with _naming_the_row(seq):
                row = canonical.decode(body, Row)
                check_cost(row)
                check_sums(state, row)

    def _in_force(self) -> SpendLimits:
        recorded = self._state.standing.limits()
        return self._own if recorded is None else self._own.lower(recorded)

    def _budgets(self, dataset: str) -> Budgets:
        return self._state.budgets(dataset, self._in_force())

    def _read(self) -> None:
        with self._lock, store_errors():
            self._state = self._caught_up()

    def _caught_up(self) -> LedgerState:
        state = self._state
        for seq, body, signature in self._store.entries(after=state.seq):
            state = self._followed(state, seq, body, signature)
        return state

    def _followed(self, state: LedgerState, seq: int, body: bytes, signature: bytes) -> LedgerState:
        with _naming_the_row(seq):
            row = read_row(body)
            after = follow_row(state, row, body)
        if row.ledger != self._site:
            raise SchemaMismatch(f"ledger row {seq}: this is not the ledger of {self._site}")
        with _naming_the_row(seq):
            check_signature(row, body, signature, self._keys)
        return after

    def _entries(self, until: int = 1 << 60) -> list[tuple[int, bytes, bytes]]:
        with self._lock, store_errors():
            return self._store.entries(after=0, until=until)


def _view(budget: Budget) -> ViewStatus:
    return ViewStatus(
        committed=budget.committed.epsilon(budget.delta),
        charged=budget.charged().epsilon(budget.delta),
        limit=budget.limit_epsilon,
        remaining=budget.remaining_epsilon(),
    )


@contextmanager
def _naming_the_row(seq: int) -> Iterator[None]:
    try:
        yield
    except (VeilsumError, AssertionError) as error:
        raise RootMismatch(
            f"ledger row {seq}: {error}; restore nothing, keep the file and call the site's officer"
        ) from None
