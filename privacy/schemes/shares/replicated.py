"""Products of what nobody can open: squared norms and dot products, of which one number opens.

With x = x0 + x1 + x2 and y likewise, modulo 2^64, and seat j holding components j and j + 1,

    ⟨x, y⟩ = sum over seats j of  ⟨x_j, y_j⟩ + ⟨x_j, y_(j+1)⟩ + ⟨x_(j+1), y_j⟩

since each of the nine products of components is in one seat's reach, and taken once. So each
seat has, without a word to the others, a number of which the three add up to the product. It
depends on the seat's components, so before it leaves it gets a share of zero added: every two
seats have a secret in common, and each adds what one secret gives and takes off what the other
does. What a seat then shows is uniform but for the sum of all three.

Numbers are exact as long as the true product is within ±2^63; what a dishonest site does
beyond that is the business of `norm_bound`. A seat that adds an error shifts the product by
it, unnoticed here: products are semi-honest.

Source: Araki, Furukawa, Lindell, Nof, Ohara, "High-Throughput Semi-Honest Secure Three-Party
Computation with an Honest Majority", CCS 2016, section 2 (here with the sum of three words).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from privacy.errors import MalformedMessage, NotYet, UnsafeParameters
from privacy.schemes.keystream import SECRET_BYTES, UpdateContext, Use, WordStream, derive_key

from .layout import SEATS, WORD_BITS, SharesParameters, Words, held_by, values_of
from .seat_sum import Blocks

_RING: Final = 1 << WORD_BITS


class ProductShare:
    """One seat's share of one product, chunk by chunk, in any order.

    Raises:
        UnsafeParameters: several values in a word; their product is none of values.
    """

    def __init__(self, parameters: SharesParameters) -> None:
        if not parameters.scored:
            raise UnsafeParameters(
                f"{parameters.values_per_word} values in a word have no norm; plan one"
            )
        self._total = 0

    def add_square(self, blocks: Blocks) -> None:
        """Add one chunk's part of ⟨x, x⟩."""
        first, second = (values_of(block) for block in blocks)
        self._add(_dot(first, first) + 2 * _dot(first, second))

    def add_product(self, blocks: Blocks, others: Blocks) -> None:
        """Add one chunk's part of ⟨x, y⟩: of an update, and of the shared sum, for instance."""
        first, second = (values_of(block) for block in blocks)
        other_first, other_second = (values_of(block) for block in others)
        self._add(_dot(first + second, other_first) + _dot(first, other_second))

    def masked(self, zero: int) -> int:
        """Return what this seat may show: its share with a share of zero added."""
        return (self._total + zero) % _RING

    def _add(self, part: int) -> None:
        self._total = (self._total + part) % _RING


@dataclass(frozen=True, slots=True)
class PairSecrets:
    """The two secrets that a seat has in common with one other seat each.

    Secret c is held by the same two seats as component c.
    """

    seat: int
    secrets: tuple[bytes, bytes] = field(repr=False)

    def __post_init__(self) -> None:
        held_by(self.seat)
        if any(len(secret) != SECRET_BYTES for secret in self.secrets):
            raise MalformedMessage(f"a pair's secret has {SECRET_BYTES} bytes")


def zero_shares(pairs: PairSecrets, context: UpdateContext, question: str, count: int = 1) -> Words:
    """Return a seat's shares of `count` zeros for one question about one update, shape (count,).

    A question has a name of its own and is answered once: under the same name two answers
    would differ by what they should hide.
    """
    first, second = (
        WordStream(derive_key(secret, Use.ZERO_SHARE, *context.fields(), question.encode()))
        for secret in pairs.secrets
    )
    return first.words(0, (count,)) - second.words(0, (count,))


def open_product(shares: Sequence[int]) -> int:
    """Return the product of which three seats show a share each, between -2^63 and 2^63 - 1.

    Raises:
        NotYet: not the shares of three seats; unlike a sum, a product needs all of them.
    """
    if len(shares) != SEATS:
        raise NotYet(f"{len(shares)} seats have shown their share of a product, {SEATS} are needed")
    return signed(sum(shares))


def signed(word: int) -> int:
    """Return the representative of a residue modulo 2^64 between -2^63 and 2^63 - 1."""
    half = _RING // 2
    return (word + half) % _RING - half


def _dot(one: Words, other: Words) -> int:
    # Unlike `dot`, einsum takes rows that do not lie side by side as they are; it wraps.
    return int(np.einsum("ij,ij->", one, other))
