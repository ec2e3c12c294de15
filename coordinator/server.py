"""The coordinator's process: the only place that builds things."""

import asyncio
import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import grpc
import grpc.aio
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer

from privacy import canonical
from privacy.errors import ConfigError, MissingDependency, Unavailable, VeilsumError
from privacy.failpoints import Failpoints
from privacy.roster import Role, Roster
from privacy.schemes.shares.layout import SEATS
from veilsum.files import hold, read_file, read_secret
from veilsum.v1 import (
    cohort_pb2,
    cohort_pb2_grpc,
    contribution_pb2,
    contribution_pb2_grpc,
    enrolment_pb2,
    enrolment_pb2_grpc,
    model_pb2,
    model_pb2_grpc,
    round_pb2,
    round_pb2_grpc,
    seat_pb2,
    seat_pb2_grpc,
    settlement_pb2,
    settlement_pb2_grpc,
)

from . import plan
from .adapters.objects import open_objects
from .adapters.processes import LocalProcesses
from .adapters.store import open_store
from .authorise import Permissions, required_callers
from .capacity import check_members, check_trainers
from .config import Settings
from .interceptors import Guard
from .keys import load_signing_key
from .progress import Progress
from .rosters import Rosters
from .seat_servicer import RelayServicer, SeatServicer
from .service import Service
from .servicer import (
    CohortServicer,
    ContributionServicer,
    EnrolmentServicer,
    ModelServicer,
    RoundServicer,
    SettlementServicer,
)
from .settlement import Settlement
from .tls import RefuseWeakTls, ServerInterceptor, server_credentials
from .watch import Watch

log = structlog.get_logger()

TICK_SECONDS = 0.1
CHAIN_RETRY_SECONDS = 5.0
LONGEST_PAUSE_SECONDS = 5.0
DRAIN_SECONDS = 5.0

PROTOS = (
    enrolment_pb2,
    round_pb2,
    contribution_pb2,
    seat_pb2,
    cohort_pb2,
    model_pb2,
    settlement_pb2,
)

_OPTIONS = (
    ("grpc.max_send_message_length", (1 << 20) + (1 << 16)),
    ("grpc.max_receive_message_length", (1 << 20) + (1 << 16)),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 60_000),
    ("grpc.http2.bdp_probe", 0),
    ("grpc.so_reuseport", 0),
)


@dataclass(frozen=True)
class Built:
    """The parts of a coordinator that outlive a single call."""

    settings: Settings
    service: Service
    settlement: Settlement | None
    held: int


def build(settings: Settings, failpoints: Failpoints) -> Built:
    """Return a coordinator that has resumed where the last one stopped.

    Raises:
        ConfigError: a file, a key, the database or the settings are not what they must be.
        UnsafeParameters: no scheme parameters fit the settings.
    """
    plan.parameters(settings)
    # What others must supply comes first: a start that fails for want of it leaves nothing.
    draft, signing_key = _draft(settings.roster), load_signing_key(settings.signing_key)
    _check_key(signing_key, draft)
    _check_rounds(settings, draft)
    plan.check(settings, draft)
    held = hold(settings.state)
    store = open_store(settings.database)
    rosters = Rosters(store, draft)
    objects = open_objects(settings.state / "objects")
    service = Service(
        settings=settings,
        store=store,
        objects=objects,
        rosters=rosters,
        signing_key=signing_key,
        now=time.time,
        progress=Progress(time.monotonic),
        failpoints=failpoints,
        engine=LocalProcesses(objects),
    )
    return Built(settings, service, _settlement(settings, service), held)


async def serve(settings: Settings, failpoints: Failpoints, announce: Path | None = None) -> None:
    """Run the coordinator until it is told to stop by SIGTERM or SIGINT.

    Args:
        announce: a file to write the address to, once it answers there.
    """
    built = await asyncio.to_thread(build, settings, failpoints)
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    health = HealthServicer()
    server = _server(built, health)
    port = _listen(server, settings)
    await server.start()
    await health.set("", health_pb2.HealthCheckResponse.SERVING)
    host = settings.listen.address.rsplit(":", 1)[0]
    log.info("serving", address=f"{host}:{port}", federation=settings.federation)
    if announce is not None:
        _announce(announce, f"{host}:{port}")
    ticking = asyncio.create_task(_tick(built))
    waiting = asyncio.create_task(stopping.wait())
    await asyncio.wait({ticking, waiting}, return_when=asyncio.FIRST_COMPLETED)
    built.service.stop()
    await health.enter_graceful_shutdown()
    await server.stop(DRAIN_SECONDS)
    if ticking.done():
        ticking.result()  # an invariant broke: stop with it, answer nothing
    ticking.cancel()
    log.info("stopped")


def _server(built: Built, health: HealthServicer) -> grpc.aio.Server:
    service, settlement = built.service, built.settlement
    rounds = built.settings.rounds
    permissions = Permissions(
        built.settings.federation, service.rosters, rounds.openers, rounds.seats
    )
    callers = required_callers(module.DESCRIPTOR for module in PROTOS)
    interceptors: Sequence[ServerInterceptor] = (
        RefuseWeakTls(),
        Guard(permissions, callers),
    )
    server = grpc.aio.server(interceptors=interceptors, options=_OPTIONS)
    watch = Watch(service.rounds)
    enrolment_pb2_grpc.add_EnrolmentServiceServicer_to_server(
        EnrolmentServicer(service.rosters), server
    )
    round_pb2_grpc.add_RoundServiceServicer_to_server(
        RoundServicer(service, settlement, watch), server
    )
    contribution_pb2_grpc.add_ContributionServiceServicer_to_server(
        ContributionServicer(service.contributions), server
    )
    seat_pb2_grpc.add_SeatServiceServicer_to_server(SeatServicer(service.seats), server)
    seat_pb2_grpc.add_RelayServiceServicer_to_server(
        RelayServicer(service.relay, service.rosters), server
    )
    cohort_pb2_grpc.add_CohortServiceServicer_to_server(CohortServicer(service.sums), server)
    model_pb2_grpc.add_ModelServiceServicer_to_server(ModelServicer(service.models), server)
    settlement_pb2_grpc.add_SettlementServiceServicer_to_server(
        SettlementServicer(service.rounds, settlement), server
    )
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    return server


