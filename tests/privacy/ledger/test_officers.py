"""A limit rises when two persons say so, and falls when one does."""

from typing import Any

import pytest
from msgspec.structs import replace

from privacy.budget import SpendLimits
from privacy.errors import IllegalEvent, InvalidSignature
from privacy.ledger import (
    LedgerState,
    Row,
    RowType,
    policy_of,
    proposal_digest,
    sign_approval,
    sign_proposal,
)
from tests.privacy.ledger.rows import DATASET, LIMITS, REGISTER, add, after, key_of, public, row

OFFICERS = {name: public(name) for name in ("alice", "bob", "carol")}
HIGHER = SpendLimits("0.001", "6", "4")
LOWER = SpendLimits("0.001", "1", "1")


def written(limits: SpendLimits, officers: dict[str, str] = OFFICERS) -> dict[str, Any]:
    """What `site.toml` says."""
    return {"type": RowType.POLICY_SET, "policy": policy_of(limits, officers)}


def proposed(
    state: LedgerState,
    limits: SpendLimits,
    by: str = "alice",
    officers: dict[str, str] = OFFICERS,
    key: str = "",
) -> Row:
    """A POLICY_SET that an officer has signed."""
    policy = replace(policy_of(limits, officers), proposer=by)
    return sign_proposal(row(state, type=RowType.POLICY_SET, policy=policy), key_of(key or by))


def with_proposal(state: LedgerState, **of: Any) -> LedgerState:
    """The state after a proposal."""
    return add(state, type=RowType.POLICY_SET, policy=proposed(state, **of).policy)


def approved(state: LedgerState, seq: int, by: str = "bob", key: str = "") -> LedgerState:
    """The state after an approval."""
    approval = sign_approval(state.standing.proposal(seq), by, key_of(key or by))
    return add(state, type=RowType.APPROVAL, approval=approval)


BASE = after(REGISTER, written(LIMITS))


def test_the_first_policy_counts_as_it_is_written() -> None:
    """Somebody has to begin; whom it names as officers, the ledger remembers."""
    assert BASE.standing.limits() == LIMITS
    assert BASE.standing.officers() == OFFICERS


def test_without_officers_the_sites_file_governs() -> None:
    """Every change is a row, and counts at once, up or down."""
    free = after(REGISTER, written(LIMITS, {}))

    assert add(free, **written(HIGHER, {})).standing.limits() == HIGHER
    assert add(free, **written(LOWER, {})).standing.limits() == LOWER


def test_a_higher_limit_in_the_file_alone_does_not_count() -> None:
    """Who can edit a file is one person."""
    assert add(BASE, **written(HIGHER)).standing.limits() == LIMITS


def test_a_lower_limit_in_the_file_counts_at_once() -> None:
    """Nobody needs to agree to more protection."""
    assert add(BASE, **written(LOWER)).standing.limits() == LOWER


def test_officers_who_are_left_out_of_the_file_are_still_needed() -> None:
    """Else one person would abolish the second by editing a file."""
    dropped = add(BASE, **written(HIGHER, {}))

    assert dropped.standing.limits() == LIMITS
    assert dropped.standing.officers() == OFFICERS


def test_a_proposal_alone_raises_nothing() -> None:
    """One officer has signed."""
    state = add(BASE, **written(HIGHER))

    assert with_proposal(state, limits=HIGHER).standing.limits() == LIMITS


def test_a_proposal_that_another_officer_approves_counts() -> None:
    """Together with the file: the lower of the two, number by number."""
    state = with_proposal(BASE, limits=HIGHER)

    agreed = approved(state, state.seq)

    assert agreed.standing.limits() == LIMITS
    assert add(agreed, **written(HIGHER)).standing.limits() == HIGHER


def test_one_officer_can_lower_a_limit_alone() -> None:
    """Until two agree on something else."""
    state = with_proposal(BASE, limits=LOWER)

    assert state.standing.limits() == LOWER
    again = with_proposal(state, limits=LIMITS)
    assert again.standing.limits() == LOWER
    assert approved(again, again.seq).standing.limits() == LIMITS


@pytest.mark.parametrize(("by", "key"), [("alice", "alice"), ("alice", "bob"), ("bob", "alice")])
def test_nobody_approves_what_he_or_she_proposed(by: str, key: str) -> None:
    """Not under another name with the same key, nor under the own name with another's."""
    state = with_proposal(BASE, limits=HIGHER)

    with pytest.raises(IllegalEvent):
        approved(state, state.seq, by, key)


