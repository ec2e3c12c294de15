"""A privacy budget: available, then reserved, then committed; what is committed stays.

    available ──reserve──▶ reserved ──commit──▶ committed
        ▲                     │
        └───────retire────────┘

Amounts are exact decimals, rounded up once when an event becomes a `Spend`; after that nothing
is rounded, so no order of events can make the sum smaller than its parts.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import ROUND_CEILING, Context, Decimal
from fractions import Fraction
from types import MappingProxyType

import numpy as np

from .accounting import ORDERS, rdp_of, rdp_to_epsilon
from .errors import BudgetExhausted, IllegalEvent, UnsafeParameters
from .events import DpEvent, exact

_STORED_DIGITS = Decimal("1E-12")
_ROUNDING_ERROR = Decimal("1.000000001")  # the accountant's floats are good to 1e-12
_LARGEST = Decimal(10) ** 15
_EXACT = Context(prec=60)


@dataclass(frozen=True, slots=True)
class Spend:
    """Renyi divergence at each of `ORDERS`, in nats, in exact decimals; never too small."""

    at_orders: tuple[Decimal, ...] = (Decimal(0),) * len(ORDERS)

    def __post_init__(self) -> None:
        if len(self.at_orders) != len(ORDERS):
            raise UnsafeParameters(f"{len(self.at_orders)} amounts for {len(ORDERS)} orders")
        if not all(amount.is_finite() and 0 <= amount <= _LARGEST for amount in self.at_orders):
            raise UnsafeParameters(f"a spend has amounts from 0 to {_LARGEST:.0E} nats, all finite")

    def __add__(self, other: "Spend") -> "Spend":
        pairs = zip(self.at_orders, other.at_orders, strict=True)
        return Spend(tuple(_EXACT.add(mine, theirs) for mine, theirs in pairs))

    def covers(self, other: "Spend") -> bool:
        """Return whether this spend is at least `other` at every order."""
        pairs = zip(self.at_orders, other.at_orders, strict=True)
        return all(mine >= theirs for mine, theirs in pairs)

    def epsilon(self, delta: float) -> float:
        """Return the epsilon, in nats, that this spend allows at `delta`; 0.0 for nothing spent.

        Raises:
            UnsafeParameters: delta outside (0, 1).
        """
        amounts = np.array([float(amount) for amount in self.at_orders])
        return rdp_to_epsilon(np.array(ORDERS), amounts, delta)


NOTHING = Spend()


def spend_of(event: DpEvent) -> Spend:
    """Return what `event` costs, rounded up.

    Raises:
        UnsafeParameters: an event without a proven bound, or without any protection.
    """
    return Spend(tuple(_rounded_up(value) for value in rdp_of(event, np.array(ORDERS)).tolist()))


def total(spends: Iterable[Spend]) -> Spend:
    """Return the sum of `spends`, exactly."""
    return sum(spends, start=NOTHING)


@dataclass(frozen=True, slots=True)
class Budget:
    """What one dataset may still give away, at one delta.

    Guarantees to the patients in it: committed and reserved together never pass
    `limit_epsilon`, and no method lowers what is committed.
    """

    delta: float
    limit_epsilon: float
    committed: Spend = NOTHING
    reserved: Mapping[str, Spend] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        if not (0.0 < self.delta < 1.0 and 0.0 < self.limit_epsilon < float("inf")):
            raise UnsafeParameters(
                f"delta {self.delta}: in (0, 1); epsilon limit {self.limit_epsilon}: above 0"
            )

    def charged(self) -> Spend:
        """Return what counts against the limit: committed and reserved."""
        return self.committed + total(self.reserved.values())

    def remaining_epsilon(self) -> float:
        """Return limit minus charged epsilon, in nats, never below 0.

        Epsilons of a composition do not add up: an event may fit although its own epsilon
        is larger than this.
        """
        return max(0.0, self.limit_epsilon - self.charged().epsilon(self.delta))

    def check(self, spend: Spend) -> None:
        """Return if `spend` fits.

        Raises:
            BudgetExhausted: it does not; nothing has happened.
        """
        spent = self.charged().epsilon(self.delta)
        after = (self.charged() + spend).epsilon(self.delta)
        # written so that a NaN would be refused
        if not after <= self.limit_epsilon:
            raise BudgetExhausted(spent=spent, cost=after - spent, limit=self.limit_epsilon)

    def reserve(self, reservation: str, spend: Spend) -> "Budget":
        """Return the budget with `spend` set aside under the name `reservation`.

        Raises:
            BudgetExhausted: it does not fit.
            IllegalEvent: the name is taken.
        """
        if reservation in self.reserved:
            raise IllegalEvent(f"reservation {reservation}: already made")
        self.check(spend)
        return replace(self, reserved=MappingProxyType({**self.reserved, reservation: spend}))

    def commit(self, reservation: str) -> "Budget":
        """Return the budget with the reservation spent, for good.

        Raises:
            IllegalEvent: there is no such reservation.
        """
        spend = self._open(reservation)
        return replace(self._without(reservation), committed=self.committed + spend)

    def retire(self, reservation: str) -> "Budget":
        """Return the budget without a reservation under which nothing was released.

        Raises:
            IllegalEvent: there is no such reservation; what is committed cannot be retired.
        """
        self._open(reservation)
        return self._without(reservation)

    def _open(self, reservation: str) -> Spend:
        try:
            return self.reserved[reservation]
        except KeyError:
            raise IllegalEvent(
                f"reservation {reservation}: not open (never made, committed or retired)"
            ) from None

    def _without(self, reservation: str) -> "Budget":
        others = {name: spend for name, spend in self.reserved.items() if name != reservation}
        return replace(self, reserved=MappingProxyType(others))


@dataclass(frozen=True, slots=True)
class SpendLimits:
    """What a site's policy allows for each of its datasets; decimals, epsilon in nats."""

    delta: str
    epsilon_for_life: str
    epsilon_per_round: str

    def __post_init__(self) -> None:
        self.for_life(), self.per_round()

    def for_life(self) -> Budget:
        """Return an untouched budget for all rounds of a dataset, over all jobs."""
        return Budget(float(exact(self.delta)), float(exact(self.epsilon_for_life)))

    def per_round(self) -> Budget:
        """Return an untouched budget for one round of one job."""
        return Budget(float(exact(self.delta)), float(exact(self.epsilon_per_round)))


def check_delta(delta: str, units: int) -> None:
    """Return if `delta` means something for a dataset of `units` patients (or records).

    At delta = 1 / n, publishing one patient of n in full is still (0, delta)-DP.

    Raises:
        UnsafeParameters: delta is 0, or 1 / units or more, or there are no units.
    """
    if units < 1 or not 0 < exact(delta) < Fraction(1, units):
        raise UnsafeParameters(
            f"delta {delta} with {units} units of privacy: must be above 0 and below 1 / {units}"
        )


def _rounded_up(value: float) -> Decimal:
    if not 0.0 <= value <= float(_LARGEST):
        raise UnsafeParameters("an event without a finite cost protects nobody")
    # relative for what floats lose, absolute so that no event is free
    raised = _EXACT.fma(Decimal(value), _ROUNDING_ERROR, _STORED_DIGITS)
    return raised.quantize(_STORED_DIGITS, rounding=ROUND_CEILING, context=_EXACT)
