"""Worker processes: they add up the same, keep nothing, and are gone when they must be."""

import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from coordinator import object_names as names
from coordinator.adapters.engines import processes
from coordinator.adapters.engines.children import Child
from coordinator.adapters.engines.processes import LocalProcesses
from coordinator.adapters.objects.files import open_objects
from coordinator.adapters.objects.objects_at import open_objects_at
from coordinator.fold import engine
from coordinator.fold.addition import ChunkTask
from coordinator.fold.engine import OneProcess
from coordinator.ports import SumChunk
from privacy.errors import FoldInterrupted, RootMismatch
from tests import fakes
from tests.coordinator.closed_round import SEEDS, close, expected_sums, make_plan, sums
from tests.coordinator.memory_store import MemoryStore
from tests.fakes import SITES

CHUNKS = 24
PLAN = make_plan(CHUNKS)


@pytest.fixture
def objects(tmp_path):
    kept = open_objects(tmp_path / "objects")
    close(MemoryStore(), kept, PLAN)
    return kept


@pytest.fixture(autouse=True)
def nothing_is_few(monkeypatch):
    monkeypatch.setattr(engine, "FEW", 0)


@pytest.fixture(autouse=True)
def nobody_is_left():
    yield
    assert workers() == []


def tasks():
    for chunk in range(CHUNKS):
        roots = [fakes.root_of(seed, chunk) for seed in SEEDS]
        inputs = tuple(zip(SITES, roots, strict=True))
        yield ChunkTask(1, chunk, inputs, PLAN.parameters(), PLAN.arithmetic.dimension)


def go_on():
    return False


def workers():
    # Other modules keep processes of theirs from test to test.
    return [each.pid for each in multiprocessing.active_children() if isinstance(each, Child)]


@contextmanager
def begun(objects, count=2, stop=go_on):
    """A fold of which the first chunk is made, and its workers."""
    with closing(LocalProcesses(objects, count).run(tasks(), stop)) as made:
        first = next(made)
        yield made, first, workers()


