"""Building the coordinator's process, and refusing to."""

import msgspec
import pytest

from coordinator import config
from coordinator.keys import make_signing_key
from coordinator.server import build
from privacy import canonical
from privacy.errors import ConfigError, UnsafeParameters
from privacy.failpoints import Failpoints
from privacy.signing import public_bytes
from tests import fakes


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

    assert built.service.rounds() == {}
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


def test_more_trainers_than_a_sum_holds_stop_the_start(folder):
    """All of them may contribute, and the sum would then be refused every time."""
    settings = msgspec.structs.replace(
        fakes.make_settings(folder), scheme=config.SchemeSettings(20, 24, 3, 1)
    )

    with pytest.raises(ConfigError, match="cohort_max of 3"):
        build(settings, Failpoints())


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
