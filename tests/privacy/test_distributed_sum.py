"""The public numbers of a sum whose noise the sites share, and what a round of it costs."""

import math
from fractions import Fraction
from typing import Any

import msgspec
import numpy as np
import pytest
from scipy import stats  # type: ignore[import-untyped]
from scipy.special import logsumexp  # type: ignore[import-untyped]

from privacy import canonical
from privacy.accounting import ORDERS, epsilon_of
from privacy.budget import spend_of
from privacy.distributed_sum import LEAST_DEVIATION, DistributedSum, check_fits, events_of_sum
from privacy.errors import MalformedMessage, UnsafeParameters
from privacy.events import Gaussian, PoissonSampled, exact
from privacy.grid import Grid

GOOD = {
    "sampling_rate": "1",
    "noise_multiplier": "14.25",
    "clip": "1",
    "units_cap": 200,
    "divisor": 500,
    "honest": 3,
    "colluders": 1,
}
GRID = Grid(fraction_bits=16, value_bits=32)


def order(**changes: Any) -> DistributedSum:
    return DistributedSum(**(GOOD | changes))


# -- what a round costs ------------------------------------------------------------------


def delta_at(epsilon: float, mu: float) -> float:
    """The exact delta of the Gaussian mechanism (Balle and Wang 2018, theorem 8)."""
    left, right = -epsilon / mu + mu / 2, -epsilon / mu - mu / 2
    return float(stats.norm.cdf(left) - math.exp(epsilon) * stats.norm.cdf(right))


def epsilon_at(mu: float, delta: float) -> float:
    low, high = 0.0, 200.0
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if delta_at(middle, mu) > delta else (low, middle)
    return high


def multiplier_for(epsilon: float, delta: float = 1e-5) -> str:
    """The least noise multiplier, to nine decimals, of one full-batch sum."""
    low, high = 0.01, 1000.0
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if epsilon_at(1 / middle, delta) > epsilon else (low, middle)
    return f"{math.ceil(high * 1e9) / 1e9:.9f}".rstrip("0").rstrip(".")


@pytest.mark.parametrize(("honest", "printed"), [(2, 1.47), (4, 2.15), (8, 3.19)])
def test_who_opens_one_vector_meets_one_sites_part_of_the_noise(
    honest: int, printed: float
) -> None:
    """One round of epsilon 1 at delta 1e-5 towards the sum costs so much towards the coalition."""
    events = events_of_sum(order(noise_multiplier=multiplier_for(1.0), honest=honest))
    assert isinstance(events.sums, Gaussian)
    assert isinstance(events.vector, Gaussian)

    sums = epsilon_at(1 / float(events.sums.noise_multiplier), 1e-5)
    vector = epsilon_at(1 / float(events.vector.noise_multiplier), 1e-5)

    assert sums == pytest.approx(1.0, abs=1e-6)
    assert round(vector, 2) == printed


@pytest.mark.parametrize("honest", [2, 4, 8])
def test_the_accountant_is_above_the_exact_cost_in_both_views(honest: int) -> None:
    """What is enforced is a bound, and by a few per cent only."""
    events = events_of_sum(order(noise_multiplier=multiplier_for(1.0), honest=honest))

    for event in (events.sums, events.vector):
        assert isinstance(event, Gaussian)
        spent = epsilon_at(1 / float(event.noise_multiplier), 1e-5)
        assert spent <= epsilon_of(event, 1e-5) <= 1.2 * spent


FEWER_REMAIN = [
    *(((1, 4, 3), 1.17), ((1, 4, 2), 1.47), ((1, 5, 4), 1.13), ((1, 5, 3), 1.32)),
    *(((1, 10, 9), 1.06), ((1, 10, 8), 1.13), ((1, 10, 5), 1.47), ((1, 10, 1), 3.62)),
    *(((3, 4, 3), 3.53), ((3, 4, 2), 4.46), ((3, 5, 4), 3.41), ((3, 10, 9), 3.19)),
    *(((8, 4, 3), 9.53), ((8, 4, 2), 12.3), ((8, 5, 3), 10.9), ((8, 10, 5), 12.3)),
]
"""Noise calibrated for n sites of which h remain: epsilon at delta 1e-5, target, n and h first.

Computed outside of this code, from Balle and Wang's closed form.
"""


@pytest.mark.parametrize(("case", "printed"), FEWER_REMAIN)
def test_fewer_honest_sites_than_planned_cost_more(
    case: tuple[int, int, int], printed: float
) -> None:
    """Why a cohort below honest and colluders together is refused, and never summed."""
    target, planned, remaining = case
    sigma = exact(multiplier_for(float(target)))
    part = order(noise_multiplier=multiplier_for(float(target)), honest=planned).site_variance(0)

    left = math.sqrt(remaining * part)

    assert left < float(sigma)
    assert epsilon_at(1 / left, 1e-5) == pytest.approx(printed, rel=0.005)


