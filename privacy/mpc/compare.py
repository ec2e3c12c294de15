"""Two questions about values that three seats hold in shares, of which only the answer opens.

`within` tells of each site whether all its values are in their range: one bit a site, so that
nobody learns by how much, or which one was not. `rounded` opens values without their low bits.
Every seat calls the same function with its own share, at the same time. Which questions may be
asked, and how often, is for the caller to keep: bounds that change from one to the next would
find a value by halves, and each rounding to a smaller step opens more of it. **A seat that adds
to its share moves the bound by itself**, so the same question asked again is another one:
`Seat.before_shares` is there to count.

Values are residues modulo 2^64, read as numbers from -2^63 to 2^63 - 1. CrypTen turns additive
shares into shares of the bits, of which the highest is the sign: v is within 0..largest if
neither v nor largest - v is negative. Nothing wraps there, since v >= 0 is asked as well.

Seats are semi-honest; what each sees, and why that is uniform, is said in `answering` and
`triples`, and tested in `tests/privacy/mpc/test_views.py`. That the answers are those of
`NormBound.accepts` is tested in `tests/privacy/mpc/test_compare.py`.

Source: Knott, Venkataraman, Hannun, Sengupta, Ibrahim, van der Maaten, "CrypTen: Secure
Multi-Party Computation Meets Machine Learning", NeurIPS 2021, section 5.2 (conversion, sign).
"""

from dataclasses import dataclass, field
from types import ModuleType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from privacy.errors import InternalError, UnsafeParameters
from privacy.signing import transcript

from .answering import VALUES_TOGETHER, answer
from .foreign import Shared
from .link import Seat
from .messages import Shape, Words
from .triples import conjunction, conversion, halves

_SIGN_BIT: Final = 63
_WORD_BYTES: Final = 8


def within(seat: Seat, question: bytes, shares: Words, largest: Words) -> NDArray[np.bool_]:
    """Return for each site whether all of its values are within 0..largest; nothing else opens.

    Args:
        question: what the values are and of which round; all three seats give the same.
        shares: shape (sites, m), this seat's share of each value.
        largest: shape (m,), below 2^63.

    Returns:
        Shape (sites,), the same at all seats.

    Raises:
        UnsafeParameters: a bound that is not below 2^63, or more than 2^12 values a site.
        MalformedMessage, SeatsDisagree, NotYet: see `answer`.
    """
    circuit = Within(len(shares), largest)
    return answer(seat, question, circuit, shares).astype(np.bool_)


def rounded(seat: Seat, question: bytes, shares: Words, step_bits: int) -> NDArray[np.int64]:
    """Return floor((v + 2^(step_bits - 1)) / 2^step_bits) of each value; lower bits stay shut.

    Exact for values below 2^63 - 2^(step_bits - 1).

    Args:
        question: what the values are and of which round; all three seats give the same.
        shares: shape (k,), this seat's share of each value.
        step_bits: 1 to 62; values are rounded to multiples of 2^step_bits.

    Returns:
        Shape (k,), the same at all seats: how many such steps.

    Raises:
        UnsafeParameters: `step_bits` would open all bits, or none that mean anything.
        MalformedMessage, SeatsDisagree, NotYet: see `answer`.
    """
    circuit = Rounded(len(shares), step_bits)
    return answer(seat, question, circuit, shares).view(np.int64)


@dataclass(frozen=True, slots=True)
class Within:
    """Of each row of m values: is each within 0 and its largest?"""

    sites: int
    largest: Words = field(repr=False)

    def __post_init__(self) -> None:
        if self.largest.ndim != 1 or self.largest.dtype != np.uint64:
            raise InternalError("bounds are a vector of unsigned words")
        if not 1 <= self.largest.size <= VALUES_TOGETHER // 2:
            raise UnsafeParameters(
                f"{self.largest.size} values of a site are outside 1..{VALUES_TOGETHER // 2}"
            )
        if np.any(self.largest >> np.uint64(_SIGN_BIT)):
            raise UnsafeParameters("a bound of 2^63 or more holds for no number of 64 bits")

    @property
    def name(self) -> bytes:
        """The sizes and the bounds."""
        bounds = self.largest.astype(">u8").tobytes()
        return transcript("veilsum/mpc-within/1", _number(self.sites), bounds)

    @property
    def shape(self) -> Shape:
        """A row a site."""
        return self.sites, self.largest.size

    @property
    def values_per_row(self) -> int:
        """Each value, and its distance from the largest."""
        return 2 * self.largest.size

    def triples(self, rows: int) -> list[Shape]:
        """Return those of the conversion, then those of the tree of ANDs."""
        columns = self.values_per_row
        return [*conversion(rows * columns), *conjunction(rows, columns)]

    def compute(self, crypten: ModuleType, seat: int, rows: Words) -> Words:
        """Return 1 for each row that is within, 0 for others."""
        # Of a public number the first seat has all, the other nothing.
        above = (self.largest if seat == 0 else np.zeros_like(self.largest)) - rows
        signed = np.concatenate([rows, above], axis=1)
        bits = _bits(crypten, signed.reshape(-1)).reshape(signed.shape)
        fine = (~bits >> _SIGN_BIT) & 1
        return _opened(_all_of(crypten, fine) & 1).reshape(-1)


@dataclass(frozen=True, slots=True)
class Rounded:
    """Of each value: how many steps of 2^step_bits, to the nearest."""

    values: int
    step_bits: int

    def __post_init__(self) -> None:
        if not 1 <= self.step_bits < _SIGN_BIT:
            raise UnsafeParameters(f"rounding away {self.step_bits} bits; 1 to 62 can be")

    @property
    def name(self) -> bytes:
        """The sizes."""
        sizes = _number(self.values), _number(self.step_bits)
        return transcript("veilsum/mpc-rounded/1", *sizes)

    @property
    def shape(self) -> Shape:
        """A value a row."""
        return (self.values,)

    @property
    def values_per_row(self) -> int:
        """One."""
        return 1

    def triples(self, rows: int) -> list[Shape]:
        """Return those of the conversion."""
        return conversion(rows)

    def compute(self, crypten: ModuleType, seat: int, rows: Words) -> Words:
        """Return the opened steps, as residues modulo 2^64."""
        half = np.uint64(1 << (self.step_bits - 1) if seat == 0 else 0)
        # Shares of bits are shifted before they are shown; the sign fills what is empty.
        return _opened(_bits(crypten, rows + half) >> self.step_bits)


def _bits(crypten: ModuleType, shares: Words) -> Shared:
    """Return shares of the bits of values, from one of two additive shares of them.

    Args:
        shares: shape (k,).
    """
    primitives = crypten.mpc.primitives
    tensor = crypten.torch.from_numpy(shares.view(np.int64))
    additive = primitives.ArithmeticSharedTensor.from_shares(tensor, precision=0)
    return primitives.converters.convert(additive, crypten.mpc.binary)


def _all_of(crypten: ModuleType, bits: Shared) -> Shared:
    """Return the AND of each row of a table of shared bits, shape (rows, 1)."""
    join = crypten.torch.cat
    tensors = crypten.mpc.primitives.BinarySharedTensor
    for half in halves(bits.size(1)):
        both = bits[:, :half] & bits[:, half : 2 * half]
        left_over = bits[:, 2 * half :]
        bits = tensors.from_shares(join([both.share, left_over.share], dim=1), precision=0)
    return bits


def _opened(bits: Shared) -> Words:
    words: Words = bits.reveal().numpy().view(np.uint64)
    return words


def _number(number: int) -> bytes:
    return number.to_bytes(_WORD_BYTES, "big")
