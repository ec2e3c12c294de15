"""A real Ray cluster adds up the same, keeps nothing, and its end is an interruption.

It and its driver run as `nobody` where the tests run as root, as an operator gives them an
account of their own.
"""

import json
import multiprocessing
import os
import pwd
import shutil
import signal
import sys
import time
from contextlib import closing, contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import grpc
import pytest

from coordinator import object_names as names
from coordinator.adapters.engines import cluster_line
from coordinator.adapters.engines.cluster import RayCluster
from coordinator.adapters.engines.cluster_access import check_cluster
from coordinator.adapters.engines.processes import LocalProcesses
from coordinator.adapters.objects.files import open_objects
from coordinator.adapters.objects.objects_at import open_objects_at
from coordinator.fold import engine
from coordinator.fold.engine import OneProcess
from privacy.errors import ConfigError, FoldInterrupted, PeerUnreachable, RootMismatch
from tests import fakes
from tests.clusters import (
    PROCESSORS,
    cluster,
    wait_until,
    write_certificates,
    write_token,
)
from tests.coordinator.adapters.engines.test_processes import CHUNKS, PLAN, go_on, stuck, tasks
from tests.coordinator.closed_round import close, expected_sums, sums
from tests.coordinator.memory_store import MemoryStore
from tests.fakes import SITES
from tests.source_tree import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def reported():
    """What was reported, and the address to which it was."""
    bodies = []

    class Listener(BaseHTTPRequestHandler):
        def do_POST(self):
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Listener) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield bodies, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def ray(reported, s3_server):
    with cluster(report=reported[1], s3=s3_server.access()) as made:
        yield made


@pytest.fixture(autouse=True)
def nothing_is_few(monkeypatch):
    monkeypatch.setattr(engine, "FEW", 0)


@pytest.fixture(autouse=True)
def nobody_is_left():
    before = set(multiprocessing.active_children())
    yield
    assert set(multiprocessing.active_children()) <= before


@pytest.fixture(autouse=True)
def another_account(monkeypatch):
    """Only root can give a cluster another account than its own."""
    if os.geteuid() != 0:
        monkeypatch.setattr(cluster_line, "_accounts_with_keys", set)


@pytest.fixture
def objects(tmp_path):
    return filled(tmp_path / "objects")


def filled(folder):
    kept = open_objects(folder)
    close(MemoryStore(), kept, PLAN)
    return kept


@contextmanager
def begun(ray, objects, stop=go_on):
    """A fold of which the first chunk is made."""
    with closing(engine_on(ray, objects).run(tasks(), stop)) as made:
        yield made, next(made)


def wait_until_stuck(ray, made):
    """Return when all is added but the two chunks that nobody gets to the end of reading."""
    for _ in range(CHUNKS - 3):
        next(made)
    wait_until(lambda: len(ray.adding()) == PROCESSORS)


def engine_on(ray, objects):
    return RayCluster(objects, ray.socket, OneProcess(objects))


def in_order(rows):
    return sorted(rows, key=lambda row: row.chunk)


def test_a_cluster_makes_what_one_machine_and_one_process_make(ray, objects, tmp_path):
    """To the byte, whoever adds."""
    here, alone = filled(tmp_path / "here"), filled(tmp_path / "alone")

    rows = in_order(engine_on(ray, objects).run(tasks(), go_on))

    assert rows == in_order(LocalProcesses(here, 2).run(tasks(), go_on))
    assert rows == list(OneProcess(alone).run(tasks(), go_on))
    assert sums(objects) == sums(here) == sums(alone) == expected_sums(CHUNKS)


def test_a_cluster_adds_up_what_is_in_a_bucket(ray, s3_address, s3_access):
    """Each worker opens it by its address, with the credentials of the cluster."""
    bucket = open_objects_at(s3_address, s3_access)
    close(MemoryStore(), bucket, PLAN)

    list(engine_on(ray, bucket).run(tasks(), go_on))

    assert sums(bucket) == expected_sums(CHUNKS)


