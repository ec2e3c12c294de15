"""What other accountants say of an event: dp_accounting and Opacus beside our own.

The one door to dp_accounting, and to the accountants of Opacus. An opinion is for reports and
checks about what has been run. No budget is enforced by it: stopping by a privacy loss
distribution is not a valid filter when plans adapt. Where an accountant fails, or says something
that is not a number, there is no opinion, and never an epsilon of 0.
"""

import logging
import math
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

import msgspec
import numpy as np

from privacy.accounting import ORDERS, rdp_to_epsilon
from privacy.budget import NOTHING, Spend, spend_of
from privacy.errors import AccountingMismatch, MissingDependency, VeilsumError
from privacy.events import (
    Composed,
    DpEvent,
    Gaussian,
    PoissonSampled,
    SelfComposed,
    check_depth,
    exact,
)

try:
    import dp_accounting  # type: ignore[import-untyped]
    from dp_accounting.pld import PLDAccountant  # type: ignore[import-untyped]
    from dp_accounting.rdp import RdpAccountant  # type: ignore[import-untyped]
    from scipy.special import log_ndtr  # type: ignore[import-untyped]
except ModuleNotFoundError as error:
    raise MissingDependency(f"{error.name} is not installed; install veilsum[audit]") from error

try:
    import opacus.accountants as opacus_accountants  # type: ignore[import-untyped]
except (
    ModuleNotFoundError
):  # an officer's machine trains nothing; the opinions of Opacus are absent
    opacus_accountants = None

RELATIVE_TOLERANCE = 1e-3
"""How far two accountants of one method may differ, over the other's number."""

ABSOLUTE_TOLERANCE = 1e-6
"""How far below the tighter accountant ours may be: what floats lose, in nats."""

LARGEST_EPSILON = 100.0
"""Above it an epsilon says nothing, and the distribution of the loss does not fit into memory."""

_FINEST_INTERVAL = 1e-4  # of privacy loss, in nats; dp_accounting's default
_MOST_POINTS = 1_000_000  # of a discretised privacy loss: about 1 s and 100 MB
_PRV_ERROR = 0.01  # Opacus' default
_HALVINGS = 50  # of an interval; what is left is below what a float can hold
_WHOLE_ORDERS = tuple(order for order in ORDERS if order.is_integer())

Kinds = Mapping[tuple[str, str], int]
"""Sampling rate and noise multiplier, as decimals, to how many noised sums had them."""


class Opinions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Epsilons in nats of one event at one delta, each from another accountant.

    Attributes:
        delta: the probability that they hold at.
        own_rdp: what the ledger counts and enforces; rounded up.
        own_rdp_whole: the same at those of our orders that are whole numbers.
        google_rdp: dp_accounting's Renyi accountant at our whole orders. At others it adds up a
            series that does not always converge, and then it leaves the order out.
        google_rdp_default: the same accountant at its own orders.
        google_pld: dp_accounting's privacy loss distribution, pessimistic.
        opacus_rdp: Opacus' Renyi accountant at its own orders; None where Opacus is not installed.
        opacus_prv_upper: upper bound of Opacus' PRV accountant; None where it is not asked: Opacus
            is not installed, or the event has too many kinds or steps for its grid.
        closed_form: exact, where every sum is over all records; None elsewhere.
        mu: of Gaussian differential privacy, exact where `closed_form` is; None elsewhere.
    """

    delta: float
    own_rdp: float
    own_rdp_whole: float
    google_rdp: float
    google_rdp_default: float
    google_pld: float
    opacus_rdp: float | None = None
    opacus_prv_upper: float | None = None
    closed_form: float | None = None
    mu: float | None = None

    @property
    def difference(self) -> float:
        """Own epsilon less dp_accounting's by the same method, over the latter."""
        other = self.google_rdp
        return (self.own_rdp_whole - other) / other if other else 0.0


def opinions(event: DpEvent, delta: float) -> Opinions:
    """Return what each accountant says of `event`.

    Raises:
        AccountingMismatch: an accountant fails or answers with what is no epsilon.
        UnsafeParameters: an event without a proven bound, or delta outside (0, 1).
    """
    return opinions_of_all((event,), delta)


