"""Who may call what: every method by every kind of caller, over real connections."""

from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import grpc.aio
import msgspec
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool
from grpc_health.v1._async import HealthServicer
from structlog.testing import capture_logs

from coordinator.build import Built
from coordinator.config import EnrolmentSettings
from coordinator.members.rosters import Rosters
from coordinator.replicas.gate import Gate
from coordinator.server import JOINING_PROTOS, PROTOS, _joining_server, _server
from coordinator.wire.authorise import Permissions, required_callers
from coordinator.wire.tls import joining_credentials
from participant.wire.releases import with_release
from privacy.errors import ConfigError, NotYet, WrongIdentity
from privacy.identifiers import PeerIdentity
from privacy.roster import Role
from tests import fakes
from tests.coordinator.every_method import (
    EVERY_METHOD,
    FILES,
    JOINING,
    METHODS,
    ROSTER,
    SECRET,
    BrokenOffice,
    BrokenService,
    outcome,
    uri_of,
    with_members,
)
from tests.coordinator.memory_store import MemoryStore
from tests.coordinator.seated_round import SEATS, make_settings
from tests.coordinator.served import channel_of, served
from tests.loopback import make_federation
from veilsum.release import RELEASE
from veilsum.v1 import options_pb2 as options

HOUR_SECONDS = 3600.0


PEERS = {
    "opener": uri_of("hospital-a"),
    "trainer": uri_of("hospital-d"),
    "auditor": uri_of("auditor"),
    "seat": uri_of("seat-a"),
    "other aggregator": uri_of("seat-d"),
    "participant that does not train": uri_of("hospital-e"),
    "operator": uri_of("operator"),
    "stranger": uri_of("hospital-z"),
    "revoked opener": uri_of("hospital-b"),
    "revoked auditor": uri_of("auditor-b"),
    "revoked seat": uri_of("seat-b"),
    "revoked operator": uri_of("operator-b"),
    "revoked stranger": uri_of("hospital-y"),
    "opener whose certificate has ended": uri_of("hospital-a"),
    "seat whose certificate has ended": uri_of("seat-a"),
    "auditor whose certificate has ended": uri_of("auditor"),
    "operator whose certificate has ended": uri_of("operator"),
    "other federation": "spiffe://cardiology/participant/hospital-a",
    "coordinator": "spiffe://oncology/coordinator",
    "nobody: no certificate": None,
}
REVOKED = {name: uri for name, uri in PEERS.items() if name.startswith("revoked")}
ENDED = {name for name in PEERS if name.endswith("has ended")}
MEMBERS = {
    "opener",
    "trainer",
    "auditor",
    "seat",
    "other aggregator",
    "participant that does not train",
    "operator",
}
MAY_CALL = {
    options.CALLER_CERTIFIED: {*MEMBERS, "stranger"},
    options.CALLER_MEMBER: MEMBERS,
    options.CALLER_TRAINER: {"opener", "trainer"},
    options.CALLER_OPENER: {"opener"},
    options.CALLER_AUDITOR: {"auditor"},
    options.CALLER_SEAT: {"seat"},
    options.CALLER_OPERATOR: {"operator"},
}
# The authority may certify its own federation only, so TLS ends the other's calls: unavailable,
# or cancelled where a stream was being sent.
REFUSED = {
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.CANCELLED,
}
NOT_THERE = grpc.StatusCode.UNIMPLEMENTED


@pytest.fixture(scope="module")
def certified():
    return make_federation()


def channel_for(address, certified, uri):
    """Return a channel of a peer, or of somebody who has the authority and no certificate."""
    if uri is not None:
        return channel_of(address, certified, uri)
    credentials = grpc.ssl_channel_credentials(certified.authority.certificate_pem)
    return grpc.aio.secure_channel(address, credentials)


