"""The store law: whatever keeps the rounds keeps them like this."""

import os
import signal
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from coordinator.adapters.store import open_store
from coordinator.ports import REFUSALS_KEPT, ChunkRow, Refusal, StoredRound, SumChunk
from privacy.errors import (
    ConfigError,
    ConflictingContribution,
    MissingDependency,
    NotYet,
    PeerLedgerRolledBack,
    StoreUnavailable,
)
from tests import fakes
from tests.coordinator.memory_store import MemoryStore

DIGEST, OTHER = "a1" * 32, "b2" * 32
ROOT, OTHER_ROOT = b"\x01" * 32, b"\x02" * 32


@pytest.fixture(params=["memory", "sqlite"])
def store(request, tmp_path):
    if request.param == "memory":
        opened = MemoryStore()
    else:
        opened = open_store(f"sqlite:///{tmp_path}/coordinator.db")
    yield opened
    opened.close()


def begin(store, participant="hospital-a", digest=DIGEST, number=1, at=5.0):
    seen = fakes.seen(participant, number, digest)
    return store.begin_upload(participant, seen, b"header", at=at)


def record(store, index=0, root=ROOT, *, participant="hospital-a", piece=0, at=5.0):
    store.record_chunk(1, participant, piece, index, root, 1024, at=at)


# -- rounds and effects ---------------------------------------------------------------


def test_a_round_is_loaded_as_it_was_last_saved(store):
    first = store.save_step(1, None, b"keying", [])
    second = store.save_step(1, first, b"\x00open\xff", [])

    loaded = store.load_round(1)

    assert (first, second) == (1, 2)
    assert loaded == StoredRound(b"\x00open\xff", 2)
    assert store.load_round(2) is None


def test_rounds_are_numbered_in_order(store):
    for number in (10, 2, 1):
        store.save_step(number, None, b"", [])

    assert store.round_numbers() == [1, 2, 10]


@pytest.mark.parametrize("expected", [None, 1, 3])
def test_a_step_from_another_revision_saves_nothing(store, expected):
    """Two coordinators on one database must not overwrite each other."""
    store.save_step(1, None, b"one", [])
    store.save_step(1, 1, b"two", [])

    with pytest.raises(StoreUnavailable, match=r"round 1 .*revision"):
        store.save_step(1, expected, b"three", [b"effect"])

    assert store.load_round(1) == StoredRound(b"two", 2)
    assert store.pending_effects() == []


def test_a_step_of_a_round_never_saved_needs_no_revision(store):
    with pytest.raises(StoreUnavailable):
        store.save_step(1, 1, b"one", [])

    assert store.load_round(1) is None


def test_effects_wait_in_the_order_they_were_saved_until_finished(store):
    store.save_step(2, None, b"", [b"b", b"a"])
    store.save_step(1, None, b"", [b"c"])
    first, *_ = store.pending_effects()

    store.finish_effect(first.id)
    store.finish_effect(first.id)  # a crash between doing and saying so

    assert [(each.round, each.body) for each in store.pending_effects()] == [(2, b"a"), (1, b"c")]


def test_the_id_of_a_finished_effect_never_names_another(store):
    """A late `finish_effect` must not finish work that nobody has done."""
    store.save_step(1, None, b"", [b"aggregate"])
    (done,) = store.pending_effects()
    store.finish_effect(done.id)
    store.save_step(1, 1, b"", [b"erase"])

    store.finish_effect(done.id)

    assert [each.body for each in store.pending_effects()] == [b"erase"]


# -- documents ------------------------------------------------------------------------


def test_a_document_is_written_once(store):
    store.put_document("plan", "1", b"body")

    store.put_document("plan", "1", b"body")
    with pytest.raises(ConflictingContribution, match="plan 1"):
        store.put_document("plan", "1", b"another body")

    assert store.document("plan", "1") == b"body"


def test_documents_of_a_kind_come_sorted_by_name(store):
    for name in ("hospital-b", "hospital-a1", "hospital-a", "10", "9", "a_b"):
        store.put_document("signature", name, name.encode())
    store.put_document("signature-2", "hospital-c", b"")

    names = [name for name, _ in store.documents("signature")]

    assert names == ["10", "9", "a_b", "hospital-a", "hospital-a1", "hospital-b"]
    assert store.documents("plan") == []


def test_a_document_that_is_not_kept_may_come_yet(store):
    with pytest.raises(NotYet, match="plan 1"):
        store.document("plan", "1")


# -- uploads --------------------------------------------------------------------------


def test_an_upload_begun_again_is_the_same_upload(store):
    begin(store)
    record(store)

    again = begin(store)

    assert again == store.upload(1, "hospital-a")
    assert (again.round, again.participant, again.digest) == (1, "hospital-a", DIGEST)
    assert again.header == b"header"
    assert again.chunks == (ChunkRow(0, 0, ROOT, 1024),)
    assert not again.committed


