"""Sketches: k random signed sums of a hidden update, from which its norm and alignment follow.

    row j of x = r_j·x     r_j in {-1, +1}^d, from a seed that nobody knew before the freeze

All numbers are whole, so a sketch is exactly linear: those of a cohort's updates add up to that
of its sum, row by row, or somebody stated a false one. Products of sketches estimate those of
vectors:

    E (R·x)·(R·y) / k = x·y        Var = (|x|²·|y|² + (x·y)² - 2·sum x_i²·y_i²) / k

*What it guarantees.* One false sketch does not pass (`check_sum`), whoever made it. None passes
that is too long for a clipped update (`check_norms`), and that one is named.
*What it does not.* Two sites whose errors cancel, and who stay within that length, do pass:
docs/contribution.md says what they gain. Who knows the seed before its update is fixed buys
sqrt(d/k) times the alignment of an honest update of the same norm, so a seed is drawn after the
freeze. And a sketch is k numbers about one site's update: it is private only if the update is.

Source: Alon, Matias, Szegedy, "The Space Complexity of Approximating the Frequency Moments",
1996, 2.2 (squares of random signed sums); Li, Hastie, Church, "Very Sparse Random Projections",
KDD 2006, lemmas 1 and 3 with s = 1 (both variances); Laurent, Massart, "Adaptive Estimation of a
Quadratic Functional by Model Selection", 2000, lemma 1 (how long a sketch is at most: a squared
signed sum has no larger exponential moments than a Gaussian's, since cosh t <= exp(t²/2)).
"""

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from math import ceil, isqrt, sqrt
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .errors import FalseSketch, MalformedMessage, UnsafeParameters
from .identifiers import ParticipantId
from .records import Score
from .schemes.keystream import Use, WordStream, derive_key

MOST_ROWS: Final = 256
VALUES_PER_ROW: Final = 100
"""Coordinates of an update for each row of its sketch, at least: rows tell of it."""

Sketch: TypeAlias = tuple[int, ...]
"""The k rows of one vector, exactly, in grid steps."""

# Values whose signs are drawn and held together: a megabyte of them as float64. Their product
# with both halves stays below what OpenBLAS spreads over threads.
_VALUES_IN_GROUP: Final = 1 << 9
_WORDS_PER_VALUE: Final = MOST_ROWS // 64
_HALF_BITS: Final = 32
_LOW: Final = (1 << _HALF_BITS) - 1

# An honest sketch is called too long with a probability below exp(-28) < 2^-40.
_TAIL: Final = 28

# Partial sums of halves stay whole numbers of 64 bits up to here.
_LARGEST_DIMENSION: Final = 1 << 30


