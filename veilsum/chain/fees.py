"""What is offered for gas, purely: never more than the ceiling, and enough to replace."""

from dataclasses import dataclass
from decimal import Decimal

from privacy.errors import FeeAboveCeiling

GWEI = 10**9
"""Wei."""


@dataclass(frozen=True, slots=True)
class Fee:
    """Wei for each unit of gas: the most that is paid in all, and the tip within it."""

    most: int
    tip: int


@dataclass(frozen=True, slots=True)
class Market:
    """What the chain asks now, in wei for each unit of gas: the base fee, and a tip."""

    base: int
    tip: int


def ceiling_of(gwei: str) -> int:
    """Return a ceiling that settings give in gwei, in wei."""
    return int(Decimal(gwei) * GWEI)


def first_fee(market: Market, ceiling: int) -> Fee:
    """Return what is offered at first: base fees may double before it is too little.

    Raises:
        FeeAboveCeiling: what would be paid now is above the ceiling.
    """
    _require(market.base + market.tip, ceiling)
    return Fee(min(2 * market.base + market.tip, ceiling), market.tip)


def raised_fee(before: Fee, market: Market, ceiling: int) -> Fee:
    """Return what is offered in place of `before`, under the same nonce.

    Raises:
        FeeAboveCeiling: what nodes take as a replacement is above the ceiling.
    """
    tip = max(_raised(before.tip), market.tip)
    least = max(_raised(before.most), market.base + tip)
    _require(least, ceiling)
    return Fee(min(max(least, 2 * market.base + tip), ceiling), tip)


def _raised(wei: int) -> int:
    # Nodes keep the older of two unless both parts are a tenth higher, some an eighth.
    return wei + wei // 8 + 1


def _require(least: int, ceiling: int) -> None:
    if least > ceiling:
        raise FeeAboveCeiling(
            f"a unit of gas costs {_gwei(least)} gwei and at most {_gwei(ceiling)} is paid "
            "(settlement.fee_ceiling_gwei); nothing is sent until fees fall"
        )


def _gwei(wei: int) -> str:
    return f"{Decimal(wei) / GWEI:.3f}"