def opinions_of_all(events: Iterable[DpEvent], delta: float) -> Opinions:
    """Return what each accountant says of all of `events` together, on the same data.

    Equal sums are counted and composed at once: the cost grows with the number of kinds.

    Raises:
        AccountingMismatch, UnsafeParameters: as for one event.
    """
    kinds = kinds_of(events)
    spend = _own(kinds)
    own = spend.epsilon(delta)
    if not kinds:
        return Opinions(delta, own, own, own, own, own)
    if own > LARGEST_EPSILON:
        raise AccountingMismatch(
            f"epsilon {own:.4f}: accountants are compared up to {LARGEST_EPSILON:.0f}"
        )
    mu = _mu(kinds)
    return Opinions(
        delta=delta,
        own_rdp=own,
        own_rdp_whole=_at_whole_orders(spend, delta),
        google_rdp=_asked("dp_accounting RDP", _google_rdp, kinds, delta, _WHOLE_ORDERS),
        google_rdp_default=_asked("dp_accounting RDP", _google_rdp, kinds, delta, None),
        google_pld=_asked("dp_accounting PLD", _google_pld, kinds, delta, own),
        opacus_rdp=_asked_if_there("Opacus RDP", _opacus_rdp, kinds, delta),
        opacus_prv_upper=_prv_if_small(kinds, delta, own),
        closed_form=None if mu is None else gaussian_epsilon(mu, delta),
        mu=mu,
    )


def check(opinions: Opinions) -> None:
    """Return if the accountants agree as far as their methods let them.

    Ours and dp_accounting's are the same method at the same orders, so they are equal but for
    floats; the privacy loss distribution is tighter, so it is never above ours.

    Raises:
        AccountingMismatch: they do not, or a number is missing; the message holds both.
    """
    _require_number("own RDP", opinions.own_rdp)
    _require_number("dp_accounting RDP", opinions.google_rdp)
    _require_number("dp_accounting PLD", opinions.google_pld)
    _require_number("own RDP at whole orders", opinions.own_rdp_whole)
    own, tight = opinions.own_rdp, opinions.google_pld
    whole, other = opinions.own_rdp_whole, opinions.google_rdp
    # written so that a NaN would be refused
    if not abs(whole - other) <= RELATIVE_TOLERANCE * other + ABSOLUTE_TOLERANCE:
        raise AccountingMismatch(
            f"epsilon {whole:.6f} by ours, {other:.6f} by dp_accounting's at the same orders"
        )
    if not own >= tight - ABSOLUTE_TOLERANCE:
        raise AccountingMismatch(
            f"epsilon {own:.6f} by our accountant is below {tight:.6f}, the tighter bound by "
            "dp_accounting's privacy loss distribution"
        )
    closed = opinions.closed_form
    if closed is not None and not own >= closed - ABSOLUTE_TOLERANCE:
        raise AccountingMismatch(
            f"epsilon {own:.6f} by our accountant is below the exact {closed:.6f}"
        )


def agree(events: Iterable[DpEvent], delta: float) -> None:
    """Return if other accountants agree with ours about all of `events` together.

    Raises:
        AccountingMismatch, UnsafeParameters: as `opinions_of_all` and `check`.
    """
    check(opinions_of_all(events, delta))


def kinds_of(events: Iterable[DpEvent]) -> Kinds:
    """Return how many noised sums of each kind all `events` have together.

    Raises:
        AccountingMismatch: an event that is not made of Gaussian sums, each sampled once at most.
        MalformedMessage: a tree deeper than any mechanism needs.
    """
    kinds: Counter[tuple[str, str]] = Counter()
    for event in events:
        check_depth(event)
        _count(event, 1, kinds)
    return kinds


def gaussian_epsilon(mu: float, delta: float) -> float:
    """Return the epsilon at `delta` of a mechanism that is mu-Gaussian differentially private.

    Source: Balle and Wang, "Improving the Gaussian Mechanism", arXiv:1805.06530, theorem 8.
    """
    low, high = 0.0, 1.0
    if mu == 0.0 or gaussian_delta(mu, low) <= delta:
        return 0.0
    while gaussian_delta(mu, high) > delta:
        low, high = high, 2.0 * high
    for _ in range(_HALVINGS):
        middle = (low + high) / 2.0
        low, high = (middle, high) if gaussian_delta(mu, middle) > delta else (low, middle)
    return high


def gaussian_delta(mu: float, epsilon: float) -> float:
    """Return the least delta at `epsilon` of a mechanism that is mu-GDP; same source."""
    likely = math.exp(log_ndtr(mu / 2.0 - epsilon / mu))
    return likely - math.exp(epsilon + log_ndtr(-mu / 2.0 - epsilon / mu))


def gaussian_mu(epsilon: float, delta: float) -> float:
    """Return the mu of the Gaussian mechanism that has exactly `epsilon` at `delta`."""
    low, high = 0.0, 1.0
    while gaussian_epsilon(high, delta) < epsilon:
        low, high = high, 2.0 * high
    for _ in range(_HALVINGS):
        middle = (low + high) / 2.0
        low, high = (middle, high) if gaussian_epsilon(middle, delta) < epsilon else (low, middle)
    return high


