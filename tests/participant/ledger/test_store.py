"""The database of a ledger appends, and does nothing else."""

import sqlite3
from pathlib import Path

import pytest

from participant.ledger.store import LedgerStore
from privacy.errors import SchemaMismatch, StoreUnavailable


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite"


def test_rows_are_read_back_in_order(path: Path) -> None:
    """All of them, or those behind and up to a number."""
    store = LedgerStore(path)
    store.begin()
    for seq in (1, 2, 3):
        store.add(seq, b"row %d" % seq, b"signed")
    store.commit()

    assert [seq for seq, _, _ in store.entries(after=0)] == [1, 2, 3]
    assert store.entries(after=1, until=2) == [(2, b"row 2", b"signed")]


def test_what_is_abandoned_never_was(path: Path) -> None:
    """Not even the number is used up."""
    store = LedgerStore(path)
    store.begin()
    store.add(1, b"row", b"signed")

    store.abandon()

    assert store.entries(after=0) == []
    store.abandon()
    store.begin()
    store.add(1, b"another", b"signed")
    store.commit()
    assert LedgerStore(path).entries(after=0) == [(1, b"another", b"signed")]


@pytest.mark.parametrize("seq", [0, 2, -1])
def test_rows_are_appended_in_order(path: Path, seq: int) -> None:
    """A gap is refused by the database itself."""
    store = LedgerStore(path)
    store.begin()

    with pytest.raises(sqlite3.IntegrityError, match="appended in order"):
        store.add(seq, b"row", b"signed")


def test_an_older_ledger_is_refused_with_what_to_do(path: Path) -> None:
    """Its rows are not signed, and nobody can vouch for them now."""
    LedgerStore(path).close()
    sqlite3.connect(path).execute("PRAGMA user_version=1")

    with pytest.raises(SchemaMismatch, match="veilsum budget adjust"):
        LedgerStore(path)


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    """The operator makes it."""
    with pytest.raises(StoreUnavailable, match="No such file"):
        LedgerStore(tmp_path / "none" / "ledger.sqlite")
