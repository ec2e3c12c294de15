"""A dataset does not lose its past by a new name for its version."""

from typing import Any

import pytest
from msgspec.structs import replace

from privacy.accounting import UnitOfPrivacy
from privacy.errors import IllegalEvent, UnsafeParameters
from tests.privacy.ledger.rows import (
    COMMIT,
    COSTS,
    DATASET,
    LIMITS,
    REGISTER,
    RESERVE,
    add,
    after,
)


def test_a_new_version_inherits_what_was_spent_and_set_aside() -> None:
    """How far two versions overlap is not known, so all of it counts."""
    state = after(REGISTER, RESERVE, COMMIT)

    newer = add(state, **REGISTER, dataset=replace(DATASET, version=2, parent=1))

    assert newer.budgets("hearts", LIMITS) == state.budgets("hearts", LIMITS)
    assert newer.committed["hearts"] == COSTS
    assert newer.dataset("hearts").version == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 2, "parent": None},
        {"version": 2, "parent": 7},
        {"version": 1, "parent": 1},
        {"id": "fresh", "parent": 1},
        {"max_records_per_unit": 9},
    ],
)
def test_a_version_without_lineage_is_refused(changes: dict[str, Any]) -> None:
    """It would begin with an empty budget."""
    with pytest.raises(IllegalEvent):
        after(REGISTER, {**REGISTER, "dataset": replace(DATASET, **changes)})


def test_a_new_version_protects_the_same_unit() -> None:
    """Epsilons of patients and of records do not add up."""
    records = replace(
        DATASET, version=2, parent=1, unit=UnitOfPrivacy.RECORD, max_records_per_unit=1
    )

    with pytest.raises(UnsafeParameters):
        after(REGISTER, {**REGISTER, "dataset": records})
