"""The numbers of a sum of clipped gradients whose noise the sites share: public, and exact.

One round is one noisy step over all sites. Each adds to its own clipped sum a part of the
noise, large enough that the parts of `honest` sites make all of it:

    variance of one site's part = (noise_multiplier · clip · 2^f)² / honest, in grid steps

No number here may be derived from a site's data; `units_cap` is a public cap, and not how many
patients there are.
"""

from fractions import Fraction
from math import ceil, floor, isqrt, sqrt
from typing import Annotated

import msgspec

from .errors import UnsafeParameters
from .events import DecimalText, DpEvent, Events, Gaussian, PoissonSampled, exact
from .grid import Grid
from .local_training import require_positive_count, require_positive_decimal, require_rate

LEAST_DEVIATION = 4
"""Grid steps that one site's noise has at least, so that sums of it are as good as Gaussian.

Below, the difference is no longer nothing: tau of the source is 5e-4 at one step, 7e-17 at two
and below 1e-67 from four.

Source: Kairouz, Liu and Steinke (2021), arXiv:2102.06387, proposition 14.
"""

LEAST_BOUND = 1 << 12
"""Grid steps that the bound on one unit's gradient has at least.

Below, a gradient would often be longer on the grid than its bound, and be shortened again: a
loss of accuracy, and of a time that follows the gradient.
"""

EXCESS = Fraction(1, 1 << 20)
"""What rounding in float64 may leave a gradient longer than its clip, over the clip."""

_REACH = 12  # deviations; noise beyond them is cut off, at odds below 2^-102 a value
_DECIMALS = 9
_UNIT = 10**_DECIMALS

_Sites = Annotated[int, msgspec.Meta(ge=1, le=100_000)]


class DistributedSum(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="distributed"
):
    """One noisy sum of clipped gradients over all sites; equal values cost equal privacy.

    Attributes:
        sampling_rate: chance that a unit of privacy is in the sum, each by itself; a decimal
            above 0, at most 1.
        noise_multiplier: standard deviation, over `clip`, of the noise that `honest` sites add
            together (sigma); above 0.
        clip: L2 bound on one unit's gradient (C in Abadi et al. 2016); above 0.
        units_cap: most units that one site may have.
        divisor: what the noisy sum is divided by; never a count of real records.
        honest: sites of a cohort whose noise is counted on.
        colluders: sites of a cohort whose noise is not, since they may know or omit it.

    Raises:
        UnsafeParameters: a number is out of its range or not written in its one form.
    """

    sampling_rate: DecimalText
    noise_multiplier: DecimalText
    clip: DecimalText
    units_cap: int
    divisor: int
    honest: _Sites
    colluders: _Sites

    def __post_init__(self) -> None:
        for name in ("sampling_rate", "noise_multiplier", "clip"):
            require_positive_decimal(name, getattr(self, name))
        for name in ("units_cap", "divisor", "honest", "colluders"):
            require_positive_count(name, getattr(self, name))
        # The events know which rates and multipliers an accountant takes.
        events_of_sum(self)
        require_rate(self.rate)

    @property
    def rate(self) -> Fraction:
        """The sampling rate, exactly."""
        return exact(self.sampling_rate)

    def cohort_minimum(self) -> int:
        """Return the fewest sites of a cohort whose sum hides what `noise_multiplier` says."""
        return self.honest + self.colluders

    def largest_norm(self) -> Fraction:
        """Return the L2 norm that no site's sum of clipped gradients passes, exactly."""
        return self.units_cap * exact(self.clip)

    def bound(self, fraction_bits: int) -> int:
        """Return the largest L2 norm of one unit's gradient in grid steps, rounded down."""
        return floor(exact(self.clip) * (1 << fraction_bits))

    def noise_norm(self, sites: int, dimension: int) -> float:
        """Return a norm, in the model's units, that the noise of so many sites stays below.

        It is longer with a probability below exp(-72): the noise is subgaussian.

        Source: Hsu, Kakade and Zhang (2012), arXiv:1110.2842, theorem 1, with t = 72.
        """
        deviation = sqrt(sites * self.site_variance(0))
        return deviation * (sqrt(dimension) + _REACH)

    def site_variance(self, fraction_bits: int) -> Fraction:
        """Return the variance of one site's noise in squared grid steps, exactly."""
        steps = exact(self.noise_multiplier) * exact(self.clip) * (1 << fraction_bits)
        return steps * steps / self.honest


