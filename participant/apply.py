"""Apply an opened sum to the global model: the same bits at every opener. Pure.

Element by element, in float64, with + − × ÷ only, which IEEE 754 rounds in one
way: no matrix library, no power function, nothing that differs between machines.
"""

import math

import numpy as np
from numpy.typing import NDArray

from privacy.errors import SumOffGrid, UnsafeParameters, WrongContext
from privacy.plan import Plan


def apply(
    plan: Plan, model: NDArray[np.float64], total: NDArray[np.int64], contributions: int
) -> NDArray[np.float64]:
    """Return the next model: `model + rate · (total · step) / contributions`.

    Args:
        model: shape (d,), the model the round started from.
        total: shape (d,), the opened sum, in grid steps.
        contributions: how many updates are in it.

    Raises:
        WrongContext: the plan is for a model of another size.
        SumOffGrid: the sum is larger than that many clipped updates can be.
        UnsafeParameters: the plan names another aggregation, or no finite positive rate.

    Source: McMahan et al., arXiv:1602.05629, algorithm 1, with equal weights.
    """
    if plan.terms.aggregation != "mean/1":
        raise UnsafeParameters(f"aggregation {plan.terms.aggregation!r} is not known here")
    rate = float(plan.terms.server_learning_rate)
    if not (math.isfinite(rate) and rate > 0):
        raise UnsafeParameters(f"server learning rate {plan.terms.server_learning_rate}")
    if not model.shape == total.shape == (plan.arithmetic.dimension,):
        raise WrongContext(
            f"a plan of {plan.arithmetic.dimension} values for a model of {model.size}"
        )
    grid = plan.grid()
    mean = grid.from_grid(total) / np.float64(contributions)
    _check_bound(plan, mean)
    return model + np.float64(rate) * mean


def _check_bound(plan: Plan, mean: NDArray[np.float64]) -> None:
    # Rounding to the grid moves each coordinate by at most half a step.
    slack = 0.5 * 2.0**-plan.arithmetic.fraction_bits * float(np.sqrt(mean.size))
    norm, bound = float(np.sqrt(np.sum(mean * mean))), float(plan.terms.clip) + slack
    if norm > bound * (1 + 1e-9):
        raise SumOffGrid(
            f"the opened sum has a mean update of norm {norm:.3f}, clipped updates have at most "
            f"{bound:.3f}; some contribution was not clipped, and it cannot be said whose"
        )