def test_nothing_of_ray_is_in_the_coordinators_process(ray, objects):
    """Who connects to a cluster is a member of it, and unpickles what others there send."""
    with begun(ray, objects):
        assert not [each for each in sys.modules if each.partition(".")[0] == "ray"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a cluster another account")
def test_what_a_worker_makes_its_driver_run_runs_under_the_clusters_account(objects, tmp_path):
    """Ray unpickles what workers make. So no process of ours does that, and none with a key."""
    said = tmp_path / "ran_as"
    with (
        cluster(path=hostile(tmp_path / "hostile", said)) as ray,
        pytest.raises(FoldInterrupted, match="with what is no answer"),
    ):
        list(engine_on(ray, objects).run(tasks(), go_on))

    account, programme = said.read_text().split()
    assert account == str(pwd.getpwnam("nobody").pw_uid)
    assert programme == "spawn_main"  # the driver's, not the worker's own


def hostile(folder, said):
    """Return where packages are whose workers answer with what runs where it is unpickled."""
    folder.mkdir()
    for package in ("coordinator", "privacy", "veilsum"):
        shutil.copytree(ROOT / package, folder / package)
    door = folder / "coordinator" / "adapters" / "engines" / "ray_cluster.py"
    door.write_text(
        door.read_text().replace(BEGINS, HOSTILE.format(code=CODE.format(said=str(said))) + BEGINS)
    )
    return str(folder)


BEGINS = "    host = socket.gethostname()\n"
CODE = (
    "import os, re; "
    "programme = re.search('spawn_main|ray::[a-z]+', open('/proc/self/cmdline').read())[0]; "
    "open({said!r}, 'w').write(str(os.getuid()) + ' ' + programme)"
)
HOSTILE = """
    return type("Hostile", (), dict(__reduce__=lambda self: (exec, ({code!r},))))()
"""


def test_tasks_are_taken_as_the_cluster_has_room_for_them(ray, objects):
    taken = []

    def noted():
        for task in tasks():
            taken.append(task.chunk)
            yield task

    with closing(engine_on(ray, objects).run(noted(), go_on)) as made:
        next(made)

        assert len(taken) <= 2 * PROCESSORS + 2


def test_what_a_worker_finds_wrong_is_said_here_as_there(ray, objects):
    damaged = names.contribution_chunk(1, SITES[2], 0, 7)
    objects.delete_prefix(damaged)
    objects.put(damaged, fakes.chunk_of("another update", 7))

    with pytest.raises(RootMismatch, match=r"^round 1: chunk 7 of hospital-c .* check its disk"):
        list(engine_on(ray, objects).run(tasks(), go_on))

    assert not objects.exists(names.sum_chunk(1, 7))


def test_a_worker_that_dies_is_an_interruption_and_the_fold_goes_on(ray, objects):
    stuck(objects)
    with begun(ray, objects) as (made, first):
        wait_until_stuck(ray, made)
        for pid in ray.adding():
            os.kill(pid, signal.SIGKILL)

        with pytest.raises(FoldInterrupted, match="worker of the cluster failed"):
            list(made)

    again = mend(objects)
    assert first in list(engine_on(ray, again).run(tasks(), go_on))
    assert sums(again) == expected_sums(CHUNKS)


def mend(objects):
    """Put back the chunks that nobody got to the end of reading."""
    for chunk in (CHUNKS - 2, CHUNKS - 1):
        name = names.contribution_chunk(1, SITES[0], 0, chunk)
        objects.delete_prefix(name)
        objects.put(name, fakes.chunk_of(fakes.seed_of(SITES[0], 1), chunk))
    return open_objects(objects.folder)


def test_a_stop_waits_for_no_worker_and_leaves_none(ray, objects):
    """A worker that reads what nobody writes would work for ever."""
    stuck(objects)
    told = []
    with begun(ray, objects, lambda: bool(told)) as (made, _):
        wait_until_stuck(ray, made)
        told.append(time.monotonic())

        with pytest.raises(FoldInterrupted, match="next start goes on"):
            next(made)

        assert time.monotonic() - told[0] < 1

    wait_until(lambda: ray.adding() == [], seconds=2)


def test_a_fold_that_nobody_wants_any_more_leaves_no_worker(ray, objects):
    stuck(objects)
    with begun(ray, objects) as (made, _):
        wait_until_stuck(ray, made)

    wait_until(lambda: ray.adding() == [], seconds=2)


def test_a_driver_that_is_killed_is_an_interruption(ray, objects):
    with begun(ray, objects) as (made, _):
        (child,) = ray.drivers()
        os.kill(child, signal.SIGKILL)

        with pytest.raises(FoldInterrupted, match="driver of the cluster"):
            list(made)


def test_a_cluster_with_another_token_is_refused(ray, tmp_path):
    """Before Ray is asked, which would try for long and say less."""
    other = replace(ray.access, token=write_token(tmp_path / "token"))

    with pytest.raises(ConfigError, match="has another token"):
        check_cluster(other)


def test_the_cluster_itself_refuses_who_has_not_its_token(ray):
    """Ours would be no lock on an open door."""
    token = ray.access.token.read_text()

    assert status(ray, ()) is grpc.StatusCode.UNAUTHENTICATED
    assert status(ray, (("authorization", f"Bearer {token[::-1]}"),)) is (
        grpc.StatusCode.UNAUTHENTICATED
    )
    assert status(ray, (("authorization", f"Bearer {token}"),)) is grpc.StatusCode.OK


def status(ray, said):
    """Return what the cluster says to one who asks for the names of all that it keeps."""
    with grpc.insecure_channel(ray.access.address) as channel:
        ask = channel.unary_unary("/ray.rpc.InternalKVGcsService/InternalKVKeys")
        asked = ask.future(b"", timeout=5, metadata=said)
        asked.exception()
        return asked.code()


def test_ray_reports_to_its_makers_that_it_does_not_report(ray, reported):
    """So an operator also says where to: at an address that nobody answers, it ends."""
    bodies, _ = reported

    wait_until(lambda: bodies)

    assert json.loads(bodies[0])["source"]


def test_a_cluster_without_a_token_is_refused():
    """Whoever reaches it runs what they like on it."""
    with (
        cluster(token=False) as open_to_all,
        pytest.raises(ConfigError, match="lets in whoever connects"),
    ):
        check_cluster(open_to_all.access)


@pytest.mark.deep
def test_a_cluster_that_goes_and_comes_back_adds_what_is_left(objects):
    stuck(objects)
    with cluster() as ray:
        with begun(ray, objects) as (made, first):
            wait_until_stuck(ray, made)
            ray.kill()

            with pytest.raises(FoldInterrupted):
                list(made)

        objects = mend(objects)
        with pytest.raises(FoldInterrupted, match="no cluster's driver answers"):
            list(engine_on(ray, objects).run(tasks(), go_on))

        ray.start()
        rows = list(engine_on(ray, objects).run(tasks(), go_on))

    assert first in rows
    assert sums(objects) == expected_sums(CHUNKS)


@pytest.mark.deep
def test_a_cluster_of_machines_that_know_each_other_by_certificate_adds_up(objects, tmp_path):
    """Nothing of it answers in the clear, nor to who has another authority's certificate."""
    other = tmp_path / "other"
    other.mkdir()
    with cluster(tls=write_certificates(tmp_path)) as ray:
        in_the_clear = replace(ray.access, tls=None)
        a_stranger = replace(ray.access, tls=write_certificates(other))
        for access in (in_the_clear, a_stranger):
            with pytest.raises(PeerUnreachable):
                check_cluster(access)

        list(engine_on(ray, objects).run(tasks(), go_on))

    assert sums(objects) == expected_sums(CHUNKS)
