"""Who only reads a ledger needs no secret, and is told of an older copy."""

import shutil
from pathlib import Path

import pytest

from participant.ledger.reading import LedgerReading
from privacy.errors import IllegalEvent, LedgerRolledBack, RootMismatch
from privacy.ledger import Checkpoint
from privacy.log_tree import check_consistency, leaf_hash, prove_consistency
from tests.participant.kept_ledger import EVENTS, LIMITS, OUT, begun, public, reserve


def read(path: Path, keys: tuple[str, ...] = (public("north"),)) -> LedgerReading:
    """The ledger, for a reader with the site's public key."""
    return LedgerReading(path, site="north", limits=LIMITS, keys=keys)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A ledger with a round in it."""
    ledger = begun(tmp_path / "ledger.sqlite")
    ledger.commit(reserve(ledger, rounds=3), 1, OUT)
    ledger.close()
    return tmp_path / "ledger.sqlite"


def test_a_reader_sees_what_was_spent_and_what_is_set_aside(path: Path) -> None:
    """In both views."""
    status = read(path).status("hearts")

    assert [(held.id, held.left, held.events) for held in status.reserved] == [("r-2", 2, EVENTS)]
    assert [(made.job, made.round, made.out) for made in status.outputs] == [("j-1", 1, OUT)]
    assert status.sums.remaining == 3.0 - status.sums.charged
    assert status.sums == status.vector


def test_a_reader_sees_what_others_write_meanwhile(path: Path) -> None:
    """A look is always at the newest rows."""
    reader, writer = read(path), begun(path)

    writer.commit("r-2", 2, OUT)

    assert reader.committed("hearts", "j-1", 2) is not None
    assert reader.reservation("r-2").left == 1
    assert len(reader.reserved()) == 1


def test_a_reader_without_the_sites_key_reads_nothing(path: Path) -> None:
    """Rows that anybody may have signed say nothing."""
    with pytest.raises(RootMismatch, match="not known here"):
        read(path, keys=(public("south"),))


def test_a_ledger_that_has_grown_extends_what_was_seen(path: Path) -> None:
    """And proves it to whoever has kept the head only."""
    seen = read(path).checkpoint()
    begun(path).mark()
    reader = read(path)

    reader.require_extends(seen)

    leaves, head = [leaf_hash(body) for body, _ in reader.entries()], reader.checkpoint()
    check_consistency(
        seen.size, bytes.fromhex(seen.root), head.size, bytes.fromhex(head.root),
        prove_consistency(leaves, seen.size),
    )  # fmt: skip


def test_an_older_copy_is_refused(path: Path, tmp_path: Path) -> None:
    """Rows are missing, or others stand where they stood."""
    copy = shutil.copy(path, tmp_path / "copy.sqlite")
    writer = begun(path)
    writer.commit("r-2", 2, OUT)
    seen = writer.checkpoint()

    with pytest.raises(LedgerRolledBack, match="older copy"):
        read(copy).require_extends(seen)
    begun(copy).mark()
    with pytest.raises(LedgerRolledBack, match="another one"):
        read(copy).require_extends(seen)


def test_a_head_that_never_was_is_refused(path: Path) -> None:
    """Whatever somebody says to have seen."""
    with pytest.raises(LedgerRolledBack):
        read(path).require_extends(Checkpoint(2, "0" * 64))
    with pytest.raises(IllegalEvent):
        read(path).status("lungs")
