"""A programme whose terms are not a plan's cannot be judged, and that is said."""

import pytest

from coordinator.settling.shape import shape_of
from privacy.settlement.payable import difference
from tests import fakes

SETTINGS = fakes.make_settings()
PLAN = fakes.make_plan(SETTINGS)
SHAPE = shape_of(SETTINGS)
LEAVES = (SHAPE.leaves_per_chunk, SHAPE.last_chunk_leaves)


def test_terms_that_were_opened_for_a_plan_are_its_own() -> None:
    """What `veilsum settle open` writes is what sites and auditors compare."""
    assert difference(SHAPE.arithmetic, LEAVES, PLAN) == ""


def test_another_arithmetic_is_said() -> None:
    """With it no proof leads to the commit: the coordinator could add what it likes."""
    found = difference(b"\x01" * 32, LEAVES, PLAN)

    assert found.startswith("the programme pays for plans of arithmetic 0101010101010101…")


@pytest.mark.parametrize("at", [0, 1])
def test_other_leaves_are_said(at: int) -> None:
    """Paths through the trees would have other lengths."""
    leaves = (LEAVES[0] + (at == 0), LEAVES[1] + (at == 1))

    assert "leaves, and those of this plan" in difference(SHAPE.arithmetic, leaves, PLAN)
