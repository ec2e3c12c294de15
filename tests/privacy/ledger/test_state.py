"""A ledger is what its rows add up to; no row lowers what is committed."""

from typing import Any

import pytest
from msgspec.structs import replace

from privacy import canonical
from privacy.budget import NO_COSTS, SpendLimits, costs_of
from privacy.errors import (
    BudgetExhausted,
    ConflictingContribution,
    IllegalEvent,
    MalformedMessage,
    RootMismatch,
)
from privacy.events import Events, Gaussian
from privacy.identifiers import sha256_hex
from privacy.ledger import (
    NOTHING_SENT,
    Charged,
    Checkpoint,
    LedgerState,
    Released,
    Result,
    RowType,
    check_cost,
    check_limits,
    check_sums,
    cumulative,
    divergences_of,
    follow,
    policy_of,
)
from privacy.log_tree import log_of
from tests.privacy.ledger.rows import (
    ADJUST_UP,
    COMMIT,
    COSTS,
    DATASET,
    EVENTS,
    LIMITS,
    NOISE,
    POLICY,
    PREPROC,
    REGISTER,
    RELEASE,
    RESERVE,
    RESULT,
    RETIRE,
    SENT,
    WITNESS,
    add,
    after,
    row,
)

CHEAP = divergences_of(costs_of(Events(Gaussian("16"), Gaussian("8"))))


def test_a_round_goes_from_reserved_to_committed_to_sent() -> None:
    """Only the commit adds to what is spent for good, and takes one round of two."""
    reserved, committed = after(REGISTER, RESERVE), after(REGISTER, RESERVE, COMMIT)
    sent = after(REGISTER, RESERVE, COMMIT, SENT)

    assert "hearts" not in reserved.committed
    assert committed.committed["hearts"] == sent.committed["hearts"] == COSTS
    assert (reserved.reservation("r-1").left, committed.reservation("r-1").left) == (2, 1)
    made = sent.output("hearts", "j-1", 1)
    assert made is not None
    assert (made.out, made.sent, made.reservation) == ("a" * 64, True, "r-1")


def test_a_round_is_told_to_its_end() -> None:
    """Its cohort, and the model that came of it."""
    state = after(REGISTER, RESERVE, COMMIT, SENT, RESULT, RELEASE)

    made = state.output("hearts", "j-1", 1)

    assert made is not None
    assert (made.result, made.release) == (RESULT["result"], RELEASE["release"])


def test_each_row_names_the_hash_of_the_one_before() -> None:
    """The head is the whole history, and so is the root of the tree."""
    body = canonical.encode(row(LedgerState(), **REGISTER))

    state = follow(LedgerState(), body)

    assert state.head == sha256_hex(body)
    assert state.checkpoint() == Checkpoint(1, log_of([body]).root().hex())
    assert LedgerState().checkpoint() is None


def test_what_counts_is_committed_and_what_is_left_of_reservations() -> None:
    """In each view."""
    state = after(REGISTER, RESERVE, COMMIT)

    budgets = state.budgets("hearts", LIMITS)

    assert (budgets.sums.committed, budgets.vector.committed) == (COSTS.sums, COSTS.vector)
    assert budgets.sums.charged() == COSTS.times(2).sums
    assert budgets.vector.charged() == COSTS.times(2).vector


def test_a_retired_reservation_gives_back_what_was_not_committed() -> None:
    """Unused budget comes back; used budget never."""
    state = after(REGISTER, RESERVE, COMMIT, RETIRE)

    budgets = state.budgets("hearts", LIMITS)

    assert budgets.sums.charged() == budgets.sums.committed == COSTS.sums
    assert state.unspent("hearts") == ()


def test_a_round_of_a_retired_reservation_is_not_committed_again_under_another() -> None:
    """One output of a round, ever, whatever reserved it."""
    again = {**RESERVE, "reservation": "r-2"}

    with pytest.raises(ConflictingContribution, match="second release"):
        after(REGISTER, RESERVE, COMMIT, RETIRE, again, {**COMMIT, "reservation": "r-2"})


def test_uses_outside_of_rounds_are_committed_at_once() -> None:
    """A look at the data, and a correction."""
    for spending in (PREPROC, ADJUST_UP):
        assert after(REGISTER, spending, spending).committed["hearts"] == COSTS.times(2)


def test_no_row_lowers_what_is_committed() -> None:
    """Whatever follows whatever."""
    rows = (RESERVE, COMMIT, SENT, PREPROC, RESULT, RELEASE, RETIRE, ADJUST_UP, POLICY, WITNESS)
    state = after(REGISTER)
    for each in rows:
        before = state.committed.get("hearts", NO_COSTS)

        state = add(state, **each)

        assert state.committed.get("hearts", NO_COSTS).covers(before)