def test_who_is_no_officer_neither_proposes_nor_approves() -> None:
    """Whatever key he has."""
    with pytest.raises(IllegalEvent, match="mallory"):
        with_proposal(BASE, limits=HIGHER, by="mallory")
    state = with_proposal(BASE, limits=HIGHER)
    with pytest.raises(IllegalEvent, match="mallory"):
        approved(state, state.seq, "mallory")


def test_a_proposal_is_signed_by_its_proposer() -> None:
    """The site's own key, or another officer's, is not alice's."""
    with pytest.raises(InvalidSignature):
        with_proposal(BASE, limits=HIGHER, key="bob")
    unsigned = replace(policy_of(HIGHER, OFFICERS), proposer="alice")
    with pytest.raises(InvalidSignature):
        add(BASE, type=RowType.POLICY_SET, policy=unsigned)


def test_a_proposal_is_not_replayed_at_another_place() -> None:
    """The signature is over the row with its number and the row before."""
    policy = proposed(BASE, HIGHER).policy
    later = add(BASE, **written(LOWER))

    with pytest.raises(InvalidSignature):
        add(later, type=RowType.POLICY_SET, policy=policy)


def test_an_approval_is_of_one_proposal() -> None:
    """Signed for another row, it approves nothing."""
    first = with_proposal(BASE, limits=LOWER)
    both = with_proposal(first, limits=HIGHER)
    approval = sign_approval(both.standing.proposal(first.seq), "bob", key_of("bob"))

    for moved in (replace(approval, row=both.seq), replace(approval, signature="0" * 128)):
        with pytest.raises(InvalidSignature):
            add(both, type=RowType.APPROVAL, approval=moved)


def test_an_older_proposal_is_void_once_a_newer_one_is_approved() -> None:
    """What was agreed last is what counts; nobody digs out what came before."""
    first = with_proposal(BASE, limits=HIGHER)
    second = with_proposal(first, limits=LIMITS)
    agreed = approved(second, second.seq)

    with pytest.raises(IllegalEvent, match="waits for approval"):
        approved(agreed, first.seq)
    with pytest.raises(IllegalEvent):
        approved(agreed, second.seq, "carol")


def test_two_officers_change_who_the_officers_are() -> None:
    """From then on the new ones, and no longer the old."""
    others = {"dora": public("dora"), "emil": public("emil")}
    state = with_proposal(BASE, limits=LIMITS, officers=others)

    changed = approved(state, state.seq)

    assert changed.standing.officers() == others
    with pytest.raises(IllegalEvent):
        with_proposal(changed, limits=HIGHER)
    newer = with_proposal(changed, limits=HIGHER, by="dora", officers=others)
    assert approved(newer, newer.seq, "emil").standing.agreed is not None


def test_another_dataset_needs_two_officers_too() -> None:
    """Whoever writes the rows: a new name for the same data would be a new budget."""
    other = {"type": RowType.DATASET_REGISTER, "dataset": replace(DATASET, id="hearts2")}
    with pytest.raises(IllegalEvent, match="have not agreed to it"):
        add(BASE, **other)
    policy = replace(policy_of(LIMITS, OFFICERS, ["hearts2"]), proposer="alice")
    signed = sign_proposal(row(BASE, type=RowType.POLICY_SET, policy=policy), key_of("alice"))
    waiting = add(BASE, type=RowType.POLICY_SET, policy=signed.policy)
    with pytest.raises(IllegalEvent):
        add(waiting, **other)

    agreed = approved(waiting, waiting.seq)

    assert set(add(agreed, **other).datasets) == {"hearts", "hearts2"}
    assert add(BASE, dataset=replace(DATASET, version=2, parent=1), **REGISTER).newest == "hearts"


def test_the_file_adds_no_dataset_to_what_is_agreed() -> None:
    """Nor does the site itself, once it has officers."""
    policy = policy_of(LIMITS, OFFICERS, ["hearts2"])

    assert add(BASE, type=RowType.POLICY_SET, policy=policy).standing.datasets() == ()


def test_a_proposal_has_one_digest_and_no_other_has_it() -> None:
    """It names the officers and their keys, too; the proposer's signature is not in it."""
    one = proposed(BASE, HIGHER)
    others = (
        proposed(BASE, LOWER),
        proposed(BASE, HIGHER, officers={**OFFICERS, "bob": public("eve")}),
    )

    unsigned = replace(one, policy=replace(one.policy, signature=None))

    assert proposal_digest(one) == proposal_digest(unsigned)
    assert proposal_digest(one) not in {proposal_digest(each) for each in others}
