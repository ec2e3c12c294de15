"""The law of refusals: each names the line that refused, its file, its key and its value.

Every line of `site.toml` that can refuse has a plan here which all other lines accept.
"""

import ast
import dataclasses

import msgspec
import pytest

from participant.auditing.config import AuditorPolicy
from participant.config import Policy, limits_of
from participant.policy import plans as module
from participant.policy.approvals import Approvals
from participant.policy.refusing import line
from participant.seat.config import AggregatorPolicy
from participant.seat.policy import check_aggregator, check_seating
from privacy.budget import costs_of
from privacy.errors import AwaitingApproval, PrivacyError, VeilsumError
from privacy.mechanism import events_of
from privacy.policy_line import PolicyLine, written
from tests.participant import shared_round as shared
from tests.participant import signed_round as made
from tests.participant.policy.test_policy import MODEL, check
from tests.source_tree import ROOT, source_files

NEVER_REFUSE = {
    "officers": "they change limits, and the ledger holds against them",
    "bandwidth": "it paces what goes, and refuses nothing",
    "time_zone": "it says what `hours` and `bandwidth` mean",
}


def by_plan(plan=None, **policy):
    """The refusal of a plan."""
    return lambda _: check(made.plan(**(plan or {})), made.policy(**policy))


def by_ledger(per_round, **policy):
    """The refusal of a ledger that goes by the policy's limits."""

    def refuse(_):
        limits, costs = made.policy(**policy), costs_of(events_of(made.TRAINING))
        spend = limits_of(limits)
        budgets = spend.per_round() if per_round else spend.for_life()
        try:
            budgets.check(costs)
        except PrivacyError as error:
            raise module.exhausted(error, limits) from None

    return refuse


def by_hours(_):
    limits = made.policy(hours=("Mo 20:00-20:01",))
    module.check_hours(limits.sends_in(), limits, 0.0)


def by_nobody(folder):
    limits, plan = made.policy(approve_plans=True), made.plan()
    asked = module.asked_about(plan, limits)
    approvals = Approvals(folder / "approvals")
    approvals.refuse(asked, "alice", 1.0)
    approvals.require(plan, asked, line(limits, "approve_plans"))


def by_cohort(_):
    module.check_cohort(("amber", "birch"), made.policy(), 2, made.roster())


REFUSES = {
    "roster": by_plan({"roster": "1" * 64}),
    "openers": by_plan(openers=("amber", "birch")),
    "first_model": by_plan({"model": "2" * 64}),
    "schemes": by_plan(schemes=("shares/1",)),
    "smallest_cohort": by_plan(smallest_cohort=4),
    "epsilon_per_round": by_plan(epsilon_per_round="0.5"),
    "epsilon_for_life": by_ledger(False, epsilon_for_life="0.5"),
    "delta": by_plan(delta="0.0001"),
    "unit": by_plan(unit="record"),
    "neighbouring": by_plan(neighbouring="replace"),
    "releases": by_plan(releases=()),
    "without_auditor": by_plan(without_auditor=False),
    "mechanisms": by_plan(mechanisms=()),
    "vector_epsilon_per_round": by_plan(vector_epsilon_per_round="0.5"),
    "vector_epsilon_for_life": by_ledger(False, vector_epsilon_for_life="0.5"),
    "most_rounds": by_plan({"rounds_left": 3}, most_rounds=2),
    "models": by_plan(models=("3" * 64,)),
    "approve_plans": by_nobody,
    "hours": by_hours,
}


def test_every_line_of_the_policy_is_walked():
    """A line that is added refuses by its name, or says here why it never refuses."""
    keys = {field.name for field in msgspec.structs.fields(Policy)}

    assert keys == REFUSES.keys() | NEVER_REFUSE.keys()


