"""Building the coordinator, and refusing to."""

import os
import time
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest

from coordinator import config
from coordinator.adapters.sql.store import open_store
from coordinator.build import Term, build, check, open_leases
from coordinator.keys import make_signing_key
from coordinator.members import capacity
from coordinator.replicas.lease import Lease
from coordinator.replicas.leased_objects import LeasedObjects
from privacy import canonical
from privacy.errors import (
    ChainUnavailable,
    ConfigError,
    FolderHeld,
    InsecureKeyFile,
    LeaseLost,
    MissingDependency,
    UnsafeParameters,
)
from privacy.failpoints import Failpoints
from privacy.roster import Role, Roster
from privacy.settlement.commitment import Slot, typed_receipt
from privacy.signing import public_bytes
from tests import fakes
from tests.chain.door import KEY
from tests.chain.fake_signer import FakeSigner, served
from tests.coordinator import seated_round
from tests.coordinator.seated_round import SEATS
from tests.coordinator.settling.test_settlement import ROUNDS, FakeChain
from tests.coordinator.settling.test_settlement import settling as settling_on
from veilsum.chain import wallet
from veilsum.chain.access import SignerAccess
from veilsum.chain.digests import signer_of_digest


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


@pytest.mark.parametrize(
    ("organisation", "roles", "why"),
    [
        ("x", (Role.OPERATOR, Role.AGGREGATOR), "desk would be operator and aggregator"),
        ("hospital-a", (Role.OPERATOR,), "hospital-a is an opener and of hospital-a, as is"),
        (fakes.AUDITOR, (Role.OPERATOR,), f"{fakes.AUDITOR} is an auditor and of"),
    ],
)
def test_an_operator_that_opens_audits_or_adds_stops_the_start(folder, organisation, roles, why):
    """By the same check no such roster is closed or proposed."""
    roster = canonical.decode((folder / "roster.json").read_bytes(), Roster)
    theirs = {each.participant: each.organisation for each in roster.members}
    desk = _named(
        roster.member(fakes.AUDITOR),
        "desk",
        organisation=theirs.get(organisation, organisation),
        roles=roles,
    )
    members = sorted((*roster.members, desk), key=lambda each: each.participant)
    grown = msgspec.structs.replace(roster, members=tuple(members))
    (folder / "roster.json").write_bytes(canonical.encode(grown))

    with pytest.raises(ConfigError, match=f"roster: {why}"):
        build(fakes.make_settings(folder), Failpoints())


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

    with pytest.raises(FolderHeld, match="another process runs from this folder"):
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


# -- settlement ------------------------------------------------------------------------


@pytest.fixture
def settling(folder):
    """Settings of a programme that is settled on a chain, with the files they name."""
    for name in ("keystore.json", "passphrase"):
        (folder / name).write_text("x")
        (folder / name).chmod(0o600)
    settlement = config.SettlementSettings(
        rpc="http://127.0.0.1:1",
        chain_id=31337,
        keystore=folder / "keystore.json",
        passphrase=folder / "passphrase",
        contract="0x" + "c3" * 20,
        programme="d4" * 32,
        escrow="1",
    )
    return msgspec.structs.replace(fakes.make_settings(folder), settlement=settlement)


def test_settlement_without_its_packages_stops_the_start(settling, monkeypatch):
    """Not after the last round, when nobody looks any more."""
    monkeypatch.setattr("coordinator.build.find_spec", lambda _: None)

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
    assert built.shown.domain.programme == built.disputes.programme
    assert built.shown.settlement is built.disputes.settlement is built.settlement
    os.close(built.held)


def test_a_coordinator_whose_key_is_elsewhere_signs_receipts_there(settling):
    """The signer may be started later: nothing of it is asked before there is a receipt."""
    with served(FakeSigner()) as url:
        wanted = msgspec.structs.replace(
            settling.settlement,
            keystore=None,
            passphrase=None,
            signer=SignerAccess(url, KEY.address),
        )
        built = build(msgspec.structs.replace(settling, settlement=wanted), Failpoints())
        said = typed_receipt(built.shown.domain, 1, Slot(1, bytes(32)))

        signature = built.shown.sign(said)

    assert signer_of_digest(said.digest(), signature) == KEY.address.lower()
    os.close(built.held)


def test_settings_that_commit_nothing_still_answer_for_what_is_committed(settling, monkeypatch):
    """A demand has a deadline: unanswered it costs the bond, whatever was set since."""
    monkeypatch.setattr("coordinator.adapters.chain.attach_by", lambda *_: OtherArithmetic())

    built = build(settling, Failpoints())

    assert isinstance(built.disputes.attach(), OtherArithmetic)
    with pytest.raises(ConfigError, match="another arithmetic"):
        built.settlement.attach()
    os.close(built.held)


