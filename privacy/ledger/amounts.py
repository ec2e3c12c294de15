"""Amounts as rows state them: decimals, rounded up, in both views."""

from decimal import ROUND_CEILING, Decimal

import msgspec

from privacy.accounting import ACCOUNTANT, ORDERS
from privacy.budget import Budget, Budgets, Costs, Spend
from privacy.errors import UnsafeParameters
from privacy.events import DecimalText

_ORDERS = tuple(f"{order:g}" for order in ORDERS)


class Divergences(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A cost as stored: Renyi orders, and nats at each in either view, rounded up."""

    orders: tuple[str, ...]
    sums: tuple[DecimalText, ...]
    vector: tuple[DecimalText, ...]


class Charged(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Epsilon of a dataset in one view, rounded up: committed, and with what is reserved."""

    committed: DecimalText
    charged: DecimalText


class Cumulative(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a dataset has spent after the row, at `delta`, in both views."""

    delta: DecimalText
    sums: Charged
    vector: Charged


def divergences_of(costs: Costs) -> Divergences:
    """Return costs in the form that rows have."""
    return Divergences(_ORDERS, _texts(costs.sums), _texts(costs.vector))


def costs_from(stated: Divergences) -> Costs:
    """Return the costs that a row states.

    Raises:
        UnsafeParameters: they are stated at other orders, and so cannot be added up here.
    """
    if stated.orders != _ORDERS:
        raise UnsafeParameters(f"costs at other orders than those of {ACCOUNTANT}")
    return Costs(_spend(stated.sums), _spend(stated.vector))


def cumulative(budgets: Budgets, delta: str) -> Cumulative:
    """Return the epsilons of budgets at `delta`, rounded up."""
    return Cumulative(delta, _charged(budgets.sums), _charged(budgets.vector))


def epsilon_text(epsilon: float) -> str:
    """Return an epsilon to six decimals, rounded up."""
    return decimal_text(Decimal(epsilon).quantize(Decimal("1E-6"), rounding=ROUND_CEILING))


def decimal_text(amount: Decimal) -> str:
    """Return an amount in the one spelling that rows accept."""
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _charged(budget: Budget) -> Charged:
    return Charged(
        committed=epsilon_text(budget.committed.epsilon(budget.delta)),
        charged=epsilon_text(budget.charged().epsilon(budget.delta)),
    )


def _texts(spend: Spend) -> tuple[str, ...]:
    return tuple(decimal_text(amount) for amount in spend.at_orders)


def _spend(texts: tuple[str, ...]) -> Spend:
    return Spend(tuple(Decimal(text) for text in texts))
