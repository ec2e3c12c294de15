"""The coordinator's process: it answers calls, and keeps the programme going."""

import asyncio
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

import grpc
import grpc.aio
import msgspec
import structlog
from grpc_health.v1 import health_pb2_grpc
from grpc_health.v1._async import HealthServicer

from privacy.errors import AddressTaken, InvariantBroken, LeaseLost, Unavailable, VeilsumError
from privacy.failpoints import Failpoints
from privacy.identifiers import COORDINATOR
from veilsum.files import hold, read_file, read_secret
from veilsum.metrics.book import Book
from veilsum.metrics.catalogue import RETRIES
from veilsum.metrics.door import expiry_of, metrics_door
from veilsum.traces.door import traces
from veilsum.v1 import (
    cohort_pb2,
    cohort_pb2_grpc,
    contribution_pb2,
    contribution_pb2_grpc,
    enrolment_pb2,
    enrolment_pb2_grpc,
    joining_pb2,
    joining_pb2_grpc,
    model_pb2,
    model_pb2_grpc,
    operator_pb2,
    operator_pb2_grpc,
    round_pb2,
    round_pb2_grpc,
    score_pb2,
    score_pb2_grpc,
    seat_pb2,
    seat_pb2_grpc,
    settlement_pb2,
    settlement_pb2_grpc,
)

from .build import Built, Term, build, check, is_shared, open_leases
from .config import ReplicaSettings, Settings
from .descriptors import JOINING_CONNECTIONS, open_files, raise_limit, room_of
from .members.office import Office
from .replicas.gate import Gate, StandingBy
from .replicas.lease import Lease, Renewing, Turn, holder_of
from .rounds.invariants import stop_process
from .rounds.watch import Watch
from .settling.disputes import Disputes
from .settling.settlement import Settlement
from .settling.unknown import Unknown
from .stop import Stop
from .upkeep.scrub import PASS_SECONDS
from .watching import Watched
from .wire.addresses import cannot_listen
from .wire.authorise import Permissions, required_callers
from .wire.credits import Transfers
from .wire.health import Health, open_door
from .wire.interceptors import CALLS_FOR_OPERATORS, MOST_CALLS, Guard
from .wire.join_servicer import JoinServicer
from .wire.metered import Metered
from .wire.operator_servicer import OperatorServicer
from .wire.pace import Pace
from .wire.score_servicer import ScoreServicer
from .wire.seat_servicer import RelayServicer, SeatServicer
from .wire.servicer import (
    CohortServicer,
    ContributionServicer,
    EnrolmentServicer,
    ModelServicer,
    RoundServicer,
    SettlementServicer,
)
from .wire.standing import Standing
from .wire.threads import Signing, apart, bound_calls
from .wire.tls import (
    RefuseWeakTls,
    ServerInterceptor,
    joining_credentials,
    server_credentials,
)

log = structlog.get_logger()

_Got = TypeVar("_Got")

TICK_SECONDS = 0.1
CHAIN_RETRY_SECONDS = 5.0
SETTLE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 5.0
SCRUB_RETRY_SECONDS = 60.0
DRAIN_SECONDS = 5.0
REPLICA_DRAIN_SECONDS = 0.5
"""Shorter where there are others: they wait for this one to end."""

STANDBY_SECONDS = 0.25
"""How often a standby looks whether it may lead."""

PROTOS = (
    enrolment_pb2,
    operator_pb2,
    round_pb2,
    contribution_pb2,
    seat_pb2,
    cohort_pb2,
    model_pb2,
    score_pb2,
    settlement_pb2,
)

_NO_PAIR = "listen.certificate and listen.key do not belong together, or it is no address"

JOINING_PROTOS = (joining_pb2,)
"""Of the other port, where callers have no certificate: nothing else is answered there."""

