"""Solidity's ABI, as far as commits and proofs are made of it: encoding only.

A tuple is a head and tails: what has a fixed length stands in the head, what has not stands in a
tail, and the head says where. `Tail` marks the second kind; everything else is whole words.

Source: Solidity 0.8, Contract ABI Specification, "Formal Specification of the Encoding".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

WORD: Final = 32


@dataclass(frozen=True, slots=True)
class Tail:
    """The encoding of a value of no fixed length."""

    body: bytes


def uint(number: int) -> bytes:
    """Return an unsigned integer: 32 bytes."""
    return number.to_bytes(WORD, "big")


def blob(body: bytes) -> Tail:
    """Return `bytes`: their length, and zeros up to a whole word."""
    return Tail(uint(len(body)) + body + bytes(-len(body) % WORD))


def array(words: Sequence[bytes]) -> Tail:
    """Return an array of values that have one fixed length each."""
    return Tail(uint(len(words)) + b"".join(words))


def struct(*parts: bytes | Tail) -> Tail:
    """Return a tuple, one of whose parts at least has no fixed length."""
    head_bytes = sum(WORD if isinstance(part, Tail) else len(part) for part in parts)
    head, tails = b"", b""
    for part in parts:
        if isinstance(part, Tail):
            head += uint(head_bytes + len(tails))
            tails += part.body
        else:
            head += part
    return Tail(head + tails)


def encode(value: Tail) -> bytes:
    """Return what `abi.encode` makes of one value of no fixed length."""
    return uint(WORD) + value.body