def test_a_second_different_contribution_is_refused_and_recorded(store):
    begin(store)
    record(store)

    with pytest.raises(ConflictingContribution, match="hospital-a: contribution of round 1"):
        begin(store, digest=OTHER, at=7.25)

    assert store.refusals(1) == [Refusal(1, "hospital-a", "contribution", DIGEST, OTHER, 7.25)]
    assert store.refusals(2) == []
    assert store.upload(1, "hospital-a").digest == DIGEST
    assert len(store.upload(1, "hospital-a").chunks) == 1


def shows(store, number, rows, digest=DIGEST, header=b"header", participant="hospital-a"):
    """Begin an upload whose header was signed with a ledger of so many rows."""
    seen = fakes.seen(participant, number, digest, rows)
    return store.begin_upload(participant, seen, header, at=5.0)


def test_the_newest_header_is_that_of_the_longest_ledger(store):
    """Of each participant its own; before the first there is none."""
    before = store.newest_header("hospital-a")

    shows(store, 2, 20, header=b"second")
    shows(store, 3, 30, OTHER, b"third")
    shows(store, 1, 10, "c3" * 32, b"first, that comes late")
    shows(store, 1, 99, participant="hospital-b", header=b"of another")

    assert before is None
    assert store.newest_header("hospital-a") == b"third"
    assert store.newest_header("hospital-b") == b"of another"


@pytest.mark.parametrize("rows", [19, 20])
def test_a_header_of_an_older_ledger_is_refused_and_nothing_is_kept(store, rows):
    """As many rows are too few: what was sent before is committed by now. One more is enough."""
    shows(store, 2, 20)

    with pytest.raises(PeerLedgerRolledBack, match="hospital-a: its header for round 2"):
        shows(store, 3, rows, OTHER, b"old")

    assert store.upload(3, "hospital-a") is None
    assert store.newest_header("hospital-a") == b"header"
    assert shows(store, 3, 21, OTHER, b"new").header == b"new"


def test_a_header_that_is_sent_again_is_no_older_ledger(store):
    """Its answer was lost, or its site was killed; also when it has gone on since."""
    shows(store, 2, 20)

    assert shows(store, 2, 20).digest == DIGEST
    shows(store, 3, 30, OTHER)
    assert shows(store, 2, 20).digest == DIGEST


def test_each_participant_and_each_round_has_its_own_upload(store):
    begin(store, "hospital-b")
    begin(store, "hospital-a", OTHER)
    begin(store, "hospital-a", DIGEST, number=2)
    record(store, participant="hospital-b")

    uploads = store.uploads(1)

    assert [(each.participant, each.digest) for each in uploads] == [
        ("hospital-a", OTHER),
        ("hospital-b", DIGEST),
    ]
    assert [len(each.chunks) for each in uploads] == [0, 1]
    assert uploads[1] == store.upload(1, "hospital-b")


def test_chunks_come_in_order_and_a_repeated_one_counts_once(store):
    begin(store)
    for piece, index in ((1, 0), (0, 10), (0, 2), (0, 2)):
        record(store, index, piece=piece)

    places = [(row.piece, row.index) for row in store.upload(1, "hospital-a").chunks]

    assert places == [(0, 2), (0, 10), (1, 0)]


def test_a_chunk_with_another_root_is_refused_and_recorded(store):
    begin(store)
    record(store, 3)

    with pytest.raises(ConflictingContribution, match="chunk 0/3"):
        record(store, 3, OTHER_ROOT, at=8.5)

    assert store.upload(1, "hospital-a").chunks == (ChunkRow(0, 3, ROOT, 1024),)
    assert store.refusals(1) == [
        Refusal(1, "hospital-a", "chunk 0/3", ROOT.hex(), OTHER_ROOT.hex(), 8.5)
    ]


def test_a_committed_upload_takes_no_chunk_but_those_it_has(store):
    begin(store)
    record(store, 0)
    store.commit_upload(1, "hospital-a")

    record(store, 0)
    with pytest.raises(ConflictingContribution, match="committed"):
        record(store, 1)

    assert store.upload(1, "hospital-a").chunks == (ChunkRow(0, 0, ROOT, 1024),)
    assert store.refusals(1) == [Refusal(1, "hospital-a", "chunk 0/1", "", ROOT.hex(), 5.0)]


def test_an_upload_is_committed_for_good(store):
    begin(store)

    store.commit_upload(1, "hospital-a")
    store.commit_upload(1, "hospital-a")  # a retry, not a second contribution

    assert begin(store).committed
    with pytest.raises(ConflictingContribution):
        begin(store, digest=OTHER)


