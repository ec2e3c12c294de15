"""Who may call what: every method by every kind of caller, over real connections."""

import asyncio

import grpc
import grpc.aio
import msgspec
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool

from coordinator.members.rosters import Rosters
from coordinator.server import PROTOS
from coordinator.wire.authorise import Permissions, required_callers
from privacy.errors import ConfigError, NotYet, WrongIdentity
from privacy.identifiers import PeerIdentity
from privacy.roster import Role
from tests import fakes
from tests.coordinator.memory_store import MemoryStore
from tests.coordinator.seated_round import SEATS, make_roster, make_settings, with_aggregator
from tests.coordinator.served import channel_of, served
from tests.loopback import make_federation
from veilsum.v1 import options_pb2 as options

SECRET = "weights[3] = 0.731"
PEERS = {
    "opener": "spiffe://oncology/participant/hospital-a",
    "trainer": "spiffe://oncology/participant/hospital-d",
    "auditor": "spiffe://oncology/participant/auditor",
    "seat": "spiffe://oncology/participant/seat-a",
    "other aggregator": "spiffe://oncology/participant/seat-d",
    "stranger": "spiffe://oncology/participant/hospital-z",
    "other federation": "spiffe://cardiology/participant/hospital-a",
    "coordinator": "spiffe://oncology/coordinator",
}
MEMBERS = {"opener", "trainer", "auditor", "seat", "other aggregator"}
MAY_CALL = {
    options.CALLER_CERTIFIED: {*MEMBERS, "stranger"},
    options.CALLER_MEMBER: MEMBERS,
    options.CALLER_TRAINER: {"opener", "trainer"},
    options.CALLER_OPENER: {"opener"},
    options.CALLER_AUDITOR: {"auditor"},
    options.CALLER_SEAT: {"seat"},
}
# The authority may certify its own federation only, so TLS ends the other's calls: unavailable,
# or cancelled where a stream was being sent.
REFUSED = {
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.CANCELLED,
}
FILES = [module.DESCRIPTOR for module in PROTOS]
METHODS = {
    f"/{service.full_name}/{method.name}": method
    for file in FILES
    for service in file.services_by_name.values()
    for method in service.methods
}


ROSTER = with_aggregator(make_roster(), "seat-d")


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
        self.seats = self.relay = Broken()


async def outcome(channel, path):
    """Call a method with nothing; return the status and all that is said of it."""
    method = METHODS[path]
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


@pytest.fixture(scope="module")
def certified():
    return make_federation()


async def test_every_method_is_open_to_the_callers_it_declares_and_to_nobody_else(certified, capfd):
    """And a bug behind any of them tells the operator all, and the peer nothing."""
    expected, found, said = {}, {}, []
    async with served(BrokenService(), certified, make_settings()) as address:
        for peer, uri in PEERS.items():
            async with channel_of(address, certified, uri) as channel:
                for path, callers in required_callers(FILES).items():
                    status, text = await outcome(channel, path)
                    expected[peer, path] = any(peer in MAY_CALL[each] for each in callers)
                    found[peer, path] = status not in REFUSED
                    said.append(text)

    assert found == expected
    assert "internal error" in " ".join(said)
    assert SECRET not in " ".join(said)
    assert SECRET in "".join(capfd.readouterr())


async def test_a_method_that_does_not_exist_is_not_implemented(certified):
    async with (
        served(BrokenService(), certified, make_settings()) as address,
        channel_of(address, certified, PEERS["opener"]) as channel,
    ):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await channel.unary_unary("/veilsum.v1.RoundService/Nothing")(b"", timeout=5)

    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_every_method_declares_a_caller_and_every_role_is_used():
    callers = required_callers(FILES)

    assert callers.keys() == METHODS.keys()
    assert set().union(*callers.values()) == MAY_CALL.keys() == set(options.Caller.values()) - {0}


def test_the_server_does_not_start_when_a_method_declares_no_caller():
    """A method that somebody adds and forgets to guard is open to nobody."""
    file = descriptor_pb2.FileDescriptorProto(name="forgotten.proto", package="forgotten")
    file.message_type.add(name="Empty")
    service = file.service.add(name="ForgottenService")
    service.method.add(name="Open", input_type=".forgotten.Empty", output_type=".forgotten.Empty")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)

    with pytest.raises(ConfigError, match=r"ForgottenService\.Open declares no role"):
        required_callers([*FILES, pool.FindFileByName("forgotten.proto")])


def test_nobody_is_a_member_before_the_roster_is_founded():
    rosters = Rosters(MemoryStore(), fakes.make_roster())
    permissions = Permissions("oncology", rosters, fakes.OPENERS)
    peer = PeerIdentity("oncology", "participant", "hospital-a")

    permissions.check(peer, frozenset({options.CALLER_CERTIFIED}))
    with pytest.raises(NotYet):
        permissions.check(peer, frozenset({options.CALLER_MEMBER}))


