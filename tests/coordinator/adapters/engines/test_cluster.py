"""What a cluster says is looked at: a sum is read before it counts, a worker ends no round."""

import secrets
import socket
from contextlib import contextmanager
from pathlib import Path
from threading import Timer

import pytest
from msgspec.structs import replace

from coordinator import object_names as names
from coordinator.adapters.engines import cluster, ray_cluster
from coordinator.adapters.engines.cluster import MOST_MADE_HERE, RayCluster
from coordinator.adapters.engines.cluster_access import ClusterAccess
from coordinator.adapters.engines.cluster_line import Line
from coordinator.adapters.engines.cluster_words import (
    LONGEST,
    LONGEST_TASK,
    Done,
    Failed,
    Refused,
    Room,
    decode_answer,
    decode_task,
    encode_answer,
    encode_begin,
    encode_task,
    failed,
    installed,
    refused,
)
from coordinator.adapters.objects.files import open_objects
from coordinator.adapters.objects.place import Place, decode_place
from coordinator.config import DriverSettings, EngineTls, S3Access
from coordinator.fold import engine
from coordinator.fold.addition import add_chunk
from coordinator.fold.aggregate import Fold
from coordinator.fold.engine import OneProcess
from privacy.errors import ConfigError, DistrustedSum, FoldInterrupted, NotYet
from privacy.failpoints import Failpoints
from tests import fakes
from tests.clusters import address, write_token
from tests.coordinator.adapters.engines.test_processes import go_on
from tests.coordinator.adapters.engines.test_processes import tasks as every_task
from tests.coordinator.closed_round import (
    SEEDS,
    close,
    expected_sums,
    make_cohort,
    make_plan,
    sums,
)
from tests.coordinator.memory_store import MemoryStore
from tests.fakes import SITES

DRIVER = DriverSettings(Path("driver.sock"), "127.0.0.1:1", Path("token"))
PLAN = make_plan(1)
(TASK, *_) = every_task()
SUM = names.sum_chunk(1, 0)


@pytest.fixture
def objects(tmp_path):
    kept = open_objects(tmp_path / "objects")
    close(MemoryStore(), kept, PLAN)
    return kept


@pytest.fixture
def access(tmp_path):
    return ClusterAccess(address(), write_token(tmp_path / "token"))


@pytest.fixture
def driver(monkeypatch):
    """Return the far end of the line to a driver whom everybody connects to."""
    monkeypatch.setattr(engine, "FEW", 0)
    ours, theirs = socket.socketpair()

    @contextmanager
    def answering(path):
        try:
            yield Line(ours, LONGEST)
        except EOFError as error:
            raise FoldInterrupted(str(error)) from None

    monkeypatch.setattr(cluster, "_driver", answering)
    with ours, theirs:
        yield theirs


@pytest.fixture
def fold(objects, driver, tmp_path):
    """Return a function that folds one chunk with a cluster that gives these answers."""

    def run(*answers, one_in=1 << 60):
        for each in (encode_answer(Room(2)), *answers):
            driver.sendall(each + b"\n")
        made = RayCluster(objects, tmp_path, OneProcess(objects), one_in)
        # Two tasks, for few is one.
        return next(made.run(iter([TASK, TASK]), go_on))

    return run


DONE = encode_answer(Done(0))


def test_a_sum_that_is_there_counts_as_it_was_read(fold, objects):
    """The worker has said nothing of it but that it is there."""
    row = add_chunk(TASK, objects)

    assert fold(DONE) == row


@pytest.mark.parametrize("said", [Refused(0, "worker-7: no"), Done(0)], ids=repr)
def test_what_a_worker_did_not_make_is_made_here(fold, objects, said):
    """It may have another disk, other memory, or another store; the round goes on."""
    row = fold(encode_answer(said))

    assert sums(objects) == expected_sums(1)
    assert row == add_chunk(TASK, objects)


def test_what_can_be_no_sum_is_made_again(fold, objects):
    """Nobody has signed it."""
    objects.put(SUM, b"what bad memory makes of it")

    row = fold(DONE)

    assert sums(objects) == expected_sums(1)
    assert row.inputs == len(SEEDS)


def test_the_coordinator_does_not_make_all_that_a_cluster_does_not(objects, driver, tmp_path):
    """A cluster whose workers reach no store is named, not worked for."""
    many = [TASK] * (MOST_MADE_HERE + 2)
    driver.sendall(encode_answer(Room(1)) + b"\n" + (DONE + b"\n") * len(many))
    made = RayCluster(objects, tmp_path, OneProcess(objects)).run(iter(many), go_on)
    for _ in range(MOST_MADE_HERE):
        objects.delete_prefix(SUM)
        next(made)
    objects.delete_prefix(SUM)

    with pytest.raises(FoldInterrupted, match="operator must look at their machines"):
        next(made)


