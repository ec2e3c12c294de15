"""The part of a plan that says what is added, in a form a contract can open.

Encoded by Solidity's ABI (`abi.encode` of the fields below, in order), so that
a contract handed these bytes can check which modulus a disputed word belongs to.
"""

import hashlib
from dataclasses import dataclass
from typing import Final

from .errors import MalformedMessage

_WORD: Final = 32


@dataclass(frozen=True, slots=True)
class ModulusRange:
    """Chunks `first` to `end - 1` of a piece are added modulo `modulus` at `index`."""

    first: int
    end: int
    index: int
    modulus: int


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """Scheme, dimension, grid and moduli: all that addition depends on.

    Solidity: `abi.encode(bytes32 scheme, uint64 dimension, uint64 valuesPerChunk,
    uint8 fractionBits, uint8 valueBits, Range[] ranges)` with `Range` four
    `uint128` words: first, end, index, modulus. A modulus of 2^64 fits. The ranges cover
    the chunks in order; a chunk with several moduli has them one after another, from
    index 0.

    Raises:
        MalformedMessage: a size or a range that is not of this form.
    """

    scheme: str
    dimension: int
    values_per_chunk: int
    fraction_bits: int
    value_bits: int
    ranges: tuple[ModulusRange, ...]

    def __post_init__(self) -> None:
        _check(self)

    def encode(self) -> bytes:
        """Return the ABI encoding."""
        head = [self.dimension, self.values_per_chunk, self.fraction_bits, self.value_bits]
        offset = _WORD * (1 + len(head) + 1)
        tail = [len(self.ranges)]
        for each in self.ranges:
            tail += [each.first, each.end, each.index, each.modulus]
        words = [*head, offset, *tail]
        return _text(self.scheme) + b"".join(word.to_bytes(_WORD, "big") for word in words)

    def digest(self) -> bytes:
        """Return the SHA-256 of the encoding: 32 bytes."""
        return hashlib.sha256(self.encode()).digest()

    @property
    def chunks(self) -> int:
        """How many chunks one contribution has."""
        return -(-self.dimension // self.values_per_chunk)


def decode(body: bytes) -> Arithmetic:
    """Return what `body` encodes, if `body` is its one encoding.

    Raises:
        MalformedMessage: it is not.
    """
    fixed = 7
    if len(body) % _WORD or len(body) < fixed * _WORD or len(body) > 1 << 16:
        raise MalformedMessage(f"arithmetic part of the plan: {len(body)} bytes")
    words = [int.from_bytes(body[at : at + _WORD], "big") for at in range(0, len(body), _WORD)]
    rows = words[fixed:]
    scheme = body[:_WORD].rstrip(b"\0")
    if not scheme.isascii() or len(rows) % 4:
        raise MalformedMessage("arithmetic part of the plan: not its ABI encoding")
    ranges = tuple(ModulusRange(*rows[at : at + 4]) for at in range(0, len(rows), 4))
    result = Arithmetic(scheme.decode(), words[1], words[2], words[3], words[4], ranges)
    if result.encode() != body:
        raise MalformedMessage("arithmetic part of the plan: not its ABI encoding")
    return result


def _check(value: Arithmetic) -> None:
    name = value.scheme
    if not (0 < len(name) <= _WORD and name.isascii() and name.isprintable()):
        raise MalformedMessage(f"scheme name of {len(name)} characters: 1 to 32 of ASCII")
    sizes = 0 < value.dimension < 1 << 40 and 0 < value.values_per_chunk < 1 << 32
    grid = 0 <= value.fraction_bits < 64 and 2 <= value.value_bits <= 64
    if not (sizes and grid):
        raise MalformedMessage(
            f"arithmetic part of the plan: dimension {value.dimension}, "
            f"{value.values_per_chunk} values a chunk, {value.value_bits} bits"
        )
    _check_ranges(value)


def _check_ranges(value: Arithmetic) -> None:
    """Every chunk has one run of moduli, numbered from 0, and no chunk has two."""
    first = end = index = 0
    for each in value.ranges:
        if (each.first, each.end, each.index) != (first, end, index):
            first, end, index = end, each.end, 0
        if (each.first, each.index) != (first, index) or each.first >= each.end:
            raise MalformedMessage(f"moduli: a gap or an overlap at chunk {each.first}")
        if not 2 <= each.modulus <= 1 << 64:
            raise MalformedMessage(f"moduli: {each.modulus} is not in 2 to 2^64")
        index += 1
    if end != value.chunks:
        raise MalformedMessage(f"moduli: up to chunk {end}, there are {value.chunks} chunks")


def _text(value: str) -> bytes:
    return value.encode("ascii").ljust(_WORD, b"\0")
