"""The container has one encoding for each value, and takes nothing but what was asked for."""

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy.errors import MalformedMessage, UnsafeParameters
from privacy.limbs import PUBLIC_KEY, Layout, decode_chunk, encode_chunk, pack, unpack

MODULUS = 0xFFFFFFFFFFFC001
LAYOUT = Layout(degree=16, moduli=(MODULUS, 97))
COUNT = 3


def words(seed: int = 0, layout: Layout = LAYOUT, count: int = COUNT) -> np.ndarray:
    draw = np.random.default_rng(seed)
    shape = (count, layout.polynomials, layout.degree)
    return np.stack([draw.integers(0, q, shape, np.uint64) for q in layout.moduli], axis=2)


PAYLOAD = encode_chunk(LAYOUT, 7, words())


@given(st.integers(1, 63), st.lists(st.integers(0, 2**63 - 1), max_size=150))
@settings(deadline=None, max_examples=150)
def test_packing_is_the_integer_of_all_words_side_by_side(width: int, raw: list[int]) -> None:
    """Checked against Python's long integers, for every width."""
    values = [value & ((1 << width) - 1) for value in raw]

    packed = pack(np.array(values, np.uint64), width)

    number = sum(value << at * width for at, value in enumerate(values))
    assert packed == number.to_bytes(-(-len(values) * width // 8), "little")
    assert unpack(packed, len(values), width).tolist() == values


@pytest.mark.parametrize("width", range(1, 64))
@pytest.mark.parametrize("count", [1, 7, 64, 131, 1000])
def test_every_width_carries_full_words(width: int, count: int) -> None:
    """All bits set, and any bits set, at every place a word can start in a byte."""
    full = np.full(count, (1 << width) - 1, np.uint64)
    mixed = np.random.default_rng(width).integers(0, 1 << width, count, np.uint64)

    for words_in in (full, mixed):
        packed = pack(words_in, width)

        number = sum(value << at * width for at, value in enumerate(words_in.tolist()))
        assert packed == number.to_bytes(-(-count * width // 8), "little")
        assert np.array_equal(unpack(packed, count, width), words_in)


def test_sixty_bits_take_seven_bytes_and_a_half() -> None:
    """The price of a residue on the wire."""
    assert len(pack(np.zeros(4096, np.uint64), 60)) == 30_720


def test_bits_after_the_last_word_must_be_zero() -> None:
    """Otherwise two byte strings would decode to one value."""
    packed = bytearray(pack(np.array([1, 2, 3], np.uint64), 5))
    packed[-1] |= 0x80

    with pytest.raises(MalformedMessage, match="1 bits after"):
        unpack(bytes(packed), 3, 5)


@pytest.mark.parametrize("length", [0, 1, 3])
def test_another_length_is_not_unpacked(length: int) -> None:
    """Three words of five bits take two bytes."""
    with pytest.raises(MalformedMessage):
        unpack(bytes(length), 3, 5)


@given(st.integers(0, 2**32), st.integers(1, 5), st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=40)
def test_what_is_encoded_decodes_to_itself(seed: int, count: int, chunk: int) -> None:
    """In both directions: one value, one encoding."""
    value = words(seed, count=count)

    payload = encode_chunk(LAYOUT, chunk, value)

    decoded = decode_chunk(LAYOUT, chunk, count, payload)
    assert np.array_equal(decoded, value)
    assert encode_chunk(LAYOUT, chunk, decoded) == payload
    assert len(payload) == LAYOUT.chunk_bytes(count)


@pytest.mark.parametrize(
    "moduli",
    [(MODULUS,), (MODULUS, 97), (97, MODULUS, (1 << 50) - 27), ((1 << 63) - 25, 3, 1 << 32)],
    ids=len,
)
@pytest.mark.parametrize("degree", [8, 16, 512])
def test_residues_follow_each_other_whatever_the_moduli(
    moduli: tuple[int, ...], degree: int
) -> None:
    """Ciphertext by ciphertext, polynomial by polynomial, modulus by modulus, to the bit.

    Checked against Python's long integers, run by run.
    """
    layout = Layout(degree, moduli, polynomials=3)
    value = words(degree, layout, 2)

    payload = encode_chunk(layout, 9, value)

    runs = [
        sum(int(word) << at * q.bit_length() for at, word in enumerate(run)).to_bytes(
            degree * q.bit_length() // 8, "little"
        )
        for ciphertext in value
        for polynomial in ciphertext
        for run, q in zip(polynomial, moduli, strict=True)
    ]
    assert payload == layout.header(9, 2) + b"".join(runs)
    assert np.array_equal(decode_chunk(layout, 9, 2, payload), value)


def test_an_array_may_be_written_over_again_and_again() -> None:
    """Whoever adds many contributions decodes all of them into one array."""
    array = np.full(LAYOUT.shape(COUNT), 2**64 - 1, np.uint64)

    for seed in range(3):
        decoded = decode_chunk(LAYOUT, 7, COUNT, encode_chunk(LAYOUT, 7, words(seed)), array)

        assert decoded is array
        assert np.array_equal(array, words(seed))


def test_what_is_decoded_into_an_array_is_checked_as_ever() -> None:
    """Also where an earlier container has left residues that are canonical."""
    array = words()
    changed = bytearray(PAYLOAD)
    changed[LAYOUT.header_bytes : LAYOUT.header_bytes + 8] = b"\xff" * 8

    with pytest.raises(MalformedMessage, match="not below"):
        decode_chunk(LAYOUT, 7, COUNT, bytes(changed), array)
    with pytest.raises(MalformedMessage, match="bytes, expected"):
        decode_chunk(LAYOUT, 7, COUNT, PAYLOAD[:-1], array)


@given(st.integers(0, 8 * len(PAYLOAD) - 1))
@settings(deadline=None, max_examples=300)
def test_one_flipped_bit_is_refused_or_is_another_value(bit: int) -> None:
    """No byte of the container is ignored."""
    changed = bytearray(PAYLOAD)
    changed[bit // 8] ^= 1 << bit % 8

    try:
        decoded = decode_chunk(LAYOUT, 7, COUNT, bytes(changed))
    except MalformedMessage:
        return

    assert bit // 8 >= LAYOUT.header_bytes
    assert encode_chunk(LAYOUT, 7, decoded) == bytes(changed)


@given(st.binary(max_size=2 * len(PAYLOAD)))
@settings(deadline=None, max_examples=200)
def test_any_other_bytes_are_refused_with_the_one_error(payload: bytes) -> None:
    """A peer's bytes cause no other exception."""
    with pytest.raises(MalformedMessage):
        decode_chunk(LAYOUT, 7, COUNT, payload)


@pytest.mark.parametrize(
    ("at", "form", "value", "name"),
    [
        (0, ">4s", b"VSPK", "marker"),
        (4, ">H", 2, "version"),
        (6, ">I", 32, "degree"),
        (10, ">B", 3, "number of polynomials"),
        (11, ">B", 1, "number of moduli"),
        (12, ">H", 1, "level"),
        (14, ">I", 8, "chunk index"),
        (18, ">I", 2, "number of ciphertexts"),
        (22, ">Q", 97, "moduli"),
    ],
)
def test_each_field_of_the_header_is_checked(at: int, form: str, value: object, name: str) -> None:
    """And the error says which one is wrong."""
    changed = bytearray(PAYLOAD)
    struct.pack_into(form, changed, at, value)

    with pytest.raises(MalformedMessage, match=name):
        decode_chunk(LAYOUT, 7, COUNT, bytes(changed))


@pytest.mark.parametrize("payload", [b"", PAYLOAD[:-1], PAYLOAD + b"\0", PAYLOAD[:20]])
def test_another_length_is_refused(payload: bytes) -> None:
    """Before anything is allocated."""
    with pytest.raises(MalformedMessage, match="bytes, expected"):
        decode_chunk(LAYOUT, 7, COUNT, payload)


@pytest.mark.parametrize("excess", [0, 1, 30])
def test_a_residue_that_is_not_below_its_modulus_is_refused(excess: int) -> None:
    """97 to 127 fit in the seven bits of a residue modulo 97."""
    layout = Layout(16, (97,))
    run = np.zeros(2 * 16, np.uint64)
    run[5] = 97 + excess

    with pytest.raises(MalformedMessage, match="not below"):
        decode_chunk(layout, 0, 1, layout.header(0, 1) + pack(run, 7))
    with pytest.raises(MalformedMessage, match="not below"):
        encode_chunk(layout, 0, run.reshape(1, 2, 1, 16))


@pytest.mark.parametrize("shape", [(0, 2, 2, 16), (1, 2, 1, 16), (1, 2, 2, 8), (2, 2, 16)])
def test_words_of_another_shape_are_not_encoded(shape: tuple[int, ...]) -> None:
    """The layout says how many there are of each."""
    with pytest.raises(MalformedMessage, match="shape"):
        encode_chunk(LAYOUT, 0, np.zeros(shape, np.uint64))


def test_a_public_key_is_not_a_ciphertext() -> None:
    """They differ in their marker only, and that is enough."""
    key = Layout(16, LAYOUT.moduli, marker=PUBLIC_KEY)

    with pytest.raises(MalformedMessage, match="marker"):
        decode_chunk(key, 7, COUNT, PAYLOAD)


def test_the_header_of_one_modulus_has_thirty_bytes() -> None:
    """It is part of the price of a chunk."""
    assert Layout(4096, (0xFFFFFFFFFFFC001,)).header_bytes == 30


@pytest.mark.parametrize(
    ("degree", "moduli"), [(0, (97,)), (12, (97,)), (16, ()), (16, (1,)), (16, (1 << 63,))]
)
def test_a_layout_that_cannot_be_packed_is_refused(degree: int, moduli: tuple[int, ...]) -> None:
    """Runs end on whole bytes, and a residue fits in 63 bits."""
    with pytest.raises(UnsafeParameters):
        Layout(degree, moduli)