# -- a cluster that lies -------------------------------------------------------------


def false_sum():
    """Return what has the form of a sum and is none: one contribution, alone."""
    return fakes.chunk_of(SEEDS[0], 0)


def test_a_false_sum_that_is_drawn_is_found_and_the_cluster_is_not_asked_again(
    objects, driver, tmp_path
):
    """All that it added goes, before and after; then this machine adds, alone."""
    plan, store = make_plan(2), MemoryStore()
    close(store, objects, plan)
    add_chunk(list(every_task())[1], objects)
    objects.put(SUM, false_sum())
    for each in (Room(2), Done(1), Done(0)):
        driver.sendall(encode_answer(each) + b"\n")
    lying = RayCluster(objects, tmp_path, OneProcess(objects), one_in=1)
    work = Fold(store, objects, lying, go_on, Failpoints())

    with pytest.raises(DistrustedSum, match="chunk 0 that is not the sum"):
        work.aggregate(plan, make_cohort(plan))

    assert sums(objects) == {}
    assert store.sum_chunks(1) == []
    work.aggregate(plan, make_cohort(plan))
    assert sums(objects) == expected_sums(2)


def test_a_false_sum_that_is_not_drawn_is_not_found(fold, objects):
    """Which is why a round that must not depend on the cluster has an auditor."""
    objects.put(SUM, false_sum())

    assert fold(DONE).inputs == len(SITES)
    assert sums(objects) != expected_sums(1)


def test_one_chunk_of_so_many_is_drawn_after_it_was_stored(fold, monkeypatch, objects):
    add_chunk(TASK, objects)
    asked = []

    def drawn(below):
        asked.append((below, objects.exists(SUM)))
        return 1

    monkeypatch.setattr(secrets, "randbelow", drawn)

    fold(DONE, one_in=cluster.ONE_IN)

    assert asked == [(32, True)]


def test_what_is_wrong_here_too_ends_it_in_our_own_words(fold, objects):
    objects.delete_prefix(names.contribution_chunk(1, SITES[2], 0, 0))

    with pytest.raises(NotYet, match=r"^there is no .*hospital-c"):
        fold(encode_answer(Refused(0, "worker-7: there is no such thing")))


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\x80\x05N.",
        b"\xff",
        b'{"type": "done", "row": {"chunk": 0}}',
        b'{"type": "room", "tasks": 1, "more": 1}',
        b'{"type":"room","tasks":-5}',
        encode_answer(Room(2)),
        encode_answer(Done(1)),
        encode_answer(Refused(99, "no")),
        bytes(LONGEST + 1),
    ],
    ids=lambda body: body[:20],
)
def test_an_answer_that_nobody_asked_for_is_an_interruption(fold, objects, answer):
    """It is JSON of a few plain values, or nothing; a number of tasks is told once."""
    with pytest.raises(FoldInterrupted):
        fold(answer)

    assert not objects.exists(SUM)


@pytest.mark.parametrize("tasks", [-5, 0, 513, "2", 1.5])
def test_room_is_for_one_task_or_for_hundreds(objects, driver, tmp_path, tasks):
    driver.sendall(encode_answer(Room(tasks)) + b"\n")

    with pytest.raises(FoldInterrupted, match="no answer"):
        next(RayCluster(objects, tmp_path, OneProcess(objects)).run(iter([TASK, TASK]), go_on))


@pytest.mark.parametrize(
    "said", [b"", encode_answer(Room(2)) + b"\n", encode_answer(Room(2)) + b"\n" + DONE[:5]]
)
def test_a_cluster_that_finishes_nothing_is_not_waited_for_for_ever(
    objects, driver, tmp_path, monkeypatch, said
):
    monkeypatch.setattr(cluster, "QUIET_SECONDS", 0.3)
    driver.sendall(said)

    with pytest.raises(FoldInterrupted, match="finished no chunk"):
        next(RayCluster(objects, tmp_path, OneProcess(objects)).run(iter([TASK, TASK]), go_on))


def test_each_chunk_that_is_finished_gives_the_next_ones_time(
    objects, driver, tmp_path, monkeypatch
):
    """A big round may take hours; no chunk of it does."""
    monkeypatch.setattr(cluster, "QUIET_SECONDS", 1.0)
    driver.sendall(encode_answer(Room(1)) + b"\n")
    made = RayCluster(objects, tmp_path, OneProcess(objects)).run(iter([TASK] * 3), go_on)

    for _ in range(3):
        Timer(0.5, driver.sendall, [DONE + b"\n"]).start()
        assert next(made).chunk == 0


