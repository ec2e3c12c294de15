"""A privacy budget: available, then reserved, then committed; what is committed stays.

    available ──reserve──▶ reserved ──commit──▶ committed
        ▲                     │
        └───────retire────────┘

A reservation is for a number of rounds and is committed one by one. Everything is counted in two
views: `sums` is what anybody learns who sees sums only, `vector` what the coalition learns that
can open one site's update. Both must fit.

Amounts are exact decimals, rounded up once when an event becomes a `Spend`; after that nothing
is rounded, so no order of events can make the sum smaller than its parts.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from decimal import ROUND_CEILING, Context, Decimal
from fractions import Fraction
from functools import lru_cache
from types import MappingProxyType

import numpy as np

from .accounting import ORDERS, rdp_of, rdp_to_epsilon
from .errors import BudgetExhausted, IllegalEvent, UnsafeParameters
from .events import DpEvent, Events, exact

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
        amounts = self.at_orders
        if not all(map(Decimal.is_finite, amounts)) or min(amounts) < 0 or max(amounts) > _LARGEST:
            raise UnsafeParameters(f"a spend has amounts from 0 to {_LARGEST:.0E} nats, all finite")

    def __add__(self, other: "Spend") -> "Spend":
        # both have as many; one of these for each row and view is most of what a check costs
        return Spend(tuple(map(_EXACT.add, self.at_orders, other.at_orders)))

    def times(self, count: int) -> "Spend":
        """Return the spend of `count` equal ones, 0 or more, exactly."""
        return Spend(tuple(_EXACT.multiply(amount, count) for amount in self.at_orders))

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


@lru_cache(maxsize=256)
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
class Costs:
    """What a round costs in both views: who sees sums only, and who can open one update."""

    sums: Spend = NOTHING
    vector: Spend = NOTHING

    def __add__(self, other: "Costs") -> "Costs":
        return Costs(self.sums + other.sums, self.vector + other.vector)

    def times(self, count: int) -> "Costs":
        """Return the costs of `count` such rounds, 0 or more, exactly."""
        return Costs(self.sums.times(count), self.vector.times(count))

    def covers(self, other: "Costs") -> bool:
        """Return whether these costs are at least `other` at every order of both views."""
        return self.sums.covers(other.sums) and self.vector.covers(other.vector)


NO_COSTS = Costs()


def costs_of(events: Events) -> Costs:
    """Return what a round's events cost, rounded up.

    Raises:
        UnsafeParameters: an event without a proven bound, or one that would tell those who
            can open an update less than those who see its sum.
    """
    costs = Costs(spend_of(events.sums), spend_of(events.vector))
    if not costs.vector.covers(costs.sums):
        raise UnsafeParameters("an opened update cannot cost less than the sum it is in")
    return costs


@dataclass(frozen=True, slots=True)
class Held:
    """What is set aside: a number of rounds, each of one cost."""

    each: Spend
    rounds: int = 1

    def all(self) -> Spend:
        """Return the cost of the rounds together."""
        return self.each.times(self.rounds)


@dataclass(frozen=True, slots=True)
class Budget:
    """What one dataset may still give away in one view, at one delta.

    Guarantees to the patients in it: what is reserved fits beside all that was committed and
    reserved before, and no method lowers what is committed.

    Attributes:
        key: of the setting that the limit is, for the message of a refusal.
    """

    delta: float
    limit_epsilon: float
    committed: Spend = NOTHING
    reserved: Mapping[str, Held] = field(default_factory=lambda: MappingProxyType({}))
    view: str = "sums"
    key: str = ""

    def __post_init__(self) -> None:
        if not (0.0 < self.delta < 1.0 and 0.0 < self.limit_epsilon < float("inf")):
            raise UnsafeParameters(
                f"delta {self.delta}: in (0, 1); epsilon limit {self.limit_epsilon}: above 0"
            )

    def charged(self) -> Spend:
        """Return what counts against the limit: committed and reserved."""
        return self.committed + total(held.all() for held in self.reserved.values())

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
        charged = self.charged()
        after = (charged + spend).epsilon(self.delta)
        # written so that a NaN would be refused
        if not after <= self.limit_epsilon:
            spent = charged.epsilon(self.delta)
            cost, limit = after - spent, self.limit_epsilon
            named = {"view": self.view, "key": self.key}
            raise BudgetExhausted(spent=spent, cost=cost, limit=limit, **named)

    def reserve(self, reservation: str, spend: Spend, rounds: int = 1) -> "Budget":
        """Return the budget with `rounds` times `spend` set aside under the name `reservation`.

        Raises:
            BudgetExhausted: not all of it fits.
            IllegalEvent: the name is taken.
        """
        if reservation in self.reserved:
            raise IllegalEvent(f"reservation {reservation}: already made")
        held = Held(spend, rounds)
        self.check(held.all())
        return self._with(reservation, held)

    def commit(self, reservation: str) -> "Budget":
        """Return the budget with one round of the reservation spent, for good.

        Raises:
            IllegalEvent: there is no such reservation, or none of its rounds is left.
        """
        held = self._open(reservation)
        spent = replace(self, committed=self.committed + held.each)
        return spent._with(reservation, replace(held, rounds=held.rounds - 1))

    def retire(self, reservation: str) -> "Budget":
        """Return the budget without the rounds of a reservation that were not committed.

        Raises:
            IllegalEvent: there are none; what is committed cannot be retired.
        """
        held = self._open(reservation)
        return self._with(reservation, replace(held, rounds=0))

    def _open(self, reservation: str) -> Held:
        try:
            return self.reserved[reservation]
        except KeyError:
            raise IllegalEvent(
                f"reservation {reservation}: not open (never made, committed or retired)"
            ) from None

    def _with(self, reservation: str, held: Held) -> "Budget":
        others = {name: kept for name, kept in self.reserved.items() if name != reservation}
        reserved = {**others, reservation: held} if held.rounds else others
        return replace(self, reserved=MappingProxyType(reserved))


@dataclass(frozen=True, slots=True)
class Budgets:
    """One dataset's budget in both views; what does not fit into either is refused."""

    sums: Budget
    vector: Budget

    def check(self, costs: Costs) -> None:
        """Return if `costs` fit in both views.

        Raises:
            BudgetExhausted: they do not; nothing has happened.
        """
        self.sums.check(costs.sums)
        self.vector.check(costs.vector)

    def reserve(self, reservation: str, costs: Costs, rounds: int = 1) -> "Budgets":
        """Return the budgets with `rounds` times `costs` set aside.

        Raises:
            BudgetExhausted: not all of it fits, in either view.
            IllegalEvent: the name is taken.
        """
        return Budgets(
            self.sums.reserve(reservation, costs.sums, rounds),
            self.vector.reserve(reservation, costs.vector, rounds),
        )

    def commit(self, reservation: str) -> "Budgets":
        """Return the budgets with one round of the reservation spent, for good.

        Raises:
            IllegalEvent: there is no such reservation, or none of its rounds is left.
        """
        return Budgets(self.sums.commit(reservation), self.vector.commit(reservation))

    def retire(self, reservation: str) -> "Budgets":
        """Return the budgets without the rounds of a reservation that were not committed.

        Raises:
            IllegalEvent: there are none; what is committed cannot be retired.
        """
        return Budgets(self.sums.retire(reservation), self.vector.retire(reservation))

    def spend(self, costs: Costs) -> "Budgets":
        """Return the budgets with `costs` spent for good, whether they fit or not."""
        return Budgets(
            replace(self.sums, committed=self.sums.committed + costs.sums),
            replace(self.vector, committed=self.vector.committed + costs.vector),
        )


