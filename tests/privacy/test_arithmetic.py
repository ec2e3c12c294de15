"""The arithmetic part is what Solidity's ABI makes of it, and has one form."""

from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest
from eth_abi import encode as abi_encode
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy.arithmetic import Arithmetic, ModulusRange, decode
from privacy.errors import MalformedMessage
from tests.privacy.example_round import ARITHMETIC

TYPES = (
    "bytes32",
    "uint64",
    "uint64",
    "uint8",
    "uint8",
    "(uint128,uint128,uint128,uint128)[]",
)
PRIME = 0xFFFFFFFFFFFC001


def by_abi(value: Arithmetic) -> bytes:
    """The encoding by eth_abi, which knows nothing of ours."""
    rows = [(each.first, each.end, each.index, each.modulus) for each in value.ranges]
    return abi_encode(
        TYPES,
        (
            value.scheme.encode().ljust(32, b"\0"),
            value.dimension,
            value.values_per_chunk,
            value.fraction_bits,
            value.value_bits,
            rows,
        ),
    )


@st.composite
def arithmetics(draw: st.DrawFn) -> Arithmetic:
    """Any value that a plan could carry: several runs of chunks, several moduli each."""
    per_chunk = draw(st.integers(1, 2**20))
    lengths = draw(st.lists(st.integers(1, 50), min_size=1, max_size=4))
    chunks = sum(lengths)
    dimension = draw(st.integers((chunks - 1) * per_chunk + 1, chunks * per_chunk))
    ranges, at = [], 0
    for length in lengths:
        for index in range(draw(st.integers(1, 3))):
            modulus = draw(st.integers(2, 2**64))
            ranges.append(ModulusRange(at, at + length, index, modulus))
        at += length
    return Arithmetic(
        scheme=draw(st.text("abcdefghijklmnop/0123456789", min_size=1, max_size=32)),
        dimension=dimension,
        values_per_chunk=per_chunk,
        fraction_bits=draw(st.integers(0, 63)),
        value_bits=draw(st.integers(2, 64)),
        ranges=tuple(ranges),
    )


@given(arithmetics())
@settings(deadline=None, max_examples=150)
def test_it_is_the_abi_encoding_and_comes_back(value: Arithmetic) -> None:
    """A contract opens it with `abi.decode`."""
    body = value.encode()

    assert body == by_abi(value)
    assert decode(body) == value
    assert value.digest() == sha256(by_abi(value)).digest()


@given(arithmetics(), st.data())
@settings(deadline=None, max_examples=200)
def test_a_flipped_bit_is_refused_or_another_value(value: Arithmetic, data: st.DataObject) -> None:
    """No two byte strings mean the same."""
    body = bytearray(value.encode())
    bit = data.draw(st.integers(0, 8 * len(body) - 1))
    body[bit // 8] ^= 1 << bit % 8

    try:
        read = decode(bytes(body))
    except MalformedMessage:
        return
    assert read != value
    assert read.encode() == bytes(body)


@given(
    st.binary(max_size=700)
    | st.lists(st.integers(0, 9), max_size=24).map(
        lambda words: b"".join(word.to_bytes(32, "big") for word in words)
    )
)
@settings(deadline=None, max_examples=200)
def test_any_bytes_are_refused_or_the_one_encoding(body: bytes) -> None:
    """Nothing else comes out, whatever comes in."""
    try:
        read = decode(body)
    except MalformedMessage:
        return
    assert read.encode() == body


def words(**changes: int) -> bytes:
    """The example's encoding with some 32-byte words replaced, by their index as `w5`."""
    body = bytearray(ARITHMETIC.encode())
    for name, value in changes.items():
        at = 32 * int(name[1:])
        body[at : at + 32] = value.to_bytes(32, "big")
    return bytes(body)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        ARITHMETIC.encode()[:-1],
        ARITHMETIC.encode()[:-32],
        ARITHMETIC.encode() + bytes(1),
        ARITHMETIC.encode() + bytes(32),
        ARITHMETIC.encode() + bytes(128),
        bytes(1 << 17),
        words(w0=0),
        words(w0=1),
        words(w0=0xFF << 248),
        words(w1=0),
        words(w1=1 << 40),
        words(w1=1 << 255),
        words(w2=0),
        words(w2=1 << 32),
        words(w3=64),
        words(w4=1),
        words(w4=65),
        words(w5=191),
        words(w5=224),
        words(w6=0),
        words(w6=2),
        words(w6=1 << 200),
        words(w7=1),
        words(w8=3),
        words(w8=5),
        words(w9=1),
        words(w10=0),
        words(w10=1),
        words(w10=(1 << 64) + 1),
        words(w10=1 << 128),
    ],
)
def test_what_is_not_the_form_is_refused(body: bytes) -> None:
    """Lengths, the offset, every limit of every word."""
    with pytest.raises(MalformedMessage):
        decode(body)