def is_gone(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return True
    return state in "ZX"


def wait_until(holds, seconds=10):
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_many_processes_make_what_one_makes(objects, tmp_path):
    other = open_objects(tmp_path / "other")
    close(MemoryStore(), other, PLAN)

    rows = list(LocalProcesses(objects, 3).run(tasks(), go_on))

    assert sorted(rows, key=lambda row: row.chunk) == list(OneProcess(other).run(tasks(), go_on))
    assert sums(objects) == sums(other) == expected_sums(CHUNKS)


def test_objects_in_a_bucket_are_added_up_like_those_in_a_folder(s3_address, s3_access):
    """Each process opens it by its address, with the credentials that lie in files."""
    bucket = open_objects_at(s3_address, s3_access)
    close(MemoryStore(), bucket, PLAN)

    list(LocalProcesses(bucket, 2, s3_access).run(tasks(), go_on))

    assert sums(bucket) == expected_sums(CHUNKS)


def test_there_is_a_process_for_each_core_and_no_more(objects):
    with begun(objects, None) as (_, _, started):
        assert len(started) == len(os.sched_getaffinity(0))


def test_few_chunks_start_no_process(objects, monkeypatch):
    """A process takes longer to start than they take to add."""
    monkeypatch.setattr(engine, "FEW", CHUNKS * len(SITES))

    with begun(objects) as (made, first, started):
        assert started == []
        assert len([first, *made]) == CHUNKS


def test_tasks_are_taken_as_there_is_room_for_them(objects):
    """The list of all is as long as the model and the cohort together."""
    taken = []

    def noted():
        for task in tasks():
            taken.append(task.chunk)
            yield task

    with closing(LocalProcesses(objects, 2).run(noted(), go_on)) as made:
        next(made)

        assert len(taken) <= 2 * 2 + 2


def test_what_a_worker_finds_wrong_is_said_here_as_there(objects):
    damaged = names.contribution_chunk(1, SITES[2], 0, 7)
    objects.delete_prefix(damaged)
    objects.put(damaged, fakes.chunk_of("another update", 7))

    with pytest.raises(RootMismatch, match=r"chunk 7 of hospital-c .* check its disk"):
        list(LocalProcesses(objects, 2).run(tasks(), go_on))

    assert not objects.exists(names.sum_chunk(1, 7))


def test_a_worker_that_dies_is_an_interruption_and_the_fold_goes_on(objects):
    """As when the system is out of memory: nothing is lost, and nothing waits for ever."""
    with begun(objects) as (made, first, (victim, *_)):
        os.kill(victim, signal.SIGKILL)

        with pytest.raises(FoldInterrupted, match="memory"):
            list(made)

    assert workers() == []
    rows = list(LocalProcesses(objects, 2).run(tasks(), go_on))
    assert first in rows
    assert sums(objects) == expected_sums(CHUNKS)


@pytest.mark.parametrize("few", [0, CHUNKS * len(SITES)])
def test_what_killed_workers_were_writing_is_removed_before_the_next_try(objects, monkeypatch, few):
    """Or one try after the other fills the disk; what else is being written is let alone."""
    monkeypatch.setattr(engine, "FEW", few)
    objects.put(names.sum_chunk(1, CHUNKS), b"of another sum")
    left = objects.folder / names.sums(1) / ".part-of-a-worker"
    foreign = objects.folder / names.contribution(1, SITES[0]) / ".part-of-a-site"
    for part in (left, foreign):
        part.write_bytes(b"half")

    with begun(objects):
        assert not left.exists()

    assert foreign.exists()
    assert objects.exists(names.sum_chunk(1, CHUNKS))


@pytest.mark.parametrize("error", [OSError(11, "try again"), MemoryError()], ids=repr)
def test_a_machine_without_room_for_processes_is_an_interruption(error):
    with pytest.raises(FoldInterrupted), processes._workers(1):
        raise error


def test_a_fold_that_is_told_to_stop_leaves_no_process_within_a_second(objects):
    told = []
    with begun(objects, stop=lambda: bool(told)) as (made, _, started):
        told.append(time.monotonic())

        with pytest.raises(FoldInterrupted, match="next start goes on"):
            list(made)

        assert time.monotonic() - told[0] < 1
        assert all(is_gone(pid) for pid in started)


def stuck(objects):
    """Make two chunks that nobody gets to the end of reading."""
    for chunk in (CHUNKS - 2, CHUNKS - 1):
        path = objects.folder / names.contribution_chunk(1, SITES[0], 0, chunk)
        path.unlink()
        os.mkfifo(path)


def test_a_stop_does_not_wait_for_a_chunk_of_many_contributions(objects):
    """Nor for a disk that does not answer."""
    stuck(objects)
    told = []
    with begun(objects, stop=lambda: bool(told)) as (made, _, started):
        for _ in range(CHUNKS - 3):
            next(made)
        told.append(time.monotonic())

        with pytest.raises(FoldInterrupted, match="next start goes on"):
            next(made)

        assert time.monotonic() - told[0] < 1
        assert all(is_gone(pid) for pid in started)


def test_a_worker_that_dies_takes_those_that_are_stuck_with_it(objects):
    stuck(objects)
    with begun(objects) as (made, _, started):
        for _ in range(CHUNKS - 3):
            next(made)
        os.kill(started[0], signal.SIGKILL)

        with pytest.raises(FoldInterrupted, match="memory"):
            next(made)

        assert all(is_gone(pid) for pid in started)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("victim", [0, 1])
def test_a_worker_that_dies_when_all_is_done_keeps_nobody_waiting(victim):
    """Even the one that holds the lock of the queue that the other waits at."""
    with processes._workers(2) as pool:
        for done in [pool.submit(time.sleep, 0.2) for _ in range(2)]:
            done.result()
        os.kill(workers()[victim], signal.SIGKILL)


def test_a_fold_that_must_not_begin_starts_no_process(objects, monkeypatch):
    monkeypatch.setattr(processes._Worker, "start", lambda self: pytest.fail("started"))

    with pytest.raises(FoldInterrupted):
        list(LocalProcesses(objects, 2).run(tasks(), lambda: True))


def test_a_fold_that_nobody_wants_any_more_leaves_no_process(objects):
    with begun(objects) as (_, _, started):
        pass

    assert started
    assert all(is_gone(pid) for pid in started)


def test_signals_to_the_whole_group_are_for_the_coordinator(objects, monkeypatch):
    """A service manager, or a terminal, sends them to everyone at once, at whatever moment."""

    def send(pids):
        for pid in pids:
            os.kill(pid, signal.SIGTERM)
            os.kill(pid, signal.SIGINT)

    def start(worker, begin=processes._Worker.start):
        begin(worker)
        send([worker.pid])

    monkeypatch.setattr(processes._Worker, "start", start)
    with begun(objects) as (made, first, started):
        send(started)

        assert len([first, *made]) == CHUNKS

    assert sums(objects) == expected_sums(CHUNKS)


def test_a_worker_has_no_wire_no_database_no_keys_library_and_leaves_no_core(objects):
    """As the kernel sees it, in a worker at work."""
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    try:
        with begun(objects, 1) as (_, _, (pid,)):
            mapped = Path(f"/proc/{pid}/maps").read_text()
            limits = Path(f"/proc/{pid}/limits").read_text()
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))

    assert "numpy" in mapped
    assert not [each for each in ("cygrpc", "sqlite", "_seal", "torch") if each in mapped]
    (core,) = [line for line in limits.splitlines() if line.startswith("Max core file size")]
    assert core.split()[4:6] == ["0", "0"]