_OPTIONS = (
    ("grpc.max_send_message_length", (1 << 20) + (1 << 16)),
    ("grpc.max_receive_message_length", (1 << 20) + (1 << 16)),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 30_000),
    ("grpc.http2.bdp_probe", 0),
    # what a connection reads into, it keeps as long as it is open: unbounded, that is twice the
    # most it ever had to read at once, hence more the more it carries (max_read_chunk_size does not
    # bound it)
    ("grpc.experimental.tcp_max_read_buffer_size", 64 << 10),
    ("grpc.so_reuseport", 0),
    # who was cut off without a word is found out within two minutes, and its credits come back
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.http2.ping_timeout_ms", 60_000),
    # who connects and says nothing, before or after its handshake, is let go
    ("grpc.server_handshake_timeout_ms", 20_000),
    ("grpc.max_connection_idle_ms", 300_000),
    ("grpc.max_concurrent_streams", 64),
)

_CONNECTIONS = "grpc.max_allowed_incoming_connections"
"""Beyond these one is closed as soon as it is there."""

LARGEST_REQUEST = 64 << 10
"""Bytes of a message from who has no certificate."""

MOST_JOINING_CONNECTIONS = JOINING_CONNECTIONS
"""At once at the other port; members need the process's descriptors, and whoever comes has none."""

MOST_JOINING_CALLS = 4 * MOST_JOINING_CONNECTIONS

CALLS_AT_ONCE, CALLS_PER_SECOND = 20, 5.0
"""Of one address, at the joining port; guesses have a narrower bound of their own."""

_JOINING_OPTIONS = tuple(
    {
        **dict(_OPTIONS),
        "grpc.max_receive_message_length": LARGEST_REQUEST,
        # a question takes a second, and nothing keeps a connection open behind its answer
        "grpc.server_handshake_timeout_ms": 10_000,
        "grpc.max_connection_idle_ms": 10_000,
        "grpc.max_connection_age_ms": 60_000,
        "grpc.max_connection_age_grace_ms": 10_000,
        "grpc.max_concurrent_streams": 4,
        _CONNECTIONS: MOST_JOINING_CONNECTIONS,
    }.items()
)


@dataclass
class Process:
    """What stays the same from the start of this process to its end, whoever leads."""

    settings: Settings
    failpoints: Failpoints
    announce: Path | None
    stop: Stop
    health: Health
    address: str
    watched: Watched = field(default_factory=Watched)

    def bind(self, server: grpc.aio.Server) -> None:
        """Take this process's address, for one server at a time.

        Raises:
            AddressTaken, ConfigError: nobody can listen there.
        """
        listen = msgspec.structs.replace(self.settings.listen, address=self.address)
        port = _listen(server, msgspec.structs.replace(self.settings, listen=listen))
        self.address = f"{self.address.rsplit(':', 1)[0]}:{port}"

    async def answer(self, server: grpc.aio.Server) -> None:
        """Answer at the address that was taken, and say which."""
        await server.start()
        if self.announce is not None:
            _announce(self.announce, self.address)


async def serve(settings: Settings, failpoints: Failpoints, announce: Path | None = None) -> None:
    """Run the coordinator until it is told to stop by SIGTERM or SIGINT.

    Args:
        announce: a file to write the address to, once it answers there.
    """
    bound_calls()
    raise_limit()
    book = Book()
    with (
        metrics_door(book, settings.listen.metrics),
        traces(settings.telemetry, "coordinator") as tracer,
    ):
        await _serve(settings, failpoints, announce, Watched(book, tracer))


async def _serve(
    settings: Settings, failpoints: Failpoints, announce: Path | None, watched: Watched
) -> None:
    stop, health, address = Stop(), Health(), settings.listen.address
    process = Process(settings, failpoints, announce, stop, health, address, watched)
    await health.begin()
    door = await open_door(settings.listen.health, health) if settings.listen.health else None
    watching = asyncio.create_task(health.watch())
    try:
        if is_shared(settings) or settings.replica is not None:
            await _take_turns(process)
        else:
            built = await apart(build, settings, failpoints, None, watched.book)
            await _lead(process, built, None)
    finally:
        watching.cancel()
        if door is not None:
            await door.stop(None)
    log.info("stopped")


