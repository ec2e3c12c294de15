"""Uploads by themselves: what is durable, in which order, and what survives a restart."""

import dataclasses
from types import SimpleNamespace

import pytest

from coordinator import object_names as names
from coordinator.intake.accept import Uploads
from privacy import documents
from privacy.errors import (
    ConfigError,
    ConflictingContribution,
    MalformedMessage,
    NotYet,
    StoreUnavailable,
)
from privacy.records import digest_of
from privacy.schemes.ckks_sum import CkksCombiner
from tests import fakes
from tests.coordinator.memory_store import MemoryObjects, MemoryStore

NAME = "hospital-a"
PLAN = fakes.make_plan()
HEADER = fakes.contribution(PLAN, NAME)
SIGNED = documents.pack(fakes.signed_by(NAME, HEADER))
SEED = fakes.seed_of(NAME, 1)
SEALS = fakes.mask_seals(PLAN, SEED)
OTHER = fakes.contribution(PLAN, NAME, "another update")
FORGED = fakes.signed_by(NAME, OTHER)


class Journal:
    """Both stores, and the order in which they were written to."""

    def __init__(self):
        self.store, self.objects, self.order = MemoryStore(), MemoryObjects(), []
        self.counted = set()
        writes = ((self.objects, "put"), (self.store, "begin_upload"), (self.store, "record_chunk"))
        for owner, name in writes:
            setattr(owner, name, self._noting(name, getattr(owner, name)))

    def _noting(self, name, write):
        def noting(*args, **named):
            self.order.append(name)
            return write(*args, **named)

        return noting


@pytest.fixture
def journal():
    return Journal()


def kept_seals(journal):
    """Return the seals that are kept, in the plan's order of openers."""
    return tuple(
        journal.objects.get(names.sealed_mask(1, NAME, opener)) for opener in fakes.OPENERS
    )


def uploads_over(journal):
    combiner = CkksCombiner(PLAN.parameters(), PLAN.arithmetic.dimension)
    return Uploads(
        journal.store,
        journal.objects,
        1,
        PLAN,
        combiner,
        lambda: 7.0,
        lambda upload: upload.participant in journal.counted,
    )


@pytest.fixture
def uploads(journal):
    made = uploads_over(journal)
    made.begin(HEADER, SIGNED)
    made.keep_seals(HEADER, SEALS)
    return made


def test_the_bytes_are_durable_before_the_row_that_says_so(uploads, journal):
    """The other way round, a crash in between would promise what is not there."""
    journal.order.clear()

    uploads.put(NAME, 0, 0, fakes.chunk_of(SEED, 0))

    assert journal.order == ["put", "record_chunk"]


def test_a_contribution_is_claimed_before_its_seals_are_kept(uploads, journal):
    """The other way round, a second contribution's seals would meet those of the first."""
    assert journal.order == ["begin_upload", "put", "put", "put"]
    with pytest.raises(ConflictingContribution):
        uploads.begin(OTHER, documents.pack(fakes.signed_by(NAME, OTHER)))

    assert journal.order[4:] == ["begin_upload"]
    assert kept_seals(journal) == SEALS


@pytest.mark.parametrize("missing", fakes.OPENERS)
def test_an_upload_is_not_complete_without_every_seal(journal, missing):
    """An opener without its seal cannot take the mask off, nor open the sum of anybody."""
    uploads = uploads_over(journal)
    uploads.begin(HEADER, SIGNED)
    for named, sealed in zip(HEADER.masks, SEALS, strict=True):
        if named.opener != missing:
            journal.objects.put(names.sealed_mask(1, NAME, named.opener), sealed)
    for at in range(2):
        uploads.put(NAME, 0, at, fakes.chunk_of(SEED, at))
    with pytest.raises(NotYet, match="begin again"):
        uploads.complete(NAME)

    uploads.keep_seals(HEADER, SEALS)

    assert uploads.complete(NAME)[1] == HEADER


def test_seals_are_kept_under_their_openers_names_and_survive_a_restart(uploads, journal):
    for at in range(2):
        uploads.put(NAME, 0, at, fakes.chunk_of(SEED, at))

    again = uploads_over(journal)

    assert again.complete(NAME)[1] == HEADER
    assert kept_seals(journal) == SEALS


def test_the_same_seals_again_change_nothing_and_others_are_refused(uploads, journal):
    uploads.keep_seals(HEADER, SEALS)

    with pytest.raises(ConflictingContribution):
        uploads.keep_seals(HEADER, SEALS[::-1])

    assert kept_seals(journal) == SEALS


def test_a_committed_upload_is_complete_when_its_seals_are_erased(uploads, journal):
    """Its site may ask for the receipt again, long after the round."""
    for at in range(2):
        uploads.put(NAME, 0, at, fakes.chunk_of(SEED, at))
    before = uploads.complete(NAME)
    journal.counted.add(NAME)
    journal.objects.delete_prefix(names.contributions(1))

    assert uploads.complete(NAME) == before


def test_a_row_that_says_committed_makes_nothing_complete(uploads, journal):
    """It is one bit of the database that no digest covers; the round's state is what counts."""
    journal.store.commit_upload(1, NAME)

    again = uploads_over(journal)

    assert (again.offset(NAME).chunks, again.offset(NAME).committed) == ((0,), False)
    with pytest.raises(NotYet):
        again.complete(NAME)


def test_a_header_that_was_changed_in_the_database_gets_no_receipt(uploads, journal):
    """Its digest is what the round counts; a receipt must not name another plan."""
    kept = journal.store.upload(1, NAME)
    journal.store.upload = lambda *_: dataclasses.replace(kept, header=documents.pack(FORGED))
    journal.counted.add(NAME)

    with pytest.raises(ConfigError, match="is not the one that was begun"):
        uploads.complete(NAME)


def test_a_look_for_damage_in_the_middle_of_a_chunk_is_no_bug(uploads, monkeypatch):
    """Another thread forgets what is remembered; the site is asked to begin again."""
    uploads.put(NAME, 0, 0, fakes.chunk_of(SEED, 0))
    check = uploads.door.check

    def meanwhile(chunk, payload):
        uploads.lost(NAME)
        return check(chunk, payload)

    monkeypatch.setattr(uploads, "door", SimpleNamespace(check=meanwhile))

    assert uploads.put(NAME, 0, 1, fakes.chunk_of(SEED, 1)) == 2
    assert uploads.offset(NAME).chunks == (2,)


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

    (name,) = journal.objects.names(f"{names.contribution(1, NAME)}/0")
    assert journal.objects.get(name) == fakes.chunk_of(SEED, 0)
