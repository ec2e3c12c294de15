"""Adding up: the same bytes and the same rows whatever stops it, or no sum at all."""

import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field, replace

import pytest

from coordinator import object_names as names
from coordinator.adapters.objects.files import open_objects
from coordinator.adapters.sql.store import open_store
from coordinator.fold.aggregate import Fold
from coordinator.fold.engine import OneProcess
from coordinator.ports import SumChunk
from privacy.errors import FoldInterrupted, InternalError, NotYet, RootMismatch, StoreUnavailable
from privacy.failpoints import VARIABLE, Failpoints
from privacy.merkle import tree_root
from privacy.schemes.ckks_sum import CkksCombiner
from tests.coordinator.closed_round import close, expected_sums, make_cohort, make_plan, sums
from tests.coordinator.memory_store import MemoryObjects, MemoryStore
from tests.fakes import SITES

CHUNKS = 3
PLAN = make_plan(CHUNKS)


@dataclass
class Stage:
    """A closed round, and folds of it; every one has the storage of the one before."""

    store: object = field(default_factory=MemoryStore)
    objects: object = field(default_factory=MemoryObjects)
    stop: object = lambda: False
    failpoints: Failpoints = field(default_factory=Failpoints)
    plan: object = PLAN

    def __post_init__(self):
        close(self.store, self.objects, self.plan)

    def fold(self, engine=None, cohort=None):
        engine = engine or OneProcess(self.objects)
        fold = Fold(self.store, self.objects, engine, self.stop, self.failpoints)
        return fold.aggregate(self.plan, cohort or make_cohort(self.plan))


@dataclass(frozen=True)
class Telling:
    """An engine that changes what is done, or what is said of it."""

    objects: object
    task: object = lambda task: task
    row: object = lambda row: row

    def run(self, tasks, stop):
        for task in tasks:
            for made in OneProcess(self.objects).run([self.task(task)], stop):
                told = self.row(made)
                if told is not None:
                    yield told


@pytest.fixture
def stage():
    return Stage()


@pytest.fixture(scope="module")
def undisturbed():
    stage = Stage()
    return stage.fold(), stage.store.sum_chunks(1)


def tasks_of(stage):
    """Fold, and return which chunks were added up."""
    seen = []
    note = Telling(stage.objects, task=lambda task: seen.append(task.chunk) or task)
    stage.fold(note)
    return seen


def test_the_sum_and_its_root_are_those_of_the_chunks(stage):
    root, length = stage.fold()

    expected = expected_sums(CHUNKS)
    combiner = CkksCombiner(PLAN.parameters(), PLAN.arithmetic.dimension)
    assert sums(stage.objects) == expected
    assert root == tree_root(
        [combiner.check(at, each) for at, each in enumerate(expected.values())]
    )
    assert length == sum(len(each) for each in expected.values())


def test_every_chunk_has_a_row_that_says_what_was_added(stage):
    stage.fold()

    rows = stage.store.sum_chunks(1)
    assert [(row.chunk, row.inputs) for row in rows] == [(at, len(SITES)) for at in range(CHUNKS)]
    assert [row.length for row in rows] == [len(each) for each in sums(stage.objects).values()]


def test_a_fold_that_is_done_adds_nothing_again(stage, undisturbed):
    stage.fold()

    assert tasks_of(stage) == []
    assert (stage.fold(), stage.store.sum_chunks(1)) == undisturbed


def test_a_chunk_without_a_row_is_added_again(stage, undisturbed):
    """Its bytes may be there: the process died before it could say so."""
    stage.fold()
    row, *_ = stage.store.sum_chunks(1)
    stage.store.forget_sum(1)
    stage.store.record_sum_chunk(1, row)

    assert tasks_of(stage) == [1, 2]
    assert (stage.fold(), stage.store.sum_chunks(1)) == undisturbed


def test_a_row_without_its_bytes_is_no_chunk(stage, undisturbed):
    stage.fold()
    stage.objects.delete_prefix(names.sum_chunk(1, 1))

    assert tasks_of(stage) == [1]
    assert (stage.fold(), stage.store.sum_chunks(1)) == undisturbed
    assert sums(stage.objects) == expected_sums(CHUNKS)


@pytest.mark.parametrize("failing", ["put", "record_sum_chunk"])
def test_a_fold_that_the_disk_has_stopped_goes_on(stage, undisturbed, failing, monkeypatch):
    owner = stage.objects if failing == "put" else stage.store
    write, left = getattr(owner, failing), [1]

    def fail_at_the_second(*arguments):
        if not left:
            raise StoreUnavailable("full")
        left.pop()
        write(*arguments)

    with monkeypatch.context() as broken:
        broken.setattr(owner, failing, fail_at_the_second)
        with pytest.raises(StoreUnavailable):
            stage.fold()
    kept = [row.chunk for row in stage.store.sum_chunks(1)]

    assert kept == [0]
    assert tasks_of(stage) == [1, 2]
    assert (stage.fold(), stage.store.sum_chunks(1)) == undisturbed


def test_a_fold_that_is_told_to_stop_ends_between_chunks_and_goes_on_later(stage, undisturbed):
    stage.stop = lambda: len(stage.store.sum_chunks(1)) == 2

    with pytest.raises(FoldInterrupted, match="next start goes on"):
        stage.fold()
    kept = [row.chunk for row in stage.store.sum_chunks(1)]
    stage.stop = lambda: False

    assert kept == [0, 1]
    assert (stage.fold(), stage.store.sum_chunks(1)) == undisturbed