def test_parts_of_honest_sites_make_exactly_the_noise_that_is_accounted() -> None:
    """No rounding in between: 3 parts of a third are one."""
    variance = order().site_variance(16)

    assert 3 * variance == (Fraction("14.25") * 2**16) ** 2


def test_a_view_with_less_noise_is_rounded_towards_the_larger_cost() -> None:
    """sqrt(1/3) has no last digit: a little less noise is claimed than there is."""
    events = events_of_sum(order(noise_multiplier="1"))
    assert isinstance(events.vector, Gaussian)

    assert events.vector.noise_multiplier == "0.577350269"
    assert exact(events.vector.noise_multiplier) ** 2 <= Fraction(1, 3)


def test_one_honest_site_costs_the_same_in_both_views() -> None:
    """Then each site adds all of the noise."""
    events = events_of_sum(order(honest=1))

    assert events.sums == events.vector == Gaussian("14.25")


def test_a_sampled_sum_is_accounted_as_sampled_in_both_views() -> None:
    """Each unit is in by itself, at the public rate."""
    events = events_of_sum(order(sampling_rate="0.25", honest=4))

    assert events.sums == PoissonSampled("0.25", Gaussian("14.25"))
    assert events.vector == PoissonSampled("0.25", Gaussian("7.125"))


def ratio_moments(rate: float, sigma: int, shift: int, alpha: float) -> tuple[float, float]:
    """Renyi divergences of a sampled discrete Gaussian from an unsampled one, and back."""
    reach = 14 * sigma + 10 * shift
    steps = np.arange(-reach, reach + shift + 1, dtype=np.float64)
    base = -(steps**2) / (2 * sigma**2)
    base -= logsumexp(base)
    moved = -((steps - shift) ** 2) / (2 * sigma**2)
    mixed = np.logaddexp(np.log1p(-rate) + base, np.log(rate) + moved - logsumexp(moved))
    there = logsumexp(alpha * mixed + (1 - alpha) * base)
    back = logsumexp(alpha * base + (1 - alpha) * mixed)
    return there / (alpha - 1), back / (alpha - 1)


@pytest.mark.parametrize(
    ("rate", "multiplier"),
    [("0.1", "1"), ("0.1", "0.5"), ("0.01", "0.25"), ("0.5", "0.1"), ("0.5", "2")],
)
def test_sampled_discrete_noise_costs_no_more_than_the_accountant_says(
    rate: str, multiplier: str
) -> None:
    """At four steps, where the two laws differ most; orders between whole ones are not proven."""
    charged = spend_of(PoissonSampled(rate, Gaussian(multiplier))).at_orders
    shift = round(LEAST_DEVIATION / float(multiplier))

    excess = [
        max(ratio_moments(float(rate), LEAST_DEVIATION, shift, alpha)) / float(cost) - 1
        for alpha, cost in zip(ORDERS, charged, strict=True)
        if alpha <= 8
    ]

    assert len(excess) == 18
    assert max(excess) <= 0


# -- why four grid steps -------------------------------------------------------------------


def tau(sigma: float, sites: int) -> float:
    """How far a sum of discrete Gaussians is from one (Kairouz et al. 2021, proposition 14)."""
    return 10 * sum(math.exp(-2 * math.pi**2 * sigma**2 * at / (at + 1)) for at in range(1, sites))


def divergence(alpha: float, ratio: float, dimension: int, tau: float) -> float:
    """The source's Renyi divergence, its third form: alpha/2 · (ratio + sqrt(d)·tau)²."""
    return alpha / 2 * (ratio + math.sqrt(dimension) * tau) ** 2


def test_from_four_steps_a_sum_of_discrete_gaussians_is_as_good_as_gaussian() -> None:
    """At 100,000 sites and 2^40 values the difference is below 1e-15; at one step it is not."""
    most_sites, most_values, ratio = 100_000, 2**40, 0.001
    gaussian = divergence(512.0, ratio, most_values, 0.0)

    at_least = divergence(512.0, ratio, most_values, tau(LEAST_DEVIATION, most_sites))
    at_one = divergence(512.0, ratio, 10_000, tau(1, 3))

    assert tau(LEAST_DEVIATION, most_sites) < 1e-60
    assert at_least == pytest.approx(gaussian, rel=1e-15)
    assert at_one > 1000 * gaussian
    assert tau(2, 3) == pytest.approx(7.2e-17, rel=0.01)


def test_noise_below_four_steps_at_one_site_is_refused_and_four_is_not() -> None:
    """The smaller the part, the more sites are counted on: 12/sqrt(9) is four, 12/sqrt(10) not."""
    grid = Grid(fraction_bits=0, value_bits=16)

    # Four are enough noise; that the clip has so few steps is refused for itself.
    with pytest.raises(UnsafeParameters, match="norm of 1 grid steps"):
        check_fits(order(noise_multiplier="12", honest=9), grid, 10)
    with pytest.raises(UnsafeParameters, match=r"noise of 3\.795 grid steps .* at least 4"):
        check_fits(order(noise_multiplier="12", honest=10), grid, 10)


