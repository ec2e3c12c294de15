"""A coordinator at some point of round 1, for the tests of its parts."""

import pytest

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
