"""The store law: whatever keeps the rounds keeps them like this."""

import inspect
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier

import pytest

from coordinator.adapters.sql.schema import metadata
from coordinator.adapters.sql.store import open_store
from coordinator.ports import (
    REFUSALS_KEPT,
    ChunkRow,
    Issued,
    Refusal,
    Revocation,
    Store,
    StoredInvitation,
    StoredRound,
    SumChunk,
)
from privacy.errors import (
    ConfigError,
    ConflictingContribution,
    LeaseLost,
    NotYet,
    PeerLedgerRolledBack,
    StoreUnavailable,
)
from tests import fakes
from tests.coordinator.memory_store import MemoryStore

DIGEST, OTHER = "a1" * 32, "b2" * 32
ROOT, OTHER_ROOT = b"\x01" * 32, b"\x02" * 32


@pytest.fixture(params=["sqlite", "postgres"])
def url(request, tmp_path):
    """A new database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/coordinator.db"
    return request.getfixturevalue("postgres_url")


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def store(request, tmp_path):
    if request.param == "memory":
        opened = MemoryStore()
    elif request.param == "sqlite":
        opened = open_store(f"sqlite:///{tmp_path}/coordinator.db")
    else:
        opened = open_store(request.getfixturevalue("postgres_url"))
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

    loaded, every = store.load_round(1), store.load_rounds()

    assert (first, second) == (1, 2)
    assert loaded == StoredRound(b"\x00open\xff", 2)
    assert every == {1: loaded}
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


def test_documents_are_kept_together_or_not_at_all(store):
    """One that is kept with another body keeps the others out, before it and after it."""
    store.put_document("plan", "2", b"body")

    with pytest.raises(ConflictingContribution):
        store.put_documents(
            [("plan", "1", b"body"), ("plan", "2", b"another body"), ("plan", "3", b"body")]
        )

    assert store.documents("plan") == [("2", b"body")]
    store.put_documents([("plan", "1", b"body"), ("plan", "2", b"body")])
    assert store.documents("plan") == [("1", b"body"), ("2", b"body")]


def test_documents_of_a_kind_come_sorted_by_name(store):
    for name in ("hospital-b", "hospital-a1", "hospital-a", "10", "9", "a_b"):
        store.put_document("signature", name, name.encode())
    store.put_document("signature-2", "hospital-c", b"")

    names = [name for name, _ in store.documents("signature")]

    assert names == ["10", "9", "a_b", "hospital-a", "hospital-a1", "hospital-b"]
    assert store.documents("plan") == []


def test_documents_are_forgotten_by_kind_and_name_and_may_come_otherwise(store):
    """Those alone that were named: of the same kind, or of the same name, others stay."""
    for kind, name in (("roster", "0"), ("roster", "1"), ("plan", "0"), ("plan", "1")):
        store.put_document(kind, name, b"body")

    store.forget_documents([("roster", "0"), ("plan", "1"), ("plan", "9")])

    assert store.documents("roster") == [("1", b"body")]
    assert store.documents("plan") == [("0", b"body")]
    store.put_document("roster", "0", b"another body")
    assert store.document("roster", "0") == b"another body"


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


def test_rows_of_chunks_of_old_rounds_are_forgotten_and_headers_stay(store):
    """A receipt can still be given, and a second, different contribution still be refused."""
    for number in (1, 2, 3):
        begin(store, number=number)
        store.record_chunk(number, "hospital-a", 0, 0, ROOT, 5, at=5.0)
        store.commit_upload(number, "hospital-a")
        store.record_sum_chunk(number, MADE)

    store.forget_chunks(3, kept=[1])
    store.forget_chunks(3, kept=[1])

    left = [number for number in (1, 2, 3) if store.upload(number, "hospital-a").chunks]
    assert left == [1, 3]
    assert [bool(store.sum_chunks(number)) for number in (1, 2, 3)] == [True, False, True]
    assert store.upload(2, "hospital-a").committed
    assert store.upload(2, "hospital-a").header == store.upload(1, "hospital-a").header


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


def test_two_processes_on_one_database_wait_for_each_other(url):
    """Each connection may be another process's: the lock of one store is no help."""
    stores = {name: open_store(url) for name in ("hospital-a", "hospital-b")}

    def send(participant):
        begin(stores[participant], participant)
        for index in range(50):
            record(stores[participant], index, participant=participant)

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(send, stores))

    assert [len(upload.chunks) for upload in stores["hospital-a"].uploads(1)] == [50, 50]


