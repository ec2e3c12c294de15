"""Privacy accounting in Renyi DP: what an event costs, and the epsilon that follows.

Costs are compared at orders fixed in advance. At any one of them, adding up is a valid filter
even when later events are chosen in the light of earlier results; that the best of them may be
taken at the end is common practice, and not what the source proves. Tighter accountants (PLD,
PRV) are for reports about what has been run, never for deciding what may run.

Source: Feldman and Zrnic, "Individual Privacy Accounting via a Renyi Filter",
arXiv:2008.11193 (a filter at an order fixed in advance).
"""

import math
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from .errors import UnsafeParameters
from .events import (
    LARGEST_COUNT,
    Composed,
    DpEvent,
    Gaussian,
    PoissonSampled,
    SelfComposed,
    check_depth,
    exact,
)

ACCOUNTANT = "veilsum-rdp/1"
"""Names this method and `ORDERS` in every ledger entry; a change of either is a new name."""

ORDERS: tuple[float, ...] = (
    *(1.25, 1.5, 1.75, 2.25, 2.5, 2.75, 3.5, 4.5, 5.5, 6.5, 7.5, 8.5, 9.5, 10.5),
    *(float(order) for order in range(2, 65)),
    *(72.0, 80.0, 96.0, 128.0, 160.0, 192.0, 256.0, 384.0, 512.0),
)
"""The Renyi orders of every budget; fixed, because choosing them after the fact proves nothing."""

_POINTS_PER_SIGMA = 8
_POINTS_PER_RADIUS = 4
_REACH = 12.0  # standard deviations beyond which a Gaussian holds less than 1e-32
_LARGEST_EXPONENT = 690.0
_STEPS_PER_UNIT = 10_000  # calibrated noise multipliers have four decimals
_CALIBRATION_MARGIN = 1e-6  # relative; rounding up of stored costs must not reach the target


class NeighbouringRelation(StrEnum):
    """Which two datasets a guarantee compares."""

    ADD_OR_REMOVE_ONE = "add_remove"


class UnitOfPrivacy(StrEnum):
    """Whose presence a guarantee hides."""

    PATIENT = "patient"
    RECORD = "record"


