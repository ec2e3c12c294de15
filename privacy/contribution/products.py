"""The product of each hidden update with the released step: one number that a site states itself.

    s  =  2^fraction_bits · n / server_learning_rate          float64, left to right
    q  =  rint((next model - model) · s)                      float64, element by element
    x_i·q,  and of the sum P = x_1 + … + x_n:  P·q            exactly, as integers

The next model is the model plus rate · P · 2^-fraction_bits / n, rounded as float64 rounds, so q
is P itself, unless the rate is so small, or a weight so large, that 53 bits do not hold a grid
step of it. Whoever holds both models finds the same q, bit for bit.

*What it guarantees.* What sites state adds up to P·q, or somebody stated a false number
(`check_sum`); who alone states one is always caught. By Cauchy and Schwarz nobody's product is
larger than the longest clipped update has with q (`check_sizes`), and who states more is named.
*What it does not.* Two sites whose errors cancel, and who stay within that, do pass:
docs/contribution.md says what they gain. Nothing tells that an x that was never sent is not
stated for the one that was; the sum binds all of them together only.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import isqrt
from typing import Final

import numpy as np
from numpy.typing import NDArray

from privacy.errors import FalseProduct
from privacy.identifiers import ParticipantId
from privacy.plan import Plan
from privacy.records import Score

_LARGEST_STEP: Final = 1 << 53
"""What float64 still holds exactly; what is beyond, in a release that no honest sum gives, is cut
to it, so that whoever states a product states one."""

_PART_BITS: Final = 18
_PARTS: Final = 3
_LOW: Final = (1 << _PART_BITS) - 1
_VALUES_AT_ONCE: Final = 1 << 16
"""Of products of parts of 18 bits, 2^24 and more add up in 63 bits."""


@dataclass(frozen=True, slots=True)
class OpenedSum:
    """What openers of a sum hold stated products against: P·q and |q|², exactly."""

    product: int
    squared_step: int


def step_of(
    plan: Plan, contributions: int, before: NDArray[np.float64], after: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Return the released step in grid steps of the sum, shape (k,), int64.

    Args:
        contributions: how many updates are in the sum.
        before: shape (k,), a part of the model that the round started from.
        after: shape (k,), the same part of the model that it released.
    """
    scale = np.float64(1 << plan.arithmetic.fraction_bits) * np.float64(contributions)
    scale = scale / np.float64(float(plan.terms.server_learning_rate))
    with np.errstate(over="ignore", invalid="ignore"):
        steps = np.rint((after - before) * scale)
    # A rate that is hardly above zero makes of no change at all what is no number.
    whole = np.clip(np.nan_to_num(steps, nan=0.0), -_LARGEST_STEP, _LARGEST_STEP)
    return np.asarray(whole, np.float64).astype(np.int64)


def inner(one: NDArray[np.int64], other: NDArray[np.int64]) -> int:
    """Return the product of two vectors, shape (k,) both, of values up to 2^53, exactly."""
    total = 0
    for start in range(0, one.size, _VALUES_AT_ONCE):
        end = start + _VALUES_AT_ONCE
        total += _inner(_parts(one[start:end]), _parts(other[start:end]))
    return total


class Products:
    """The products with the released step of a vector that comes in parts."""

    def __init__(self, plan: Plan, contributions: int) -> None:
        self._plan, self._contributions = plan, contributions
        self._product = self._squares = 0

    def add(
        self,
        values: NDArray[np.int64],
        before: NDArray[np.float64],
        after: NDArray[np.float64],
    ) -> None:
        """Take the next values of the vector, in grid steps, with the same part of both models."""
        step = step_of(self._plan, self._contributions, before, after)
        self._product += inner(values, step)
        self._squares += inner(step, step)

    def total(self) -> OpenedSum:
        """Return the product of all values with the step, and the step's squared length."""
        return OpenedSum(self._product, self._squares)


def check_sum(products: Iterable[int], of_sum: int) -> None:
    """Return if the products that a cohort states add up to that of the opened sum, exactly.

    Raises:
        FalseProduct: they do not; one of the sites, or several, stated another one.
    """
    stated = list(products)
    if sum(stated) != of_sum:
        raise FalseProduct(
            f"the products that {len(stated)} sites state do not add up to that of their sum"
        )


def check_sizes(products: Mapping[ParticipantId, int], squared_step: int, norm: int) -> None:
    """Return if each product may be that of an update within the norm.

    Args:
        squared_step: of the released step.
        norm: the largest one of an update, in grid steps; see `Plan.largest_norm`.

    Raises:
        FalseProduct: one is larger, with its site's name; it would be paid for what it is not.

    Source: Cauchy and Schwarz.
    """
    for name, product in products.items():
        if product * product > norm * norm * squared_step:
            raise FalseProduct(
                f"the product of {name} belongs to no update within {norm} grid steps"
            )


def largest_product(squared_step: int, norm: int) -> int:
    """Return the largest product that `check_sizes` lets pass."""
    return isqrt(norm * norm * squared_step)


def measured(
    products: Mapping[ParticipantId, int], opened: OpenedSum, *, step_log2: int, norm: int
) -> tuple[Score, ...]:
    """Return what products tell of each site's update, once they have been checked, in order.

    Args:
        products: by site, as stated.
        opened: what whoever opened the sum has computed itself.
        step_log2: products are rounded to the nearest multiple of 2^this; of two as near, up.
        norm: see `check_sizes`.

    Raises:
        FalseProduct: as for `check_sum` and `check_sizes`.
    """
    check_sizes(products, opened.squared_step, norm)
    check_sum(products.values(), opened.product)
    return tuple(
        Score(name, "", str(rounded(product, step_log2))) for name, product in products.items()
    )


def rounded(number: int, step_log2: int) -> int:
    """Return the nearest multiple of 2^step_log2; of two as near, the upper one."""
    half = (1 << step_log2) >> 1
    return (number + half) >> step_log2 << step_log2


def _inner(one: list[NDArray[np.int64]], other: list[NDArray[np.int64]]) -> int:
    return sum(
        int(one[i] @ other[j]) << _PART_BITS * (i + j) for i in range(_PARTS) for j in range(_PARTS)
    )


def _parts(values: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Return parts of 18 bits, the last with the sign: values are sum of part i · 2^(18 · i)."""
    low = values & _LOW
    middle = (values >> _PART_BITS) & _LOW
    return [low, middle, values >> 2 * _PART_BITS]