@pytest.mark.parametrize(
    "rows",
    [
        (RESERVE,),
        (POLICY,),
        (WITNESS,),
        (PREPROC,),
        (REGISTER, COMMIT),
        (REGISTER, SENT),
        (REGISTER, RETIRE),
        (REGISTER, RESULT),
        (REGISTER, RELEASE),
        (REGISTER, RESERVE, SENT),
        (REGISTER, RESERVE, RESULT),
        (REGISTER, RESERVE, RELEASE),
        (REGISTER, RESERVE, RESERVE),
        (REGISTER, RESERVE, COMMIT, SENT, SENT),
        (REGISTER, RESERVE, COMMIT, RESULT, RESULT),
        (REGISTER, RESERVE, COMMIT, RELEASE, RELEASE),
        (REGISTER, {**RESERVE, "rounds": 1}, COMMIT, RETIRE),
        (REGISTER, {**RESERVE, "rounds": 1}, COMMIT, {**COMMIT, "round": 2}),
        (REGISTER, RESERVE, COMMIT, {**COMMIT, "round": 2}, {**COMMIT, "round": 3}),
        (REGISTER, RESERVE, RETIRE, COMMIT),
        (REGISTER, RESERVE, RETIRE, RETIRE),
        (REGISTER, RESERVE, RETIRE, RESERVE),
        (REGISTER, RESERVE, COMMIT, RETIRE, {**COMMIT, "round": 2}),
        (REGISTER, RESERVE, {**COMMIT, "job": "j-2"}),
        (REGISTER, RESERVE, {**COMMIT, "event": Events(Gaussian("9"), Gaussian("5"))}),
        (REGISTER, RESERVE, {**COMMIT, "clip": "2"}),
        (REGISTER, RESERVE, {**COMMIT, "rdp": CHEAP}),
        (REGISTER, REGISTER),
    ],
)  # fmt: skip
def test_steps_that_the_machine_does_not_have_are_refused(rows: tuple[dict[str, Any], ...]) -> None:
    """Above all: nothing leads back from a commit."""
    after(*rows[:-1])

    with pytest.raises(IllegalEvent):
        after(*rows)


@pytest.mark.parametrize("change", [{"out": "d" * 64}, {"reservation": "r-2"}])
def test_sent_is_what_was_committed(change: dict[str, Any]) -> None:
    """Two outputs of one round would be two releases."""
    other = {**RESERVE, "reservation": "r-2"}

    with pytest.raises(ConflictingContribution):
        after(REGISTER, RESERVE, other, COMMIT, {**SENT, **change})


@pytest.mark.parametrize("changes", [{"seq": 2}, {"seq": 4}, {"prev": "0" * 64}])
def test_a_row_out_of_its_place_is_refused(changes: dict[str, Any]) -> None:
    """A gap, a repetition, another history."""
    with pytest.raises(RootMismatch):
        after(REGISTER, RESERVE, {**COMMIT, **changes})


@pytest.mark.parametrize("base", [RESERVE, COMMIT], ids=lambda base: base["type"])
def test_an_idempotency_key_is_that_of_its_members(base: dict[str, Any]) -> None:
    """Taken from another row, it would let one be passed off for the other."""
    before = after(REGISTER, RESERVE) if base is COMMIT else after(REGISTER)

    with pytest.raises(RootMismatch, match="idempotency"):
        add(before, **{**base, "idempotency": "b" * 64})


def test_a_checkpoint_is_that_of_the_rows_before_it() -> None:
    """A site cannot vouch for another log than its own."""
    state = after(REGISTER, RESERVE)
    head = state.checkpoint()
    assert head is not None
    marked = add(state, type=RowType.CHECKPOINT, checkpoint=head)

    for wrong in (head, Checkpoint(1, head.root), Checkpoint(3, "0" * 64)):
        with pytest.raises(RootMismatch, match="checkpoint"):
            add(marked, type=RowType.CHECKPOINT, checkpoint=wrong)


def test_rows_about_the_whole_ledger_name_the_newest_dataset() -> None:
    """One way to write them, so that one history has one spelling."""
    lungs = replace(DATASET, id="lungs")
    state = after(REGISTER, {**REGISTER, "dataset": lungs})

    add(state, **POLICY, dataset=lungs)
    with pytest.raises(IllegalEvent, match="lungs is the newest"):
        add(state, **POLICY)


def test_a_row_names_the_latest_version_of_its_dataset() -> None:
    """Replayed into another dataset, or an older one, it is no row."""
    newer = replace(DATASET, version=2, parent=1)
    state = after(REGISTER, RESERVE, {**REGISTER, "dataset": newer})

    with pytest.raises(IllegalEvent, match="latest version"):
        add(state, **COMMIT)
    add(state, **COMMIT, dataset=newer)


def test_a_reservation_is_not_moved_to_another_dataset() -> None:
    """What one dataset set aside, another does not spend."""
    lungs = replace(DATASET, id="lungs")
    state = after(REGISTER, RESERVE, {**REGISTER, "dataset": lungs})

    with pytest.raises(IllegalEvent, match="another dataset or job"):
        add(state, **COMMIT, dataset=lungs)