@pytest.mark.parametrize("key", REFUSES)
def test_a_refusal_begins_with_its_line(key, tmp_path):
    """`site.toml: policy.key = value: why`: file, key and value, as in the file."""
    with pytest.raises(VeilsumError) as refused:
        REFUSES[key](tmp_path)

    assert str(refused.value).startswith(f"site.toml: policy.{key} = ")


@pytest.mark.parametrize("key", sorted(REFUSES.keys() - {"hours"}))
def test_a_refusal_carries_its_line_as_a_value(key, tmp_path):
    """For metrics, and for whoever shows it: not only in words."""
    with pytest.raises(PrivacyError) as refused:
        REFUSES[key](tmp_path)

    by = refused.value.line
    assert (by.file, by.key) == ("site.toml", f"policy.{key}")
    assert str(refused.value).startswith(f"{by}: ")


def test_the_datasets_lines_refuse_by_their_names():
    """They stand in another table of the same file."""
    large = msgspec.structs.replace(made.DATASET, records=10_000)

    with pytest.raises(PrivacyError) as refused:
        check(made.plan(), dataset=large)

    assert str(refused.value.line) == "site.toml: dataset.records = 10000"


def test_a_cohort_is_refused_by_its_line():
    """After the round has closed, too."""
    with pytest.raises(PrivacyError) as refused:
        by_cohort(None)

    assert str(refused.value.line) == "site.toml: policy.smallest_cohort = 3"


def test_auditors_and_seats_name_their_own_files():
    """Nobody looks for a line in another member's file."""
    audits = AuditorPolicy(made.roster().digest(), (), 2)
    sits = AggregatorPolicy(shared.roster().digest(), (shared.SHARES,), 9)

    with pytest.raises(PrivacyError) as by_auditor:
        module.check_audit(made.plan(auditor="watch"), "watch", audits, made.roster())
    with pytest.raises(PrivacyError) as by_seat:
        check_seating(shared.plan(), shared.SEATS[0], sits, shared.roster())
    with pytest.raises(PrivacyError) as by_part:
        check_aggregator("amber", shared.roster(), line(sits, "roster"))

    assert str(by_auditor.value.line) == "auditor.toml: policy.schemes = []"
    assert str(by_seat.value.line) == "aggregator.toml: policy.smallest_cohort = 9"
    assert by_part.value.line.file == "aggregator.toml"


def test_nothing_else_makes_a_refusal():
    """A refusal that is built elsewhere could come without its line."""
    built = [
        str(path)
        for path in source_files()
        for node in ast.walk(ast.parse((ROOT / path).read_text()))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "PolicyRefusal"
    ]

    assert built == ["participant/policy/refusing.py"]


def test_an_approval_lifts_no_other_line(tmp_path):
    """Who approves a plan by mistake still has every line of the policy."""
    policy = made.policy(approve_plans=True, epsilon_per_round="0.5")

    with pytest.raises(PrivacyError) as refused:
        check(made.plan(), policy)

    assert refused.value.line.key == "policy.epsilon_per_round"


def test_a_plan_that_waits_says_by_which_line(tmp_path):
    """It is no refusal, but the same question: which line?"""
    limits, plan = made.policy(approve_plans=True), made.plan()

    with pytest.raises(AwaitingApproval, match=r"^site\.toml: policy\.approve_plans = true: "):
        Approvals(tmp_path / "approvals").require(
            plan, module.asked_about(plan, limits), line(limits, "approve_plans")
        )


def test_a_listed_model_passes():
    """The control of `models`."""
    check(made.plan(), made.policy(models=(MODEL,)))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (("a", "b"), '["a", "b"]'),
        (True, "true"),
        (None, "(not set)"),
        (3, "3"),
        ("x" * 200, '"' + "x" * 159 + "…"),
    ],
)
def test_values_are_written_as_in_the_file(value, text):
    """To be found with a search; a long list is cut."""
    assert written(value) == text


def test_a_line_is_a_value():
    """Frozen, so that a refusal cannot be changed on its way to the log."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        PolicyLine("site.toml", "policy.x", "1").key = "policy.y"