def test_workers_die_with_their_parent_however_it_ends(objects, tmp_path):
    """SIGKILL gives the parent no time to tell them."""
    programme = (
        "import multiprocessing, os, signal, sys\n"
        "from pathlib import Path\n"
        "from coordinator.fold import engine\n"
        "from coordinator.adapters.engines.processes import LocalProcesses\n"
        "from coordinator.adapters.objects.files import LocalObjects\n"
        "from tests.coordinator.adapters.engines.test_processes import tasks\n"
        "engine.FEW = 0\n"
        "workers = LocalProcesses(LocalObjects(Path(sys.argv[1])), 2)\n"
        "made = workers.run(tasks(), lambda: False)\n"
        "next(made)\n"
        "print(*(child.pid for child in multiprocessing.active_children()), flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )

    died = subprocess.run(
        [sys.executable, "-c", programme, str(objects.folder)],
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )

    pids = [int(pid) for pid in died.stdout.split()]
    assert died.returncode == -signal.SIGKILL
    assert len(pids) == 2
    wait_until(lambda: all(is_gone(pid) for pid in pids))
    rows = list(LocalProcesses(open_objects(objects.folder), 2).run(tasks(), go_on))
    assert {type(row) for row in rows} == {SumChunk}
    assert sums(objects) == expected_sums(CHUNKS)


def test_workers_that_do_nothing_for_too_long_are_an_interruption(objects, monkeypatch):
    """A disk that hangs raises nothing: without a limit nobody would be told."""
    monkeypatch.setattr(processes, "HUNG_SECONDS", 1.0)
    stuck(objects)
    with begun(objects) as (made, _, started):
        with pytest.raises(FoldInterrupted, match="done nothing for 1 s"):
            list(made)

        assert all(is_gone(pid) for pid in started)


def test_a_worker_that_cannot_die_yet_is_not_waited_for(monkeypatch):
    """One that waits in the kernel, as for a network's file system, dies when that lets it."""
    monkeypatch.setattr(processes, "_DYING_SECONDS", 0.1)
    monkeypatch.setattr(processes._Worker, "kill", lambda self: None)
    began = time.monotonic()

    with processes._workers(1) as pool:
        pool.submit(time.sleep, 3)
        wait_until(workers)

    assert time.monotonic() - began < 3
    wait_until(lambda: not workers())
