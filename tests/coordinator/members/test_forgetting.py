"""What the office forgets, and what members stand on and it keeps."""

from dataclasses import replace

import pytest

from coordinator.members.enrolment import approved
from coordinator.members.forgetting import KEPT_SECONDS, LOOK_SECONDS, Forgetting
from coordinator.members.invitations import ANSWERED_SECONDS
from coordinator.ports import Issued
from privacy import canonical
from privacy.errors import InvitationRefused
from tests.coordinator.members.desk import HOSPITALS, NOW, Desk, Site
from tests.coordinator.members.test_proposals import after

LIFE = 600
OVER = LIFE + ANSWERED_SECONDS + KEPT_SECONDS
"""From an invitation until nothing of it is left, where somebody has asked in time."""


@pytest.fixture
def desk():
    return Desk()


def look(desk, at=NOW + OVER):
    desk.clock.at = at
    return Forgetting(desk.store, desk.clock).go_on()


def left(desk):
    return [(each.participant, each.decision) for each in desk.enrolment.page().invitations]


def test_an_invitation_that_nobody_used_is_forgotten_thirty_days_after_its_end(desk):
    desk.invite("hospital-a", seconds=LIFE)

    look(desk, NOW + LIFE + KEPT_SECONDS - 1)
    before = left(desk)
    wait = look(desk, NOW + LIFE + KEPT_SECONDS)

    assert (before, left(desk)) == ([("hospital-a", None)], [])
    assert wait == LOOK_SECONDS


def test_a_refusal_is_forgotten_once_nobody_is_answered_any_more(desk):
    site, token = Site("hospital-a"), desk.invite("hospital-a", seconds=LIFE)
    words = desk.request(site, token).words
    desk.enrolment.decide("operator", "hospital-a", False, words, "unknown")

    look(desk, NOW + OVER - 1)
    before = left(desk)
    look(desk)

    assert (before, left(desk)) == ([("hospital-a", "refused")], [])
    with pytest.raises(InvitationRefused, match="no such invitation"):
        desk.request(site, token)


def test_an_approved_entry_stays_usable_for_a_proposal_for_ever(desk):
    """Approved long ago, proposed only now; and so are keys, which nobody else may bring."""
    desk.found(*HOSPITALS)
    late = desk.enrol("hospital-d")

    look(desk, NOW + 10 * 365 * 86_400)

    proposed = after(desk.rosters.current(), late.entry)
    desk.proposals.propose("operator", canonical.encode(proposed))
    assert desk.proposals.proposed().roster.member("hospital-d") == late.entry


def test_of_two_approvals_of_a_member_the_older_goes(desk):
    desk.enrol("hospital-a")
    desk.clock.at += 5
    newer = desk.enrol("hospital-a")

    look(desk, NOW + 5 + OVER)

    assert left(desk) == [("hospital-a", "approved")]
    assert approved(desk.store) == [newer.entry]


def test_who_was_shut_out_is_forgotten_and_stays_out(desk):
    desk.enrol("hospital-a")
    desk.clock.at += 5
    desk.enrolment.revoke("operator", "hospital-a", "a stolen laptop")

    look(desk)

    assert left(desk) == []
    assert approved(desk.store) == []
    assert desk.again().revocations.of("hospital-a") is not None


def test_certificates_are_forgotten_thirty_days_after_their_end_but_the_newest(desk):
    """A certificate of a day is renewed each half of it: 60 rows of a member, and no more."""
    for at in range(100):
        begun = NOW + at * 43_200
        desk.store.record_certificate(
            Issued(f"{at:02x}", "hospital-a", "d4" * 32, begun, begun + 86_400)
        )
    old = Issued("ff", "hospital-b", "d5" * 32, NOW, NOW + 86_400)
    desk.store.record_certificate(old)

    look(desk, NOW + 50 * 86_400)

    kept = desk.store.certificates("hospital-a")
    assert min(each.ends_at for each in kept) == NOW + 20 * 86_400
    assert len(kept) == 62
    assert desk.store.certificates("hospital-b") == [old]


def test_a_second_look_finds_nothing_left(desk):
    desk.invite("hospital-a", seconds=LIFE)
    look(desk)
    before = replace(desk.clock)

    look(desk, before.at)

    assert left(desk) == []