def test_what_failed_there_is_an_interruption_with_its_reason(fold):
    with pytest.raises(FoldInterrupted, match=r"worker-7: no space.*retried"):
        fold(failed("worker-7: no space"))


def test_a_fold_that_must_not_begin_asks_nobody(objects, tmp_path, monkeypatch):
    monkeypatch.setattr(engine, "FEW", 0)
    monkeypatch.setattr(cluster, "connect", lambda path: pytest.fail("asked"))

    with pytest.raises(FoldInterrupted, match="told to stop"):
        next(
            RayCluster(objects, tmp_path, OneProcess(objects)).run(iter([TASK, TASK]), lambda: True)
        )


def test_few_chunks_ask_no_cluster(objects, tmp_path):
    """Nobody listens at its socket."""
    made = RayCluster(objects, tmp_path, OneProcess(objects)).run([TASK], go_on)

    assert [row.chunk for row in made] == [0]


# -- what a worker does --------------------------------------------------------------


def test_a_worker_adds_what_a_task_names(objects):
    body = ray_cluster.add(installed(), Place(objects.address).encode(), encode_task(TASK))

    assert sums(objects) == expected_sums(1)
    assert decode_answer(body) == Done(0)


def test_a_worker_of_another_version_adds_nothing(objects):
    """What a task means may have changed; both versions are named."""
    body = ray_cluster.add("0.0.9", Place(objects.address).encode(), b"of another version")

    assert f"has veilsum {installed()}, the coordinator has 0.0.9" in decode_answer(body).reason
    assert not objects.exists(SUM)


def test_a_worker_says_what_it_found_and_what_failed(objects, tmp_path):
    objects.delete_prefix(names.contribution_chunk(1, SITES[2], 0, 0))
    missing = ray_cluster.add(installed(), Place(objects.address).encode(), encode_task(TASK))
    nowhere = ray_cluster.add(installed(), Place("nowhere").encode(), encode_task(TASK))

    assert isinstance(decode_answer(missing), Refused)
    assert "hospital-c" in decode_answer(missing).reason
    assert isinstance(decode_answer(nowhere), Failed)


def test_what_crosses_is_plain_and_small(tmp_path):
    """No ciphertext, no credential, no function: names, roots, parameters, paths."""
    secrets = S3Access(access_key=tmp_path / "a", secret_key=tmp_path / "b")
    place = Place("s3://bucket/prefix", secrets)

    assert decode_task(encode_task(TASK)) == TASK
    assert decode_place(place.encode()) == place
    assert len(encode_task(TASK)) < 200 * len(SITES) + 1000


@pytest.mark.parametrize("letter", ["e", "é", "\0"], ids=repr)
def test_a_reason_however_long_has_room_in_an_answer(letter):
    assert len(failed(letter * 100_000)) <= LONGEST
    assert len(refused(1, letter * 100_000)) <= LONGEST


def test_a_driver_of_another_version_adds_nothing(monkeypatch):
    """It would name things that the other does not know."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(encode_begin("s3://b/p").replace(installed().encode(), b"0.0.9") + b"\n")

        with pytest.raises(ConfigError, match=r"has veilsum .*coordinator has 0\.0\.9"):
            ray_cluster._agreed(Line(theirs, LONGEST_TASK), DRIVER)


def test_a_driver_opens_buckets_with_its_own_credentials(tmp_path):
    """A coordinator names the bucket, and no file."""
    access = S3Access(access_key=tmp_path / "a", secret_key=tmp_path / "b")
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(encode_begin("s3://b/p") + b"\n")

        place = ray_cluster._agreed(Line(theirs, LONGEST_TASK), replace(DRIVER, s3=access))

    assert place == Place("s3://b/p", access)


# -- which clusters are used ---------------------------------------------------------


def node(host, processors=4, *, alive=True):
    return {"NodeManagerAddress": host, "Alive": alive, "Resources": {"CPU": float(processors)}}


TWO = [node("10.0.0.1"), node("10.0.0.2")]


def test_there_are_two_tasks_for_each_processor(access, tmp_path):
    tls = EngineTls(*[tmp_path] * 3)
    several = ClusterAccess(access.address, access.token, tls)

    assert ray_cluster._room(TWO[:1], access) == 8
    assert ray_cluster._room([*TWO, node("10.0.0.3", alive=False)], several) == 16
    assert ray_cluster._room([node("10.0.0.1", 5000)], access) == 512


def test_machines_that_would_send_the_token_in_the_clear_are_no_cluster(access):
    with pytest.raises(ConfigError, match=r"set tls"):
        ray_cluster._room(TWO, access)


def test_a_cluster_without_processors_is_waited_for(access):
    with pytest.raises(FoldInterrupted, match="no processors"):
        ray_cluster._room([node("10.0.0.1", 0)], access)
