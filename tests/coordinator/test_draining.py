"""A real process that is told to stop: it says so at once, keeps nobody waiting, and goes."""

import asyncio
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import msgspec
from grpc_health.v1 import health_pb2, health_pb2_grpc

from coordinator.adapters.sql.store import open_store
from coordinator.stop import EXIT_LATE, LATEST_SECONDS
from participant.wire.channel import open_channel
from privacy import canonical
from privacy.roster import Roster
from tests import fakes
from tests.loopback import make_federation
from veilsum.v1 import round_pb2, round_pb2_grpc

SERVE = """
import asyncio, sys, time
from pathlib import Path
from coordinator import server, stop
from coordinator.service import Service
from privacy.failpoints import Failpoints
from tests.coordinator.test_draining import settings_in
from veilsum.process import start_log

start_log()
folder, port, hangs = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "hangs"
if hangs:
    stop.LATEST_SECONDS = 1.0
    Service.tick = lambda service: time.sleep(600)
asyncio.run(server.serve(settings_in(folder, port), Failpoints(), folder / "address"))
"""
SERVING = health_pb2.HealthCheckResponse.SERVING
MOST_SECONDS = 30.0


def settings_in(folder, port):
    settings = fakes.make_settings(folder)
    listen = msgspec.structs.replace(settings.listen, health=f"127.0.0.1:{port}")
    return msgspec.structs.replace(settings, listen=listen)


@dataclass
class Running:
    """A process, where it answers, and whom it knows."""

    process: "subprocess.Popen[bytes]"
    address: str
    port: int
    certified: object

    def health(self, service=""):
        """Return what it says of itself, or None if it does not answer."""
        with grpc.insecure_channel(f"127.0.0.1:{self.port}") as channel:
            asked = health_pb2.HealthCheckRequest(service=service)
            try:
                return health_pb2_grpc.HealthStub(channel).Check(asked, timeout=5).status
            except grpc.RpcError:
                return None


def found(folder):
    """Let the founding members sign the roster, so that rounds are shown."""
    roster = canonical.decode((folder / "roster.json").read_bytes(), Roster)
    settings = fakes.make_settings(folder)
    store = open_store(settings.database)
    fakes.Federation(settings=settings, roster=roster, store=store)
    store.close()


@contextmanager
def running(folder, hangs=""):
    certified = make_federation()
    (folder / "server.pem").write_bytes(certified.server.certificate_pem)
    (folder / "authority.pem").write_bytes(certified.authority.certificate_pem)
    (folder / "server.key").touch(mode=0o600)
    (folder / "server.key").write_bytes(certified.server.key_pem)
    found(folder)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    command = [sys.executable, "-c", SERVE, str(folder), str(port), hangs]
    process = subprocess.Popen(command, stderr=(folder / "log").open("wb"))
    try:
        wait_for((folder / "address").exists, process)
        yield Running(process, (folder / "address").read_text(), port, certified)
    finally:
        process.kill()
        process.wait()


def wait_for(holds, process):
    end = time.monotonic() + MOST_SECONDS
    while not holds():
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.01)


def watch(one):
    """Ask for a change of the rounds that never comes; return after how long it is answered."""

    async def ask():
        site = one.certified.forged(f"spiffe://{fakes.FEDERATION}/participant/{fakes.SITES[0]}")
        async with open_channel(one.address, site) as channel:
            stub = round_pb2_grpc.RoundServiceStub(channel)
            first = await stub.WatchRounds(round_pb2.WatchRoundsRequest(wait_seconds=0))
            waiting = round_pb2.WatchRoundsRequest(seen=first.revision, wait_seconds=10)
            return await stub.WatchRounds(waiting)

    return asyncio.run(ask())


def test_who_is_told_to_stop_says_so_at_once_and_keeps_nobody_waiting(folder):
    """A balancer must send no more, and a site that waits must find another in time."""
    answers = []
    with running(folder) as one:
        wait_for(lambda: one.health("readiness") == SERVING, one.process)
        assert (one.health(), one.health("liveness")) == (SERVING, SERVING)
        asking = threading.Thread(target=lambda: answers.append((watch(one), time.monotonic())))
        asking.start()
        time.sleep(0.5)  # it is asked, and waits
        with grpc.insecure_channel(f"127.0.0.1:{one.port}") as channel:
            said = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
            assert next(said).status == SERVING

            one.process.send_signal(signal.SIGTERM)
            told = time.monotonic()
            assert next(said).status != SERVING
            heard = time.monotonic() - told
        asking.join()
        status = one.process.wait(MOST_SECONDS)
        took = time.monotonic() - told

    assert heard < 0.1
    assert answers[0][1] - told < 1.0
    assert (status, took < 3.0) == (0, True)


def test_the_second_signal_ends_it_at_once(folder):
    """What it does hangs, and somebody wants it gone."""
    with running(folder, "hangs") as one:
        one.process.send_signal(signal.SIGTERM)
        wait_for(lambda: b'"stopping"' in (folder / "log").read_bytes(), one.process)
        told = time.monotonic()
        one.process.send_signal(signal.SIGINT)
        status = one.process.wait(MOST_SECONDS)

    assert (status, time.monotonic() - told < 1.0) == (-signal.SIGINT, True)


def test_whatever_hangs_it_ends_within_ten_seconds(folder):
    """A database that never answers keeps no process alive; all that counts is durable."""
    with running(folder, "hangs") as one:
        one.process.send_signal(signal.SIGTERM)
        told = time.monotonic()
        status = one.process.wait(MOST_SECONDS)

    assert LATEST_SECONDS < 10  # the process of this test has less patience
    assert (status, time.monotonic() - told < 3.0) == (EXIT_LATE, True)
    assert b"stopped_late" in Path(folder / "log").read_bytes()