def rows_of(dimension: int) -> int:
    """Return k, how many rows the sketch of a vector of that dimension has: at most d/100.

    Raises:
        UnsafeParameters: the vector is too short for one row, or longer than 2^30.
    """
    if not VALUES_PER_ROW <= dimension <= _LARGEST_DIMENSION:
        raise UnsafeParameters(
            f"sketches of {dimension} values: from {VALUES_PER_ROW} to {_LARGEST_DIMENSION}; "
            "plan no scores, and pay by participation"
        )
    return min(MOST_ROWS, dimension // VALUES_PER_ROW)


def largest_value(norm: int, dimension: int) -> int:
    """Return a bound on each row of a vector whose L2 norm is at most `norm` grid steps.

    Source: Cauchy and Schwarz; a row of signs has norm sqrt(d).
    """
    return isqrt(norm * norm * dimension)


class Sketcher:
    """The sketch of one vector that comes in parts, in memory that does not grow with it.

    Signs depend on the seed and on a value's place, not on how the vector is cut.

    Args:
        seed: 32 bytes that nobody knew before the cohort froze.
        dimension: of the whole vector.

    Raises:
        MalformedMessage: a seed of another length.
        UnsafeParameters: as for `rows_of`.
    """

    def __init__(self, seed: bytes, dimension: int) -> None:
        self._stream = WordStream(derive_key(seed, Use.SKETCHES))
        self._dimension = dimension
        self._rows = rows_of(dimension)
        self._place = 0
        # Low and high halves apart: neither leaves 64 bits, whatever the values.
        self._halves = np.zeros((2, self._rows), np.int64)

    def add(self, values: NDArray[np.int64]) -> None:
        """Take the vector's next values, shape (m,), in grid steps, of any size and number.

        Raises:
            MalformedMessage: more values than the vector has.
        """
        if self._place + values.size > self._dimension:
            raise MalformedMessage(
                f"{self._place + values.size} values of a vector of {self._dimension}"
            )
        while values.size:
            group, first = divmod(self._place, _VALUES_IN_GROUP)
            part, values = np.split(values, [_VALUES_IN_GROUP - first])
            signs = self._signs(group, first + part.size)[first:]
            self._halves += _products(part, signs)
            self._place += part.size

    def sketch(self) -> Sketch:
        """Return the sketch of all values taken.

        Raises:
            MalformedMessage: fewer values came than the vector has.
        """
        if self._place != self._dimension:
            raise MalformedMessage(f"{self._place} values of a vector of {self._dimension}")
        low, high = self._halves.tolist()
        return tuple((top << _HALF_BITS) + bottom for bottom, top in zip(low, high, strict=True))

    def _signs(self, group: int, count: int) -> NDArray[np.float64]:
        """Return the signs of the first values of one group, shape (count, k): 1 or -1.

        Bit j of a value's four words decides over row j, however many rows there are.
        """
        words = self._stream.words(group, (count, _WORDS_PER_VALUE)).astype("<u8", copy=False)
        bits = np.unpackbits(words.view(np.uint8), axis=1, count=self._rows, bitorder="little")
        return np.asarray(1.0 - 2.0 * bits, np.float64)


def sketch_of(seed: bytes, vector: NDArray[np.int64]) -> Sketch:
    """Return the sketch of a whole vector, shape (d,), int64, in grid steps.

    Raises:
        MalformedMessage, UnsafeParameters: as for `Sketcher`.
    """
    sketcher = Sketcher(seed, vector.size)
    sketcher.add(vector)
    return sketcher.sketch()


def check_sum(sketches: Iterable[Sketch], of_sum: Sketch) -> None:
    """Return if the sketches of a cohort's updates add up to that of the opened sum, exactly.

    Raises:
        FalseSketch: they do not; one of their makers, or several, stated another one.
        MalformedMessage: one has more or fewer rows than the sum's.
    """
    stated = list(sketches)
    if any(len(each) != len(of_sum) for each in stated):
        raise MalformedMessage(f"a sketch has other than {len(of_sum)} rows")
    totals = [sum(row) for row in zip(*stated, strict=True)] if stated else [0] * len(of_sum)
    wrong = sum(total != row for total, row in zip(totals, of_sum, strict=True))
    if wrong:
        raise FalseSketch(
            f"{wrong} of {len(of_sum)} rows of {len(stated)} sketches do not add up to the sum's"
        )


def check_norms(sketches: Mapping[ParticipantId, Sketch], norm_bound: int) -> None:
    """Return if each sketch may be that of an update within the norm; a false alarm: 2^-40.

    With u = 28 and B the bound, |R·x|² <= B²·(k + 2·sqrt(k·u) + 2·u).

    Args:
        norm_bound: see `largest_norm`.

    Raises:
        FalseSketch: one is longer, with its site's name; it would be paid for what it is not.

    Source: Laurent and Massart (2000), lemma 1.
    """
    for name, sketch in sketches.items():
        rows = len(sketch)
        most = norm_bound**2 * (rows + 2 * (isqrt(rows * _TAIL) + 1) + 2 * _TAIL)
        if sum(row * row for row in sketch) > most:
            raise FalseSketch(
                f"the sketch of {name} belongs to no update within {norm_bound} grid steps"
            )


def largest_norm(clip: Fraction, fraction_bits: int, dimension: int) -> int:
    """Return the largest L2 norm, in grid steps, that an update has once it is on the grid.

    Rounding moves each coordinate by half a step at most.
    """
    return ceil(clip * (1 << fraction_bits)) + isqrt(dimension) // 2 + 1


def measured(
    sketches: Mapping[ParticipantId, Sketch], of_sum: Sketch, *, step_log2: int, norm_bound: int
) -> tuple[Score, ...]:
    """Return what sketches tell of each site's update, once they have been checked, in order.

    Args:
        sketches: by site, as stated.
        of_sum: the sketch of the opened sum, which whoever opens computes itself.
        step_log2: estimates are rounded to the nearest multiple of 2^this; of two as near, up.
        norm_bound: see `largest_norm`.

    Raises:
        FalseSketch, MalformedMessage: as for `check_sum` and `check_norms`.
    """
    check_sum(sketches.values(), of_sum)
    check_norms(sketches, norm_bound)
    return tuple(
        Score(
            name,
            str(_estimate(sketch, sketch, step_log2)),
            str(_estimate(sketch, of_sum, step_log2)),
        )
        for name, sketch in sketches.items()
    )


def standard_error(rows: int, squared_norm: float, other: float, product: float) -> float:
    """Return a bound on the standard error of an estimated product of two vectors.

    It is reached where no few coordinates rule. Of a squared norm it is that of the product
    of the vector with itself.

    Args:
        squared_norm: of the one vector.
        other: squared norm of the other one.
        product: of the two.

    Source: Li, Hastie, Church (2006), lemma 3 with s = 1, without its negative term.
    """
    return sqrt((squared_norm * other + product * product) / rows)


def cosines(sketches: Sequence[Sketch]) -> NDArray[np.float64]:
    """Return the estimated cosine of each two updates, shape (n, n); 0 beside an empty one.

    Two sites that trained on the same data have a cosine near 1, if nobody added noise.
    """
    rows = np.array(sketches, np.float64)
    lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows))
    units = rows / np.where(lengths > 0, lengths, 1.0)[:, None]
    return np.asarray(units @ units.T)


def _estimate(one: Sketch, other: Sketch, step_log2: int) -> int:
    product = sum(a * b for a, b in zip(one, other, strict=True))
    whole = len(one) << step_log2
    return (2 * product + whole) // (2 * whole) << step_log2


def _products(values: NDArray[np.int64], signs: NDArray[np.float64]) -> NDArray[np.int64]:
    # At most 2^9 halves of 32 bits: below 2^53, so any order of addition gives the same float64.
    halves = np.stack([values & _LOW, values >> _HALF_BITS]).astype(np.float64)
    return (halves @ signs).astype(np.int64)
