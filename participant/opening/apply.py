"""Apply an opened sum to the global model: the same bits at every opener. Pure.

Element by element, in float64, with + − × ÷ only, which IEEE 754 rounds in one
way: no matrix library, no power function, nothing that differs between machines.
"""

import math

import numpy as np
from numpy.typing import NDArray

from privacy.distributed_sum import DistributedSum
from privacy.errors import SumOffGrid, UnsafeParameters, WrongContext
from privacy.plan import Plan


class Application:
    """One sum on its way into the next model, part by part, and the norm of its mean so far.

    Each part is `model + rate · (sum · step) / divisor`, where the divisor is the number of
    contributions for "mean/1", and the plan's own number for "sum/1". What comes out counts
    only after `check_bound`.

    Args:
        contributions: how many updates are in the sum.

    Raises:
        UnsafeParameters: the plan names no finite positive rate.

    Source: McMahan et al., arXiv:1602.05629, algorithm 1, with equal weights; Abadi et al.
    (2016), algorithm 1, with one step over all sites.
    """

    def __init__(self, plan: Plan, contributions: int) -> None:
        rate = float(plan.terms.server_learning_rate)
        if not (math.isfinite(rate) and rate > 0):
            raise UnsafeParameters(f"server learning rate {plan.terms.server_learning_rate}")
        self._plan, self._grid = plan, plan.grid()
        self._rate, self._divisor = np.float64(rate), np.float64(_divisor(plan, contributions))
        self._longest = _longest(plan, contributions) / float(self._divisor)
        self._squares = 0.0
        self._values = 0

    def part(self, model: NDArray[np.float64], total: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the next part of the next model.

        Args:
            model: shape (k,), that part of the model the round started from.
            total: shape (k,), that part of the opened sum, in grid steps.

        Raises:
            WrongContext: they are parts of another size.
        """
        if not model.shape == total.shape == (total.size,):
            raise self._other_size(self._values + model.size)
        self._values += total.size
        step = self._grid.from_grid(total) / self._divisor
        self._squares += float(np.sum(step * step))
        return model + self._rate * step

    def check_bound(self) -> None:
        """Return if the whole sum is one that so many clipped updates can have.

        Raises:
            WrongContext: the parts are not those of a whole model of the plan's size.
            SumOffGrid: the sum is larger.
        """
        if self._values != self._plan.arithmetic.dimension:
            raise self._other_size(self._values)
        norm = math.sqrt(self._squares)
        if not norm <= self._longest * (1 + 1e-9):
            raise SumOffGrid(
                f"the opened sum makes a step of norm {norm:.3f}, clipped updates make at most "
                f"{self._longest:.3f}; some contribution was not clipped, and it cannot be said "
                "whose"
            )

    def _other_size(self, found: int) -> WrongContext:
        size = self._plan.arithmetic.dimension
        return WrongContext(f"a plan of {size} values for a model of {found}")


def _divisor(plan: Plan, contributions: int) -> int:
    training = plan.terms.privacy.training
    return training.divisor if isinstance(training, DistributedSum) else contributions


def _longest(plan: Plan, contributions: int) -> float:
    """Return the largest norm of the sum of so many honest updates, in the model's units."""
    training, values = plan.terms.privacy.training, plan.arithmetic.dimension
    bound = contributions * float(plan.terms.clip)
    if isinstance(training, DistributedSum):
        return bound + training.noise_norm(contributions, values)
    # Rounding to the grid moves each coordinate by at most half a step.
    return bound + contributions * 0.5 * 2.0**-plan.arithmetic.fraction_bits * math.sqrt(values)