def test_a_commit_may_say_what_noise_it_has() -> None:
    """Where sites share the noise, each says its part; otherwise there is nothing to say."""
    after(REGISTER, RESERVE, {**COMMIT, "noise": NOISE})

    with pytest.raises(MalformedMessage, match="noise"):
        after(REGISTER, {**RESERVE, "noise": NOISE})


def test_a_cost_below_that_of_its_event_is_found() -> None:
    """A ledger cannot be cheap by writing small numbers, in either view."""
    half = replace(RESERVE["rdp"], vector=CHEAP.vector)

    check_cost(row(LedgerState(), **SENT))
    for base in (RESERVE, COMMIT, PREPROC, ADJUST_UP):
        check_cost(row(LedgerState(), **base))
        for wrong in (CHEAP, half):
            with pytest.raises(RootMismatch, match="less than"):
                check_cost(row(LedgerState(), **{**base, "rdp": wrong}))


def test_sums_that_are_not_those_of_the_rows_are_found() -> None:
    """What a reader sees first is checked against what was added up, with a little slack."""
    state = after(REGISTER, RESERVE, COMMIT)
    right = cumulative(state.budgets("hearts", LIMITS), "0.001")

    check_sums(state, row(state, **{**COMMIT, "cum": right}))
    check_sums(state, row(state, **SENT))
    for wrong in (
        replace(right, sums=Charged("0.1", right.sums.charged)),
        replace(right, vector=Charged(right.vector.committed, "9")),
        replace(right, delta="0.01"),
    ):
        with pytest.raises(RootMismatch, match="epsilon stated"):
            check_sums(state, row(state, **{**COMMIT, "cum": wrong}))


def test_limits_are_checked_against_what_is_left() -> None:
    """All rounds of a reservation, or one use outside of rounds; corrections are never refused."""
    state, tight = after(REGISTER), SpendLimits("0.001", "1.2", "1")
    small, large = row(state, **RESERVE), row(state, **{**RESERVE, "rounds": 40})

    check_limits(state, small, tight)
    check_limits(state, large)
    for wrong in (large, row(state, **{**RESERVE, "rounds": 3})):
        with pytest.raises(BudgetExhausted):
            check_limits(state, wrong, tight)
    for limits in (SpendLimits("0.001", "3", "0.5"), SpendLimits("0.001", "3", "2", "3", "0.5")):
        with pytest.raises(BudgetExhausted):
            check_limits(state, small, limits)
    spent = after(REGISTER, PREPROC, PREPROC, PREPROC)
    check_limits(spent, row(spent, **ADJUST_UP), tight)
    with pytest.raises(BudgetExhausted):
        check_limits(spent, row(spent, **PREPROC), tight)


def test_limits_that_the_ledger_records_need_no_other_source() -> None:
    """An auditor has the ledger, and not the site's file."""
    state = after(REGISTER, POLICY)

    check_limits(state, row(state, **RESERVE))
    with pytest.raises(BudgetExhausted):
        check_limits(state, row(state, **{**RESERVE, "rounds": 100}))


def test_names_that_were_never_made_are_refused() -> None:
    """By the one who asks."""
    with pytest.raises(IllegalEvent):
        LedgerState().dataset("hearts")
    with pytest.raises(IllegalEvent):
        LedgerState().reservation("r-1")
    assert LedgerState().output("hearts", "j-1", 1) is None


def test_another_end_of_a_round_is_refused() -> None:
    """One cohort, one release."""
    state = after(REGISTER, RESERVE, COMMIT, RESULT, RELEASE)

    for other in (
        {**RESULT, "result": Result("1" * 64, "2" * 64, 3, 2)},
        {**RELEASE, "release": Released("3" * 64, "5" * 64)},
    ):
        with pytest.raises(IllegalEvent):
            add(state, **other)


def test_events_are_kept_with_what_they_cost() -> None:
    """A reservation says all that a commit under it must repeat."""
    held = after(REGISTER, RESERVE).reservation("r-1")

    assert (held.events, held.costs, held.clip, held.rounds) == (EVENTS, COSTS, "1", 2)


def test_a_commit_under_a_limit_that_was_lowered_is_found() -> None:
    """By whoever has the rows alone; a round of which nothing was sent is no second finding."""
    lower = {"type": RowType.POLICY_SET, "policy": policy_of(SpendLimits("0.001", "1", "1"), {})}
    state = after(REGISTER, POLICY, RESERVE)
    check_limits(state, row(state, **COMMIT))

    lowered = add(state, **lower)

    with pytest.raises(BudgetExhausted):
        check_limits(lowered, row(lowered, **COMMIT))
    check_limits(lowered, row(lowered, **{**COMMIT, "out": NOTHING_SENT}))
