"""A plan waits until somebody at the site has approved that very plan, whole and on the disk."""

import os

import pytest

from participant.policy import plans as policies
from participant.policy.approvals import Approvals
from participant.policy.refusing import line
from privacy.errors import AwaitingApproval, ConfigError, PolicyRefusal, StoreUnavailable
from tests.participant import signed_round as made
from veilsum import files

ASKING = made.policy(approve_plans=True)
BY = line(ASKING, "approve_plans")


def asked(plan):
    return policies.asked_about(plan, ASKING)


def require(approvals, plan):
    return approvals.require(plan, asked(plan), BY)


@pytest.fixture
def approvals(tmp_path):
    return Approvals(tmp_path / "approvals")


def test_a_plan_waits_until_it_is_approved(approvals):
    """And whoever reads the log is told which command goes on."""
    plan = made.plan()
    with pytest.raises(AwaitingApproval, match=r"approve_plans = true: .*approve-plan 1"):
        require(approvals, plan)

    approvals.approve(approvals.find("1"), "alice", 5.0)

    assert require(approvals, plan)
    (standing,) = approvals.all()
    assert (standing.state, standing.said.by, standing.said.at) == ("approved", "alice", 5.0)


def test_an_approval_binds_a_digest(approvals):
    """The coordinator cannot have one plan approved and run another under its number."""
    approvals.approve(asked(made.plan()), "alice", 5.0)

    with pytest.raises(AwaitingApproval):
        require(approvals, made.plan(rounds_left=2))


def test_it_survives_a_restart(tmp_path, approvals):
    """What is said is on the disk."""
    approvals.approve(asked(made.plan()), "alice", 5.0)

    assert require(Approvals(tmp_path / "approvals"), made.plan())


def test_a_refusal_is_recorded_and_final(approvals):
    """The agent may have acted on it; nobody wonders later who said what."""
    plan = made.plan()
    with pytest.raises(AwaitingApproval):
        require(approvals, plan)
    approvals.approve(asked(plan), "alice", 5.0)

    approvals.refuse(asked(plan), "bob", 6.0)

    with pytest.raises(PolicyRefusal, match=r"approve_plans = true: bob has refused") as refused:
        require(approvals, plan)
    assert refused.value.line == BY
    with pytest.raises(ConfigError, match="was refused"):
        approvals.approve(asked(plan), "alice", 7.0)
    assert [each.state for each in approvals.all()] == ["refused"]


@pytest.mark.parametrize("published", [False, True])
def test_a_kill_leaves_no_half_approval(tmp_path, published):
    """It is approved, or it is not, and can be approved again."""
    folder, plan = tmp_path / "approvals", made.plan()
    with pytest.raises(AwaitingApproval):
        require(Approvals(folder), plan)
    child = os.fork()
    if child == 0:
        publish = files.Draft.publish_new

        def killed(draft, path):
            if published:
                publish(draft, path)
            os.kill(os.getpid(), 9)

        files.Draft.publish_new = killed
        Approvals(folder).approve(asked(plan), "alice", 5.0)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 9

    after = Approvals(folder)
    if published:
        assert require(after, plan)
    else:
        with pytest.raises(AwaitingApproval):
            require(after, plan)
    after.approve(after.find("1"), "alice", 6.0)
    assert require(after, plan)


def test_a_file_cut_in_half_is_no_approval(tmp_path, approvals):
    """Whatever a disk may do, half a word is not a word."""
    plan = made.plan()
    approvals.approve(asked(plan), "alice", 5.0)
    (path,) = (tmp_path / "approvals").glob("*.approved")
    path.write_bytes(path.read_bytes()[:20])

    with pytest.raises(ConfigError, match="delete it"):
        require(approvals, plan)


def test_an_approval_under_another_plans_name_is_none(tmp_path, approvals):
    """A copied file approves nothing."""
    one, other = made.plan(), made.plan(rounds_left=2)
    approvals.approve(asked(one), "alice", 5.0)
    folder = tmp_path / "approvals"
    name = f"{1:06d}-{other.digest()}.approved"
    (folder / name).write_bytes(next(folder.glob("*.approved")).read_bytes())

    with pytest.raises(ConfigError, match="another plan"):
        require(approvals, other)


def test_a_plan_is_found_by_its_round_or_its_digest(approvals):
    """Two plans of one round need the digest."""
    one, other = made.plan(), made.plan(rounds_left=2)
    for plan in (one, other):
        with pytest.raises(AwaitingApproval):
            require(approvals, plan)

    assert approvals.find(one.digest()) == asked(one)
    assert approvals.find(other.digest()[:12]) == asked(other)
    for wanted in ("1", "7", other.digest()[:4], "f" * 64):
        with pytest.raises(ConfigError, match=r"plans: say which|no plan that"):
            approvals.find(wanted)


def test_a_full_disk_approves_nothing(tmp_path):
    """It is said to whoever approves."""
    (tmp_path / "approvals").write_bytes(b"in the way")

    with pytest.raises(StoreUnavailable):
        Approvals(tmp_path / "approvals").approve(asked(made.plan()), "alice", 5.0)


@pytest.mark.parametrize(
    ("models", "waits"), [(None, True), ((), True), (("m",), True), ("listed", False)]
)
def test_a_listed_model_needs_no_approval(models, waits):
    """The list is an approval given in advance; without one each plan waits."""
    plan = made.plan()
    known = (plan.terms.model,) if models == "listed" else models

    assert policies.wants_approval(plan, made.policy(approve_plans=True, models=known)) is waits
    assert not policies.wants_approval(plan, made.policy(models=known))
