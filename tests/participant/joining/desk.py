"""A joining port in this process: the real servicer and guard, over real TLS, in a test's hands."""

import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from coordinator.adapters import authority_files
from coordinator.adapters.authority import Authority, certify_coordinator, make_issuing, make_root
from coordinator.members.enrolment import Enrolment, Operated
from coordinator.members.issuing import Issuing
from coordinator.members.revocations import Revocations
from coordinator.members.rosters import Rosters
from coordinator.members.seen import SeenBook
from coordinator.wire.authorise import Permissions, required_callers
from coordinator.wire.interceptors import Guard
from coordinator.wire.join_servicer import JoinServicer
from coordinator.wire.pace import Pace
from coordinator.wire.standing import Standing
from coordinator.wire.tls import joining_credentials
from participant.joining.found import entry
from participant.joining.link import Link
from privacy.signing import public_bytes
from tests.coordinator.memory_store import MemoryStore
from tests.participant import signed_round as made
from veilsum.v1 import joining_pb2, joining_pb2_grpc

FEDERATION = made.FEDERATION
HOST = "127.0.0.1"
DAY = timedelta(days=1)
ADDRESSES = ("veilsum.example.org:8443", "standby.example.org:8443")


def authority() -> tuple[Authority, Authority]:
    """A root, and the authority below it that issues."""
    now = datetime.now(UTC)
    root = make_root(FEDERATION, now=now, life=30 * DAY)
    return root, make_issuing(root, now=now, life=20 * DAY)


@dataclass
class Watched(JoinServicer):
    """The real desk, that notes what it was asked."""

    enrolment: Enrolment
    calls: list[tuple[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(self.enrolment, ADDRESSES, Pace(lambda: 1e9 * len(self.calls)))

    async def GetAuthority(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.calls.append(("GetAuthority", request))
        return await super().GetAuthority(request, context)

    async def RequestEnrolment(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.calls.append(("RequestEnrolment", request))
        return await super().RequestEnrolment(request, context)


@dataclass
class Desk:
    """One coordinator's joining port, and its operator."""

    enrolment: Enrolment
    servicer: JoinServicer
    issuing: Authority
    port: int
    clock: list[float]

    @property
    def address(self) -> str:
        """Where it answers."""
        return f"{HOST}:{self.port}"

    def link(self, participant: str = "amber", *roles: str, seconds: int = 3600) -> Link:
        """A new invitation, as its member gets it."""
        made_of = self.enrolment.invite("desk", participant, roles or ("trainer",), seconds)
        return Link(self.address, made_of.token, bytes.fromhex(made_of.authority), participant)

    def words(self, participant: str = "amber") -> str:
        """The words that the operator sees."""
        found = [
            each for each in self.enrolment.page().invitations if each.participant == participant
        ]
        return found[-1].words

    def approve(self, participant: str = "amber", words: str = "") -> None:
        """Approve whoever shows these words."""
        said = words or self.words(participant)
        self.enrolment.decide("desk", participant, True, said, "")

    def refuse(self, participant: str = "amber", reason: str = "not expected") -> None:
        """Refuse the request."""
        self.enrolment.decide("desk", participant, False, self.words(participant), reason)


@asynccontextmanager
async def desk(
    of: tuple[Authority, Authority] | None = None,
    folder: Path | None = None,
    port: int = 0,
    before: "Desk | None" = None,
) -> AsyncIterator[Desk]:
    """Give a joining port; with `before` it is that one's coordinator, started again."""
    root, issuing = of or authority()
    assert folder is not None
    if before is None:
        enrolment, clock = _enrolment(folder, root, issuing)
    else:
        enrolment, clock, issuing = before.enrolment, before.clock, before.issuing
    servicer = Watched(enrolment)
    server, port = await _serve(servicer, enrolment.rosters, issuing, port)
    try:
        yield Desk(enrolment, servicer, issuing, port, clock)
    finally:
        await server.stop(None)


def _enrolment(folder: Path, root: Authority, issuing: Authority) -> tuple[Enrolment, list[float]]:
    place, clock = folder / f"authority-{os.urandom(4).hex()}", [datetime.now(UTC).timestamp()]
    authority_files.save(place, root, issuing, None)
    certifier = authority_files.Certifier(
        authority_files.load(FEDERATION, place / "authority.pem", place / "authority.key")
    )
    store, key = MemoryStore(), public_bytes(made.COORDINATOR_KEY)
    operator = entry(made.keys("desk"), "desk", "The office", "", ("operator",))
    rosters = Rosters(store, Operated(FEDERATION, key, operator).over(store))
    revocations = Revocations(store, lambda: clock[0])
    issues = Issuing(certifier, store, revocations, 86_400.0, lambda: clock[0])
    return Enrolment(store, rosters, issues, lambda: clock[0], os.urandom), clock


async def _serve(
    servicer: JoinServicer, rosters: Rosters, issuing: Authority, port: int
) -> tuple[grpc.aio.Server, int]:
    callers = required_callers([joining_pb2.DESCRIPTOR])
    standing = Standing(
        Permissions(FEDERATION, rosters, ()), Revocations(rosters.store, lambda: 0), lambda: 0
    )
    server = grpc.aio.server(interceptors=(Guard(standing, callers, SeenBook(lambda: 0)),))
    joining_pb2_grpc.add_JoinServiceServicer_to_server(servicer, server)
    identity = certify_coordinator(issuing, [HOST], now=datetime.now(UTC), life=DAY)
    credentials = joining_credentials(identity.certificate_pem, identity.key_pem)
    bound = server.add_secure_port(f"{HOST}:{port}", credentials)
    await server.start()
    return server, bound


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        return int(listener.getsockname()[1])