def ranged(*rows: tuple[int, int, int]) -> dict[str, Any]:
    """Ranges over (first, end, index)."""
    return {"ranges": tuple(ModulusRange(*row, PRIME) for row in rows)}


@pytest.mark.parametrize(
    "changes",
    [
        ranged((0, 4, 0)),
        ranged((0, 4, 0), (0, 4, 1)),
        ranged((0, 1, 0), (1, 4, 0), (1, 4, 1)),
        {"ranges": (ModulusRange(0, 4, 0, 1 << 64),)},
        {"dimension": 3 * 4096 + 1},
        {"dimension": 4 * 4096},
    ],
)
def test_ranges_that_cover_the_chunks_in_order_are_taken(changes: dict[str, Any]) -> None:
    """One modulus or several, the same for all chunks or not."""
    value = replace(ARITHMETIC, **changes)

    assert decode(value.encode()) == value
    assert value.chunks == 4


@pytest.mark.parametrize(
    "changes",
    [
        ranged(),
        ranged((1, 4, 0)),
        ranged((0, 3, 0)),
        ranged((0, 5, 0)),
        ranged((0, 4, 1)),
        ranged((999, 4, 1)),
        ranged((0, 4, 7)),
        ranged((0, 0, 0), (0, 4, 0)),
        ranged((0, 4, 0), (4, 4, 0)),
        ranged((0, 4, 0), (0, 4, 0)),
        ranged((0, 4, 0), (0, 4, 2)),
        ranged((0, 4, 0), (0, 3, 1)),
        ranged((0, 4, 0), (9, 4, 1)),
        ranged((0, 2, 0), (1, 4, 0)),
        ranged((0, 2, 0), (3, 4, 0)),
        ranged((0, 2, 0), (2, 4, 1)),
        ranged((2, 4, 0), (0, 2, 0)),
        ranged((0, 5, 0), (5, 4, 0)),
        {"ranges": (ModulusRange(0, 4, 0, 0),)},
        {"ranges": (ModulusRange(0, 4, 0, (1 << 64) + 1),)},
        {"dimension": 0},
        {"dimension": 5 * 4096},
        {"values_per_chunk": 0},
        {"fraction_bits": -1},
        {"fraction_bits": 64},
        {"value_bits": 1},
        {"value_bits": 65},
    ],
)
def test_a_gap_an_overlap_or_a_size_out_of_range_is_refused(changes: dict[str, Any]) -> None:
    """In a dispute each word must have one modulus; no value says otherwise."""
    with pytest.raises(MalformedMessage):
        replace(ARITHMETIC, **changes)


@pytest.mark.parametrize("scheme", ["", "x" * 33, "ckks\0", "ckks/é", "a\nb"])
def test_a_scheme_that_is_no_name_of_one_word_is_refused(scheme: str) -> None:
    """Truncated, two schemes would be one."""
    with pytest.raises(MalformedMessage, match="scheme name"):
        replace(ARITHMETIC, scheme=scheme)
