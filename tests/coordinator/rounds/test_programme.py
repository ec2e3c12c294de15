"""Which round comes next."""

import pytest

from coordinator.rounds.programme import (
    ABORTS_BEFORE_HALT,
    Abandon,
    PublishPlan,
    StartKeying,
    halted,
    is_over,
    last_released,
    orders,
    released,
)
from coordinator.rounds.state import Phase, Round, Rules

RULES = Rules(("a", "b"), ("a", "b", "c"), 2, 2, 5.0, 60.0)
PLANNED = {Phase.OPEN, Phase.AGGREGATING, Phase.AUDITING, Phase.OPENING, Phase.DONE}


def rounds(*phases):
    """Return rounds 1, 2, … in these phases."""
    return {
        at: Round(at, RULES, phase, plan="f" * 64 if phase in PLANNED else "")
        for at, phase in enumerate(phases, 1)
    }


@pytest.mark.parametrize(
    ("phases", "expected"),
    [
        ([], (StartKeying(1),)),
        ([Phase.KEYING], ()),
        ([Phase.KEYED], (PublishPlan(1),)),
        ([Phase.OPEN], (StartKeying(2),)),
        ([Phase.OPEN, Phase.KEYING], ()),
        ([Phase.OPEN, Phase.KEYED], ()),
        ([Phase.AUDITING, Phase.KEYED], ()),
        ([Phase.OPENING, Phase.KEYED], ()),
        ([Phase.DONE, Phase.KEYED], (PublishPlan(2),)),
        ([Phase.ABORTED, Phase.KEYED], (PublishPlan(2),)),
        ([Phase.DONE, Phase.DONE, Phase.OPEN], ()),
        ([Phase.DONE, Phase.DONE, Phase.ABORTED], (StartKeying(4),)),
        ([Phase.ABORTED], (StartKeying(2),)),
        ([Phase.DONE] * 3, ()),
        ([Phase.DONE] * 3 + [Phase.KEYED], (Abandon(4),)),
        ([Phase.ABORTED] * ABORTS_BEFORE_HALT, ()),
        ([Phase.ABORTED] * ABORTS_BEFORE_HALT + [Phase.KEYING], ()),
        ([Phase.ABORTED] * ABORTS_BEFORE_HALT + [Phase.KEYED], ()),
    ],
)
def test_a_programme_of_three_models_knows_what_to_do_next(phases, expected):
    assert orders(rounds(*phases), 3) == expected


def test_one_round_is_open_at_a_time():
    """A plan starts from the model before it, so that one must be decided."""
    for phase in (Phase.OPEN, Phase.AGGREGATING, Phase.AUDITING, Phase.OPENING):
        assert orders(rounds(phase, Phase.KEYED), 3) == ()


def test_a_programme_halts_after_failures_in_a_row_only():
    failing = [Phase.ABORTED] * (ABORTS_BEFORE_HALT - 1)

    assert not halted(rounds(*failing))
    assert not halted(rounds(*failing, Phase.DONE, Phase.ABORTED))
    assert halted(rounds(Phase.DONE, *failing, Phase.ABORTED))


def test_a_halted_programme_is_not_over():
    """Members would leave, and nothing would go on once the operator has looked."""
    assert not is_over(rounds(*[Phase.ABORTED] * ABORTS_BEFORE_HALT), 3)


@pytest.mark.parametrize("phase", [Phase.ABORTED, Phase.KEYED])
def test_a_restart_is_the_operators_word_to_go_on(phase):
    """Only what failed since then counts, and as many failures halt it again."""
    failed = [Phase.ABORTED] * ABORTS_BEFORE_HALT
    history = rounds(*failed, phase)

    assert orders(history, 3) == ()
    assert orders(history, 3, since=6) != ()
    assert not halted(rounds(*failed, *failed[:-1]), since=5)
    assert halted(rounds(*failed, *failed), since=5)


def test_released_models_are_counted_and_the_last_is_known():
    history = rounds(Phase.DONE, Phase.ABORTED, Phase.DONE, Phase.OPEN)

    assert (released(history), last_released(history)) == (2, 3)
    assert (released({}), last_released({})) == (0, 0)
    assert is_over(history, 2)
    assert not is_over(history, 3)
