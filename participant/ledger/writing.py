"""Writing a ledger: each row signed and read back, and on disk before anybody is told of it."""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from privacy import canonical
from privacy.accounting import ACCOUNTANT
from privacy.budget import SpendLimits
from privacy.failpoints import Failpoints
from privacy.ledger import (
    Checkpoint,
    Dataset,
    Output,
    Row,
    RowType,
    follow,
    sign_row,
)
from privacy.signing import public_bytes

from .reading import LedgerReading
from .store import store_errors


class LedgerWriting(LedgerReading):
    """The part of a site's ledger that adds rows; what they may say is decided elsewhere."""

    def __init__(
        self,
        path: Path,
        clock: Callable[[], float],
        *,
        site: str,
        limits: SpendLimits,
        key: Ed25519PrivateKey,
        actor: str = "agent",
        also: Collection[str] = (),
        keeps: Callable[[Checkpoint], None] | None = None,
        failpoints: Failpoints | None = None,
    ) -> None:
        """Open the ledger at `path`, or begin one with mode 0600.

        Args:
            path: the database file; its folder exists.
            clock: seconds since 1970, for the time stamps in rows.
            site: the participant whose ledger this is.
            limits: the site's policy.
            key: the site's signing key; it signs each row.
            actor: who is named as the cause of rows.
            also: public keys in hex, of this site's own, whose rows are accepted beside `key`'s.
            keeps: told the head of the tree after each write, before the write returns.

        Raises:
            InsecureKeyFile: others than the owner may read or write the file.
            SchemaMismatch: another version of Veilsum wrote it, or it is another site's.
            RootMismatch: the chain is broken, or a row not signed; with the first bad row.
            StoreUnavailable: the database cannot be used.
        """
        self._clock, self._key, self._actor = clock, key, actor
        self._public = public_bytes(key).hex()
        self._keeps = keeps
        self._kept: Checkpoint | None = None
        self._failpoints = failpoints or Failpoints()
        keys = (self._public, *also)
        super().__init__(path, site=site, limits=limits, keys=keys, writes=True)

    # -- rows ----------------------------------------------------------------------

    def _newest(self, dataset: str | None = None) -> Dataset:
        return self._state.dataset(self._state.newest if dataset is None else dataset)

    def _append_about(self, kind: RowType, made: Output, **members: Any) -> None:  # noqa: ANN401
        self._append(kind, self._newest(made.dataset), job=made.job, round=made.round, **members)

    def _append_wide(self, kind: RowType, **members: Any) -> None:  # noqa: ANN401
        self._append(kind, self._newest(), **members)

    def _append(self, kind: RowType, dataset: Dataset, **members: Any) -> None:  # noqa: ANN401
        self._add(self._row(kind, dataset, **members))

    def _row(self, kind: RowType, dataset: Dataset, **members: Any) -> Row:  # noqa: ANN401
        return Row(
            v=1,
            type=kind,
            seq=self._state.seq + 1,
            prev=self._state.head,
            ts=_timestamp(self._clock()),
            ledger=self._site,
            dataset=dataset,
            accountant=ACCOUNTANT,
            actor=self._actor,
            key=self._public,
            **members,
        )

    def _add(self, row: Row) -> None:
        body = canonical.encode(row)
        # read back as any reader will, so that what cannot be read is never written
        self._state = follow(self._state, body)
        self._store.add(row.seq, body, sign_row(self._key, body))

    # -- transactions --------------------------------------------------------------

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with self._lock, store_errors():
            self._store.begin()
            before = self._state
            try:
                before = self._state = self._caught_up()
                yield
                self._failpoints.hit("ledger.before_write")
                self._store.commit()
            except BaseException:
                self._state = before
                self._store.abandon()
                raise
            self._failpoints.hit("ledger.after_write")
        self._keep()

    def _keep(self) -> None:
        # Also after a write that changed nothing: the last one may have been cut off before it.
        head = self._state.checkpoint()
        if self._keeps is not None and head is not None and head != self._kept:
            self._keeps(head)
            self._kept = head
            self._failpoints.hit("ledger.after_keep")


def _timestamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