# -- under a lease -----------------------------------------------------------------------


async def _take_turns(process: Process) -> None:
    """Stand by until no other leads, lead until the lease is lost, and again."""
    settings = process.settings
    await apart(check, settings)
    replica = settings.replica or ReplicaSettings(socket.gethostname())
    held = hold(settings.state)
    leases = await _once_there(process.stop, partial(open_leases, settings, process.failpoints))
    while leases is not None and not process.stop.is_told():
        # Another one for each term: what the last one left in memory asks a lease that is lost.
        lease = Lease(leases, holder_of(replica.name, held), float(replica.lease_seconds))
        try:
            await _lead_once(process, Term(lease, held), replica.name)
        except AddressTaken:
            raise  # by another process: standing by would not end that
        except Unavailable as error:
            log.warning("stepped_down", code=error.code, reason=str(error))
            await process.stop.wait(STANDBY_SECONDS)
    if leases is not None:
        leases.close()


async def _lead_once(process: Process, term: Term, name: str) -> None:
    standing = _standby(process.health.servicer)
    process.bind(standing)
    await process.answer(standing)
    log.info("standing_by", address=process.address, name=name)
    turn = Turn(term.lease, shares_objects=process.settings.objects is not None)
    renewing = None
    try:
        if not await _once_there(process.stop, turn.come):
            return
        renewing = Renewing(term.lease)
        log.info("leading", name=name, token=term.lease.token)
        book = process.watched.book
        built = await apart(build, process.settings, process.failpoints, term, book)
        await standing.stop(None)
        await _lead(process, built, term.lease)
    finally:
        await process.health.serves(False)
        await standing.stop(None)
        if renewing is not None:
            await apart(_let_go, term.lease, renewing)


async def _once_there(stop: Stop, get: Callable[[], _Got | None]) -> _Got | None:
    """Return what there is to get, once there is; None if this process is told to stop before."""
    said = ""
    while not stop.is_told():
        try:
            if (got := await apart(get)) is not None:
                return got
        except Unavailable as error:
            if str(error) != said:
                log.warning("will_retry", code=error.code, reason=str(error))
            said = str(error)
        await stop.wait(STANDBY_SECONDS)
    return None


def _let_go(lease: Lease, renewing: Renewing) -> None:
    renewing.end()
    if lease.sure_seconds() <= 0:
        return
    try:
        lease.release()
    except Unavailable as error:
        log.warning("lease_not_released", code=error.code, reason=str(error))


async def _until_lost(lease: Lease) -> None:
    while (left := lease.sure_seconds()) > 0:
        await asyncio.sleep(left)
    lease.require()


# -- leading -----------------------------------------------------------------------------


async def _lead(process: Process, built: Built, lease: Lease | None) -> None:
    """Serve rounds until this process is told to stop.

    Raises:
        LeaseLost: the lease is lost; everything in memory is dropped.
        AddressTaken: another process listens at one of the ports; nobody was answered.
    """
    built.service.rounds.alarm.ring = stop_process
    gate, watch = Gate(lease.require if lease else _always), Watch(built.service.rounds)
    transfers = Transfers(built.settings.transfer.in_flight_mebibytes)
    signing = Signing()
    server = _server(
        built, process.health.servicer, gate, watch, process.watched, transfers, signing
    )
    joins = built.settings.listen.joining is not None
    joining = _joining_server(built, gate, process.watched) if joins else None
    read = process.watched.of(built, lease, lambda: transfers)
    process.watched.book.watch(read)
    try:
        await _open(process, built.settings, server, joining)
        working = await _work(process, built, lease)
        process.health.forget()
        process.watched.book.forget(read)
        await _leave(process, built, gate, watch)
        if joining is not None:
            await joining.stop(None)
        # What failed goes at once: nothing that it has in memory may be answered any more.
        grace = DRAIN_SECONDS if process.settings.replica is None else REPLICA_DRAIN_SECONDS
        await server.stop(grace if process.stop.is_told() else None)
        await _end(working)
    finally:
        # Whatever failed: none is left bound, or answering.
        for each in (joining, server):
            if each is not None:
                await each.stop(None)
        transfers.close()
        signing.close()
    built.service.store.close()