def test_an_engine_is_closed_with_its_fold(stage):
    """Its processes would work on, and nobody would write down what they make."""
    closed = []

    class Engine:
        def run(self, tasks, stop):
            try:
                yield from OneProcess(stage.objects).run(tasks, stop)
            finally:
                closed.append(True)

    def fail(_):
        raise StoreUnavailable("full")

    stage.failpoints = Failpoints({("fold.before_row", 1): fail})
    with pytest.raises(StoreUnavailable) as failed:
        stage.fold(Engine())

    assert closed == [True]
    assert failed.value  # and not because the error, and all that it saw, was dropped


# -- what must not be signed -------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "what"),
    [
        ({"row": lambda row: row if row.chunk != 1 else None}, r"2 chunks .* not each of 3"),
        ({"row": lambda row: None}, r"0 chunks .* not each of 3"),
        ({"row": lambda row: replace(row, chunk=row.chunk + 1)}, "not each of 3"),
        ({"row": lambda row: replace(row, inputs=3)}, "chunk 0 .* from 3 .* the cohort has 4"),
        ({"row": lambda row: replace(row, inputs=5)}, "chunk 0 .* from 5 .* the cohort has 4"),
        ({"task": lambda task: replace(task, inputs=task.inputs[1:])}, "from 3"),
        ({"task": lambda task: replace(task, inputs=(*task.inputs[1:], *task.inputs[:1] * 2))},
         r"from 5|cohort_max|hold for"),
    ],
)  # fmt: skip
def test_a_sum_that_is_not_the_whole_cohorts_is_no_sum(stage, told, what):
    """Whatever the engine is: asked of the rows, before there is a manifest to sign."""
    with pytest.raises(Exception, match=what) as refused:
        stage.fold(Telling(stage.objects, **told))

    assert refused.type.__name__ in ("InvariantBroken", "UnsafeParameters")


def test_more_rows_than_chunks_are_no_sum(stage):
    stage.store.record_sum_chunk(1, SumChunk(CHUNKS, bytes(32), 1, len(SITES)))

    with pytest.raises(InternalError, match="4 chunks"):
        stage.fold()


def test_rows_of_another_cohort_are_no_sum(stage):
    """As if a fold of three had gone on as one of four."""
    stage.fold(cohort=make_cohort(PLAN, SITES[:3]))

    with pytest.raises(InternalError, match="from 3 contributions, the cohort has 4"):
        stage.fold()


def test_a_member_whose_row_is_gone_is_named(stage):
    """Its bytes may be there; there is nothing left to compare them with."""
    stage.store.chunk_roots = lambda *_: {}

    with pytest.raises(RootMismatch, match="chunk 0 of hospital-a"):
        stage.fold()


def test_a_contribution_that_is_gone_stops_the_sum(stage):
    stage.objects.delete_prefix(names.contribution(1, SITES[2]))

    with pytest.raises(NotYet, match="hospital-c"):
        stage.fold()

    assert sums(stage.objects) == {}


# -- a process that dies -----------------------------------------------------------------

PLACES = (
    "objects.before_write:2",
    "objects.before_link:1",
    "objects.after_link:1",
    "fold.before_row:2",
    "store.before_commit:1",
    "store.after_commit:1",
    "fold.after_row:1",
)
PROGRAMME = """
import os, signal, sys
from pathlib import Path
from coordinator.adapters.objects.files import LocalObjects
from coordinator.adapters.sql.store import open_store
from coordinator.fold.aggregate import Fold
from coordinator.fold.engine import OneProcess
from privacy.failpoints import VARIABLE, parse
from tests.coordinator.closed_round import make_cohort, make_plan

folder, chunks = Path(sys.argv[1]), int(sys.argv[2])
points = parse(os.environ[VARIABLE], {"kill": lambda _: os.kill(os.getpid(), signal.SIGKILL)})
store = open_store(f"sqlite:///{folder}/coordinator.db", step=points.hit)
objects = LocalObjects(folder / "objects", points.hit)
plan = make_plan(chunks)
fold = Fold(store, objects, OneProcess(objects), lambda: False, points)
fold.aggregate(plan, make_cohort(plan))
"""


def test_killed_again_and_again_it_ends_with_the_same_bytes_and_rows(tmp_path):
    """One fold, seven deaths, each at another place; what is recorded is never taken back."""
    chunks = len(PLACES) + 2
    calm = Stage(plan=make_plan(chunks))
    expected = calm.fold()
    store = open_store(f"sqlite:///{tmp_path}/coordinator.db")
    killed = Stage(store, open_objects(tmp_path / "objects"), plan=calm.plan)

    recorded = [0]
    for place in PLACES:
        died = subprocess.run(
            [sys.executable, "-c", PROGRAMME, str(tmp_path), str(chunks)],
            env={**os.environ, VARIABLE: f"{place}=kill"},
            timeout=60,
            check=False,
        )
        assert died.returncode == -signal.SIGKILL, place
        recorded.append(len(store.sum_chunks(1)))
    result = killed.fold()

    assert recorded == sorted(recorded)
    assert 0 < recorded[-1] < chunks
    assert result == expected
    assert store.sum_chunks(1) == calm.store.sum_chunks(1)
    assert sums(killed.objects) == sums(calm.objects) == expected_sums(chunks)
    store.close()
