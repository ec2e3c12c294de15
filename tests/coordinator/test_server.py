"""Serving: where the coordinator listens, and what stops it from doing so."""

import asyncio
import socket
from pathlib import Path
from types import SimpleNamespace

import grpc.aio
import msgspec
import pytest
from grpc._cython import cygrpc
from grpc_health.v1._async import HealthServicer

from coordinator import server
from coordinator.build import Built
from coordinator.server import (
    Process,
    _dispute,
    _end,
    _forget,
    _lead,
    _listen,
    _open,
    _scrub,
    _server,
    _settle,
    _work,
)
from coordinator.stop import Stop
from coordinator.watching import Watched
from coordinator.wire.health import Health
from participant.wire import channel
from privacy.errors import (
    AddressTaken,
    ChainUnavailable,
    ConfigError,
    InsecureKeyFile,
    InvariantBroken,
    LeaseLost,
    SchemaMismatch,
    StoreUnavailable,
    WrongContext,
)
from privacy.failpoints import Failpoints
from tests import fakes
from tests.loopback import make_federation


@pytest.fixture
def listening(folder):
    """Settings whose certificate files are there."""
    certified = make_federation()
    (folder / "server.pem").write_bytes(certified.server.certificate_pem)
    (folder / "authority.pem").write_bytes(certified.authority.certificate_pem)
    (folder / "server.key").write_bytes(certified.server.key_pem)
    (folder / "server.key").chmod(0o600)
    return fakes.make_settings(folder)


def listen(settings):
    """Return the port of a server that has not been started."""
    built = Built(settings, fakes.Federation().service, None, -1)
    return _listen(_server(built, HealthServicer()), settings)


def at(settings, address):
    """Return settings that listen at another address."""
    there = msgspec.structs.replace(settings.listen, address=address)
    return msgspec.structs.replace(settings, listen=there)


async def test_a_coordinator_listens_where_it_is_told(listening):
    assert listen(listening) > 0


async def test_a_busy_port_stops_the_start(listening):
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"

        with pytest.raises(AddressTaken, match=f"{address} is in use"):
            listen(at(listening, address))