def test_of_two_processes_that_step_a_round_at_once_one_wins(url):
    """Also its first step; and only the winner's effects are ordered."""
    stores = [open_store(url), open_store(url)]
    together = Barrier(2)

    def step(which, number, expected):
        together.wait()
        try:
            stores[which].save_step(number, expected, b"%d" % which, [b"%d" % which])
        except StoreUnavailable:
            return None
        return which

    steps = [(number, expected) for number in range(1, 6) for expected in (None, 1, 2)]
    with ThreadPoolExecutor(2) as threads:
        for number, expected in steps:
            at = ([number] * 2, [expected] * 2)
            (winner,) = {*threads.map(step, (0, 1), *at)} - {None}
            assert stores[0].load_round(number).state == b"%d" % winner
            assert stores[0].pending_effects()[-1].body == b"%d" % winner

    assert len(stores[0].pending_effects()) == len(steps)


def test_everything_is_there_after_a_restart(url):
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


@pytest.mark.parametrize(("place", "kept"), [("store.before_commit", 0), ("store.after_commit", 1)])
def test_a_step_and_its_effects_outlive_a_kill_together_or_not_at_all(url, place, kept):
    """State without its effects would leave a round that nobody finishes."""
    open_store(url).close()
    program = (
        "import os, signal\n"
        "from coordinator.adapters.sql.store import open_store\n"
        f"kill = lambda name: name == {place!r} and os.kill(os.getpid(), signal.SIGKILL)\n"
        f"open_store({url!r}, step=kill).save_step(1, None, b'state', [b'one', b'two'])\n"
    )

    died = subprocess.run([sys.executable, "-c", program], timeout=60, check=False)

    store = open_store(url)
    assert died.returncode == -signal.SIGKILL
    assert len(store.round_numbers()) == kept
    assert len(store.pending_effects()) == 2 * kept


# -- who is enrolled ------------------------------------------------------------------

TOKEN = "c3" * 32
ISSUED = Issued("7f", "hospital-a", "d4" * 32, 2.5, 3.5)
REVOKED = Revocation("hospital-a", "a stolen laptop", "operator", 3.25)


def test_an_invitation_is_as_it_was_last_saved(store):
    first = store.save_invitation(TOKEN, None, "hospital-b", b"open")
    second = store.save_invitation(TOKEN, first, "hospital-b", b"\x00asked")
    store.save_invitation(OTHER, None, "hospital-a", b"open")

    assert (first, second) == (1, 2)
    assert store.invitation(TOKEN) == StoredInvitation(TOKEN, "hospital-b", b"\x00asked", 2)
    assert [each.participant for each in store.invitations()] == ["hospital-a", "hospital-b"]
    assert store.invitation("e5" * 32) is None


def test_of_two_who_use_an_invitation_the_second_looks_again(store):
    """Both saw it open: were the second saved, it would take the place of the first one's keys."""
    store.save_invitation(TOKEN, None, "hospital-a", b"open")
    store.save_invitation(TOKEN, 1, "hospital-a", b"first")

    with pytest.raises(StoreUnavailable, match="revision"):
        store.save_invitation(TOKEN, 1, "hospital-a", b"second", ISSUED)

    assert store.invitation(TOKEN).body == b"first"
    assert store.certificates() == []


def test_an_approval_and_its_certificate_are_one_transaction(store):
    store.save_invitation(TOKEN, None, "hospital-a", b"approved", ISSUED)

    assert store.certificates("hospital-a") == [ISSUED]
    assert store.certificates("hospital-b") == []


def test_invitations_are_forgotten_by_their_tokens_and_no_others(store):
    store.save_invitation(TOKEN, None, "hospital-b", b"open")
    store.save_invitation(OTHER, None, "hospital-a", b"open")

    store.forget_invitations([TOKEN, "e5" * 32])

    assert [each.token for each in store.invitations()] == [OTHER]


def test_a_certificate_is_recorded_once_and_listed_oldest_first(store):
    older = replace(ISSUED, serial="a0", issued_at=1.0)

    for each in (ISSUED, older, ISSUED):
        store.record_certificate(each)

    assert store.certificates() == [older, ISSUED]


def test_the_newest_certificate_of_each_member_is_never_forgotten(store):
    """By it a member that was away is renewed, or told that it was away for too long."""
    older = replace(ISSUED, serial="a0", issued_at=1.0, ends_at=2.0)
    for each in (older, ISSUED):
        store.record_certificate(each)

    store.forget_certificates(1000.0)

    assert store.certificates() == [ISSUED]


def test_a_revocation_is_kept_once_and_each_later_one_too(store):
    again = replace(REVOKED, at=7.5)

    for each in (REVOKED, REVOKED, again):
        store.put_revocation(each)

    assert store.revocations() == [REVOKED, again]


# -- the fence ------------------------------------------------------------------------


class Shut:
    """A fence that lets nobody write, once it is shut."""

    shut = False

    def check(self, connection):
        assert connection.in_transaction()
        if self.shut:
            raise LeaseLost("another coordinator leads")


