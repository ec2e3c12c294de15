"""What is offered for gas: enough to be mined or to replace, and never above the ceiling."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privacy.errors import FeeAboveCeiling
from veilsum.chain.fees import GWEI, Fee, Market, ceiling_of, first_fee, raised_fee

WEI = st.integers(0, 10**13)


@pytest.mark.parametrize(
    ("gwei", "wei"), [("100", 100 * GWEI), ("0.5", GWEI // 2), ("0.000000001", 1)]
)
def test_a_ceiling_in_gwei_is_exact(gwei: str, wei: int) -> None:
    """No float stands between what was written and what is paid."""
    assert ceiling_of(gwei) == wei


def test_a_first_fee_stands_until_base_fees_have_doubled() -> None:
    """Six full blocks, each an eighth dearer."""
    assert first_fee(Market(10, 2), 100) == Fee(22, 2)


def test_a_first_fee_leaves_out_what_is_above_the_ceiling() -> None:
    """Less room to rise, and nothing above what was allowed."""
    assert first_fee(Market(10, 2), 15) == Fee(15, 2)


def test_the_ceiling_itself_is_paid() -> None:
    """It is the most that is paid, not the least that is refused."""
    assert first_fee(Market(8, 2), 10) == Fee(10, 2)
    with pytest.raises(FeeAboveCeiling):
        first_fee(Market(9, 2), 10)


def test_a_raised_fee_leaves_out_what_is_above_the_ceiling() -> None:
    """What nodes take as a replacement, and as much room to rise as there is."""
    assert raised_fee(Fee(10, 1), Market(20, 1), 30) == Fee(30, 2)
    assert raised_fee(Fee(10, 1), Market(20, 1), 90) == Fee(42, 2)


@given(WEI, WEI, WEI, WEI, WEI)
def test_a_raised_fee_replaces_and_is_never_above_the_ceiling(
    most: int, tip: int, base: int, suggested: int, ceiling: int
) -> None:
    """Nodes keep the older of two unless both parts are a tenth higher."""
    before = Fee(max(most, tip), min(most, tip))

    try:
        fee = raised_fee(before, Market(base, suggested), ceiling)
    except FeeAboveCeiling:
        eighth = before.most + before.most // 8 + 1
        least = base + max(suggested, before.tip + before.tip // 8 + 1)
        assert max(eighth, least) > ceiling
    else:
        assert 10 * fee.most >= 11 * before.most
        assert 10 * fee.tip >= 11 * before.tip
        assert base + fee.tip <= fee.most <= ceiling
        assert fee.most > before.most
        assert fee.tip > before.tip


@given(WEI, WEI, WEI)
def test_a_first_fee_can_be_mined_and_is_never_above_the_ceiling(
    base: int, tip: int, ceiling: int
) -> None:
    """Or it is refused, and nothing is sent."""
    try:
        fee = first_fee(Market(base, tip), ceiling)
    except FeeAboveCeiling:
        assert base + tip > ceiling
    else:
        assert base + fee.tip <= fee.most <= ceiling