async def _open(
    process: Process, settings: Settings, server: grpc.aio.Server, joining: grpc.aio.Server | None
) -> None:
    """Answer members, and who has no certificate yet where there is a port for them.

    Both ports are taken before either answers: nobody is let in by a process that cannot stay.
    """
    process.bind(server)
    port = _listen_joining(joining, settings) if joining is not None else 0
    await process.answer(server)
    if joining is not None:
        await joining.start()
        log.info("joining", address=f"{str(settings.listen.joining).rsplit(':', 1)[0]}:{port}")


async def _work(process: Process, built: Built, lease: Lease | None) -> list[asyncio.Task[None]]:
    """Do what goes on by itself until this process is told to stop, or some of it has ended."""
    process.health.quiet_seconds, process.health.probe = built.service.quiet_seconds, built.probe
    process.health.is_damaged = built.service.scrub.is_damaged
    await process.health.serves(True)
    federation, ends = built.settings.federation, _own_end(built.settings)
    log.info("serving", address=process.address, federation=federation, certificate_ends=ends)
    working = [
        asyncio.create_task(_tick(built, process.watched)),
        asyncio.create_task(_scrub(built, process.watched)),
        asyncio.create_task(_forget(built, process.watched)),
    ]
    if built.settlement is not None:
        settling = _settle(built.settlement, built, process.watched)
        working.append(asyncio.create_task(settling))
    if built.disputes is not None:
        # By itself: a demand has a deadline, and a commit may wait for the chain.
        working.append(asyncio.create_task(_dispute(built.disputes, process.watched)))
    if built.unknown is not None:
        working.append(asyncio.create_task(_compare(built.unknown, process.watched)))
    if lease is not None:
        working.append(asyncio.create_task(_until_lost(lease)))
    told = asyncio.create_task(process.stop.wait())
    await asyncio.wait({*working, told}, return_when=asyncio.FIRST_COMPLETED)
    told.cancel()
    return working


async def _leave(process: Process, built: Built, gate: Gate, watch: Watch) -> None:
    if process.stop.is_told():
        await process.health.stop()
    else:
        await process.health.serves(False)
    built.service.stop()
    gate.leave()
    watch.end()
    built.service.relay.end()


async def _end(working: Sequence[asyncio.Task[None]]) -> None:
    ended = [each for each in working if each.done()]
    for each in working:
        each.cancel()
    for each in ended:
        each.result()  # why it ended


def _always() -> None:
    """Let the only coordinator answer."""


def _options(options: Iterable[tuple[str, int]], connections: int) -> tuple[tuple[str, int], ...]:
    return tuple({**dict(options), _CONNECTIONS: connections}.items())


def _standby(health: HealthServicer) -> grpc.aio.Server:
    server = grpc.aio.server(
        interceptors=(RefuseWeakTls(),),
        options=_options(_OPTIONS, room_of(open_files()).members),
        maximum_concurrent_rpcs=MOST_CALLS,
    )
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    server.add_generic_rpc_handlers((StandingBy(),))
    return server


