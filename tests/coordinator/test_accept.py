"""Uploads by themselves: what is durable, in which order, and what survives a restart."""

import pytest

from coordinator.accept import Uploads
from privacy import documents
from privacy.errors import ConflictingContribution, MalformedMessage, NotYet, StoreUnavailable
from privacy.records import digest_of
from privacy.schemes.ckks_sum import CkksCombiner
from tests import fakes
from tests.coordinator.memory_store import MemoryObjects, MemoryStore

NAME = "hospital-a"
PLAN = fakes.make_plan()
HEADER = fakes.contribution(PLAN, NAME)
SIGNED = documents.pack(fakes.signed_by(NAME, HEADER))
SEED = fakes.seed_of(NAME, 1)


class Journal:
    """Both stores, and the order in which they were written to."""

    def __init__(self):
        self.store, self.objects, self.order = MemoryStore(), MemoryObjects(), []
        for owner, name in ((self.objects, "put"), (self.store, "record_chunk")):
            setattr(owner, name, self._noting(name, getattr(owner, name)))

    def _noting(self, name, write):
        def noting(*args, **named):
            self.order.append(name)
            return write(*args, **named)

        return noting


@pytest.fixture
def journal():
    return Journal()


def uploads_over(journal):
    combiner = CkksCombiner(PLAN.parameters(), PLAN.arithmetic.dimension)
    return Uploads(journal.store, journal.objects, 1, PLAN, combiner, lambda: 7.0)


@pytest.fixture
def uploads(journal):
    made = uploads_over(journal)
    made.begin(HEADER, SIGNED)
    return made


def test_the_bytes_are_durable_before_the_row_that_says_so(uploads, journal):
    """The other way round, a crash in between would promise what is not there."""
    uploads.put(NAME, 0, 0, fakes.chunk_of(SEED, 0))

    assert journal.order == ["put", "record_chunk"]


def test_a_chunk_whose_row_is_missing_is_sent_again(uploads, journal, monkeypatch):
    """The crash between the two: the same bytes again are no contradiction."""

    def full(*args, **named):
        raise StoreUnavailable("full")

    with monkeypatch.context() as broken:
        broken.setattr(journal.store, "record_chunk", full)
        with pytest.raises(StoreUnavailable):
            uploads.put(NAME, 0, 0, fakes.chunk_of(SEED, 0))
    assert uploads.offset(NAME).chunks == (0,)

    assert uploads.put(NAME, 0, 0, fakes.chunk_of(SEED, 0)) == 1


def test_an_upload_resumes_after_a_restart_where_it_stopped(uploads, journal):
    uploads.put(NAME, 0, 0, fakes.chunk_of(SEED, 0))

    again = uploads_over(journal)

    assert again.begin(HEADER, SIGNED).chunks == (1,)
    assert again.put(NAME, 0, 1, fakes.chunk_of(SEED, 1)) == 2
    entry, header = again.complete(NAME)
    assert (entry.contribution, header) == (digest_of(HEADER), HEADER)


def test_only_the_next_chunk_is_awaited(uploads):
    uploads.put(NAME, 0, 0, fakes.chunk_of(SEED, 0))

    awaited = [uploads.awaits(NAME, 0, chunk) for chunk in (0, 1, 2)]

    assert awaited == [False, True, False]
    assert not uploads.awaits(NAME, 1, 0)
    with pytest.raises(NotYet):
        uploads.awaits("hospital-b", 0, 0)


def test_a_chunk_beyond_the_plan_is_refused(uploads, journal):
    for at in range(2):
        uploads.put(NAME, 0, at, fakes.chunk_of(SEED, at))

    with pytest.raises(MalformedMessage, match="no chunk 2 among 2"):
        uploads.put(NAME, 0, 2, fakes.chunk_of(SEED, 1))


def test_a_contradiction_changes_no_byte(uploads, journal):
    uploads.put(NAME, 0, 0, fakes.chunk_of(SEED, 0))

    with pytest.raises(ConflictingContribution):
        uploads.put(NAME, 0, 0, fakes.chunk_of("other", 0))

    (name,) = journal.objects.names()
    assert journal.objects.get(name) == fakes.chunk_of(SEED, 0)
