"""A site's sum of clipped gradients with its part of the noise: mechanism `distributed`.

    for each unit r in the batch     g_r = gradient, clipped to C, then to whole grid steps
    the site                         y = noise - (g_1 + … + g_k), cut off at the grid's edge

Each g_r is measured in integers after it was put on the grid, so that rounding adds nothing to
what one unit can do. The noise is exact, and there whether the batch is empty or not. What
comes out is on the grid, and the same bits under every scheme.

Source: Kairouz, Liu and Steinke (2021), arXiv:2102.06387, algorithm 1, without rotation.
"""

import numpy as np
import structlog
from numpy.typing import NDArray

from participant.sending.random_words import Entropy, RandomWords
from participant.site import Site
from privacy.discrete_gaussian import discrete_gaussian
from privacy.distributed_sum import DistributedSum
from privacy.grid import Grid
from privacy.vectors import Shapes

from .train import unit_gradients

log = structlog.get_logger()

# As it is, then ever shorter. The last takes off 2^-11, more than an order's bound, of 2^12
# steps and rounded down, and the excess of a rounding need: 2^-12 and 2^-20.
_FACTORS = (1.0, *(1.0 - 2.0**-power for power in range(16, 10, -1)))


def gradient_sum(
    site: Site,
    shapes: Shapes,
    vector: NDArray[np.float64],
    order: DistributedSum,
    grid: Grid,
    entropy: Entropy,
) -> NDArray[np.int64]:
    """Return noise less the sum of the units' clipped gradients, shape (d,), in grid steps.

    Less, because models go down along gradients and a round adds what it sums.

    Args:
        site: its data, model and loss.
        shapes: the agreed parameters; the model must have exactly these.
        vector: the global model, shape (d,), where gradients are taken.
        order: the plan's numbers, which its grid fits (`check_fits`).
        entropy: `os.urandom`; two keys are drawn from it, one for the batch, one for noise.

    Raises:
        ConfigError: the site's model or data is not of the agreed form, or has too many units.
        UnsafeParameters: the model or the loss mixes records, or cannot be trained privately.
    """
    batch, noise = RandomWords(entropy), RandomWords(entropy)
    bits = grid.fraction_bits
    total = np.zeros(vector.size, np.int64)
    for gradients in unit_gradients(site, shapes, vector, order, batch):
        total -= bounded_steps(gradients, order.bound(bits), bits).sum(0)
    total += discrete_gaussian(noise, vector.size, order.site_variance(bits))
    return _within(total, grid)


def bounded_steps(
    gradients: NDArray[np.float64], bound: int, fraction_bits: int
) -> NDArray[np.int64]:
    """Return gradients as whole grid steps, each of at most `bound` in its exact L2 norm.

    Args:
        gradients: shape (k, d), finite, of norms that are at most `bound` but for a rounding.
        bound: in grid steps, at least 2^12; squares of what rounding makes of it fit 63 bits
            (`check_fits` of both).
    """
    scaled = np.ldexp(gradients, fraction_bits)
    steps = np.rint(scaled).astype(np.int64)
    # Few passes, and always as many: their number would tell what a gradient looks like.
    for factor in _FACTORS:
        over = _squares(steps) > bound * bound
        # Towards zero, which lengthens nothing.
        steps[over] = np.trunc(scaled[over] * factor).astype(np.int64)
    # Sensitivity is what the noise was chosen for; it is measured, not believed.
    assert bool((_squares(steps) <= bound * bound).all())
    return steps


def _squares(steps: NDArray[np.int64]) -> NDArray[np.int64]:
    squares: NDArray[np.int64] = np.einsum("ij,ij->i", steps, steps)
    return squares


def _within(noisy: NDArray[np.int64], grid: Grid) -> NDArray[np.int64]:
    """Return the values cut off at the grid's edge.

    For who opens this one vector that is nothing more than a function of it. For who sees sums
    it is not: each part is cut off before they are added. A value is beyond the edge only if its
    noise is beyond twelve deviations (`check_fits`), at odds below 2 exp(-72) < 2^-102 since the
    noise is subgaussian. A sum of d values of h honest sites is so the one that is accounted but
    for h·d·2^-102, which adds at most (1 + e^epsilon)·h·d·2^-102 to delta.

    Source: Canonne, Kamath and Steinke (2020), arXiv:2004.00010, on tails of the discrete Gaussian.
    """
    outside = int(np.count_nonzero(np.abs(noisy) > grid.largest))
    if outside:
        # For the site's own log only.
        log.warning("noise_left_the_grid", values=outside, of=noisy.size)
    return np.clip(noisy, -grid.largest, grid.largest)
