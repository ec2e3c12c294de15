"""Add up a cohort's contributions, chunk by chunk, without opening any.

A map over the chunks, each made by itself: chunk i of every contribution is read, one at a
time, added and written before anything else, so memory is a few chunks whatever the model or
the cohort. Each chunk has a row in the store once its bytes are durable. Addition is
deterministic: a fold that was stopped goes on with the chunks that have no row, and what it
does twice gives the same bytes.
"""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass

from coordinator import object_names as names
from coordinator.ports import ObjectStore, Store
from coordinator.rounds.invariants import check_rows
from privacy.errors import DistrustedSum
from privacy.failpoints import Failpoints
from privacy.merkle import tree_root
from privacy.plan import Plan
from privacy.records import Cohort

from .addition import ChunkTask
from .engine import Engine, Stop


@dataclass(frozen=True)
class Fold:
    """What a fold works with.

    Attributes:
        stop: tells it to end between two chunks.
        moved: is told of each chunk that is recorded.
    """

    store: Store
    objects: ObjectStore
    engine: Engine
    stop: Stop
    failpoints: Failpoints
    moved: Callable[[], None] = lambda: None

    def aggregate(self, plan: Plan, cohort: Cohort) -> tuple[bytes, int]:
        """Store the sum of the cohort's contributions.

        Returns:
            The root of the sum (32 bytes) and its length in bytes.

        Raises:
            RootMismatch, NotYet, MalformedMessage, ConflictingContribution: a stored chunk is
                not what it was, or is gone; the coordinator's disk must be looked at.
            InvariantBroken: not every chunk was made, or one not from the whole cohort.
            FoldInterrupted, StoreUnavailable: it was stopped, or the disk fails; what is
                recorded stays, and the fold can go on.
            DistrustedSum: an engine cannot be believed; nothing that was recorded stays.
        """
        try:
            self._make(plan, cohort)
        except DistrustedSum:
            self.store.forget_sum(cohort.round)
            self.objects.delete_prefix(names.sums(cohort.round))
            raise
        rows = self.store.sum_chunks(cohort.round)
        check_rows(rows, cohort, plan.arithmetic.chunks)
        return tree_root([row.root for row in rows]), sum(row.length for row in rows)

    def _make(self, plan: Plan, cohort: Cohort) -> None:
        tasks = self._tasks(plan, cohort)
        # Closed however this ends: an engine's processes must not outlive their fold.
        with closing(self.engine.run(tasks, self.stop)) as made:
            for each in made:
                self.failpoints.hit("fold.before_row")
                self.store.record_sum_chunk(cohort.round, each)
                self.failpoints.hit("fold.after_row")
                self.moved()

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
