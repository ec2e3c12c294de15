"""The roster's versions at the coordinator, which has no signature to give."""

import pytest
from msgspec.structs import replace

from coordinator.members.rosters import Rosters
from privacy import canonical
from privacy.errors import (
    ConfigError,
    InvalidSignature,
    MalformedMessage,
    NotYet,
    WrongIdentity,
)
from privacy.roster import SignedRoster
from privacy.signing import Purpose, sign
from tests import fakes
from tests.coordinator.memory_store import MemoryStore

ROSTER = fakes.make_roster()
NAMES = [member.participant for member in ROSTER.members]


@pytest.fixture
def rosters():
    return Rosters(MemoryStore(), ROSTER)


def signature(name, purpose=Purpose.ROSTER):
    return sign(fakes.signing_key(name), purpose, canonical.encode(ROSTER))


def test_a_roster_counts_when_every_founding_member_has_signed(rosters):
    for at, name in enumerate(NAMES):
        with pytest.raises(NotYet, match=f"founding members {', '.join(NAMES[at:])}$"):
            rosters.current()
        rosters.sign(name, 0, signature(name))

    assert rosters.current() == ROSTER
    assert rosters.is_founded()


def test_signatures_survive_a_restart(rosters):
    for name in NAMES:
        rosters.sign(name, 0, signature(name))

    assert Rosters(rosters.store, ROSTER).current() == ROSTER


def test_another_draft_over_the_same_store_is_refused(rosters):
    """What members have seen, and may have signed, is not exchanged under them."""
    with pytest.raises(ConfigError, match="put that file back"):
        Rosters(rosters.store, fakes.make_roster(sites=fakes.SITES[:3]))


@pytest.mark.parametrize(
    ("name", "version", "made", "error"),
    [
        ("stranger", 0, signature("stranger"), WrongIdentity),
        ("coordinator", 0, signature("coordinator"), WrongIdentity),
        (NAMES[0], 0, signature(NAMES[1]), InvalidSignature),
        (NAMES[0], 0, signature(NAMES[0], Purpose.PLAN), InvalidSignature),
        (NAMES[0], 0, b"", InvalidSignature),
        (NAMES[0], 0, bytes(1 << 20), InvalidSignature),
        (NAMES[0], 1, signature(NAMES[0]), MalformedMessage),
        (NAMES[0], -1, signature(NAMES[0]), MalformedMessage),
        (NAMES[0], 1 << 31, signature(NAMES[0]), MalformedMessage),
    ],
)
def test_a_signature_that_is_not_a_members_is_not_kept(rosters, name, version, made, error):
    """However often it is sent, nothing of it takes room."""
    for _ in range(3):
        with pytest.raises(error):
            rosters.sign(name, version, made)

    assert rosters.versions()[0].signatures == {}


def test_signing_again_changes_nothing(rosters):
    for _ in range(100):
        rosters.sign(NAMES[0], 0, signature(NAMES[0]))

    assert list(rosters.versions()[0].signatures) == [NAMES[0]]


def test_a_round_ends_under_the_version_that_its_plan_names(rosters):
    """What members admit meanwhile is for the next one: no seal, sum or release is lost to it."""
    for name in NAMES:
        rosters.sign(name, 0, signature(name))
    later = replace(ROSTER, version=1, previous=ROSTER.digest(), members=ROSTER.members[1:])
    body = canonical.encode(later)
    signatures = {name: sign(fakes.signing_key(name), Purpose.ROSTER, body) for name in NAMES}
    rosters.add(SignedRoster(later, signatures))

    assert rosters.current() == later
    assert rosters.under(ROSTER.digest()) == ROSTER
    assert rosters.under(later.digest()) == later
    assert rosters.under("0" * 64) == later