async def test_a_busy_joining_port_stops_the_start_before_a_member_is_answered(listening):
    """Nobody is let in by a process that cannot stay; it leaves both ports free."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        there = msgspec.structs.replace(
            listening.listen, joining=f"127.0.0.1:{other.getsockname()[1]}"
        )
        settings = SimpleNamespace(listen=there)
        built = Built(listening, fakes.Federation().service, None, -1)
        process = Process(listening, Failpoints(), None, Stop(), Health(), "127.0.0.1:0")
        answered = []
        process.answer = answered.append
        members = _server(built, HealthServicer())

        with pytest.raises(AddressTaken, match=r"listen\.joining: .* is in use"):
            await _open(process, settings, members, grpc.aio.server())

        await members.stop(None)

        assert answered == []


@pytest.mark.parametrize("name", ["Transfers", "Signing"])
async def test_a_term_of_leading_leaves_no_threads(listening, monkeypatch, name):
    """However it ends: a process may lead many times."""
    closed, kind = [], getattr(server, name)

    class Told(kind):
        def close(self):
            closed.append(name)
            super().close()

    monkeypatch.setattr(server, name, Told)
    built = Built(listening, fakes.Federation().service, None, -1)
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        process = Process(listening, Failpoints(), None, Stop(), Health(), address)

        with pytest.raises(AddressTaken):
            await _lead(process, built, None)

    assert closed == [name]


async def test_keys_that_do_not_belong_together_are_no_taken_port(listening, folder):
    """The one is over once the other process is; the other is never over by itself."""
    other = make_federation()
    (folder / "server.key").write_bytes(other.server.key_pem)

    with pytest.raises(ConfigError, match="do not belong together"):
        listen(listening)


async def test_an_address_of_another_machine_stops_the_start(listening):
    with pytest.raises(AddressTaken, match="not this machine's"):
        listen(at(listening, "192.0.2.1:4433"))


@pytest.mark.parametrize("name", ["server.pem", "server.key", "authority.pem"])
async def test_a_missing_file_of_tls_stops_the_start(listening, folder, name):
    (folder / name).unlink()

    with pytest.raises(ConfigError, match=f"{name}: No such file"):
        listen(listening)


async def test_a_tls_key_that_others_can_read_stops_the_start(listening, folder):
    (folder / "server.key").chmod(0o640)

    with pytest.raises(InsecureKeyFile, match=r"server\.key has mode 0640"):
        listen(listening)


@pytest.mark.parametrize(
    "trouble",
    [
        WrongContext("another chain"),
        OSError("no keystore"),
        ChainUnavailable("gone"),
        TypeError("a bug"),
    ],
)
async def test_trouble_with_the_chain_is_retried_and_stops_nothing(folder, trouble, monkeypatch):
    """Sites are still served: rounds never depend on the chain."""
    monkeypatch.setattr(server, "CHAIN_RETRY_SECONDS", 0.0)
    monkeypatch.setattr(server, "SETTLE_SECONDS", 0.0)
    troubles, done = [trouble], asyncio.Event()
    loop = asyncio.get_running_loop()

    def run(_):
        if troubles:
            raise troubles.pop()
        loop.call_soon_threadsafe(done.set)

    settling = SimpleNamespace(is_done=done.is_set, run=run)
    built = Built(fakes.make_settings(folder), fakes.Federation().service, settling, -1)
    working = asyncio.create_task(_settle(settling, built, Watched()))

    await asyncio.wait_for(done.wait(), 10)

    assert not working.done()
    working.cancel()


class Answers:
    """A watch of demands that fails in one way after the other, and then looks."""

    def __init__(self, done, *errors):
        self.done, self.errors = done, list(errors)
        self.loop = asyncio.get_running_loop()

    def look(self):
        if self.errors:
            raise self.errors.pop(0)
        self.loop.call_soon_threadsafe(self.done.set)
        return 60.0


async def test_demands_are_watched_whatever_the_chain_does(monkeypatch):
    """A watch that has ended answers nothing, and an honest coordinator loses its bond."""
    monkeypatch.setattr("coordinator.server.CHAIN_RETRY_SECONDS", 0.01)
    errors = (ChainUnavailable("down"), WrongContext("no"), OSError("disk"), KeyError("a bug"))
    done, watched = asyncio.Event(), Watched()

    working = asyncio.create_task(_dispute(Answers(done, *errors), watched))
    await asyncio.wait_for(done.wait(), 10)

    assert not working.done()
    working.cancel()
    assert [(metric.name, labels) for metric, labels, _ in watched.book.samples()] == [
        ("veilsum_retries_total", ("chain_unavailable",))
    ]


async def test_who_has_lost_the_lease_watches_no_demands():
    """Another process has the key."""
    with pytest.raises(LeaseLost):
        await _dispute(Answers(asyncio.Event(), LeaseLost("gone")), Watched())


async def test_what_the_chain_has_and_this_does_not_know_is_looked_for_from_the_start(
    listening, monkeypatch
):
    """Whoever restored it too old must hear of it before anybody demands."""
    looked, stop = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def look():
        loop.call_soon_threadsafe(looked.set)
        return 60.0

    built = Built(listening, fakes.Federation().service, None, -1)
    built.__dict__.update(
        unknown=SimpleNamespace(look=look, rounds=()),
        office=SimpleNamespace(forgetting=SimpleNamespace(go_on=lambda: 60.0)),
    )
    process = Process(listening, Failpoints(), None, stop, Health(), "")

    working = asyncio.create_task(_work(process, built, None))
    await asyncio.wait_for(looked.wait(), 10)
    stop.set()

    await _end(await working)


class Looks:
    """A look at what is stored that fails in one way after the other, and then is whole."""

    def __init__(self, *errors):
        self.errors, self.looks = list(errors), 0

    def go_on(self):
        self.looks += 1
        if self.errors:
            raise self.errors.pop(0)
        return 0.01


async def test_whatever_one_look_at_what_is_stored_meets_rounds_go_on(folder, monkeypatch):
    """The task that looks would end the coordinator with it."""
    monkeypatch.setattr(server, "PASS_SECONDS", 0.0)
    monkeypatch.setattr(server, "SCRUB_RETRY_SECONDS", 0.0)
    looks = Looks(StoreUnavailable("busy"), SchemaMismatch("damaged"), LookupError("a bug"))
    service = SimpleNamespace(scrub=looks)

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(_scrub(Built(None, service, None, -1)), 0.5)

    assert looks.looks > 3


async def test_what_is_over_is_forgotten_while_this_one_leads_and_errors_stop_nothing(
    folder, monkeypatch
):
    """Invitations and certificates: hour by hour, by the task that is cancelled with the term."""
    monkeypatch.setattr(server, "PASS_SECONDS", 0.0)
    monkeypatch.setattr(server, "SCRUB_RETRY_SECONDS", 0.0)
    looks = Looks(LeaseLost("gone"), SchemaMismatch("damaged"), LookupError("a bug"))
    built = Built(None, None, None, -1)
    built.__dict__["office"] = SimpleNamespace(forgetting=looks)

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(_forget(built), 0.5)

    assert looks.looks > 3


async def test_a_broken_invariant_ends_the_look_and_the_coordinator(folder):
    service = SimpleNamespace(scrub=Looks(InvariantBroken("two sums")))

    with pytest.raises(InvariantBroken):
        await asyncio.wait_for(_scrub(Built(None, service, None, -1)), 5)


@pytest.mark.parametrize("option", sorted({**dict(server._OPTIONS), **dict(channel._OPTIONS)}))
def test_grpc_knows_an_option_that_it_is_given(option):
    """It says nothing of one that it does not know, and goes on without the bound."""
    library = Path(cygrpc.__file__).read_bytes()

    assert option.encode() + b"\0" in library


def test_a_connection_keeps_little_of_what_it_reads_into():
    """Of a hundred sites that send for hours, more is more than all chunks that are under way."""
    assert dict(server._OPTIONS)["grpc.experimental.tcp_max_read_buffer_size"] <= 64 << 10
