"""An engine whose sums are counted: what was added, in bytes."""

from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass

from coordinator.fold.addition import ChunkTask
from coordinator.fold.engine import Engine, Made, Stop
from veilsum.metrics.book import Book
from veilsum.metrics.catalogue import FOLD_BYTES


@dataclass(frozen=True)
class Counted:
    """Does what another engine does, and counts it in a book."""

    engine: Engine
    book: Book
    scheme: str

    def run(self, tasks: Iterable[ChunkTask], stop: Stop) -> Made:
        """Do all tasks, as the engine behind does, and raise what it raises."""
        with closing(self.engine.run(tasks, stop)) as made:
            for chunk in made:
                self.book.add(FOLD_BYTES, chunk.length * chunk.inputs, self.scheme)
                yield chunk
