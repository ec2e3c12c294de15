"""Add up a cohort's contributions, chunk by chunk, without opening any.

A map over the chunks, each made by itself: chunk i of every contribution is read, one at a
time, added and written before anything else, so memory is a few chunks whatever the model or
the cohort. Each chunk has a row in the store once its bytes are durable. Addition is
deterministic: a fold that was stopped goes on with the chunks that have no row, and what it
does twice gives the same bytes.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

from privacy.errors import InternalError
from privacy.failpoints import Failpoints
from privacy.merkle import tree_root
from privacy.plan import Plan
from privacy.records import Cohort

from . import object_names as names
from .addition import ChunkTask
from .engine import Engine, Stop
from .ports import ObjectStore, Store, SumChunk


@dataclass(frozen=True)
class Fold:
    """What a fold works with; `stop` tells it to end between two chunks."""

    store: Store
    objects: ObjectStore
    engine: Engine
    stop: Stop
    failpoints: Failpoints

    def aggregate(self, plan: Plan, cohort: Cohort) -> tuple[bytes, int]:
        """Store the sum of the cohort's contributions.

        Returns:
            The root of the sum (32 bytes) and its length in bytes.

        Raises:
            RootMismatch, NotYet, MalformedMessage, ConflictingContribution: a stored chunk is
                not what it was, or is gone; the coordinator's disk must be looked at.
            InternalError: not every chunk was made, or one not from the whole cohort.
            FoldInterrupted, StoreUnavailable: it was stopped, or the disk fails; what is
                recorded stays, and the fold can go on.
        """
        tasks = self._tasks(plan, cohort)
        # Closed however this ends: an engine's processes must not outlive their fold.
        with closing(self.engine.run(tasks, self.stop)) as made:
            for each in made:
                self.failpoints.hit("fold.before_row")
                self.store.record_sum_chunk(cohort.round, each)
                self.failpoints.hit("fold.after_row")
        rows = self.store.sum_chunks(cohort.round)
        require_whole(rows, cohort, plan.arithmetic.chunks)
        return tree_root([row.root for row in rows]), sum(row.length for row in rows)

    def _tasks(self, plan: Plan, cohort: Cohort) -> Iterator[ChunkTask]:
        number = cohort.round
        done = {row.chunk for row in self.store.sum_chunks(number)}
        for chunk in range(plan.arithmetic.chunks):
            if chunk in done and self.objects.exists(names.sum_chunk(number, chunk)):
                continue
            roots = self.store.chunk_roots(number, 0, chunk)
            # One without a root has lost its row; no chunk is the one it has accepted.
            members = (each.participant for each in cohort.entries)
            inputs = tuple((member, roots.get(member, b"")) for member in members)
            yield ChunkTask(number, chunk, inputs, plan.parameters(), plan.arithmetic.dimension)


def require_whole(rows: Sequence[SumChunk], cohort: Cohort, chunks: int) -> None:
    """Refuse a sum that is not the whole cohort's in every chunk; asked before it is signed.

    Raises:
        InternalError: a chunk has no row, or was made from more or fewer contributions than
            the cohort has; our own code has failed, and there must be no manifest.
    """
    number, size = cohort.round, len(cohort.entries)
    if [row.chunk for row in rows] != list(range(chunks)):
        raise InternalError(
            f"round {number}: {len(rows)} chunks of the sum are recorded, not each of {chunks} "
            "once; nothing is signed"
        )
    for row in rows:
        if row.inputs != size:
            raise InternalError(
                f"round {number}: chunk {row.chunk} of the sum was made from {row.inputs} "
                f"contributions, the cohort has {size}; nothing is signed"
            )
