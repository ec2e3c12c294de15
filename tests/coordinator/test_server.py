"""Building the coordinator's process, and refusing to."""

import os
import socket
from dataclasses import replace
from types import SimpleNamespace

import msgspec
import pytest
from grpc_health.v1._async import HealthServicer

from coordinator import capacity, config
from coordinator.keys import make_signing_key
from coordinator.server import Built, _listen, _server, _settle, build
from privacy import canonical
from privacy.errors import (
    ChainUnavailable,
    ConfigError,
    InsecureKeyFile,
    MissingDependency,
    Unavailable,
    UnsafeParameters,
    WrongContext,
)
from privacy.failpoints import Failpoints
from privacy.roster import Role, Roster
from privacy.signing import public_bytes
from tests import fakes
from tests.coordinator import seated_round
from tests.coordinator.seated_round import SEATS
from tests.loopback import make_federation


@pytest.fixture
def folder(tmp_path):
    """A folder with what the settings name: a key, and a roster that has it."""
    key = public_bytes(make_signing_key(tmp_path / "signing.key"))
    roster = msgspec.structs.replace(fakes.make_roster(), coordinator_key=key)
    (tmp_path / "roster.json").write_bytes(canonical.encode(roster))
    return tmp_path


def test_a_coordinator_is_built_and_built_again(folder):
    for _ in range(2):
        built = build(fakes.make_settings(folder), Failpoints())
        built.service.tick()
        built.service.store.close()
        os.close(built.held)  # as the end of its process does

    assert built.service.rounds.all() == {}
    assert (folder / "state").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("rounds", "why"),
    [
        ({"openers": ("hospital-a", "auditor")}, "openers"),
        ({"openers": ("hospital-a", "hospital-z")}, "openers"),
        ({"quorum": 5}, "quorum of 5"),
    ],
)
def test_rounds_that_the_roster_cannot_carry_stop_the_start(folder, rounds, why):
    with pytest.raises(ConfigError, match=why):
        build(fakes.make_settings(folder, **rounds), Failpoints())


def _named(member, name, **other):
    """Another entry, with keys of its own."""
    keys = {
        "signing_key": public_bytes(fakes.signing_key(name)),
        "sealing_key": fakes.sealing_key(name),
    }
    return msgspec.structs.replace(member, participant=name, **keys, **other)


@pytest.mark.parametrize(
    ("auditor", "why"),
    [
        ("hospital-z", "not as an auditor"),
        ("hospital-a", "not as an auditor"),
        ("hospital-d", "not as an auditor"),
        ("trains-too", "a trainer, or of the organisation of one"),
        ("of-a-hospital", "a trainer, or of the organisation of one"),
    ],
)
def test_an_auditor_that_cannot_be_one_stops_the_start(folder, auditor, why):
    """Who trains may open, and who opens must not be handed single contributions."""
    roster = canonical.decode((folder / "roster.json").read_bytes(), Roster)
    watch = roster.member(fakes.AUDITOR)
    others = (
        _named(watch, "of-a-hospital", organisation="hospital-d"),
        _named(watch, "trains-too", organisation="x", roles=(Role.TRAINER, Role.AUDITOR)),
    )
    members = sorted((*roster.members, *others), key=lambda each: each.participant)
    (folder / "roster.json").write_bytes(
        canonical.encode(msgspec.structs.replace(roster, members=tuple(members)))
    )
    settings = fakes.make_settings(folder, auditor=auditor)
    scheme = config.SchemeSettings(20, 24, 5, 1)

    with pytest.raises(ConfigError, match=f"rounds.auditor: .*{why}"):
        build(msgspec.structs.replace(settings, scheme=scheme), Failpoints())


def test_a_coordinator_with_an_auditor_is_built(folder):
    built = build(fakes.make_settings(folder, auditor=fakes.AUDITOR), Failpoints())

    assert built.settings.rounds.auditor == fakes.AUDITOR
    os.close(built.held)


def test_more_trainers_than_a_sum_holds_stop_the_start(folder):
    """All of them may contribute, and the sum would then be refused every time."""
    settings = msgspec.structs.replace(
        fakes.make_settings(folder), scheme=config.SchemeSettings(20, 24, 3, 1)
    )

    with pytest.raises(ConfigError, match="cohort_max of 3"):
        build(settings, Failpoints())


def test_a_roster_that_has_no_room_in_a_message_stops_the_start(folder, monkeypatch):
    """Whatever the scheme: nobody could fetch it."""
    monkeypatch.setattr(capacity, "LARGEST", 5_000)

    with pytest.raises(ConfigError, match=r"5 members: the roster .* about [23] members have"):
        build(fakes.make_settings(folder), Failpoints())


def test_parameters_that_do_not_fit_stop_the_start(folder):
    settings = msgspec.structs.replace(
        fakes.make_settings(folder), scheme=config.SchemeSettings(20, 40, 1 << 20, 1)
    )

    with pytest.raises(UnsafeParameters):
        build(settings, Failpoints())


def test_another_key_than_the_rosters_stops_the_start(folder):
    (folder / "signing.key").unlink()
    make_signing_key(folder / "signing.key")

    with pytest.raises(ConfigError, match="signing_key"):
        build(fakes.make_settings(folder), Failpoints())


def test_a_missing_roster_stops_the_start(folder):
    (folder / "roster.json").unlink()

    with pytest.raises(ConfigError, match=r"roster\.json"):
        build(fakes.make_settings(folder), Failpoints())


