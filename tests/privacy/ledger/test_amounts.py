"""Amounts are written in one spelling, and never too small."""

from decimal import Decimal

import pytest
from msgspec.structs import replace

from privacy.errors import UnsafeParameters
from privacy.ledger import costs_from, decimal_text, divergences_of, epsilon_text
from tests.privacy.ledger.rows import COSTS


def test_costs_are_read_back_as_they_were_written() -> None:
    """In both views, digit for digit."""
    assert costs_from(divergences_of(COSTS)) == COSTS


def test_costs_at_other_orders_are_refused() -> None:
    """They cannot be added up."""
    stated = divergences_of(COSTS)
    fewer = replace(stated, sums=stated.sums[1:])

    for wrong in (replace(fewer, orders=stated.orders[1:], vector=stated.vector[1:]), fewer):
        with pytest.raises(UnsafeParameters, match="orders"):
            costs_from(wrong)


def test_numbers_are_written_in_one_spelling_and_rounded_up() -> None:
    """A reader of another machine gets the same digits, and never too small ones."""
    assert decimal_text(Decimal("1.500")) == "1.5"
    assert decimal_text(Decimal("100")) == "100"
    assert decimal_text(Decimal("1E+3")) == "1000"
    assert decimal_text(Decimal("1E-9")) == "0.000000001"
    assert epsilon_text(1.0000001) == "1.000001"
    assert epsilon_text(0.0) == "0"
