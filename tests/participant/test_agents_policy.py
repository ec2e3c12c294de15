"""An agent asks its policy before it asks anybody else, and says when it waits."""

import msgspec
import pytest

from participant.session import Contribute, works_on
from participant.view import RoundView, View
from privacy.errors import AwaitingApproval, OutsideHours
from tests.participant import signed_round as made
from tests.participant.agent_at_work import Showing, agent


class Silent(Showing):
    """A coordinator that must not be asked."""

    async def plan(self, number):
        raise AssertionError("asked")


async def test_outside_of_its_hours_nothing_is_asked(tmp_path):
    """It is tried every second, for a whole day."""
    amber = agent(tmp_path / "amber", Silent())
    policy = made.policy(hours=("Mo 20:00-20:01",))
    amber._hours, amber.config = policy.sends_in(), _with(amber.config, policy)
    amber.clock = lambda: 0.0  # a Thursday, 00:00

    with pytest.raises(OutsideHours, match=r"^site\.toml: policy\.hours = .*1970-01-05 20:00"):
        await amber._carry_out(Contribute(1))


async def test_a_plan_waits_for_an_approval_that_the_agent_asks_for(tmp_path):
    """After every other line has accepted it, and before data is touched."""
    amber = agent(tmp_path / "amber", Showing())
    plan = made.plan(model=amber._first if hasattr(amber, "_first") else made.plan().terms.model)
    amber.config = _with(amber.config, made.policy(approve_plans=True))

    with pytest.raises(AwaitingApproval):
        amber._check_approved(plan)
    (standing,) = amber._approvals.all()
    amber._approvals.approve(standing.asked, "alice", 1.0)

    amber._check_approved(plan)
    assert standing.asked.plan == plan.digest()


def test_a_site_that_waits_says_that_it_is_at_work(tmp_path):
    """So that the round's progress deadline does not run: its operator has said when it goes on."""
    amber = agent(tmp_path / "amber", Showing())
    view = View(rounds=(RoundView(1, "open", "", (), "", (), (), "", ()),))

    assert works_on(view, amber._standing) == (1,)


def _with(config, policy):

    return msgspec.structs.replace(config, policy=policy)
