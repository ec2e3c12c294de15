"""Every method of the protocol, and a coordinator behind which each ends in a bug."""

import asyncio
import time
from importlib import import_module
from pathlib import Path

import grpc
import grpc.aio
import msgspec

from coordinator.members.revocations import Revocations
from coordinator.members.rosters import Rosters
from coordinator.members.seen import SeenBook
from privacy.failpoints import Failpoints
from privacy.roster import Member, Role
from privacy.signing import public_bytes
from tests import fakes
from tests.coordinator.memory_store import MemoryStore
from tests.coordinator.seated_round import make_roster, with_aggregator
from veilsum.v1 import joining_pb2

SECRET = "weights[3] = 0.731"

FILES = [
    import_module(f"veilsum.v1.{file.stem}_pb2").DESCRIPTOR
    for file in sorted(Path("proto/veilsum/v1").glob("*.proto"))
]
JOINING = {joining_pb2.DESCRIPTOR.name}
"""Served at an address of its own, to callers without a certificate."""

EVERY_METHOD = {
    f"/{service.full_name}/{method.name}": method
    for file in FILES
    for service in file.services_by_name.values()
    for method in service.methods
}
METHODS = {
    path: method
    for path, method in EVERY_METHOD.items()
    if method.containing_service.file.name not in JOINING
}
"""Those of members, where TLS asks for a certificate."""


def uri_of(name):
    return f"spiffe://oncology/participant/{name}"


def with_members(roster, **roles):
    """Return a roster with more members, each with the one role that is named for it."""
    added = (
        Member(
            name.replace("_", "-"),
            name,
            (Role(role),),
            public_bytes(fakes.signing_key(name)),
            fakes.sealing_key(name),
        )
        for name, role in roles.items()
    )
    members = sorted((*roster.members, *added), key=lambda each: each.participant)
    return msgspec.structs.replace(roster, members=tuple(members))


ROSTER = with_members(
    with_aggregator(make_roster(), "seat-d"),
    hospital_e="participant",
    operator="operator",
    operator_b="operator",
    auditor_b="auditor",
)


class BrokenRosters(Rosters):
    """Knows who is a member; everything else it is asked ends in a bug."""

    def versions(self):
        raise RuntimeError(SECRET)

    def sign(self, *_):
        raise RuntimeError(SECRET)


class Broken:
    """A part of the service in which every call ends in a bug that knows a secret."""

    def on_change(self, _):
        pass

    def __getattr__(self, name):
        raise RuntimeError(SECRET)


class BrokenService(Broken):
    """A service of broken parts, which knows who is a member."""

    def __init__(self):
        self.rosters = BrokenRosters(MemoryStore(), ROSTER)
        self.rosters._current = ROSTER
        self.rounds = self.keying = self.contributions = self.sums = self.models = Broken()
        self.seats = self.relay = self.store = self.products = Broken()
        self.failpoints = Failpoints()
        self.revocations = Revocations(MemoryStore(), time.time)
        self.now, self.ahead = lambda: time.time() + self.ahead, 0.0
        self.seen = SeenBook(self.now)


class BrokenOffice:
    """Where members are enrolled: every call ends in a bug."""

    def __init__(self):
        self.enrolment = self.proposals = Broken()


async def outcome(channel, path):
    """Call a method with nothing; return the status and all that is said of it."""
    method = EVERY_METHOD[path]
    kind = "stream" if method.client_streaming else "unary"
    answer = "stream" if method.server_streaming else "unary"
    request = iter(()) if method.client_streaming else b""
    call = getattr(channel, f"{kind}_{answer}")(path)(request, timeout=10)
    try:
        if method.server_streaming:
            async for _ in call:
                pass
        else:
            await call
    except grpc.aio.AioRpcError as error:
        return error.code(), f"{error.details()} {error.trailing_metadata()}"
    except asyncio.CancelledError:
        return await call.code(), ""  # grpc ends a stream so when there is no connection for it
    return grpc.StatusCode.OK, ""