@pytest.mark.parametrize(
    "peer",
    [
        PeerIdentity("cardiology", "participant", "hospital-a"),
        PeerIdentity("oncology", "coordinator", "coordinator"),
    ],
)
def test_another_federations_certificate_opens_nothing(peer):
    """Not even what is open to anyone certified; TLS has refused it before."""
    permissions = Permissions("oncology", fakes.Federation().service.rosters, fakes.OPENERS)

    for caller in MAY_CALL:
        with pytest.raises(WrongIdentity, match="no participant of oncology"):
            permissions.check(peer, frozenset({caller}))


def allowed(permissions, participant, *callers):
    """Return whether a participant may call what names these callers."""
    try:
        permissions.check(PeerIdentity("oncology", "participant", participant), frozenset(callers))
    except WrongIdentity:
        return False
    return True


@pytest.mark.parametrize("participant", ["hospital-a", "hospital-d", "auditor"])
def test_one_of_the_roles_that_a_method_names_is_enough(participant):
    """Where a method names several, whoever has any of them may call it."""
    permissions = Permissions("oncology", fakes.Federation().service.rosters, fakes.OPENERS)
    both = options.CALLER_OPENER, options.CALLER_AUDITOR

    alone = [allowed(permissions, participant, each) for each in both]

    assert allowed(permissions, participant, *both) == any(alone)
    assert any(alone) == (participant != "hospital-d")


def test_a_refusal_names_what_the_caller_is_not():
    permissions = Permissions("oncology", fakes.Federation().service.rosters, fakes.OPENERS)
    wanted = frozenset({options.CALLER_OPENER, options.CALLER_AUDITOR})

    with pytest.raises(WrongIdentity, match="hospital-d is no auditor or opener in roster"):
        permissions.check(PeerIdentity("oncology", "participant", "hospital-d"), wanted)


def test_an_opener_that_is_no_trainer_opens_nothing():
    """What the settings say does not make a trainer of an auditor."""
    rosters = fakes.Federation().service.rosters
    permissions = Permissions("oncology", rosters, ("auditor",))

    assert not allowed(permissions, "auditor", options.CALLER_OPENER)


def test_an_auditor_that_trains_is_no_auditor():
    """It may hold a cohort key: it is handed nobody else's ciphertexts."""
    members = tuple(
        msgspec.structs.replace(each, roles=(Role.AUDITOR, *each.roles))
        if each.participant == "hospital-d"
        else each
        for each in fakes.make_roster().members
    )
    both = msgspec.structs.replace(fakes.make_roster(), members=members)
    permissions = Permissions("oncology", fakes.Federation(roster=both).service.rosters, ())

    assert allowed(permissions, "hospital-d", options.CALLER_TRAINER)
    assert not allowed(permissions, "hospital-d", options.CALLER_AUDITOR)
    assert allowed(permissions, "auditor", options.CALLER_AUDITOR)


# -- seats -----------------------------------------------------------------------------


def seats_of(roster, *seats):
    """Return the permissions of a federation whose rounds name these seats."""
    rosters = Rosters(MemoryStore(), roster)
    rosters._current = roster
    return Permissions("oncology", rosters, fakes.OPENERS, seats)


def test_a_seat_is_an_aggregator_that_the_rounds_name():
    """One that they do not name is a member, and is handed nobody's components."""
    permissions = seats_of(ROSTER, *SEATS)

    for name in SEATS:
        assert allowed(permissions, name, options.CALLER_SEAT)
    assert not allowed(permissions, "seat-d", options.CALLER_SEAT)
    assert allowed(permissions, "seat-d", options.CALLER_MEMBER)


@pytest.mark.parametrize("name", ["hospital-a", "auditor"])
def test_what_the_settings_say_does_not_make_a_seat_of_others(name):
    permissions = seats_of(ROSTER, name, *SEATS[1:])

    assert not allowed(permissions, name, options.CALLER_SEAT)


@pytest.mark.parametrize("other", [Role.TRAINER, Role.AUDITOR])
@pytest.mark.parametrize("first", [True, False])
def test_a_seat_that_is_anything_else_too_is_no_seat(other, first):
    """A trainer opens sums, an auditor is shown evidence: with two components, too much."""
    both = (other, Role.AGGREGATOR) if first else (Role.AGGREGATOR, other)
    members = tuple(
        msgspec.structs.replace(each, roles=both) if each.participant == SEATS[0] else each
        for each in ROSTER.members
    )
    permissions = seats_of(msgspec.structs.replace(ROSTER, members=members), *SEATS)

    assert not allowed(permissions, SEATS[0], options.CALLER_SEAT)
    assert allowed(permissions, SEATS[1], options.CALLER_SEAT)


def test_a_seat_is_neither_trainer_nor_opener_nor_auditor():
    """Not even where the settings name it as an opener."""
    permissions = Permissions("oncology", seats_of(ROSTER).rosters, SEATS, SEATS)
    others = options.CALLER_TRAINER, options.CALLER_OPENER, options.CALLER_AUDITOR

    assert not allowed(permissions, SEATS[0], *others)


def test_only_seats_are_handed_parts_and_only_trainers_the_words_of_sums():
    callers = required_callers(FILES)

    assert callers["/veilsum.v1.SeatService/GetPart"] == {options.CALLER_SEAT}
    assert callers["/veilsum.v1.SeatService/GetSealedWords"] == {options.CALLER_TRAINER}