async def outcomes(service, certified, peers):
    """Return the status of every method for each of these peers, and what is said of it."""
    found = {}
    async with served(service, certified, make_settings(), office=BrokenOffice()) as address:
        for peer, uri in peers.items():
            # The certificate that TLS let in is over when the calls come.
            service.ahead = 2 * HOUR_SECONDS if peer in ENDED else 0.0
            async with channel_for(address, certified, uri) as channel:
                for path in METHODS:
                    found[peer, path] = await outcome(channel, path)
    return found


async def test_every_method_is_open_to_the_callers_it_declares_and_to_nobody_else(certified):
    """And a bug behind any of them tells the operator all, and the peer nothing."""
    service, declared = BrokenService(), required_callers(FILES)
    for uri in REVOKED.values():
        service.revocations.revoke(uri.rsplit("/", 1)[1], "its laptop was stolen", "operator")

    with capture_logs() as log:
        found = await outcomes(service, certified, PEERS)

    let_in = {call for call, (status, _) in found.items() if status not in REFUSED}
    assert let_in == {
        (peer, path)
        for peer in PEERS
        for path in METHODS
        if any(peer in MAY_CALL[each] for each in declared[path])
    }
    told = " ".join(text for _, text in found.values())
    assert "internal error" in told
    assert SECRET not in told
    assert SECRET in [str(line.get("exc_info")) for line in log]


async def test_who_is_shut_out_and_who_must_renew_are_told_so_by_every_method(certified):
    """By the code: a member renews by itself, and calls an operator where it was revoked."""
    service = BrokenService()
    for uri in REVOKED.values():
        service.revocations.revoke(uri.rsplit("/", 1)[1], "its laptop was stolen", "operator")
    peers = {peer: PEERS[peer] for peer in (*REVOKED, *ENDED)}

    with capture_logs():
        found = await outcomes(service, certified, peers)

    for (peer, _), (status, text) in found.items():
        assert status is grpc.StatusCode.PERMISSION_DENIED
        assert ("certificate_ended" if peer in ENDED else "certificate_revoked") in text


async def test_the_same_callers_are_let_in_before_they_are_revoked(certified):
    """What refuses them is the revocation, and nothing else about them."""
    with capture_logs():
        found = await outcomes(BrokenService(), certified, REVOKED)

    let_in = {peer for (peer, _), (status, _) in found.items() if status not in REFUSED}
    assert let_in == REVOKED.keys()


# -- without a certificate ---------------------------------------------------------------


@asynccontextmanager
async def asking_for_no_certificate(certified, make):
    """Serve what `make` makes of a coordinator where TLS asks nobody who it is; yield a channel."""
    enrolment = EnrolmentSettings(
        authority=Path("ca.pem"),
        authority_key=Path("ca.key"),
        operator=Path("operator"),
        joining="127.0.0.1:1",
        addresses=("127.0.0.1:2",),
    )
    settings = msgspec.structs.replace(make_settings(), enrolment=enrolment)
    built = Built(settings, BrokenService(), None, -1)
    built.__dict__["office"] = BrokenOffice()
    server = make(built)
    pems = certified.server.certificate_pem, certified.server.key_pem
    port = server.add_secure_port("127.0.0.1:0", joining_credentials(*pems))
    await server.start()
    credentials = with_release(grpc.ssl_channel_credentials(certified.authority.certificate_pem))
    async with grpc.aio.secure_channel(f"127.0.0.1:{port}", credentials) as channel:
        yield channel
    await server.stop(None)


async def test_who_has_no_certificate_may_ask_to_join_and_nothing_else(certified):
    """At the one address where TLS asks for none, no other method even exists."""
    with capture_logs():
        async with asking_for_no_certificate(
            certified, lambda built: _joining_server(built, Gate(lambda: None))
        ) as channel:
            found = {path: await outcome(channel, path) for path in EVERY_METHOD}

    exists = {path for path, (code, _) in found.items() if code is not NOT_THERE}
    assert exists == EVERY_METHOD.keys() - METHODS.keys()
    assert {code for code, _ in found.values()}.isdisjoint(REFUSED)


