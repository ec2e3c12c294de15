"""What is added is counted in bytes, and nothing about the adding changes."""

import pytest

from coordinator.adapters.engines.counted import Counted
from coordinator.ports import SumChunk
from privacy.errors import FoldInterrupted
from veilsum.metrics.book import Book
from veilsum.metrics.catalogue import FOLD_BYTES

MADE = [SumChunk(0, b"r" * 32, 100, 3), SumChunk(1, b"s" * 32, 50, 3)]


class Behind:
    """An engine that gives what it is told to, and notes whether it was closed."""

    def __init__(self, fails=False):
        self.fails, self.closed = fails, False

    def run(self, tasks, stop):
        try:
            yield from MADE
            if self.fails:
                raise FoldInterrupted("told to stop")
        finally:
            self.closed = True


def test_bytes_of_all_inputs_are_counted():
    """A chunk of three contributions is three times its length."""
    book = Book()

    made = list(Counted(Behind(), book, "ckks/1").run([], lambda: False))

    assert made == MADE
    assert list(book.samples()) == [(FOLD_BYTES, ("ckks/1",), 450.0)]


def test_what_the_engine_raises_is_passed_on():
    """And what was made before it stays counted."""
    book = Book()

    with pytest.raises(FoldInterrupted):
        list(Counted(Behind(fails=True), book, "ckks/1").run([], lambda: False))

    assert [value for _, _, value in book.samples()] == [450.0]


def test_closing_closes_the_engine_behind():
    """Nothing of it works on after that: an engine's promise."""
    behind = Behind()
    running = Counted(behind, Book(), "ckks/1").run([], lambda: False)
    next(running)

    running.close()

    assert behind.closed