class OtherArithmetic:
    """A contract whose programme pays for plans that are not made here."""

    def require_terms(self, programme, shape):
        raise ConfigError("it pays for plans of another arithmetic")


def test_another_programme_over_the_same_rounds_stops_the_start(settling):
    """Demands in the old one would not be seen, and nothing would be committed in the new one."""
    store = open_store(settling.database)
    made = settled(store)
    assert made.disputable()
    store.close()
    os.close(build(with_programme(settling, "D4" * 32), Failpoints()).held)

    with pytest.raises(ConfigError, match="A new programme needs a new coordinator"):
        build(with_programme(settling, "d5" * 32), Failpoints())


def settled(store):
    """Settle two rounds of the programme d4…"""
    made = settling_on(store, FakeChain())
    made.run(ROUNDS)
    return made


def with_programme(settings, programme):
    """Return the same settings of another programme."""
    settlement = msgspec.structs.replace(settings.settlement, programme=programme)
    return msgspec.structs.replace(settings, settlement=settlement)


def test_a_keystore_is_opened_once_for_all_receipts_and_attempts(settling, folder, monkeypatch):
    """It takes a second and 256 MiB; sites ask at once, and a chain that is away is tried often."""
    (folder / "keystore.json").unlink()
    key = wallet.make_key(folder / "keystore.json", "x", work_factor=2)
    opened = []
    monkeypatch.setattr(
        "veilsum.chain.endpoint.load_key",
        lambda *given: opened.append(given) or time.sleep(0.05) or wallet.load_key(*given),
    )
    built = build(settling, Failpoints())
    said = typed_receipt(built.shown.domain, 1, Slot(1, bytes(32)))

    with ThreadPoolExecutor(4) as callers:
        signatures = list(callers.map(built.shown.sign, [said] * 4))
    for _ in range(2):
        with pytest.raises(ChainUnavailable):
            built.settlement.attach()

    assert {signer_of_digest(said.digest(), each) for each in signatures} == {key.address.lower()}
    assert len(opened) == 1
    os.close(built.held)


def test_a_keystore_that_could_not_be_opened_is_tried_again(settling, folder):
    """Its operator has put it right, and need not restart anything."""
    built = build(settling, Failpoints())
    said = typed_receipt(built.shown.domain, 1, Slot(1, bytes(32)))
    with pytest.raises(InsecureKeyFile):
        built.shown.sign(said)
    (folder / "keystore.json").unlink()
    wallet.make_key(folder / "keystore.json", "x", work_factor=2)

    assert len(built.shown.sign(said)) == 65
    os.close(built.held)


# -- one of several coordinators ---------------------------------------------------------


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ({"objects": "/shared"}, "need PostgreSQL"),
        ({"database": "postgresql://db.example/veilsum"}, "need one object store"),
    ],
)
def test_several_coordinators_that_do_not_share_everything_are_refused(folder, other, why):
    """Each would lead rounds of its own, under one key."""
    replica = config.ReplicaSettings("one")
    settings = msgspec.structs.replace(fakes.make_settings(folder), replica=replica, **other)

    with pytest.raises(ConfigError, match=f"replica: several coordinators {why}"):
        check(settings)


def test_over_a_database_that_others_reach_nobody_leads_without_a_lease(folder, postgres_url):
    """One forgotten table, or one old unit file, and there would be two leaders."""
    settings = msgspec.structs.replace(fakes.make_settings(folder), database=postgres_url)

    with pytest.raises(AssertionError):
        build(settings, Failpoints())


def test_engines_add_under_the_lease_as_well(folder, postgres_url, monkeypatch):
    """What they delete or make again is asked of it like all else."""
    given = []
    monkeypatch.setattr("coordinator.build.engine_of", lambda _, objects: given.append(objects))
    settings = msgspec.structs.replace(fakes.make_settings(folder), database=postgres_url)
    leases = open_leases(settings, Failpoints())
    lease = Lease(leases, "one", 5.0)
    lease.take()

    built = build(settings, Failpoints(), Term(lease, -1))

    assert given == [built.service.objects]
    assert isinstance(given[0], LeasedObjects)
    built.service.store.close()
    leases.close()


def test_a_term_that_is_over_builds_nothing(folder, postgres_url):
    """Its first write finds that another leads."""
    settings = msgspec.structs.replace(
        fakes.make_settings(folder),
        replica=config.ReplicaSettings("one"),
        database=postgres_url,
        objects=str(folder / "objects"),
    )
    leases = open_leases(settings, Failpoints())
    lease = Lease(leases, "one", 5.0)
    lease.take()
    built = build(settings, Failpoints(), Term(lease, -1))

    leases.release(lease.token)
    with pytest.raises(LeaseLost):
        built.service.store.put_document("plan", "1", b"x")
    lease.release()
    with pytest.raises(LeaseLost):
        built.service.objects.delete_prefix("rounds")
    built.probe()
    built.service.store.close()
    leases.close()
