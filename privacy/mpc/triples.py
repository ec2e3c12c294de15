"""Triples: what seats 0 and 1 need for an AND, and get from seat 2, the dealer.

A triple is a, b and c = a & b, each in two shares that XOR to it. To compute x & y from shares
the two open x ^ a and y ^ b, which are uniform to whoever lacks a share of a and b; a triple
hides one pair of values and is never used again. The dealer knows all of them, and sees
nothing that they hide: it gets no message before the answer.

Seat 0 makes its shares from what it has in common with the dealer, seat 1 its a and b
likewise; only the last share, c of seat 1, travels. It is c with seat 0's share taken off, and
so uniform to seat 1.

All three know from public sizes which triples there will be, so each is made, sent and drawn
in one order, and CrypTen gets no other.

Source: Beaver, "Efficient Multiparty Protocols Using Circuit Randomization", CRYPTO 1991,
section 3, here over bits.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, Final, NoReturn

import numpy as np

from privacy.errors import InternalError

from .foreign import Device, Shared
from .messages import Shape, Words
from .randomness import Draws, refuse

# CrypTen adds words of 64 bits by a tree over carries, of six levels.
_CARRY_LEVELS: Final = 6


def conversion(values: int) -> list[Shape]:
    """Return the triples for turning additive shares of so many values into shares of bits."""
    return [(1, values), *[(2, 1, values)] * _CARRY_LEVELS]


def conjunction(rows: int, bits: int) -> list[Shape]:
    """Return the triples for the AND of each row of a table of bits, as `halves` takes them."""
    return [(rows, half) for half in halves(bits)]


def halves(bits: int) -> Iterator[int]:
    """Yield how many pairs of bits each level of the tree joins, until one bit is left."""
    while bits > 1:
        yield bits // 2
        bits -= bits // 2


def words_of(shapes: Sequence[Shape]) -> int:
    """Return how many words the triples of these shapes have, each of a, b and c."""
    return sum(int(np.prod(shape, dtype=np.int64)) for shape in shapes)


def deal(shapes: Sequence[Shape], first: Draws, second: Draws) -> Words:
    """Return seat 1's shares of all c, one after the other; what the dealer sends.

    Args:
        shapes: of the triples, in the order of their use.
        first: words that the dealer has in common with seat 0.
        second: with seat 1.
    """
    return np.concatenate([_last_share(shape, first, second).reshape(-1) for shape in shapes])


def _last_share(shape: Shape, first: Draws, second: Draws) -> Words:
    a0, b0, c0 = first.take((3, *shape))
    a1, b1 = second.take((2, *shape))
    share: Words = (a0 ^ a1) & (b0 ^ b1) ^ c0
    return share


class Triples:
    """The triples of one seat, 0 or 1, in the order in which they are drawn.

    Each is drawn once, in the shape that was dealt; when there are none left, none are made.
    """

    def __init__(self, draws: Draws) -> None:
        self._draws = draws
        self._shapes: list[Shape] = []
        self._products: Words | None = None

    def expect(self, shapes: Sequence[Shape], products: Words | None) -> None:
        """Make ready what is dealt next.

        Args:
            products: what the dealer sent to seat 1; none at seat 0, which makes its own.

        Raises:
            InternalError: some that were dealt before have not been drawn.
        """
        self.require_spent()
        self._shapes, self._products = list(shapes), products

    def draw(self, shape: Shape) -> tuple[Words, Words, Words]:
        """Return the next a, b and c.

        Raises:
            InternalError: there are none left, or the next has another shape.
        """
        if not self._shapes or self._shapes[0] != shape:
            raise InternalError(
                f"a triple of shape {shape} was asked for; {len(self._shapes)} are left"
                + (f", the next of shape {self._shapes[0]}" if self._shapes else "")
            )
        self._shapes.pop(0)
        if self._products is None:
            a, b, c = self._draws.take((3, *shape))
            return a, b, c
        a, b = self._draws.take((2, *shape))
        return a, b, self._next_product(shape)

    def require_spent(self) -> None:
        """Return if all that were dealt have been drawn.

        Raises:
            InternalError: some have not; the computation was not the one that was planned.
        """
        if self._shapes:
            raise InternalError(f"{len(self._shapes)} triples were dealt and not drawn")

    def _next_product(self, shape: Shape) -> Words:
        assert self._products is not None, "only seat 1 asks, which was sent them"
        count = words_of([shape])
        product, self._products = self._products[:count], self._products[count:]
        return product.reshape(shape)


class TripleProvider:
    """CrypTen's provider of triples, as one that has some and makes none.

    It is mixed into CrypTen's own base class, which is known only once CrypTen has loaded.
    """

    NAME: ClassVar = "veilsum"

    def __init__(self, triples: Triples, shared: Callable[[Words], Shared]) -> None:
        super().__init__()
        self._triples, self._shared = triples, shared

    def generate_binary_triple(
        self, size0: Shape, size1: Shape, device: Device = None
    ) -> tuple[Shared, ...]:
        """Return shares of a, b and c = a & b, of one shape.

        Raises:
            InternalError: of two shapes, on another device, or not what was dealt next.
        """
        if tuple(size0) != tuple(size1) or device is None or device.type != "cpu":
            raise InternalError(f"a triple of shapes {tuple(size0)}, {tuple(size1)} on {device}")
        return tuple(map(self._shared, self._triples.draw(tuple(size0))))

    generate_additive_triple = square = wrap_rng = B2A_rng = refuse


class Providers(dict[str, Any]):
    """CrypTen's table of providers, with one in it."""

    def __missing__(self, name: str) -> NoReturn:
        raise InternalError(f"triples come from the dealer, and not from CrypTen's {name}")