def rdp_of(event: DpEvent, orders: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the Renyi divergence that `event` allows between neighbouring datasets.

    Neighbours differ by one unit, added or removed.

    Args:
        event: Gaussian, alone or Poisson-sampled, composed in any way.
        orders: shape (k,), k >= 1, each finite and above 1.

    Returns:
        shape (k,), in nats; each value finite.

    Raises:
        UnsafeParameters: orders outside that range, or an event without a proven bound here.
        MalformedMessage: a tree deeper than any mechanism needs.

    Source:
        Mironov, "Renyi Differential Privacy", arXiv:1702.07476, propositions 1 and 7;
        Mironov, Talwar, Zhang, "Renyi Differential Privacy of the Sampled Gaussian
        Mechanism", arXiv:1908.10530, section 3.3.
    """
    _check_orders(orders)
    check_depth(event)
    return _rdp(event, orders)


def rdp_to_epsilon(orders: NDArray[np.float64], rdp: NDArray[np.float64], delta: float) -> float:
    """Return an epsilon for which the mechanism is (epsilon, delta)-DP.

    The bound holds for every order on its own, so the best order wins; adding
    orders can tighten the answer and can never make it unsound.

    Args:
        orders: shape (k,), k >= 1, Renyi orders, each finite and above 1.
        rdp: shape (k,), divergence at each order in nats, already composed
            over all steps; `inf` marks an order that gives no bound.
        delta: probability, in (0, 1). Choose it below 1 / dataset size.

    Returns:
        Epsilon in nats; 0.0 at best, `inf` if no order gives a bound.

    Raises:
        UnsafeParameters: anything outside the ranges above, NaN included.

    Source:
        Canonne, Kamath, Steinke, "The Discrete Gaussian for Differential
        Privacy", arXiv:2004.00010v4, proposition 12. Near zero, the total variation
        distance is at most sqrt(1 - exp(-divergence)) (Bretagnolle and Huber, 1979),
        and a mechanism within delta of total variation is (0, delta)-DP.
    """
    _check_orders(orders)
    if not (orders.shape == rdp.shape and bool(np.all(rdp >= 0.0)) and 0.0 < delta < 1.0):
        raise UnsafeParameters(f"orders {orders.shape}, rdp {rdp.shape}, delta {delta}")
    if float(np.min(-np.expm1(-rdp))) < delta**2:
        return 0.0
    penalty = np.log(delta) + np.log(orders)
    epsilon = rdp + np.log1p(-1.0 / orders) - penalty / (orders - 1.0)
    return max(0.0, float(np.min(epsilon)))


def epsilon_of(event: DpEvent, delta: float) -> float:
    """Return an epsilon for which `event` is (epsilon, delta)-DP, from `ORDERS`.

    Raises:
        UnsafeParameters: delta outside (0, 1), or an event without a proven bound here.
    """
    orders = np.array(ORDERS)
    return rdp_to_epsilon(orders, rdp_of(event, orders), delta)


def smallest_noise_multiplier(q: str, steps: int, delta: float, epsilon: float) -> str:
    """Return the least noise, to four decimals, that keeps `steps` steps within `epsilon`.

    Never less: the event with exactly the noise returned has been accounted, and stays below
    the target by more than the rounding of what a ledger stores.

    Args:
        q: sampling rate as a decimal, above 0, at most 1; "1" means all records in each step.
        steps: noised sums over all rounds.
        delta: probability, in (0, 1).
        epsilon: target in nats, above 0 and finite.

    Returns:
        The noise multiplier as the decimal that `Gaussian` takes.

    Raises:
        UnsafeParameters: a parameter out of range, or a target that no noise reaches.
    """
    if not (math.isfinite(epsilon) and epsilon > 0.0):
        raise UnsafeParameters(f"target epsilon {epsilon}: finite and above 0")
    target = epsilon * (1.0 - _CALIBRATION_MARGIN)

    def enough(ticks: int) -> bool:
        event = SelfComposed(steps, PoissonSampled(q, Gaussian(_decimal(ticks))))
        return epsilon_of(event, delta) <= target

    too_little, ample = _STEPS_PER_UNIT // 1000, _STEPS_PER_UNIT
    while not enough(ample):
        too_little, ample = ample, 2 * ample
        if ample > LARGEST_COUNT:
            raise UnsafeParameters(f"epsilon {epsilon} at delta {delta}: no noise reaches it")
    while ample - too_little > 1:
        middle = (too_little + ample) // 2
        too_little, ample = (too_little, middle) if enough(middle) else (middle, ample)
    return _decimal(ample)


def _decimal(ticks: int) -> str:
    whole, part = divmod(ticks, _STEPS_PER_UNIT)
    return f"{whole}.{part:04d}".rstrip("0").rstrip(".")


def _check_orders(orders: NDArray[np.float64]) -> None:
    if not (orders.ndim == 1 and orders.size > 0):
        raise UnsafeParameters(f"orders of shape {orders.shape}: one row of at least one")
    if not bool(np.all((orders > 1.0) & np.isfinite(orders))):
        raise UnsafeParameters("orders: each finite and above 1")


def _rdp(event: DpEvent, orders: NDArray[np.float64]) -> NDArray[np.float64]:
    match event:
        case Gaussian():
            return _gaussian(float(exact(event.noise_multiplier)), orders)
        case PoissonSampled(q=q, event=Gaussian(noise_multiplier=sigma)):
            return _sampled_gaussian(float(exact(q)), float(exact(sigma)), orders)
        case SelfComposed():
            return float(event.count) * _rdp(event.event, orders)
        case Composed():
            return _sum([_rdp(child, orders) for child in event.events])
        case _:
            raise UnsafeParameters(
                f"{type(event).__name__} of this event: no bound is proven here, so it is refused"
            )


def _sum(rows: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    result: NDArray[np.float64] = np.sum(rows, axis=0)
    return result


def _gaussian(sigma: float, orders: NDArray[np.float64]) -> NDArray[np.float64]:
    return orders / (2.0 * sigma**2)


def _sampled_gaussian(q: float, sigma: float, orders: NDArray[np.float64]) -> NDArray[np.float64]:
    unsampled = _gaussian(sigma, orders)
    if q == 1.0:
        return unsampled
    sampled = np.array([_sampled_at(q, sigma, float(order)) for order in orders])
    # not looking at every record cannot tell more than looking at all of them
    bound: NDArray[np.float64] = np.minimum(sampled, unsampled)
    return bound


def _sampled_at(q: float, sigma: float, order: float) -> float:
    above = math.ceil(order)
    # divergence grows with the order, so the next integer's is a bound as well
    bound = _log_moment_integer(q, sigma, above) / (above - 1)
    if above == order or not _within_floats(sigma, order):
        return bound
    return min(bound, _log_moment_fraction(q, sigma, order) / (order - 1.0))


def _log_moment_integer(q: float, sigma: float, order: int) -> float:
    """Return log A of an integer order; every term is positive, so nothing cancels.

    The binomial weights add up to one, hence A - 1 = sum of weight(k) (exp((k^2 - k) /
    2 sigma^2) - 1) over k, precise also where A is barely above 1.
    """
    k = np.arange(2, order + 1, dtype=np.float64)
    log_weights = _log_binomials(order) + k * math.log(q) + (order - k) * math.log1p(-q)
    growth = (k * k - k) / (2.0 * sigma**2)
    # log(e^x - 1), for small and for large x
    terms = log_weights + growth + np.log(-np.expm1(-growth))
    largest = float(np.max(terms))
    return _log_one_plus_exp(largest + math.log(float(np.sum(np.exp(terms - largest)))))


def _log_binomials(order: int) -> NDArray[np.float64]:
    """Return log C(order, k) for k = 2 … order."""
    k = np.arange(1, order + 1, dtype=np.float64)
    logs: NDArray[np.float64] = np.cumsum(np.log((order + 1 - k) / k))
    return logs[1:]


def _log_one_plus_exp(x: float) -> float:
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def _log_moment_fraction(q: float, sigma: float, order: float) -> float:
    """Return log A = log E[(1 + q (e^x - 1))^order], x the log ratio at z ~ N(0, sigma^2).

    The trapezoidal rule on the definition: the integrand is analytic within pi sigma^2 of the
    real line, so the error falls as exp(-2 pi^2 sigma^2 / step), below 1e-30 here. The
    published series adds terms of changing sign and converges badly at rates near one half.
    What e^x - 1 contributes on average is 0 and is taken off inside the sum, where it would
    otherwise drown an A barely above 1.
    """
    step = min(sigma / _POINTS_PER_SIGMA, sigma**2 / _POINTS_PER_RADIUS)
    z = np.arange(-_REACH * sigma, order + _REACH * sigma, step)
    density = np.exp(-z * z / (2.0 * sigma**2)) * step / (sigma * math.sqrt(2.0 * math.pi))
    lift = q * np.expm1((z - 0.5) / sigma**2)
    excess = np.sum(density * (np.expm1(order * np.log1p(lift)) - order * lift))
    return math.log1p(max(0.0, float(excess)))


def _within_floats(sigma: float, order: float) -> bool:
    return order * (order + _REACH * sigma) / sigma**2 < _LARGEST_EXPONENT
