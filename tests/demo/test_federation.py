"""What an operator and the founding members would set up by hand, read as its readers read it."""

from pathlib import Path

import pytest

from coordinator import config as coordinator_config
from coordinator.keys import load_signing_key
from participant import config as site_config
from participant.auditing import config as auditor_config
from participant.joining.init import init
from participant.policy import plans as policy
from participant.seat import config as seat_config
from privacy import canonical
from privacy.contribution.scores import Method
from privacy.plan import NORM_BOUND_RELEASE, SCORE_RELEASES, SHARES
from privacy.roster import Role, Roster
from veilsum.demo.federation import (
    AUDITOR,
    AUDITORS_ORGANISATION,
    FEDERATION,
    HOSPITALS,
    KILLED_SEAT,
    OPENERS,
    SCHEMES,
    SEATS,
    Places,
    configure_auditor,
    configure_coordinator,
    configure_seat,
    configure_site,
    init_arguments,
    members,
)
from veilsum.demo.hospitals import SITES
from veilsum.demo.settings import LOCAL
from veilsum.demo.settlement import Programme
from veilsum.federation.founding import found


@pytest.fixture
def places(tmp_path: Path) -> Places:
    made = Places(tmp_path)
    for name, organisation in SEATS.items():
        init(made.site(name), FEDERATION, name, organisation, role=Role.AGGREGATOR)
    for name, (organisation, _) in HOSPITALS.items():
        init(made.site(name), FEDERATION, name, organisation, chain=False)
    init(made.site(AUDITOR), FEDERATION, AUDITOR, AUDITORS_ORGANISATION, role=Role.AUDITOR)
    return made


@pytest.fixture
def programme() -> Programme:
    payees = dict.fromkeys(HOSPITALS, "0x" + "ab" * 20)
    return Programme("http://127.0.0.1:1", 5, "0x" + "cd" * 20, "ef" * 32, 1_200_000, payees)


def test_the_roster_has_every_member_with_its_own_keys(places: Places) -> None:
    """Nobody signs it here: each member does so itself, after comparing the fingerprint."""
    roster = found(places, FEDERATION, members("ckks"))

    assert {member.participant for member in roster.members} == {*HOSPITALS, AUDITOR}
    assert [member.participant for member in roster.trainers()] == list(HOSPITALS)
    assert len({member.signing_key for member in roster.members}) == len(HOSPITALS) + 1
    assert len({member.sealing_key for member in roster.members}) == len(HOSPITALS) + 1
    assert canonical.decode(places.roster.read_bytes(), Roster) == roster
    key = load_signing_key(places.coordinator / "signing.key")
    assert roster.coordinator_key == key.public_key().public_bytes_raw()


def test_openers_are_of_different_organisations(places: Places) -> None:
    """Otherwise no hospital's policy would take part."""
    roster = found(places, FEDERATION, members("ckks"))

    assert len({roster.member(name).organisation for name in OPENERS}) == len(OPENERS) == 3


def test_the_auditor_neither_trains_nor_shares_an_organisation(places: Places) -> None:
    """Otherwise its signature would stand for nothing that the hospitals do not say."""
    roster = found(places, FEDERATION, members("ckks"))
    auditor = roster.member(AUDITOR)

    assert auditor.roles == (Role.AUDITOR,)
    assert auditor.organisation not in {each.organisation for each in roster.trainers()}


def test_no_hospital_takes_part_without_the_auditor(places: Places) -> None:
    """The demo shows the safe default: no line of a policy weakens it."""
    roster = found(places, FEDERATION, members("ckks"))

    served = coordinator_config.read(configure_coordinator(places, None, "ckks", LOCAL))
    audits = auditor_config.read(configure_auditor(places, roster, "127.0.0.1:1", "ckks", LOCAL))
    paths = [
        configure_site(places, name, "127.0.0.1:1", roster.digest(), None, "ckks", LOCAL)
        for name in HOSPITALS
    ]

    assert served.rounds.auditor == audits.participant == AUDITOR
    assert audits.policy.roster == roster.digest()
    assert [site_config.read(path).policy.without_auditor for path in paths] == [False] * 4
    assert not any("without_auditor" in path.read_text() for path in paths)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("settles", [True, False])
