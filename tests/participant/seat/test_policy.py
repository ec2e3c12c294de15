"""A seat's last word: whose rounds it sits in, and beside whom."""

import msgspec
import pytest

from participant.seat.policy import check_aggregator, check_seating
from privacy.errors import PolicyRefusal, WrongIdentity
from privacy.policy_line import PolicyLine
from privacy.roster import Role
from tests.participant.seat import seated as work


def policy(tmp_path, **changes):
    return work.config(tmp_path, "north", **changes).policy


def roster_with(**members):
    changed = tuple(
        msgspec.structs.replace(m, **members.get(m.participant, {})) for m in work.roster().members
    )
    return msgspec.structs.replace(work.roster(), members=changed)


def test_a_seat_finds_its_place(tmp_path):
    """The plan's order says which components are whose."""
    for place, name in enumerate(work.NAMES):
        assert check_seating(work.plan(), name, policy(tmp_path), work.roster()) == place


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"roster": "1" * 64}, "another roster"),
        ({"federation": "cardiology"}, "another roster"),
        ({"cohort_minimum": 2}, "the plan allows 2"),
        ({"seats": ("east", "south", "west")}, "the plan names"),
    ],
)
def test_a_plan_that_is_not_this_seats_is_refused(tmp_path, changes, why):
    """Before anything is fetched."""
    with pytest.raises(PolicyRefusal, match=why):
        check_seating(work.plan(**changes), "north", policy(tmp_path), work.roster())


def test_another_scheme_is_refused(tmp_path):
    """The seat's file lists what it takes part in."""
    with pytest.raises(PolicyRefusal, match=r"policy\.schemes"):
        check_seating(work.plan(), "north", policy(tmp_path, schemes=()), work.roster())


@pytest.mark.parametrize(
    "other",
    [
        {"organisation": "north office"},
        {"roles": (Role.AGGREGATOR, Role.TRAINER)},
        {"roles": (Role.TRAINER,)},
    ],
)
def test_two_seats_in_one_hand_are_refused(tmp_path, other):
    """They would open every update."""
    changed = roster_with(south=other)
    plan = work.plan(roster=changed.digest())

    with pytest.raises(PolicyRefusal):
        check_seating(plan, "north", policy(tmp_path), changed)


def test_a_seat_that_nobody_knows_is_refused(tmp_path):
    """The coordinator adds nobody."""
    plan = work.plan(seats=("north", "south", "west"))

    with pytest.raises(WrongIdentity):
        check_seating(plan, "north", policy(tmp_path), work.roster())


@pytest.mark.parametrize("name", ["amber", "watch"])
def test_who_has_another_role_is_no_aggregator(name):
    """Nobody who trains, opens or audits holds shares."""
    with pytest.raises(PolicyRefusal):
        check_aggregator(name, work.roster(), PolicyLine("aggregator.toml", "policy.roster", "x"))
