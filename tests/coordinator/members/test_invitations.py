"""One invitation as a value: what it becomes with time, with a request, and with a decision."""

import pytest
from msgspec.structs import replace

from coordinator.members.invitations import (
    ANSWERED_SECONDS,
    LONGEST_REASON,
    Invitation,
    State,
    ask,
    decide,
)
from privacy.enrolment import Proven
from privacy.errors import InvitationRefused, NotYet
from privacy.roster import Role
from tests.coordinator.members.desk import Desk, Site

BEGUN, ENDS = 1_000, 2_000
KEY, WORDS = "k" * 64, "abandon ability able about"
OPEN = Invitation("hospital-a", (Role.TRAINER,), "operator", BEGUN, ENDS)
SITE = Site("hospital-a")


@pytest.fixture(scope="module")
def asked():
    return SITE.asked(Desk(), bytes(32))


@pytest.fixture(scope="module")
def used(asked):
    return ask(OPEN, Proven(asked, bytes(64)), KEY, WORDS, 1_500)


def approve(invitation, words=WORDS, now=1_600.0):
    return decide(invitation, State.APPROVED, words, "operator", "", now)


def test_it_is_open_until_its_end_and_ended_then():
    assert OPEN.state(ENDS - 1) is State.OPEN
    assert OPEN.state(ENDS) is State.ENDED
    with pytest.raises(InvitationRefused, match="has ended"):
        OPEN.check_time(ENDS)


def test_who_has_asked_in_time_is_answered_for_a_week_after_its_end(used):
    used.check_time(ENDS + ANSWERED_SECONDS - 1)

    assert used.state(ENDS + ANSWERED_SECONDS - 1) is State.ASKED
    assert used.state(ENDS + ANSWERED_SECONDS) is State.ENDED


def test_one_that_was_replaced_has_ended_unless_it_was_decided(used):
    assert replace(used, replaced=True).state(1_500) is State.ENDED
    with pytest.raises(InvitationRefused, match="replaced by a newer one"):
        replace(used, replaced=True).check_time(1_500)

    decided = replace(approve(used), replaced=True)

    assert decided.state(1_700) is State.APPROVED
    decided.check_time(1_700)


def test_the_first_keys_are_those_that_it_is_for(used, asked):
    assert not OPEN.is_known(asked, KEY)
    assert used.is_known(asked, KEY)
    with pytest.raises(InvitationRefused, match="other keys"):
        used.is_known(asked, "m" * 64)
    with pytest.raises(InvitationRefused, match="other keys"):
        used.is_known(replace(asked, entry=Site("hospital-a").entry), KEY)


@pytest.mark.parametrize(
    "other", [{"participant": "hospital-b"}, {"roles": (Role.TRAINER, Role.AUDITOR)}, {"roles": ()}]
)
def test_it_is_for_one_name_in_its_roles(asked, other):
    OPEN.check_entry(asked)
    with pytest.raises(InvitationRefused, match="the invitation is for hospital-a as trainer"):
        OPEN.check_entry(replace(asked, entry=replace(asked.entry, **other)))


def test_only_an_approval_gives_an_entry(used, asked):
    refused = decide(used, State.REFUSED, WORDS, "operator", "unknown", 1_600.0)

    assert (OPEN.entry(), used.entry(), refused.entry()) == (None, None, None)
    assert approve(used).entry() == asked.entry


def test_a_decision_says_who_when_and_why(used):
    made = decide(used, State.REFUSED, WORDS, "operator", "x" * 900, 1_600.5)

    assert (made.state(9_999_999), made.decided_by, made.decided_at) == (
        State.REFUSED,
        "operator",
        1_600.5,
    )
    assert made.reason == "x" * LONGEST_REASON


def test_a_decision_is_made_once_and_may_be_said_again(used):
    first = approve(used)

    assert approve(first, now=1_700.0) is first
    with pytest.raises(InvitationRefused, match="was approved by operator"):
        decide(first, State.REFUSED, WORDS, "another", "", 1_700.0)


@pytest.mark.parametrize("words", ["", "abandon ability able", f"{WORDS} about", WORDS[::-1]])
def test_other_words_decide_nothing(used, words):
    with pytest.raises(InvitationRefused, match="not the words"):
        approve(used, words)


def test_nothing_is_decided_that_nobody_asks_for_or_that_has_ended(used):
    with pytest.raises(NotYet, match="nobody has used"):
        approve(OPEN, now=1_600.0)
    with pytest.raises(InvitationRefused, match="has ended"):
        approve(used, now=ENDS + ANSWERED_SECONDS)