@dataclass(frozen=True, slots=True)
class SpendLimits:
    """What a site's policy allows for each of its datasets; decimals, epsilon in nats.

    The limits of the vector's view are those of the sums' where none are given.
    """

    delta: str
    epsilon_for_life: str
    epsilon_per_round: str
    vector_epsilon_for_life: str = ""
    vector_epsilon_per_round: str = ""

    def __post_init__(self) -> None:
        for name in ("epsilon_for_life", "epsilon_per_round"):
            if not getattr(self, f"vector_{name}"):
                object.__setattr__(self, f"vector_{name}", getattr(self, name))
        self.for_life(), self.per_round()

    def for_life(self) -> Budgets:
        """Return untouched budgets for all rounds of a dataset, over all jobs."""
        return self._budgets("epsilon_for_life")

    def per_round(self) -> Budgets:
        """Return untouched budgets for one round of one job."""
        return self._budgets("epsilon_per_round")

    def lower(self, other: "SpendLimits") -> "SpendLimits":
        """Return the lower of two, number by number."""
        names = [each.name for each in fields(self)]
        pairs = ((getattr(self, name), getattr(other, name)) for name in names)
        return SpendLimits(*(min(pair, key=exact) for pair in pairs))

    def _budgets(self, key: str) -> Budgets:
        delta = float(exact(self.delta))
        sums, vector = (float(exact(getattr(self, name))) for name in (key, f"vector_{key}"))
        return Budgets(
            Budget(delta, sums, key=f"policy.{key}"),
            Budget(delta, vector, view="vector", key=f"policy.vector_{key}"),
        )


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