def test_the_settings_are_what_their_readers_take(
    places: Places, programme: Programme, settles: bool, scheme: str
) -> None:
    """Unknown keys are refused, so a setting that has moved is seen here."""
    roster = found(places, FEDERATION, members(scheme))
    fingerprint, on_chain = roster.digest(), programme if settles else None

    served = coordinator_config.read(configure_coordinator(places, on_chain, scheme, LOCAL))
    files = [
        configure_site(places, name, "127.0.0.1:1", fingerprint, on_chain, scheme, LOCAL)
        for name in HOSPITALS
    ]
    sites = [site_config.read(path) for path in files]
    auditor = configure_auditor(places, roster, "127.0.0.1:1", scheme, LOCAL, on_chain)
    audits = auditor_config.read(auditor)

    assert served.federation == FEDERATION
    assert [site.participant for site in sites] == list(HOSPITALS)
    everyone = (served, audits, *sites)
    assert all((each.settlement is not None) is settles for each in everyone)
    named = {each.settlement.method for each in everyone if each.settlement is not None}
    assert named == ({Method.ALIGNMENT} if settles else set())
    assert {site.policy.roster for site in sites} == {roster.digest()}


def test_seats_are_three_organisations_that_do_nothing_else(places: Places) -> None:
    """Two of them open every update: no hospital, and not the auditor, runs one."""
    roster = found(places, FEDERATION, members("shares"))
    seats = [roster.member(name) for name in SEATS]
    others = [member for member in roster.members if member not in seats]

    accepts = seat_config.AggregatorPolicy(roster.digest(), (SHARES,), 3)

    policy.check_seats(tuple(SEATS), roster, accepts)

    assert {seat.roles for seat in seats} == {(Role.AGGREGATOR,)}
    assert len({seat.organisation for seat in seats} | {m.organisation for m in others}) == 8
    assert KILLED_SEAT in SEATS


def test_the_seats_are_asked_for_norms_and_scores_and_everybody_accepts_it(places: Places) -> None:
    """What is let out stands in the plan's privacy, and in every hospital's policy."""
    roster = found(places, FEDERATION, members("shares"))

    served = coordinator_config.read(configure_coordinator(places, None, "shares", LOCAL))
    seats = [
        seat_config.read(configure_seat(places, roster, name, "127.0.0.1:1")) for name in SEATS
    ]
    paths = [
        configure_site(places, name, "127.0.0.1:1", roster.digest(), None, "shares", LOCAL)
        for name in HOSPITALS
    ]

    assert served.rounds.seats == tuple(SEATS)
    assert served.scheme.bound_norms
    assert served.scheme.score_step_log2
    assert served.privacy.releases == ("participation", NORM_BOUND_RELEASE, *SCORE_RELEASES)
    for path in paths:
        assert site_config.read(path).policy.releases == served.privacy.releases
    assert [seat.policy.schemes for seat in seats] == [("shares/1",)] * 3
    assert {seat.policy.roster for seat in seats} == {roster.digest()}


def test_a_seat_makes_its_keys_by_a_command(places: Places) -> None:
    """In a process of its own, as a hospital and the auditor do."""
    command = init_arguments(places, KILLED_SEAT)

    assert command[:3] == ["veilsum", "aggregator", "init"]
    assert SEATS[KILLED_SEAT] in command
    assert "--chain" not in command


def test_a_hospital_says_how_many_patients_it_has(places: Places) -> None:
    """Delta must be below one over that number."""
    roster = found(places, FEDERATION, members("ckks"))

    for name, site in SITES.items():
        path = configure_site(places, name, "127.0.0.1:1", roster.digest(), None, "ckks", LOCAL)
        settings = site_config.read(path)

        assert settings.dataset.records == len(site().records())
        assert float(settings.policy.delta) * settings.dataset.records < 1


def test_every_file_with_a_secret_is_its_owners_only(places: Places) -> None:
    """The certificate authority's key, the coordinator's, the hospitals'."""
    found(places, FEDERATION, members("ckks"))

    secret = [path for path in places.root.rglob("*") if path.suffix == ".key"]
    assert len(secret) >= 3 + 3 * len(HOSPITALS)
    for path in secret:
        assert path.stat().st_mode & 0o077 == 0
        assert path.parent.stat().st_mode & 0o077 == 0


def test_the_auditor_makes_its_keys_by_a_command(places: Places) -> None:
    """It has one of its own, which knows no payout."""
    command = init_arguments(places, AUDITOR)

    assert command[:3] == ["veilsum", "auditor", "init"]
    assert AUDITORS_ORGANISATION in command
    assert "--chain" not in command


def test_a_hospital_makes_its_keys_by_a_command(places: Places) -> None:
    """In a process of its own, by the words in the documentation."""
    command = init_arguments(places, "hospital-b")

    assert command[:3] == ["veilsum", "participant", "init"]
    assert str(places.site("hospital-b")) in command
    assert "Hospital B" in command
