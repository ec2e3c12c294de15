"""Exact discrete Gaussian noise on the integers, many values at a time. Pure.

    P(x) = exp(-x² / 2 sigma²) / (sum over all integers)

Values come by rejection from a discrete Laplace distribution, as in the source. All chance is
uniform integers and events of probability exp(-gamma) for a fraction gamma. Such an event is
decided by comparing a uniform real number, of which 64 bits are drawn first, with exp(-gamma) in
float64. Where the two are closer than `MARGIN`, which is far above what floats can be wrong by,
that one is decided again in integers, by as many more bits as it takes. So no rounding decides
anything, and the law is the one above and not a nearby one.

Source: Canonne, Kamath and Steinke (2020), "The discrete Gaussian for differential privacy",
arXiv:2004.00010, algorithms 1, 2 and 3.
"""

from collections.abc import Callable
from decimal import Context, Decimal
from fractions import Fraction
from math import ceil, floor, isqrt
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from .errors import UnsafeParameters
from .uniform import Words, below

MARGIN = 2.0**-40
"""Closer calls than this are decided exactly.

Floats err by less than 2^-45 here. Every gamma below is made from integers below 2^53 in at most
six roundings, of 2^-53 each. That moves a gamma that is a ratio by 2^-50 of itself; one that is a
square x²/2 by 2^-48·|x|·(1 + |x|), since sigma²/t is below sigma and is subtracted. exp turns
it into at most 2^-47 of probability, for y·exp(-y) and |x|(1 + |x|)·exp(-x²/2) stay below 2;
exp itself and the 64-bit word as a float add 2^-50.
"""

_LEAST_VARIANCE = Fraction(1, 4)  # below, nearly all noise is zero and hides nothing
_LARGEST_VARIANCE = 1 << 80
_AT_ONCE = 1 << 17  # candidates; their arrays stay within a processor's cache
_WORD_BITS = 64

_Fractions: TypeAlias = Callable[[int], Fraction]


def discrete_gaussian(
    words: Words, count: int, variance: Fraction, margin: float = MARGIN
) -> NDArray[np.int64]:
    """Return `count` independent values of mean 0, shape (count,), int64.

    Args:
        words: where the chance comes from.
        variance: sigma², exactly; from 1/4 to 2^80. (The variance of the law is
            sigma² but for less than 1e-30 from sigma = 2, and a little below it under that.)
        margin: what is decided exactly; 1 decides everything so, and gives the same values.

    Raises:
        UnsafeParameters: the variance is out of its range.

    Source: algorithm 3.
    """
    if not _LEAST_VARIANCE <= variance <= _LARGEST_VARIANCE:
        raise UnsafeParameters(f"noise of variance {float(variance):g}: from 0.25 to 2^80")
    values = np.empty(count, np.int64)
    filled = 0
    while filled < count:
        # Half of the candidates are kept, or a little less.
        tried = min(_AT_ONCE, 2 * (count - filled) + 64)
        kept = _candidates(words, tried, variance, margin)[: count - filled]
        values[filled : filled + kept.size] = kept
        filled += kept.size
    return values


def _candidates(words: Words, tried: int, variance: Fraction, margin: float) -> NDArray[np.int64]:
    scale = isqrt(floor(variance)) + 1
    drawn = _discrete_laplace(words, tried, scale, margin)
    centre = variance / scale

    def exactly(at: int) -> Fraction:
        return (abs(int(drawn[at])) - centre) ** 2 / (2 * variance)

    away = np.abs(drawn).astype(np.float64) - float(centre)
    gamma = away * away / float(2 * variance)
    return drawn[_happens(words, gamma, exactly, margin)]


def _discrete_laplace(words: Words, tried: int, scale: int, margin: float) -> NDArray[np.int64]:
    """Return values x, at most `tried`, of probability in proportion to exp(-|x| / scale).

    Source: algorithm 2.
    """
    remainder = below(words, tried, scale).astype(np.int64)

    def exactly(at: int) -> Fraction:
        return Fraction(int(remainder[at]), scale)

    remainder = remainder[_happens(words, remainder / scale, exactly, margin)]
    value = remainder + scale * _geometric(words, remainder.size, margin)
    negative = words.draw(value.size) & np.uint64(1) == 1
    # Zero would have two signs, and come twice as often.
    kept: NDArray[np.bool_] = ~(negative & (value == 0))
    signed: NDArray[np.int64] = np.where(negative, -value, value)
    return signed[kept]


def _geometric(words: Words, count: int, margin: float) -> NDArray[np.int64]:
    """Return how often in a row an event of probability 1/e happens, `count` times."""
    times = np.zeros(count, np.int64)
    going = np.arange(count)
    while going.size:
        going = going[_happens(words, np.ones(going.size), lambda _: Fraction(1), margin)]
        times[going] += 1
    return times


def _happens(
    words: Words, gamma: NDArray[np.float64], exactly: _Fractions, margin: float
) -> NDArray[np.bool_]:
    """Return for each gamma whether an event of probability exp(-gamma) happens.

    Args:
        exactly: gives the gamma at an index as it is, and not as a float.
    """
    drawn = words.draw(gamma.size)
    above = drawn * 2.0**-_WORD_BITS - np.exp(-gamma)
    happens: NDArray[np.bool_] = above < 0
    for at in np.flatnonzero(np.abs(above) <= margin).tolist():
        happens[at] = _is_below(words, int(drawn[at]), exactly(at))
    return happens


def _is_below(words: Words, known: int, gamma: Fraction) -> bool:
    """Return whether a uniform number that begins with the bits `known` is below exp(-gamma)."""
    bits = _WORD_BITS
    while True:
        least, most = _bounds(gamma, bits)
        if known + 1 <= least:
            return True
        if known >= most:
            return False
        known = known << _WORD_BITS | int(words.draw(1)[0])
        bits += _WORD_BITS


def _bounds(gamma: Fraction, bits: int) -> tuple[int, int]:
    """Return two integers that exp(-gamma)·2^bits lies between, at most a few apart."""
    context = Context(prec=bits // 3 + 20)
    exponent = context.divide(Decimal(gamma.numerator), Decimal(gamma.denominator))
    # Each of division and exp errs by half a unit in the last place, which is relative.
    value = Fraction(context.exp(-exponent)) * (1 << bits)
    slack = value * (1 + abs(gamma)) / 10 ** (context.prec - 2)
    return floor(value - slack), ceil(value + slack)
