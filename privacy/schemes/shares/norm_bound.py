"""Is an update's norm within the bound? Asked of shares, so that only yes or no need be opened.

Modulo 2^64 a squared norm alone proves nothing: one coordinate of 2^32 squares to zero. So the
words are also multiplied by a matrix that is drawn after all updates are committed to, of 64
rows with coefficients 0 (probability 1/2), +1 and -1 (1/4 each). That is linear, so a seat
does it to its components alone. With B the bound and T = 8·B, an update passes if all 64
projections are within ±T modulo 2^64 and its squared norm modulo 2^64 is within 0..B². For
B <= 2^24 and up to 2^30 values:

*Honest updates pass.* E exp(t·c·x) = cosh(t·x/2)² <= exp(t²·x²/4), so for ‖x‖ <= B
P(some projection beyond T) <= 64·2·exp(-T²/B²) = 128·exp(-64) < 2^-85.

*Longer ones do not.* If some |x_i| > 2·T, then whatever the others add, of the three values
r, r + x_i, r - x_i the first and one of the two others are not both within ±T modulo 2^64,
as |x_i| <= 2^63 keeps their difference out of ±2·T. So a row passes with probability 1/2 at
most, all of them with 2^-64. Otherwise all |x_i| <= 2^28, no projection wraps (2^30·2^28),
and p has variance s² = ‖x‖²/2 and E p⁴ <= 3·s⁴. If ‖x‖² >= 200·T², Paley and Zygmund give
P(|p| > T) >= (1 - 1/100)²/3, and all 64 rows pass with probability 0.674^64 < 2^-36. If not,
‖x‖² < 200·T² <= 2^62, so it does not wrap and the comparison with B² is exact.

With coefficients ±1 only, r + x_i and r - x_i are the same for x_i = 2^63, and two such
coordinates pass every row.

Source: Rothblum, Omri, Chen, Talwar, "PINE: Efficient Norm-Bound Verification for
Secret-Shared Vectors", 2023 (the wrap-around check and its coefficients); Vershynin,
High-Dimensional Probability, 2.2, exercise 2.16 (Paley-Zygmund).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from privacy.errors import UnsafeParameters
from privacy.schemes.keystream import Use, WordStream, derive_key

from .layout import VALUE_WORDS, WORD_BITS, Words, values_of

PROJECTIONS: Final = WORD_BITS
SLACK: Final = 8
LARGEST_BOUND: Final = 1 << 24

# Leaves whose coefficients are drawn and held together: about a megabyte of them as float64.
LEAVES_IN_GROUP: Final = 2

# Columns of one product of matrices. The product of its sides stays below what OpenBLAS
# spreads over threads, which cost more than they give on cores that others use.
_LARGEST_PRODUCT: Final = 1 << 18
_LOW: Final = np.uint64(32)

Coefficients = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class NormBound:
    """The bound on one update, and which openings keep it.

    Attributes:
        norm: B, the largest L2 norm of an honest update in grid steps, its noise included.

    Raises:
        UnsafeParameters: not 1 to 2^24, for which the probabilities above hold.
    """

    norm: int

    def __post_init__(self) -> None:
        if not 1 <= self.norm <= LARGEST_BOUND:
            raise UnsafeParameters(
                f"a norm bound of {self.norm} grid steps is outside 1..{LARGEST_BOUND}"
            )

    @property
    def largest_projection(self) -> int:
        """T, the largest magnitude of a projection that passes."""
        return SLACK * self.norm

    def accepts(self, squared_norm: int, projections: Words) -> bool:
        """Return whether an update passes; what a comparison on shares must compute.

        Args:
            squared_norm: modulo 2^64.
            projections: shape (64,), modulo 2^64.
        """
        largest = self.largest_projection
        # Moved up by T, residues within ±T are those up to 2·T.
        within = projections + np.uint64(largest) <= np.uint64(2 * largest)
        return bool(np.all(within)) and squared_norm % (1 << WORD_BITS) <= self.norm**2


class Projections:
    """The 64 random rows of one round, from a seed that nobody knew before the cohort froze.

    The same seed gives the same rows at every seat, for every site of the round.
    """

    def __init__(self, seed: bytes) -> None:
        self._stream = WordStream(derive_key(seed, Use.PROJECTIONS))

    def project(self, chunk: int, blocks: Sequence[Words]) -> Words:
        """Return one chunk's part of the projections of several sites' components.

        Drawing the coefficients costs more than using them once; sites share them.

        Args:
            blocks: one component each, shape (leaves, 1024).

        Returns:
            Shape (len(blocks), 64), modulo 2^64; parts of all chunks add up.
        """
        leaves = len(blocks[0])
        total = np.zeros((len(blocks), PROJECTIONS), np.uint64)
        for group, first in enumerate(range(0, leaves, LEAVES_IN_GROUP)):
            some = slice(first, min(first + LEAVES_IN_GROUP, leaves))
            coefficients = self.coefficients(chunk, group, some.stop - some.start)
            total += _times([values_of(block[some]) for block in blocks], coefficients)
        return total

    def coefficients(self, chunk: int, group: int, leaves: int) -> Coefficients:
        """Return the coefficients of one group of leaves, shape (leaves·1020, 64): 0, 1 or -1.

        Bit r of a word's two words of the stream decides over row r: 1, 0 is plus, 0, 1 minus.
        """
        # Each group has a counter of its own; no chunk has 2^16 of them.
        drawn = self._stream.words((chunk << 16) + group, (leaves * VALUE_WORDS, 2))
        bits = np.unpackbits(drawn.view(np.uint8), axis=1, bitorder="little")
        plus, minus = bits[:, :PROJECTIONS], bits[:, PROJECTIONS:]
        return np.subtract(plus, minus, dtype=np.int8, casting="unsafe").astype(np.float64)


def _times(rows: Sequence[Words], coefficients: Coefficients) -> Words:
    # Halves of 32 bits times 0 or ±1, a few thousand of them: far below 2^53, so every order
    # of addition gives the same float64, and the products of matrices are exact.
    halves = np.empty((2, len(rows), len(coefficients)))
    for at, row in enumerate(rows):
        halves[0, at] = (row & np.uint64(0xFFFFFFFF)).reshape(-1)
        halves[1, at] = (row >> _LOW).reshape(-1)
    sums = _exact_product(halves.reshape(2 * len(rows), -1), coefficients)
    low, high = sums.astype(np.int64).view(np.uint64).reshape(2, len(rows), PROJECTIONS)
    product: Words = low + (high << _LOW)
    return product


def _exact_product(rows: NDArray[np.float64], coefficients: Coefficients) -> NDArray[np.float64]:
    columns = max(1, _LARGEST_PRODUCT // (PROJECTIONS * len(rows)))
    product = np.zeros((len(rows), PROJECTIONS))
    for start in range(0, len(coefficients), columns):
        some = slice(start, start + columns)
        product += rows[:, some] @ coefficients[some]
    return product