def test_sums_and_their_noise_fit_the_grid_or_are_refused() -> None:
    """Cut-off noise would be another law; 200 units and twelve deviations are let through."""
    check_fits(order(), GRID, 10)
    # 200·2^16 + 12·14.25·2^16/sqrt(3) is 19.57 million: in 26 bits, not in 25.
    check_fits(order(), Grid(16, 26), 10)
    with pytest.raises(UnsafeParameters, match="norm 13107200 and 12 deviations of 539180"):
        check_fits(order(), Grid(16, 25), 10)


def test_a_norm_that_cannot_be_counted_exactly_is_refused() -> None:
    """Its square would wrap in 63 bits, and a vector of any length would seem short."""
    long = order(clip="40000", units_cap=1, noise_multiplier="0.01")
    with pytest.raises(UnsafeParameters, match="below 2"):
        check_fits(long, Grid(17, 40), 10)


def test_squares_have_room_for_the_longest_gradient_that_rounding_leaves() -> None:
    """A millionth above the clip is let through before it is counted, and must not wrap."""
    most = 3_037_000_499  # its square is the last below 2^63
    fits = int(most / (1 + 2.0**-20)) - 6
    grid = Grid(fraction_bits=0, value_bits=40)

    check_fits(order(clip=str(fits), units_cap=1, noise_multiplier="0.01"), grid, 10)
    with pytest.raises(UnsafeParameters, match="below 2"):
        check_fits(order(clip=str(fits + 4), units_cap=1, noise_multiplier="0.01"), grid, 10)


def test_a_bound_of_few_grid_steps_is_refused() -> None:
    """It is often passed by rounding, and what is shortened then takes its own time."""
    check_fits(order(clip="4096"), Grid(0, 24), 10)

    for clip, bits, steps in (("4095.9", 0, 4095), ("1.9", 0, 1), ("0.1", 2, 0)):
        words = (
            rf"clip {clip}: a gradient's norm of {steps} grid steps of 2\^-{bits}, at least 4096"
        )
        with pytest.raises(UnsafeParameters, match=words):
            check_fits(order(clip=clip, noise_multiplier="200"), Grid(bits, 40), 10)


def test_noise_beyond_what_the_grid_has_room_for_is_as_rare_as_is_said() -> None:
    """Cut-off noise is no function of a sum: 2^-102 a value is what delta may be off by."""
    assert 2 * math.exp(-72) < 2.0**-102
    weights = [math.exp(-(step**2) / (2 * LEAST_DEVIATION**2)) for step in range(200)]

    beyond = 2 * sum(weights[12 * LEAST_DEVIATION + 1 :]) / (2 * sum(weights) - 1)

    assert 0 < beyond < 2 * math.exp(-72)


def test_the_norm_of_noise_is_met() -> None:
    """The bound on an opened sum must not refuse honest ones: sqrt(d) deviations and twelve."""
    assert order().noise_norm(3, 10_000) == pytest.approx(14.25 * (100 + 12))
    assert order().noise_norm(4, 1) == pytest.approx(14.25 * math.sqrt(4 / 3) * 13)


# -- the form -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("sampling_rate", bad) for bad in ("0", "1.1", "-0.5", "nan", "0.50", "")),
        ("sampling_rate", "0.3333333333333"),
        *(("noise_multiplier", bad) for bad in ("0", "inf", "1e3", "0.0001")),
        *(("clip", bad) for bad in ("0", "-1", "x")),
        *(("units_cap", bad) for bad in (0, -1, 1_000_001, True)),
        *(("divisor", bad) for bad in (0, 1_000_001)),
        *(("honest", bad) for bad in (0, -1, True)),
        *(("colluders", bad) for bad in (0, -1)),
    ],
)
def test_a_number_out_of_range_is_refused(field: str, value: Any) -> None:
    """Colluders too: any site knows its own noise, so there is always one."""
    with pytest.raises((UnsafeParameters, MalformedMessage)):
        order(**{field: value})


def test_it_travels_as_what_it_is() -> None:
    """Its kind stands beside it, and no other form is read."""
    body = canonical.encode(order())

    assert b'"kind":"distributed"' in body
    assert canonical.decode(body, DistributedSum) == order()
    with pytest.raises(MalformedMessage):
        canonical.decode(body.replace(b"distributed", b"local"), DistributedSum)


@pytest.mark.parametrize("field", [each.name for each in msgspec.structs.fields(DistributedSum)])
def test_no_number_has_a_default(field: str) -> None:
    """What is not agreed is not guessed."""
    with pytest.raises(TypeError, match=field):
        DistributedSum(**{name: value for name, value in GOOD.items() if name != field})
