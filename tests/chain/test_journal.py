"""What stands on disk between a decision and the chain: signed transactions, under one lock."""

import multiprocessing
import os
import signal
from pathlib import Path

import pytest

from privacy.errors import ConfigError, FolderHeld
from veilsum.chain.journal import Entry, FolderJournal, Version

CHAIN = "31337-1111111111111111"
SENDER = "0x" + "Ab" * 20
OTHER = "0x" + "cD" * 20


def entry(purpose: str = "commit-1", nonce: int = 0, sender: str = SENDER) -> Entry:
    return Entry(purpose, sender, nonce, (Version("02ff", 7),))


@pytest.fixture
def journal(tmp_path: Path) -> FolderJournal:
    made = FolderJournal(tmp_path, lock_seconds=0.1)
    with made.held(CHAIN, SENDER):
        return made


def test_the_newest_entry_of_a_purpose_is_found(journal: FolderJournal) -> None:
    """What is sent again after a crash is what was signed before it."""
    journal.put(CHAIN, entry())
    newer = entry().with_version(b"\x02\xee", 9)
    journal.put(CHAIN, newer)

    assert FolderJournal(journal.folder).find(CHAIN, "commit-1") == newer
    assert newer.newest.bytes() == b"\x02\xee"
    assert journal.find(CHAIN, "commit-2") is None


def test_entries_that_are_not_final_come_by_their_nonces(journal: FolderJournal) -> None:
    """One that is missing on the chain holds up all that follow."""
    for nonce, purpose in ((10, "a"), (9, "b"), (100, "c")):
        journal.put(CHAIN, entry(purpose, nonce))
    journal.put(CHAIN, entry("d", 1, OTHER))

    assert [each.nonce for each in journal.open(CHAIN, SENDER)] == [9, 10, 100]
    assert [each.nonce for each in journal.open(CHAIN, OTHER)] == [1]


def test_a_final_entry_is_found_and_not_open(journal: FolderJournal) -> None:
    """Its receipt may be asked for as long as the journal stands."""
    journal.put(CHAIN, entry())

    journal.finish(CHAIN, entry())

    assert journal.open(CHAIN, SENDER) == ()
    assert journal.find(CHAIN, "commit-1") == entry()


def test_an_entry_after_a_final_one_counts(journal: FolderJournal) -> None:
    """A purpose that failed for good is served again."""
    journal.put(CHAIN, entry())
    journal.finish(CHAIN, entry())

    journal.put(CHAIN, entry(nonce=5))

    assert journal.find(CHAIN, "commit-1") == entry(nonce=5)


def test_a_dropped_entry_is_gone(journal: FolderJournal) -> None:
    """It could never be mined."""
    journal.put(CHAIN, entry())

    journal.drop(CHAIN, entry())

    assert journal.find(CHAIN, "commit-1") is None


def test_chains_are_kept_apart(journal: FolderJournal) -> None:
    """A nonce of one says nothing about another."""
    journal.put(CHAIN, entry())

    assert journal.find("1-2222222222222222", "commit-1") is None
    assert journal.open("1-2222222222222222", SENDER) == ()


def test_what_a_crash_leaves_half_written_is_no_entry(journal: FolderJournal) -> None:
    """A file has its name once it is whole."""
    journal.put(CHAIN, entry())
    (journal.folder / CHAIN / ".commit-2.transaction.draft").write_bytes(b'{"nonce"')

    assert journal.open(CHAIN, SENDER) == (entry(),)


def test_a_damaged_entry_stops_the_sender(journal: FolderJournal) -> None:
    """To forget what it was for would send that a second time."""
    journal.put(CHAIN, entry())
    path = journal.folder / CHAIN / "commit-1.transaction"
    path.write_bytes(path.read_bytes()[:-9])

    with pytest.raises(ConfigError, match=r"commit-1\.transaction: not what this process wrote"):
        journal.open(CHAIN, SENDER)


def test_only_its_owner_reads_it(journal: FolderJournal) -> None:
    """Whoever has signed bytes may send them."""
    journal.put(CHAIN, entry())

    modes = {path.stat().st_mode & 0o777 for path in (journal.folder / CHAIN).iterdir()}

    assert modes == {0o600}


def _hold(folder: Path, held: object) -> None:
    with FolderJournal(folder).held(CHAIN, SENDER):
        held.set()
        signal.pause()


def test_a_lock_is_respected_by_other_processes_and_let_go_by_death(tmp_path: Path) -> None:
    """Nobody has to remove anything after a crash."""
    fork = multiprocessing.get_context("fork")
    held = fork.Event()
    process = fork.Process(target=_hold, args=(tmp_path, held), daemon=True)
    process.start()
    assert held.wait(10)
    journal = FolderJournal(tmp_path, lock_seconds=0.1)

    with pytest.raises(FolderHeld, match=SENDER), journal.held(CHAIN, SENDER):
        pass
    with journal.held(CHAIN, OTHER):
        pass
    os.kill(process.pid, signal.SIGKILL)
    process.join()

    with journal.held(CHAIN, SENDER):
        pass
