"""Numbers are kept without a library, and shown as they were written."""

import threading

import pytest

from veilsum.metrics import book as module
from veilsum.metrics.book import Book
from veilsum.metrics.catalogue import (
    CHUNK_COMMIT_SECONDS,
    LEADS,
    RPC_REJECTED,
    UPLOAD_RECEIVED,
)


def test_counts_add_up_by_their_labels():
    """One site's bytes are not another's."""
    book = Book()
    for site, amount in (("amber", 5), ("birch", 7), ("amber", 2)):
        book.add(UPLOAD_RECEIVED, amount, site)

    assert sorted(book.samples()) == [
        (UPLOAD_RECEIVED, ("amber",), 7.0),
        (UPLOAD_RECEIVED, ("birch",), 7.0),
    ]


def test_a_gauge_is_not_counted():
    """It is read when it is fetched."""
    with pytest.raises(AssertionError):
        Book().add(LEADS)


def test_measurements_fall_into_their_buckets():
    """On a bound: the bucket that it bounds."""
    book = Book()
    for seconds in (0.001, 0.002, 99.0):
        book.observe(CHUNK_COMMIT_SECONDS, seconds)

    ((_, _, seen),) = book.distributions()

    assert seen.counts[:2] == (1, 1)
    assert (seen.counts[-1], sum(seen.counts)) == (1, 3)
    assert seen.sum == pytest.approx(99.003)


def test_a_reading_that_fails_takes_no_other_with_it():
    """The database is away just when its operator looks."""
    book = Book()

    def away():
        yield LEADS, (), 1.0
        raise OSError("gone")

    book.watch(away)
    book.add(UPLOAD_RECEIVED, 3, "amber")

    assert [value for _, _, value in book.samples()] == [3.0]


def test_what_is_forgotten_is_not_read():
    """A coordinator that stands by says nothing of rounds."""
    book = Book()

    def read():
        return [(LEADS, (), 1.0)]

    book.watch(read)
    assert len(list(book.samples())) == 1
    book.forget(read)

    assert list(book.samples()) == []


def test_labels_cannot_fill_the_memory(monkeypatch):
    """Whatever callers send."""
    monkeypatch.setattr(module, "MOST_SERIES", 3)
    book = Book()

    for number in range(100):
        book.add(RPC_REJECTED, 1, "method", f"reason-{number}")

    assert len(list(book.samples())) == 4
    assert sum(value for _, _, value in book.samples()) == 100


def test_threads_lose_no_count():
    """Chunks are carried on several."""
    book = Book()

    def count():
        for _ in range(2000):
            book.add(UPLOAD_RECEIVED, 1, "amber")

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [value for _, _, value in book.samples()] == [8000.0]