def _server(
    built: Built,
    health: HealthServicer,
    gate: Gate | None = None,
    watch: Watch | None = None,
    watched: Watched | None = None,
    transfers: Transfers | None = None,
    signing: Signing | None = None,
) -> grpc.aio.Server:
    service, settlement = built.service, built.settlement
    watched = watched or Watched()
    rounds = built.settings.rounds
    permissions = Permissions(
        built.settings.federation, service.rosters, rounds.openers, rounds.seats
    )
    callers = required_callers(module.DESCRIPTOR for module in PROTOS)
    interceptors: Sequence[ServerInterceptor] = (
        RefuseWeakTls(),
        Metered(watched.book, watched.tracer),
        gate or Gate(_always),
        Guard(Standing(permissions, service.revocations, service.now), callers, service.seen),
    )
    server = grpc.aio.server(
        interceptors=interceptors,
        options=_options(_OPTIONS, room_of(open_files()).members),
        # Who is one too many is told by the guard, and said in the log; gRPC does neither.
        maximum_concurrent_rpcs=MOST_CALLS + CALLS_FOR_OPERATORS,
    )
    transfers = transfers or Transfers(built.settings.transfer.in_flight_mebibytes)
    watch = watch or Watch(service.rounds)
    _add_enrolment(built, server)
    round_pb2_grpc.add_RoundServiceServicer_to_server(
        RoundServicer(service, settlement, watch), server
    )
    contribution_pb2_grpc.add_ContributionServiceServicer_to_server(
        ContributionServicer(service.contributions, transfers, watched.book), server
    )
    seat_pb2_grpc.add_SeatServiceServicer_to_server(SeatServicer(service.seats, transfers), server)
    seat_pb2_grpc.add_RelayServiceServicer_to_server(
        RelayServicer(service.relay, service.rosters), server
    )
    cohort_pb2_grpc.add_CohortServiceServicer_to_server(
        CohortServicer(service.sums, transfers), server
    )
    model_pb2_grpc.add_ModelServiceServicer_to_server(
        ModelServicer(service.models, transfers), server
    )
    score_pb2_grpc.add_ScoreServiceServicer_to_server(ScoreServicer(service.products), server)
    settlement_pb2_grpc.add_SettlementServiceServicer_to_server(
        SettlementServicer(
            service.rounds, settlement, built.shown, transfers, signing or Signing()
        ),
        server,
    )
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    return server


def _add_enrolment(built: Built, server: grpc.aio.Server) -> None:
    def office() -> Office:
        return built.office

    wanted = built.settings.enrolment
    enrolment_pb2_grpc.add_EnrolmentServiceServicer_to_server(
        EnrolmentServicer(built.service.rosters, office), server
    )
    operator = OperatorServicer(office, wanted.joining if wanted else "", time.time)
    operator_pb2_grpc.add_OperatorServiceServicer_to_server(operator, server)


def _joining_server(built: Built, gate: Gate, watched: Watched | None = None) -> grpc.aio.Server:
    service, wanted = built.service, built.settings.enrolment
    watched = watched or Watched()
    assert wanted is not None  # settings have it where they have the port
    callers = required_callers(module.DESCRIPTOR for module in JOINING_PROTOS)
    permissions = Permissions(built.settings.federation, service.rosters, ())
    standing = Standing(permissions, service.revocations, service.now)
    pace = Pace(time.monotonic, CALLS_AT_ONCE, CALLS_PER_SECOND)
    interceptors: Sequence[ServerInterceptor] = (
        RefuseWeakTls(),
        Metered(watched.book, watched.tracer),
        gate,
        Guard(standing, callers, service.seen, pace),
    )
    server = grpc.aio.server(
        interceptors=interceptors,
        options=_options(_JOINING_OPTIONS, room_of(open_files()).joining),
        maximum_concurrent_rpcs=MOST_JOINING_CALLS,
    )
    servicer = JoinServicer(built.office.enrolment, wanted.addresses, Pace(time.monotonic))
    joining_pb2_grpc.add_JoinServiceServicer_to_server(servicer, server)
    return server


def _listen_joining(server: grpc.aio.Server, settings: Settings) -> int:
    listen = settings.listen
    assert listen.joining is not None  # the caller has looked
    credentials = joining_credentials(read_file(listen.certificate), read_secret(listen.key))
    try:
        port: int = server.add_secure_port(listen.joining, credentials)
    except RuntimeError:
        raise cannot_listen("listen.joining", listen.joining, _NO_PAIR) from None
    return port


