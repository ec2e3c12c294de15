"""What an operator and the founding members would set up by hand, read as its readers read it."""

from pathlib import Path

import pytest

from coordinator import config as coordinator_config
from coordinator.keys import load_signing_key
from participant import config as site_config
from participant.init import init
from privacy import canonical
from privacy.roster import Roster
from veilsum.demo.federation import (
    FEDERATION,
    HOSPITALS,
    OPENERS,
    Places,
    configure_coordinator,
    configure_site,
    found,
    init_arguments,
)
from veilsum.demo.hospitals import SITES
from veilsum.demo.settlement import Programme


@pytest.fixture
def places(tmp_path: Path) -> Places:
    made = Places(tmp_path)
    for name, (organisation, _) in HOSPITALS.items():
        init(made.site(name), FEDERATION, name, organisation, chain=False)
    return made


@pytest.fixture
def programme() -> Programme:
    payees = dict.fromkeys(HOSPITALS, "0x" + "ab" * 20)
    return Programme("http://127.0.0.1:1", 5, "0x" + "cd" * 20, "ef" * 32, 1_200_000, payees)


def test_the_roster_has_every_hospital_with_its_own_keys(places: Places) -> None:
    """Nobody signs it here: each hospital does so itself, after comparing the fingerprint."""
    roster = found(places)

    assert [member.participant for member in roster.members] == list(HOSPITALS)
    assert len({member.signing_key for member in roster.members}) == len(HOSPITALS)
    assert len({member.sealing_key for member in roster.members}) == len(HOSPITALS)
    assert canonical.decode(places.roster.read_bytes(), Roster) == roster
    key = load_signing_key(places.coordinator / "signing.key")
    assert roster.coordinator_key == key.public_key().public_bytes_raw()


def test_openers_are_of_different_organisations(places: Places) -> None:
    """Otherwise no hospital's policy would take part."""
    roster = found(places)

    assert len({roster.member(name).organisation for name in OPENERS}) == len(OPENERS) == 3


@pytest.mark.parametrize("settles", [True, False])
def test_the_settings_are_what_their_readers_take(
    places: Places, programme: Programme, settles: bool
) -> None:
    """Unknown keys are refused, so a setting that has moved is seen here."""
    roster = found(places)
    on_chain = programme if settles else None

    served = coordinator_config.read(configure_coordinator(places, on_chain))
    sites = [
        site_config.read(configure_site(places, name, "127.0.0.1:1", roster.digest(), on_chain))
        for name in HOSPITALS
    ]

    assert served.federation == FEDERATION
    assert (served.settlement is not None) is settles
    assert [site.participant for site in sites] == list(HOSPITALS)
    assert all((site.settlement is not None) is settles for site in sites)
    assert {site.policy.roster for site in sites} == {roster.digest()}


def test_a_hospital_says_how_many_patients_it_has(places: Places) -> None:
    """Delta must be below one over that number."""
    roster = found(places)

    for name, site in SITES.items():
        path = configure_site(places, name, "127.0.0.1:1", roster.digest(), None)
        settings = site_config.read(path)

        assert settings.dataset.records == len(site().records())
        assert float(settings.policy.delta) * settings.dataset.records < 1


def test_every_file_with_a_secret_is_its_owners_only(places: Places) -> None:
    """The certificate authority's key, the coordinator's, the hospitals'."""
    found(places)

    secret = [path for path in places.root.rglob("*") if path.suffix == ".key"]
    assert len(secret) >= 3 + 3 * len(HOSPITALS)
    for path in secret:
        assert path.stat().st_mode & 0o077 == 0
        assert path.parent.stat().st_mode & 0o077 == 0


def test_a_hospital_makes_its_keys_by_a_command(places: Places) -> None:
    """In a process of its own, by the words in the documentation."""
    command = init_arguments(places, "hospital-b")

    assert command[:3] == ["veilsum", "participant", "init"]
    assert str(places.site("hospital-b")) in command
    assert "Hospital B" in command
