"""A coordinator at some point of round 1, for the tests of its parts."""

import msgspec
import pytest

from coordinator.keys import make_signing_key
from privacy import canonical
from privacy.signing import public_bytes
from tests import fakes
from tests.fakes import AUDITOR, SITES, Federation, make_settings


@pytest.fixture
def federation():
    return Federation()


@pytest.fixture
def opened(federation):
    federation.open_round()
    return federation


@pytest.fixture
def added_up(opened):
    for name in SITES:
        opened.contribute(name)
    opened.tick()
    return opened


@pytest.fixture
def audited():
    """A round that is added up and waits for its auditor."""
    federation = Federation(settings=make_settings(auditor=AUDITOR))
    federation.open_round()
    for name in SITES:
        federation.contribute(name)
    federation.tick()
    return federation


@pytest.fixture
def folder(tmp_path):
    """A folder with what the settings name: a key, and a roster that has it."""
    key = public_bytes(make_signing_key(tmp_path / "signing.key"))
    roster = msgspec.structs.replace(fakes.make_roster(), coordinator_key=key)
    (tmp_path / "roster.json").write_bytes(canonical.encode(roster))
    return tmp_path