def _listen(server: grpc.aio.Server, settings: Settings) -> int:
    address, credentials = settings.listen.address, _credentials(settings)
    try:
        port: int = server.add_secure_port(address, credentials)
    except RuntimeError:
        raise cannot_listen("listen.address", address, _NO_PAIR) from None
    return port


async def _tick(built: Built, watched: Watched) -> None:
    pause = TICK_SECONDS
    while True:
        try:
            await apart(built.service.tick)
            watched.look(built.service.rounds.all(), built.settings.federation)
            pause = TICK_SECONDS
        except LeaseLost:
            raise
        except Unavailable as error:
            _will_retry(error, watched)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
        await asyncio.sleep(pause)


async def _scrub(built: Built, watched: Watched | None = None) -> None:
    await _look_again(built.service.scrub.go_on, "scrub_failed", watched)


async def _forget(built: Built, watched: Watched | None = None) -> None:
    await _look_again(built.office.forgetting.go_on, "forgetting_failed", watched)


async def _look_again(
    look: Callable[[], float], failed: str, watched: Watched | None = None
) -> None:
    """Do what is due by itself and belongs to no round, again and again."""
    while True:
        pause = PASS_SECONDS
        try:
            pause = await apart(look)
        except Unavailable as error:
            _will_retry(error, watched or Watched())
            pause = SCRUB_RETRY_SECONDS
        except InvariantBroken:
            raise
        except VeilsumError as error:
            # What it reads of the database is damaged; rounds go on as far as they do.
            log.error(failed, code=error.code, reason=str(error), who_acts=error.who_acts)
        except Exception as error:
            # A bug, perhaps; one look at what is stored is worth no round.
            log.error(failed, code="internal", exc_info=error)
        await asyncio.sleep(pause)


async def _settle(settlement: Settlement, built: Built, watched: Watched) -> None:
    """Commit what rounds have earned as they end."""
    await _on_chain(partial(_settle_once, settlement, built), "settlement_failed", watched)


def _settle_once(settlement: Settlement, built: Built) -> float:
    if not settlement.is_done():
        settlement.run(built.service.rounds.all())
        if settlement.is_done():
            built.service.rounds.announce()
    return SETTLE_SECONDS


async def _dispute(disputes: Disputes, watched: Watched) -> None:
    """Answer what is demanded on the chain."""
    await _on_chain(disputes.look, "disputes_not_watched", watched)


async def _compare(unknown: Unknown, watched: Watched) -> None:
    """Say of what is on the chain, and is not known here."""
    await _on_chain(unknown.look, "commits_not_compared", watched)


async def _on_chain(look: Callable[[], float], failed: str, watched: Watched) -> None:
    """Do what is due on the chain, again and again, whatever is wrong there.

    Rounds never depend on it: sites are still served, and what is demanded is tried until its
    deadline.
    """
    while True:
        pause = CHAIN_RETRY_SECONDS
        try:
            pause = await apart(look)
        except LeaseLost:
            raise
        except Unavailable as error:
            _will_retry(error, watched)
        except (VeilsumError, OSError) as error:
            log.error(failed, reason=str(error))
        except Exception as error:
            log.error("unexpected_error", exc_info=error)
        await asyncio.sleep(pause)


def _will_retry(error: Unavailable, watched: Watched) -> None:
    log.warning("will_retry", code=error.code, reason=str(error))
    watched.book.add(RETRIES, 1, error.code)


def _credentials(settings: Settings) -> grpc.ServerCredentials:
    listen = settings.listen
    return server_credentials(
        read_file(listen.certificate), read_secret(listen.key), read_file(listen.authority)
    )


def _own_end(settings: Settings) -> str:
    """Return when this process's own certificate ends, which nothing renews by itself."""
    ((_, _, ends),) = expiry_of(settings.listen.certificate, COORDINATOR)
    return datetime.fromtimestamp(ends, UTC).isoformat()


def _announce(path: Path, address: str) -> None:
    draft = path.with_suffix(".draft")
    draft.write_text(address)
    draft.replace(path)