WRITES = {
    "save_step": lambda store: store.save_step(1, 1, b"two", [b"erase"]),
    "finish_effect": lambda store: store.finish_effect(1),
    "put_document": lambda store: store.put_document("plan", "1", b"body"),
    "put_documents": lambda store: store.put_documents([("plan", "1", b"body")]),
    "forget_documents": lambda store: store.forget_documents([("draft", "0"), ("draft", "1")]),
    "begin_upload": lambda store: begin(store, "hospital-b"),
    "record_chunk": lambda store: record(store, 1),
    "commit_upload": lambda store: store.commit_upload(1, "hospital-a"),
    "record_sum_chunk": lambda store: store.record_sum_chunk(1, replace(MADE, chunk=4)),
    "forget_sum": lambda store: store.forget_sum(1),
    "forget_chunks": lambda store: store.forget_chunks(2),
    "save_invitation": lambda store: store.save_invitation(TOKEN, 1, "hospital-a", b"used"),
    "forget_invitations": lambda store: store.forget_invitations([TOKEN]),
    "record_certificate": lambda store: store.record_certificate(replace(ISSUED, serial="2")),
    "forget_certificates": lambda store: store.forget_certificates(99.0),
    "put_revocation": lambda store: store.put_revocation(replace(REVOKED, at=9.0)),
}
"""One call of every method that writes, on what `prepare` has made."""


def prepare(store):
    store.save_step(1, None, b"one", [b"aggregate"])
    begin(store)
    record(store)
    store.record_sum_chunk(1, MADE)
    store.save_invitation(TOKEN, None, "hospital-a", b"open", ISSUED)
    store.record_certificate(replace(ISSUED, serial="1", issued_at=1.5, ends_at=2.5))
    store.put_revocation(REVOKED)
    store.put_documents([("draft", "0", b"body"), ("draft", "1", b"body")])


def seen(store):
    """Return all that there is in a store that `prepare` and one of WRITES have filled."""
    return (
        store.load_round(1),
        [(each.round, each.body) for each in store.pending_effects()],
        store.documents("plan"),
        store.documents("draft"),
        store.uploads(1),
        store.sum_chunks(1),
        store.refusals(1),
        [store.newest_header(name) for name in ("hospital-a", "hospital-b")],
        store.invitations(),
        store.certificates(),
        store.revocations(),
    )


def after(write):
    """Return all that there must be when `write` was done once."""
    store = MemoryStore()
    prepare(store)
    write(store)
    return seen(store)


READS = {
    "load_round": lambda store: store.load_round(1),
    "load_rounds": lambda store: store.load_rounds(),
    "round_numbers": lambda store: store.round_numbers(),
    "pending_effects": lambda store: store.pending_effects(),
    "document": lambda store: store.document("plan", "1"),
    "documents": lambda store: store.documents("plan"),
    "upload": lambda store: store.upload(1, "hospital-a"),
    "uploads": lambda store: store.uploads(1),
    "newest_header": lambda store: store.newest_header("hospital-a"),
    "chunk_roots": lambda store: store.chunk_roots(1, 0, 0),
    "sum_chunks": lambda store: store.sum_chunks(1),
    "refusals": lambda store: store.refusals(1),
    "invitation": lambda store: store.invitation(TOKEN),
    "invitations": lambda store: store.invitations(),
    "certificates": lambda store: store.certificates(),
    "revocations": lambda store: store.revocations(),
}
"""One call of every method that reads."""


def test_every_method_is_among_those_that_are_tried_here():
    methods = {name for name, _ in inspect.getmembers(Store, inspect.isfunction) if name[0] != "_"}

    assert methods - {"close"} == {*READS, *WRITES}


@pytest.mark.parametrize("name", [*READS, *WRITES])
def test_a_database_that_fails_is_said_to_be_unavailable(url, name):
    """An error of the database's own would end the task that asked, and the coordinator."""
    store = open_store(url)
    prepare(store)
    metadata.drop_all(store._engine)

    with pytest.raises(StoreUnavailable, match="nothing was saved"):
        {**READS, **WRITES}[name](store)

    store.close()


@pytest.mark.parametrize("name", WRITES)
def test_nothing_is_written_past_a_fence_that_is_shut(url, name):
    fence = Shut()
    store = open_store(url, fence=fence)
    prepare(store)
    before = seen(store)
    fence.shut = True

    with pytest.raises(LeaseLost):
        WRITES[name](store)

    assert seen(store) == before
    store.close()


# -- a URL that is refused ------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "", "coordinator.db", "sqlite://", "sqlite:///:memory:", "no://x",
        "sqlite:////tmp/x?mode=memory", "sqlite+aiosqlite:////tmp/x", "oracle+oracledb://host/name",
    ],
)  # fmt: skip
def test_a_url_that_keeps_nothing_is_refused(url):
    with pytest.raises(ConfigError):
        open_store(url)