def _count(event: DpEvent, times: int, kinds: Counter[tuple[str, str]]) -> None:
    match event:
        case Gaussian():
            kinds["1", event.noise_multiplier] += times
        case PoissonSampled(q=q, event=Gaussian(noise_multiplier=sigma)):
            kinds[q, sigma] += times
        case SelfComposed():
            _count(event.event, times * event.count, kinds)
        case Composed():
            for child in event.events:
                _count(child, times, kinds)
        case _:
            raise AccountingMismatch(
                f"{type(event).__name__} of this event: no second accountant can be asked about it"
            )


def _own(kinds: Kinds) -> Spend:
    costs = (spend_of(_sums(q, sigma, count)) for (q, sigma), count in kinds.items())
    return sum(costs, start=NOTHING)


def _at_whole_orders(spend: Spend, delta: float) -> float:
    pairs = zip(ORDERS, spend.at_orders, strict=True)
    amounts = [float(amount) for order, amount in pairs if order.is_integer()]
    return rdp_to_epsilon(np.array(_WHOLE_ORDERS), np.array(amounts), delta)


def _sums(q: str, sigma: str, count: int) -> DpEvent:
    return SelfComposed(count, PoissonSampled(q, Gaussian(sigma)))


def _google_rdp(kinds: Kinds, delta: float, orders: tuple[float, ...] | None) -> float:
    return _google(RdpAccountant(orders), kinds, delta)


def _google_pld(kinds: Kinds, delta: float, own: float) -> float:
    # A wider interval is still an upper bound: it only makes a large epsilon less tight.
    interval = max(_FINEST_INTERVAL, 8.0 * own / _MOST_POINTS)
    return _google(PLDAccountant(value_discretization_interval=interval), kinds, delta)


def _google(accountant: dp_accounting.PrivacyAccountant, kinds: Kinds, delta: float) -> float:
    for (q, sigma), count in kinds.items():
        accountant.compose(_google_event(q, sigma), count)
    return float(accountant.get_epsilon(delta))


def _google_event(q: str, sigma: str) -> dp_accounting.DpEvent:
    noise = dp_accounting.GaussianDpEvent(float(exact(sigma)))
    if exact(q) == 1:
        return noise
    return dp_accounting.PoissonSampledDpEvent(float(exact(q)), noise)


def _opacus_rdp(kinds: Kinds, delta: float) -> float:
    return _opacus(opacus_accountants.RDPAccountant(), kinds, delta)


def _opacus_prv(kinds: Kinds, delta: float) -> float:
    return _opacus(opacus_accountants.PRVAccountant(), kinds, delta)


def _opacus(accountant: "opacus_accountants.IAccountant", kinds: Kinds, delta: float) -> float:
    accountant.history = [
        (float(exact(sigma)), float(exact(q)), count) for (q, sigma), count in kinds.items()
    ]
    return float(accountant.get_epsilon(delta))


def _mu(kinds: Kinds) -> float | None:
    if any(exact(q) != 1 for q, _ in kinds):
        return None
    return math.sqrt(sum(count / float(exact(sigma)) ** 2 for (_, sigma), count in kinds.items()))


def _asked(name: str, accountant: Callable[..., float], *question: object) -> float:
    """Return the answer of an accountant, which is not trusted to fail in one known way."""
    try:
        with _quiet():
            answer = accountant(*question)
    except VeilsumError:
        raise
    except Exception as error:  # another's library; whatever it raises, there is no opinion
        raise AccountingMismatch(f"{name} has no answer: {type(error).__name__}") from error
    _require_number(name, answer)
    return answer


@contextmanager
def _quiet() -> Iterator[None]:
    # They warn about single orders on stderr; what counts is whether there is an answer.
    log = logging.getLogger("absl")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(before)


def _asked_if_there(
    name: str, accountant: Callable[..., float], kinds: Kinds, delta: float
) -> float | None:
    return None if opacus_accountants is None else _asked(name, accountant, kinds, delta)


def _prv_if_small(kinds: Kinds, delta: float, own: float) -> float | None:
    """Return Opacus' upper bound; None where its grid would not fit into memory.

    Source: Gopi, Lee, Wutschitz, "Numerical Composition of Differential Privacy",
    arXiv:2106.02848, for the mesh that the number of steps needs.
    """
    steps, reach = sum(kinds.values()), 2.0 * (own + 1.0)
    points = reach * math.sqrt(steps * math.log(12_000.0 / delta) / 2.0) / _PRV_ERROR
    if len(kinds) * points > _MOST_POINTS:
        return None
    return _asked_if_there("Opacus PRV", _opacus_prv, kinds, delta)


def _require_number(name: str, answer: float) -> None:
    if not (math.isfinite(answer) and answer >= 0.0):
        raise AccountingMismatch(f"{name} answers {answer}: not an epsilon")