def test_nothing_happens_to_an_upload_that_was_not_begun(store):
    begin(store, "hospital-b")

    with pytest.raises(NotYet, match="hospital-a"):
        record(store)
    with pytest.raises(NotYet, match="hospital-a"):
        store.commit_upload(1, "hospital-a")

    assert store.upload(1, "hospital-a") is None


def test_the_roots_of_one_chunk_are_those_of_every_upload_that_has_it(store):
    """Of one round, one piece and one chunk; a fold asks for them as it goes along."""
    for participant, root in (("hospital-b", OTHER_ROOT), ("hospital-a", ROOT)):
        begin(store, participant)
        record(store, 3, root, participant=participant)
    record(store, 2, bytes(32), participant="hospital-a")
    record(store, 3, bytes(32), participant="hospital-a", piece=1)
    begin(store, "hospital-c")
    begin(store, "hospital-a", number=2)
    store.record_chunk(2, "hospital-a", 0, 3, bytes(32), 1024, at=5.0)

    assert store.chunk_roots(1, 0, 3) == {"hospital-a": ROOT, "hospital-b": OTHER_ROOT}
    assert store.chunk_roots(1, 0, 4) == {}
    assert store.chunk_roots(3, 0, 3) == {}


def test_refusals_are_evidence_and_not_a_way_to_fill_the_disk(store):
    begin(store)
    begin(store, "hospital-b")
    for attempt in [0, 0, *range(2 * REFUSALS_KEPT)]:
        with pytest.raises(ConflictingContribution):
            begin(store, digest=f"{attempt:064x}", at=float(attempt))

    with pytest.raises(ConflictingContribution):
        begin(store, "hospital-b", OTHER)

    offered = [each.offered for each in store.refusals(1)]
    assert offered == [*(f"{attempt:064x}" for attempt in range(REFUSALS_KEPT)), OTHER]


# -- sums -----------------------------------------------------------------------------

MADE = SumChunk(3, ROOT, 61_470, 4)


def test_chunks_of_a_sum_come_in_order_and_one_recorded_again_counts_once(store):
    rows = [replace(MADE, chunk=chunk, root=bytes([99 - chunk]) * 32) for chunk in (10, 2, 0, 2)]
    for row in rows:
        store.record_sum_chunk(1, row)
    store.record_sum_chunk(2, MADE)

    assert store.sum_chunks(1) == [rows[2], rows[1], rows[0]]
    assert store.sum_chunks(2) == [MADE]
    assert store.sum_chunks(3) == []


@pytest.mark.parametrize("other", [{"root": OTHER_ROOT}, {"length": 61_471}, {"inputs": 3}])
def test_a_chunk_of_a_sum_is_recorded_once(store, other):
    """Addition is deterministic: who records another sum has added something else."""
    store.record_sum_chunk(1, MADE)

    with pytest.raises(ConflictingContribution, match="chunk 3 of the sum"):
        store.record_sum_chunk(1, replace(MADE, **other))

    assert store.sum_chunks(1) == [MADE]


def test_a_sum_that_was_forgotten_is_recorded_anew(store):
    store.record_sum_chunk(1, MADE)
    store.record_sum_chunk(10, MADE)

    store.forget_sum(1)
    store.forget_sum(1)  # a crash between doing and saying so

    assert store.sum_chunks(1) == []
    assert store.sum_chunks(10) == [MADE]
    store.record_sum_chunk(1, replace(MADE, root=OTHER_ROOT))
    assert store.sum_chunks(1) == [replace(MADE, root=OTHER_ROOT)]


# -- many threads ---------------------------------------------------------------------


def test_of_two_contributions_at_once_one_is_taken(store):
    def attempt(digest):
        try:
            return begin(store, digest=digest).digest
        except ConflictingContribution:
            return None

    with ThreadPoolExecutor(8) as threads:
        taken = set(threads.map(attempt, [DIGEST, OTHER] * 8)) - {None}

    assert taken == {store.upload(1, "hospital-a").digest}
    assert len(store.refusals(1)) == 1


def test_threads_lose_no_chunk(store):
    participants = [f"hospital-{number}" for number in range(8)]

    def send(participant):
        begin(store, participant)
        for index in range(20):
            record(store, index, participant=participant)
            assert len(store.upload(1, participant).chunks) == index + 1

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(send, participants))

    assert [len(upload.chunks) for upload in store.uploads(1)] == [20] * 8


# -- what only a database promises ----------------------------------------------------