def test_a_second_coordinator_on_one_state_folder_is_refused(folder):
    """Before it opens the database: both would step the same rounds."""
    built = build(fakes.make_settings(folder), Failpoints())

    with pytest.raises(ConfigError, match="another process runs from this folder"):
        build(fakes.make_settings(folder), Failpoints())

    built.service.tick()
    os.close(built.held)


def test_another_roster_than_the_databases_stops_the_start(folder):
    os.close(build(fakes.make_settings(folder), Failpoints()).held)
    roster = canonical.decode((folder / "roster.json").read_bytes(), Roster)
    other = msgspec.structs.replace(roster, members=roster.members[:-1])
    (folder / "roster.json").write_bytes(canonical.encode(other))

    with pytest.raises(ConfigError, match="roster: not the one"):
        build(fakes.make_settings(folder), Failpoints())


# -- seats -----------------------------------------------------------------------------


def write_roster(folder, roster):
    """Put a roster, with the key that this folder has for the coordinator, where it is read."""
    known = canonical.decode((folder / "roster.json").read_bytes(), Roster)
    own = msgspec.structs.replace(roster, coordinator_key=known.coordinator_key)
    (folder / "roster.json").write_bytes(canonical.encode(own))


def changed(roster, participant, **other):
    """Return a roster in which one member is another."""
    members = tuple(
        msgspec.structs.replace(each, **other) if each.participant == participant else each
        for each in roster.members
    )
    return msgspec.structs.replace(roster, members=members)


def test_a_coordinator_of_three_seats_is_built(folder):
    write_roster(folder, seated_round.make_roster())

    built = build(seated_round.make_settings(folder), Failpoints())

    assert built.settings.rounds.seats == SEATS
    os.close(built.held)


@pytest.mark.parametrize(
    "roles",
    [(Role.TRAINER,), (Role.AUDITOR,), (Role.AGGREGATOR, Role.TRAINER), ()],
)
def test_a_seat_that_is_no_aggregator_alone_stops_the_start(folder, roles):
    """It would find out at its first call, and the round would wait for it."""
    write_roster(folder, changed(seated_round.make_roster(), SEATS[1], roles=roles))

    with pytest.raises(ConfigError, match="aggregators alone"):
        build(seated_round.make_settings(folder), Failpoints())


def test_a_seat_that_the_roster_does_not_have_stops_the_start(folder):
    write_roster(folder, seated_round.make_roster())

    with pytest.raises(ConfigError, match="aggregators alone"):
        build(seated_round.make_settings(folder, seats=(*SEATS[:2], "seat-z")), Failpoints())


@pytest.mark.parametrize("other", [SEATS[2], fakes.AUDITOR])
def test_two_of_seats_and_auditor_with_one_owner_stop_the_start(folder, other):
    """Two seats open every update; an auditor judges between seats."""
    write_roster(folder, changed(seated_round.make_roster(), SEATS[0], organisation=other))

    with pytest.raises(ConfigError, match="have one owner"):
        build(seated_round.make_settings(folder), Failpoints())


# -- where it listens ------------------------------------------------------------------


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

        with pytest.raises(ConfigError, match=f"{address} is in use"):
            listen(at(listening, address))


async def test_an_address_of_another_machine_stops_the_start(listening):
    with pytest.raises(ConfigError, match="not this machine's"):
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


# -- settlement ------------------------------------------------------------------------


@pytest.fixture
def settling(folder):
    """Settings of a programme that is settled on a chain, with the files they name."""
    for name in ("keystore.json", "passphrase"):
        (folder / name).write_text("x")
        (folder / name).chmod(0o600)
    settlement = config.SettlementSettings(
        "http://127.0.0.1:1",
        31337,
        folder / "keystore.json",
        folder / "passphrase",
        "0x" + "c3" * 20,
        "d4" * 32,
        "1",
    )
    return msgspec.structs.replace(fakes.make_settings(folder), settlement=settlement)


def test_settlement_without_its_packages_stops_the_start(settling, monkeypatch):
    """Not after the last round, when nobody looks any more."""
    monkeypatch.setattr("coordinator.server.find_spec", lambda _: None)

    with pytest.raises(MissingDependency, match="extra `chain`"):
        build(settling, Failpoints())


@pytest.mark.parametrize("name", ["keystore.json", "passphrase"])
def test_a_secret_of_settlement_that_others_can_read_stops_the_start(settling, folder, name):
    (folder / name).chmod(0o644)

    with pytest.raises(InsecureKeyFile, match=f"{name} has mode 0644"):
        build(settling, Failpoints())


@pytest.mark.parametrize("name", ["keystore.json", "passphrase"])
def test_a_missing_secret_of_settlement_stops_the_start(settling, folder, name):
    (folder / name).unlink()

    with pytest.raises(ConfigError, match=f"{name}: No such file"):
        build(settling, Failpoints())


def test_a_coordinator_that_settles_is_built(settling):
    built = build(settling, Failpoints())

    assert not built.settlement.is_done()
    os.close(built.held)


@pytest.mark.parametrize(
    "trouble", [WrongContext("another chain"), OSError("no keystore"), ChainUnavailable("gone")]
)
def test_trouble_with_the_chain_is_retried_and_stops_nothing(folder, trouble):
    """Sites are still served: rounds never depend on the chain."""

    def run(_):
        raise trouble

    stuck = SimpleNamespace(is_done=lambda: False, run=run)
    built = Built(fakes.make_settings(folder), fakes.Federation().service, None, -1)

    with pytest.raises(Unavailable, match=str(trouble)):
        _settle(replace(built, settlement=stuck))