async def test_no_method_of_members_rests_on_tls_alone(certified):
    """Were they ever served where TLS asks for no certificate: each is shut by itself."""
    with capture_logs():
        async with asking_for_no_certificate(
            certified, lambda built: _server(built, HealthServicer())
        ) as channel:
            found = {path: await outcome(channel, path) for path in METHODS}

    for status, said in found.values():
        assert status is grpc.StatusCode.PERMISSION_DENIED
        assert "wrong_identity" in said


async def test_nobody_can_ask_to_join_where_members_are(certified):
    """A method for anyone would be one that looks at no revocation."""
    async with (
        served(BrokenService(), certified, make_settings(), office=BrokenOffice()) as address,
        channel_of(address, certified, PEERS["stranger"]) as channel,
    ):
        found = {await outcome_code(channel, path) for path in EVERY_METHOD.keys() - METHODS.keys()}

    assert found == {NOT_THERE}


async def outcome_code(channel, path):
    status, _ = await outcome(channel, path)
    return status


# -- what is declared --------------------------------------------------------------------


async def test_a_method_that_does_not_exist_is_not_implemented(certified):
    async with (
        served(BrokenService(), certified, make_settings(), office=BrokenOffice()) as address,
        channel_of(address, certified, PEERS["opener"]) as channel,
    ):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await channel.unary_unary("/veilsum.v1.RoundService/Nothing")(b"", timeout=5)

    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_every_method_declares_a_caller_and_every_role_is_used():
    callers = required_callers(FILES)
    joining = {path: roles for path, roles in callers.items() if path not in METHODS}

    assert {path for path in callers if path not in joining} == METHODS.keys()
    assert {options.CALLER_ANYONE} in joining.values()
    assert set().union(*callers.values()) == set(options.Caller.values()) - {0}
    assert MAY_CALL.keys() == set(options.Caller.values()) - {0, options.CALLER_ANYONE}


def test_nobody_without_a_certificate_is_served_where_members_are():
    """What anyone may call is served at an address of its own, and nothing else is there."""
    callers = required_callers(FILES)

    for path, declared in callers.items():
        assert (options.CALLER_ANYONE in declared) == path.startswith("/veilsum.v1.JoinService/")


def test_every_service_of_the_protocol_is_guarded_by_one_of_two_servers():
    """One that is registered and not listed would be open to nobody, and one unknown to us."""
    members, joining = (
        {module.DESCRIPTOR.name for module in each} for each in (PROTOS, JOINING_PROTOS)
    )

    assert joining == JOINING
    assert members == {file.name for file in FILES if file.services_by_name} - JOINING


def forgotten(*callers):
    """Return a file of the protocol with one method, for these callers."""
    file = descriptor_pb2.FileDescriptorProto(name="forgotten.proto", package="forgotten")
    file.dependency.append("veilsum/v1/options.proto")
    file.message_type.add(name="Empty")
    service = file.service.add(name="ForgottenService")
    method = service.method.add(
        name="Open", input_type=".forgotten.Empty", output_type=".forgotten.Empty"
    )
    method.options.Extensions[options.caller].extend(callers)
    pool = descriptor_pool.DescriptorPool()
    for each in (descriptor_pb2.DESCRIPTOR, options.DESCRIPTOR):
        pool.AddSerializedFile(each.serialized_pb)
    pool.Add(file)
    return pool.FindFileByName("forgotten.proto")


@pytest.mark.parametrize(
    ("callers", "why"),
    [
        ((), "declares no role"),
        ((options.CALLER_UNSPECIFIED,), "declares no role"),
        ((options.CALLER_MEMBER, options.CALLER_UNSPECIFIED), "declares no role"),
        ((options.CALLER_MEMBER, options.CALLER_ANYONE), "anyone beside it"),
    ],
)
def test_the_server_does_not_start_when_a_method_declares_no_caller(callers, why):
    """A method that somebody adds and forgets to guard is open to nobody."""
    with pytest.raises(ConfigError, match=rf"ForgottenService\.Open declares .*{why}|{why}"):
        required_callers([*FILES, forgotten(*callers)])