def test_two_processes_on_one_database_wait_for_each_other(tmp_path):
    """Each connection may be another process's: the lock of one store is no help."""
    url = f"sqlite:///{tmp_path}/coordinator.db"
    stores = {name: open_store(url) for name in ("hospital-a", "hospital-b")}

    def send(participant):
        begin(stores[participant], participant)
        for index in range(100):
            record(stores[participant], index, participant=participant)

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(send, stores))

    assert [len(upload.chunks) for upload in stores["hospital-a"].uploads(1)] == [100, 100]


def test_everything_is_there_after_a_restart(tmp_path):
    url = f"sqlite:///{tmp_path}/coordinator.db"
    before = open_store(url)
    before.save_step(1, None, b"state", [b"effect"])
    before.put_document("plan", "1", b"body")
    begin(before)
    record(before)
    before.record_sum_chunk(1, MADE)
    newest = before.newest_header("hospital-a")
    with pytest.raises(ConflictingContribution):
        begin(before, digest=OTHER)
    before.close()

    after = open_store(url)

    assert after.load_round(1) == StoredRound(b"state", 1)
    assert [each.body for each in after.pending_effects()] == [b"effect"]
    assert after.document("plan", "1") == b"body"
    assert after.upload(1, "hospital-a") == before.upload(1, "hospital-a")
    assert after.sum_chunks(1) == [MADE]
    assert len(after.refusals(1)) == 1
    assert after.newest_header("hospital-a") == newest == b"header"
    with pytest.raises(PeerLedgerRolledBack):
        shows(after, 2, 10, OTHER)


def test_the_database_is_its_owners_alone(tmp_path):
    """Also its log and its index, also where the file was there before and looser."""
    path = tmp_path / "state" / "coordinator.db"
    path.parent.mkdir()
    path.touch(mode=0o644)

    store = open_store(f"sqlite:///{path}")
    store.put_document("plan", "1", b"body")

    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert set(modes) == {"coordinator.db", "coordinator.db-wal", "coordinator.db-shm"}
    assert set(modes.values()) == {0o600}


def test_each_commit_is_forced_to_the_disk(tmp_path):
    store = open_store(f"sqlite:///{tmp_path}/coordinator.db")

    with store._writing() as connection:
        settings = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }

    assert settings == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


@pytest.mark.parametrize(("place", "kept"), [("store.before_commit", 0), ("store.after_commit", 1)])
def test_a_step_and_its_effects_outlive_a_kill_together_or_not_at_all(tmp_path, place, kept):
    """State without its effects would leave a round that nobody finishes."""
    url = f"sqlite:///{tmp_path}/coordinator.db"
    open_store(url).close()
    program = (
        "import os, signal\n"
        "from coordinator.adapters.store import open_store\n"
        f"kill = lambda name: name == {place!r} and os.kill(os.getpid(), signal.SIGKILL)\n"
        f"open_store({url!r}, step=kill).save_step(1, None, b'state', [b'one', b'two'])\n"
    )

    died = subprocess.run([sys.executable, "-c", program], timeout=60, check=False)

    store = open_store(url)
    assert died.returncode == -signal.SIGKILL
    assert len(store.round_numbers()) == kept
    assert len(store.pending_effects()) == 2 * kept


def test_a_full_disk_saves_nothing_and_the_store_goes_on_when_there_is_space(tmp_path):
    store = open_store(f"sqlite:///{tmp_path}/coordinator.db")
    store.save_step(1, None, b"one", [])
    with store._reading() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()

    limit(store, pages)
    with pytest.raises(StoreUnavailable, match="full") as refused:
        store.save_step(1, 1, b"x" * 100_000, [b"effect"])
    limit(store, 1_000_000)

    assert "INSERT" not in str(refused.value)
    assert "coordinator.db" in str(refused.value)
    assert store.load_round(1) == StoredRound(b"one", 1)
    assert store.save_step(1, 1, b"x" * 100_000, [b"effect"]) == 2


def limit(store, pages):
    with store._writing() as connection:
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")


def test_a_file_that_is_no_database_is_named(tmp_path):
    path = tmp_path / "coordinator.db"
    path.write_bytes(os.urandom(8192))

    with pytest.raises(StoreUnavailable, match=r"coordinator\.db.*not a database"):
        open_store(f"sqlite:///{path}")


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()

    with pytest.raises(StoreUnavailable, match="file"):
        open_store(f"sqlite:///{tmp_path}/file/coordinator.db")


@pytest.mark.parametrize("url", ["", "coordinator.db", "sqlite://", "sqlite:///:memory:", "no://x"])
def test_a_url_that_keeps_nothing_is_refused(url):
    with pytest.raises(ConfigError):
        open_store(url)


def test_a_driver_that_is_not_installed_is_named():
    with pytest.raises(MissingDependency, match="oracledb"):
        open_store("oracle+oracledb://host/name")