def check_fits(order: DistributedSum, grid: Grid, dimension: int) -> None:
    """Return if sums and noise are what the accounting says, on this grid.

    Raises:
        UnsafeParameters: noise too fine for a Gaussian's event, a sum that leaves the grid, or
            a gradient whose norm cannot be counted exactly, or has few steps; with the numbers.
    """
    _check_noise(order, grid)
    _check_range(order, grid)
    _check_norms(order, grid, dimension)


def _check_noise(order: DistributedSum, grid: Grid) -> None:
    variance = order.site_variance(grid.fraction_bits)
    if variance < LEAST_DEVIATION**2:
        raise UnsafeParameters(
            f"noise of {float(variance) ** 0.5:.3f} grid steps at one site, at least "
            f"{LEAST_DEVIATION} are needed; plan more fraction bits or fewer honest sites"
        )


def _check_range(order: DistributedSum, grid: Grid) -> None:
    norm = order.largest_norm() * (1 << grid.fraction_bits)
    room, variance = grid.largest - norm, order.site_variance(grid.fraction_bits)
    # Compared as squares, which are exact.
    if room < 0 or _REACH**2 * variance > room**2:
        raise UnsafeParameters(
            f"a sum of norm {float(norm):.0f} and {_REACH} deviations of "
            f"{float(variance) ** 0.5:.0f} grid steps leave the grid of "
            f"{grid.value_bits} bits; plan more value bits"
        )


def _check_norms(order: DistributedSum, grid: Grid, dimension: int) -> None:
    bound = order.bound(grid.fraction_bits)
    if bound < LEAST_BOUND:
        raise UnsafeParameters(
            f"clip {order.clip}: a gradient's norm of {bound} grid steps of "
            f"2^-{grid.fraction_bits}, at least {LEAST_BOUND} are needed; plan more fraction bits"
        )
    # Rounding to the grid adds half a step to each value before its norm is measured.
    longest = ceil((bound + 1) * (1 + EXCESS)) + isqrt(dimension) + 1
    if longest**2 >= 1 << 63:
        raise UnsafeParameters(
            f"a gradient's norm of up to {longest} grid steps in {dimension} values: its square "
            "must be below 2^63; plan fewer fraction bits"
        )


def events_of_sum(order: DistributedSum) -> Events:
    """Return what one round costs: with the noise of all honest sites, and with one's own.

    Neighbouring sums differ by one clipped gradient, a whole number of grid steps in each value.
    The sum of `honest` discrete Gaussians of at least four grid steps each is a Gaussian but for
    a divergence below 1e-15, so both views have a Gaussian's event.

    Under sampling, the divergence at a whole order alpha is made of moments of the ratio of two
    shifted laws up to the alpha-th. Those of a discrete Gaussian are exp((k² - k) |shift|² /
    2 sigma²), as those of a continuous one, since whole shifts map the integers onto themselves.
    So whole orders are exact. At the orders between them the two differ by less than the
    accountant rounds up, which is computed for examples in the tests, and not proven.

    Source: Kairouz, Liu and Steinke (2021), arXiv:2102.06387, proposition 14; Canonne, Kamath
    and Steinke (2020), arXiv:2004.00010, theorem 4, for one alone; for sampling, Mironov, Talwar
    and Zhang (2019), arXiv:1908.10530, section 3.
    """
    alone = _over_root(exact(order.noise_multiplier), order.honest)
    return Events(
        sums=_sampled(order.sampling_rate, order.noise_multiplier),
        vector=_sampled(order.sampling_rate, alone),
    )


def _sampled(rate: str, noise_multiplier: str) -> DpEvent:
    noise = Gaussian(noise_multiplier)
    return noise if exact(rate) == 1 else PoissonSampled(rate, noise)


def _over_root(sigma: Fraction, honest: int) -> str:
    # Rounded down, which is towards the larger cost.
    squared = sigma**2 / honest * _UNIT**2
    whole, part = divmod(isqrt(squared.numerator // squared.denominator), _UNIT)
    return f"{whole}.{part:0{_DECIMALS}d}".rstrip("0").rstrip(".")
