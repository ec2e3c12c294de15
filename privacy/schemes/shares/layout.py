"""How a vector becomes words and leaves under `shares`, and which seat holds which component.

A chunk of grid integers becomes words modulo 2^64: one value in a word, or several side by
side (`fields`) where value bits and cohort allow it and no score is asked for. Each word is
the sum of three components, and each of three seats holds two of them:

    seat 0   components 0 and 1
    seat 1   components 1 and 2
    seat 2   components 2 and 0

One chunk of one component is a block of leaves of 1,024 words: 1,020 that belong to values and 4
that blind the leaf. A leaf's hash would otherwise be a commitment that the third seat can
test guesses against: it knows the two other components, so the vector it guesses gives the
component it lacks. Blinding words are uniform, both holders expand them from their seeds,
they never travel to a seat, and they add up like all others, so that a leaf of a sum is the
sum of leaves. Places after the last value of a chunk hold zero in every component.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from privacy.errors import MalformedMessage, SumOffGrid, UnsafeParameters
from privacy.merkle import chunk_root
from privacy.schemes import fields
from privacy.schemes.base import Geometry, Integers

SEATS: Final = 3
COMPONENTS: Final = 3
WORD_BITS: Final = 64
WORD_BYTES: Final = 8

# A hash of two kilobytes costs as much to begin and end as to compute: leaves are four times
# as long here as those of ciphertexts.
WORDS_PER_LEAF: Final = 1024
BLINDING_WORDS: Final = 4
VALUE_WORDS: Final = WORDS_PER_LEAF - BLINDING_WORDS
MOST_PER_WORD: Final = 4
# 261 kB travel for a chunk; its three blocks stay in a core's own cache while it is split.
LEAVES_PER_CHUNK: Final = 32
# A chunk of a seat's sum, sealed, stays below a mebibyte.
MOST_LEAVES: Final = 127

Words = NDArray[np.uint64]


def held_by(seat: int) -> tuple[int, int]:
    """Return the two components of one seat, in the order in which it holds them.

    Raises:
        MalformedMessage: there is no such seat.
    """
    _require_seat(seat)
    return seat, (seat + 1) % COMPONENTS


def shared_by(seat: int, other: int) -> int:
    """Return the one component that two different seats both hold.

    Raises:
        MalformedMessage: no such seats, or twice the same.
    """
    common = set(held_by(seat)) & set(held_by(other))
    if len(common) != 1:
        raise MalformedMessage(f"seat {seat} twice: two different seats are needed")
    return common.pop()


@dataclass(frozen=True, slots=True)
class SharesParameters:
    """Value range, cohort and words that fit together.

    Who holds a value of this type knows that no sum of up to `cohort_max` honest updates
    wraps, nor runs from one value into its neighbour.

    Attributes:
        value_bits: bits of a signed grid integer.
        cohort_max: most updates in one sum, two or more.
        values_per_word: grid integers side by side in a word; scores need 1.
        leaves_per_chunk: leaves of a full chunk, 1,020 words each.

    Raises:
        UnsafeParameters: a number out of its range, or words that would not hold the sum.
    """

    value_bits: int
    cohort_max: int
    values_per_word: int = 1
    leaves_per_chunk: int = LEAVES_PER_CHUNK

    def __post_init__(self) -> None:
        for name, value, low, high in (
            ("value bits", self.value_bits, 2, 40),
            ("cohort", self.cohort_max, 2, 1 << 20),
            ("values in a word", self.values_per_word, 1, MOST_PER_WORD),
            ("leaves in a chunk", self.leaves_per_chunk, 1, MOST_LEAVES),
        ):
            if not low <= value <= high:
                raise UnsafeParameters(f"{name} {value} is outside {low}..{high}")
        needed = self.field_bits * self.values_per_word
        if needed > WORD_BITS:
            raise UnsafeParameters(
                f"{self.values_per_word} values of {self.value_bits} bits from {self.cohort_max} "
                f"sites need {needed} bits, a word has {WORD_BITS}"
            )

    @property
    def largest_value(self) -> int:
        """Largest magnitude of one site's grid integer."""
        return (1 << (self.value_bits - 1)) - 1

    @property
    def field_bits(self) -> int:
        """Width of a field: what the sum of one value of each site needs, with its sign."""
        return fields.width_of(self.largest_value, self.cohort_max)

    @property
    def scored(self) -> bool:
        """True where norms and dot products of updates can be computed on the words."""
        return self.values_per_word == 1

    def geometry(self, dimension: int) -> Geometry:
        """How a vector of `dimension` values is cut."""
        words = VALUE_WORDS * self.leaves_per_chunk
        return Geometry(dimension, words * self.values_per_word)

    def words_in(self, values: int) -> int:
        """Words that carry `values` grid integers."""
        return -(-values // self.values_per_word)

    def leaves_in(self, values: int) -> int:
        """Leaves that carry `values` grid integers."""
        return -(-self.words_in(values) // VALUE_WORDS)

    def require_cohort(self, cohort: int) -> None:
        """Refuse a sum of more updates than cannot wrap.

        Raises:
            UnsafeParameters: not 1 to `cohort_max`.
        """
        if not 1 <= cohort <= self.cohort_max:
            raise UnsafeParameters(
                f"a sum of {cohort} updates; these parameters hold for 1..{self.cohort_max}"
            )

    def to_words(self, values: Integers) -> Words:
        """Return grid integers as words, shape (words_in(values.size),)."""
        if self.scored:
            return values.view(np.uint64)
        rows = np.zeros((self.values_per_word, self.words_in(values.size)), np.int64)
        rows.reshape(-1)[: values.size] = values
        return fields.join(rows, self.field_bits).view(np.uint64)

    def from_words(self, words: Words, count: int, cohort: int) -> Integers:
        """Return the sum of `cohort` updates that words hold, shape (count,).

        Raises:
            SumOffGrid: a value beyond what that many sites can reach.
        """
        joined = words.view(np.int64)
        rows = fields.split(joined, self.field_bits, self.values_per_word)
        values = rows.reshape(-1)[:count]
        largest = cohort * self.largest_value
        if np.any(values > largest) or np.any(values < -largest):
            raise SumOffGrid(
                f"the sum of {cohort} updates has values beyond ±{largest}, which no site's "
                "grid can reach"
            )
        return values


def fitting(*, value_bits: int, cohort_max: int, scored: bool) -> SharesParameters:
    """Return the parameters that carry the most values in a word.

    Args:
        scored: whether norms or dot products will be asked for; then it is one.

    Raises:
        UnsafeParameters: not even one value fits.
    """
    width = fields.width_of((1 << (value_bits - 1)) - 1, cohort_max)
    most = 1 if scored else min(MOST_PER_WORD, WORD_BITS // width)
    return SharesParameters(value_bits, cohort_max, max(1, most))


def values_of(block: Words) -> Words:
    """Return the words of a block that belong to values, shape (…, leaves, 1020); a view."""
    return block[..., :VALUE_WORDS]


def block_of(words: Words, blinding: Words, out: Words | None = None) -> Words:
    """Return a block of words that belong to values, and of others that blind its leaves.

    Args:
        words: shape (m,), in the order of their chunk.
        blinding: shape (leaves, 4).
        out: a block of that many leaves to write over; a new one by default.
    """
    block = room_for((len(blinding), WORDS_PER_LEAF), out)
    full, rest = divmod(words.size, VALUE_WORDS)
    block[:full, :VALUE_WORDS] = words[: full * VALUE_WORDS].reshape(full, VALUE_WORDS)
    if rest:
        block[full, :rest] = words[full * VALUE_WORDS :]
        block[full, rest:VALUE_WORDS] = 0
    block[:, VALUE_WORDS:] = blinding
    return block


def flat(block: Words, count: int) -> Words:
    """Return the first `count` words of a block that belong to values, shape (count,)."""
    return values_of(block).reshape(-1)[:count]


def room_for(shape: tuple[int, ...], out: Words | None) -> Words:
    """Return `out` if it has this shape, else a new array."""
    # New memory costs more than what is done to it.
    return out if out is not None and out.shape == shape else np.empty(shape, np.uint64)


def clear_tail(block: Words, count: int) -> None:
    """Put zero in the places after a block's `count` words that belong to values."""
    rest = count % VALUE_WORDS
    if rest:
        block[-1, rest:VALUE_WORDS] = 0


def block_root(chunk: int, block: Words) -> bytes:
    """Return the Merkle root of one chunk of one component, shape (leaves, 1024)."""
    return chunk_root(chunk, block.reshape(1, 1, -1), WORDS_PER_LEAF)


def _require_seat(seat: int) -> None:
    if not 0 <= seat < SEATS:
        raise MalformedMessage(f"there is no seat {seat} among {SEATS}")