async def test_the_server_itself_does_not_start_with_such_a_method(certified, monkeypatch):
    class Forgotten:
        DESCRIPTOR = forgotten()

    monkeypatch.setattr("coordinator.server.PROTOS", (*PROTOS, Forgotten))

    with pytest.raises(ConfigError, match=r"ForgottenService\.Open declares no role"):
        async with served(BrokenService(), certified, make_settings(), office=BrokenOffice()):
            pass


async def test_a_method_that_is_served_and_declared_nowhere_is_open_to_nobody(
    certified, monkeypatch
):
    """A service that somebody registers and forgets to list: refused, not let through."""
    path = "/veilsum.v1.RoundService/GetPlan"
    listed = tuple(each for each in PROTOS if "round" not in each.DESCRIPTOR.name)
    monkeypatch.setattr("coordinator.server.PROTOS", listed)

    async with (
        served(BrokenService(), certified, make_settings(), office=BrokenOffice()) as address,
        channel_of(address, certified, PEERS["opener"]) as channel,
    ):
        status, _ = await outcome(channel, path)

    assert status is grpc.StatusCode.PERMISSION_DENIED


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


# -- operators -------------------------------------------------------------------------


def test_before_the_roster_is_founded_its_drafts_operator_may_enrol():
    """Somebody must invite the founding members; nothing else is anybody's yet."""
    draft = with_members(fakes.make_roster(), operator="operator")
    permissions = Permissions("oncology", Rosters(MemoryStore(), draft), fakes.OPENERS)
    operator = PeerIdentity("oncology", "participant", "operator")

    permissions.check(operator, frozenset({options.CALLER_OPERATOR}))
    for more in ({options.CALLER_MEMBER}, {options.CALLER_OPERATOR, options.CALLER_MEMBER}):
        with pytest.raises(NotYet):
            permissions.check(operator, frozenset(more))


@pytest.mark.parametrize("name", ["hospital-a", "hospital-z"])
def test_nobody_else_may(name):
    draft = with_members(fakes.make_roster(), operator="operator")

    permissions = Permissions("oncology", Rosters(MemoryStore(), draft), fakes.OPENERS)

    assert not allowed(permissions, name, options.CALLER_OPERATOR)


def test_once_members_have_admitted_a_roster_its_operators_count_and_the_drafts_do_not():
    rosters = Rosters(MemoryStore(), with_members(fakes.make_roster(), operator="operator"))
    permissions = Permissions("oncology", rosters, fakes.OPENERS)
    assert allowed(permissions, "operator", options.CALLER_OPERATOR)

    rosters._current = with_members(fakes.make_roster(), successor="operator")

    assert not allowed(permissions, "operator", options.CALLER_OPERATOR)
    assert allowed(permissions, "successor", options.CALLER_OPERATOR)


def test_a_participant_is_a_member_and_nothing_more():
    """One that trains nothing now, such as a site that is suspended."""
    permissions = seats_of(ROSTER, *SEATS)
    others = set(options.Caller.values()) - {options.CALLER_CERTIFIED, options.CALLER_MEMBER}

    assert allowed(permissions, "hospital-e", options.CALLER_MEMBER)
    assert not allowed(permissions, "hospital-e", *others)


# -- who was seen ----------------------------------------------------------------------


async def test_who_is_let_in_is_seen_with_its_release_and_who_is_refused_is_not(certified):
    service, path = BrokenService(), "/veilsum.v1.ContributionService/GetOffset"
    with capture_logs():
        async with served(service, certified, make_settings(), office=BrokenOffice()) as address:
            for peer in ("trainer", "auditor"):
                async with channel_of(address, certified, PEERS[peer]) as channel:
                    await outcome(channel, path)

    assert service.seen.of("hospital-d").release == RELEASE
    assert service.seen.of("auditor") is None


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