def _listen(server: grpc.aio.Server, settings: Settings) -> int:
    address, credentials = settings.listen.address, _credentials(settings)
    try:
        port: int = server.add_secure_port(address, credentials)
    except RuntimeError:
        raise ConfigError(
            f"listen.address: {address} is in use or not this machine's, or listen.certificate "
            "and listen.key do not belong together"
        ) from None
    return port


async def _tick(built: Built) -> None:
    chain_again, pause = 0.0, TICK_SECONDS
    while True:
        try:
            await asyncio.to_thread(built.service.tick)
            pause = TICK_SECONDS
            if built.settlement and built.service.finished() and time.monotonic() >= chain_again:
                await asyncio.to_thread(_settle, built)
        except Unavailable as error:
            log.warning("will_retry", code=error.code, reason=str(error))
            chain_again = time.monotonic() + CHAIN_RETRY_SECONDS
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
        await asyncio.sleep(pause)


def _settle(built: Built) -> None:
    assert built.settlement is not None  # the caller has looked
    if built.settlement.is_done():
        return
    try:
        built.settlement.run(built.service.rounds.all())
        built.service.rounds.announce()
    except Unavailable:
        raise
    except (VeilsumError, OSError) as error:
        # Rounds never depend on the chain: whatever is wrong there, sites are still served.
        log.error("settlement_failed", reason=str(error))
        raise Unavailable(f"settlement: {error}") from error


def _credentials(settings: Settings) -> grpc.ServerCredentials:
    listen = settings.listen
    return server_credentials(
        read_file(listen.certificate), read_secret(listen.key), read_file(listen.authority)
    )


def _settlement(settings: Settings, service: Service) -> Settlement | None:
    if settings.settlement is None:
        return None
    read_secret(settings.settlement.passphrase)
    read_secret(settings.settlement.keystore)
    if find_spec("web3") is None:
        raise MissingDependency("settlement: web3 is not installed; install the extra `chain`")
    return Settlement(
        settings.settlement,
        service.store,
        service.roster,
        os.urandom,
        settings.state / "transactions",
    )


def _draft(path: Path) -> Roster:
    return canonical.decode(read_file(path), Roster)


def _check_key(key: Ed25519PrivateKey, roster: Roster) -> None:
    if key.public_key().public_bytes_raw() != roster.coordinator_key:
        raise ConfigError("signing_key: not the key that the roster has for the coordinator")


def _check_rounds(settings: Settings, roster: Roster) -> None:
    rounds, trainers = settings.rounds, [each.participant for each in roster.trainers()]
    check_members(roster)
    if rounds.seats:
        _check_seats(rounds.seats, rounds.auditor, roster)
        check_trainers(rounds.seats, roster)
    if not set(rounds.openers) <= set(trainers):
        raise ConfigError("rounds.openers: the roster has one of them not as a trainer")
    if not rounds.quorum <= len(trainers) <= settings.scheme.cohort_max:
        raise ConfigError(
            f"{len(trainers)} trainers: not from the quorum of {rounds.quorum} to the cohort_max "
            f"of {settings.scheme.cohort_max}, so a round could not be closed or not be added up"
        )
    if rounds.auditor is not None:
        _check_auditor(rounds.auditor, roster)


def _check_auditor(auditor: str, roster: Roster) -> None:
    """Return if `auditor` is one, and of an organisation that trains and opens nothing."""
    entries = [each for each in roster.members if each.participant == auditor]
    if not any(Role.AUDITOR in each.roles for each in entries):
        raise ConfigError(f"rounds.auditor: the roster has {auditor} not as an auditor")
    # Openers are trainers: who trains may hold the key to what an auditor is handed.
    if entries[0].organisation in {each.organisation for each in roster.trainers()}:
        raise ConfigError(
            f"rounds.auditor: {auditor} is a trainer, or of the organisation of one; an auditor "
            "must be of another"
        )


def _check_seats(seats: Sequence[str], auditor: str | None, roster: Roster) -> None:
    """Return if `seats` are aggregators and nothing else, each of an organisation of its own."""
    entries = [each for each in roster.members if each.participant in seats]
    if len(entries) != SEATS or any(each.roles != (Role.AGGREGATOR,) for each in entries):
        raise ConfigError(
            f"rounds.seats: {SEATS} members are needed that the roster has as aggregators alone"
        )
    # Whoever has two seats has all three components, and opens every update.
    apart = [*entries, *(each for each in roster.members if each.participant == auditor)]
    if len({each.organisation for each in apart}) != len(apart):
        raise ConfigError("rounds.seats: two seats, or a seat and the auditor, have one owner")


def _announce(path: Path, address: str) -> None:
    draft = path.with_suffix(".draft")
    draft.write_text(address)
    draft.replace(path)
