"""CKKS through TenSEAL: making and checking cohort keys, encrypting, and opening sums.

The only door to TenSEAL, and only its `sealapi`, which allows one 60-bit prime and no
key-switching prime. Who holds what: a participant the public key (`CkksProtector`), an
opener the secret (`CkksRevealer`), the coordinator neither (`ckks_sum.CkksCombiner`, in a
file that imports none of this).

Hidden from everybody without the secret: each update. Hidden from openers: single updates,
as long as they see sums only; an opener who also obtains one site's ciphertext opens it. In
what openers open, each of the cohort's contributions is there exactly once: masks (`masks`)
keep every other combination of its ciphertexts shut. Not protected here: who has the public key
can add what it encrypts itself, and a ciphertext made under another key cannot be told apart
before opening.

*Randomness.* SEAL seeds its generator with 512 bits from /dev/urandom, afresh for each secret,
each public key and each encryption (seen under strace in 0.3.18); no seed is set here.

*Bytes.* sealapi saves to paths only, and compresses. Paths here are those of anonymous
memory (`memfd_create`), overwritten with zeros before it is closed; no named file ever holds
key material, though the kernel may swap memory out. Ciphertexts and keys are kept in forms of
our own. SEAL's form is taken apart, and put together again, by a prefix learned at start from
objects made under a throwaway key by the release that runs, so that what one release wrote
another opens.

*Erasure.* Arrays of secret coefficients are overwritten once used. Python's `bytes`, and what
its allocator, numpy's and TenSEAL's temporaries leave behind, cannot be: a key's true end is
that of its process, and of its round.
"""

import math
import os
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

import numpy as np
import zstandard
from numpy.typing import NDArray
from tenseal import sealapi  # type: ignore[import-untyped]

from privacy.errors import MalformedMessage, SumOffGrid, UnsafeParameters
from privacy.limbs import PUBLIC_KEY, Layout, Words, decode_chunk, encode_chunk

from . import fields, ring
from .base import Integers
from .ckks_parameters import (
    ERROR_BOUND,
    ERROR_VARIANCE,
    GUARD,
    TERNARY_VARIANCE,
    WORST_SLOT_RATIO,
    CkksParameters,
)
from .ckks_sum import CkksCombiner
from .masks import MASK_SECRET_BYTES, Mask, put_on, take_off

_SECRET: Final = struct.Struct(">4sHIQ")
_SECRET_MARKER: Final = b"VSSK"
_SECRET_VERSION: Final = 1
# One key in ten has a slot above the ratio; sixty-four in a row do not happen.
_DRAWS: Final = 64
_SEAL_HEADER_BYTES: Final = 16
_COMPRESSION_AT: Final = 5
_ZSTD: Final = 2

# An object of sealapi, which has no types.
_Native: TypeAlias = Any


@dataclass(frozen=True, slots=True)
class CohortKey:
    """One round's key pair, in our own encodings; the secret does not print."""

    public: bytes
    secret: bytes = field(repr=False)


def make_cohort_key(parameters: CkksParameters) -> CohortKey:
    """Draw a key pair, again while one of its slots is too noisy.

    Called by the opener whose turn it is, and by nobody else.

    Returns:
        A pair that `check_cohort_key` accepts.

    Raises:
        UnsafeParameters: SEAL's generator gives no usable key, so it must be broken.
    """
    seal = _Seal(parameters)
    for _ in range(_DRAWS):
        public, transformed = seal.draw_key()
        secret = ring.from_transform(transformed, parameters.modulus)
        error = _key_error(public, transformed, parameters.modulus)
        ratio = worst_slot_ratio(secret, error)
        encoded = _encode_secret(parameters, secret)
        # The error too: with the public key, it is the secret.
        for spent in (transformed, secret, error):
            spent.fill(0)
        if ratio <= WORST_SLOT_RATIO:
            return CohortKey(_encode_public(parameters, public), encoded)
    raise UnsafeParameters(f"{_DRAWS} keys in a row have a slot above {WORST_SLOT_RATIO}")


def check_cohort_key(parameters: CkksParameters, public: bytes, secret: bytes) -> None:
    """Check a pair that another opener made, before signing that it may be used.

    The secret is ternary and not sparse, pk0 + pk1·s has every coefficient within 21 and the
    variance of SEAL's error, no slot is too noisy, pk1 is no short repetition, and a chunk of
    extreme values comes back. What it cannot show is that the maker kept no copy, or drew
    pk1 and the error well: the maker is trusted with the secret anyway.

    Raises:
        MalformedMessage: not such a pair; its maker must make another one.
        UnsafeParameters: a slot's deviation is above 2.5 mean ones.
        SumOffGrid: the round trip fails.
    """
    words = _decode_public(parameters, public)
    coefficients = _decode_secret(parameters, secret)
    _require_dense(coefficients)
    transformed = ring.to_transform(coefficients, parameters.modulus)
    error = _key_error(words, transformed, parameters.modulus)
    transformed.fill(0)
    _require_small(error)
    if np.unique(words[1]).size < words.shape[1] - 2:
        raise MalformedMessage("the public key's second polynomial is not uniform")
    ratio = worst_slot_ratio(coefficients, error)
    coefficients.fill(0)
    error.fill(0)
    if ratio > WORST_SLOT_RATIO:
        raise UnsafeParameters(
            f"the key's worst slot has {ratio:.3f} mean deviations, above {WORST_SLOT_RATIO}; "
            "its maker must draw another"
        )
    _require_round_trip(parameters, public, secret)


def worst_slot_ratio(secret: Integers, error: Integers) -> float:
    """Return the worst slot's deviation over the mean one, for a key.

    Args:
        secret: shape (N,), ternary.
        error: shape (N,), pk0 + pk1·s.

    Source: the variance in `ckks_parameters`.
    """
    variance = TERNARY_VARIANCE * ring.embedding_squared(error) + ERROR_VARIANCE * (
        1 + ring.embedding_squared(secret)
    )
    mean = ERROR_VARIANCE * (2 * TERNARY_VARIANCE * secret.size + 1)
    return math.sqrt(float(variance.max()) / mean)


class CkksProtector:
    """Encrypts a site's values under the cohort's public key.

    Promises the site that nobody without the secret learns anything from the bytes but their
    number, and, by its mask, that they open as a part of its cohort's sum or not at all. Each
    call draws fresh randomness: the same values never give the same bytes.
    """

    def __init__(
        self, parameters: CkksParameters, dimension: int, public: bytes, mask: Mask
    ) -> None:
        self._parameters = parameters
        self._mask = mask
        self._geometry = parameters.geometry(dimension)
        self._seal = _Seal(parameters)
        self._encryptor = self._seal.encryptor(_decode_public(parameters, public))

    def protect(self, chunk: int, values: Integers) -> bytes:
        """Encrypt one chunk into our container.

        Args:
            chunk: index of the chunk.
            values: shape (values_in(chunk),), grid integers.

        Raises:
            UpdateOutOfRange: another shape, or a value outside the grid.
            MalformedMessage: there is no such chunk.
        """
        self._geometry.require_values(chunk, values, self._parameters.largest_value)
        per = self._parameters.values_per_ciphertext
        words = np.stack(
            [self._encrypt(values[at : at + per]) for at in range(0, values.size, per)]
        )
        put_on(self._parameters, words[:, 0, 0], self._mask.words(chunk, len(words)))
        return encode_chunk(self._parameters.layout, chunk, words)

    def _encrypt(self, values: Integers) -> Words:
        degree, per_half = self._parameters.degree, self._parameters.values_per_half
        padded = np.zeros(degree * per_half, np.int64)
        padded[: values.size] = values
        halves = fields.join(padded.reshape(per_half, degree), self._parameters.field_bits)
        slots = halves[: degree // 2] + 1j * halves[degree // 2 :]
        return self._seal.encrypt(self._encryptor, slots).reshape(2, 1, degree)


class CkksRevealer:
    """Opens sums with the cohort's secret.

    Promises the opener that what it returns has each of the cohort's contributions in it
    exactly once, and is their exact sum if nothing else was added, or an error. Whoever holds
    one can open single ciphertexts too: it belongs in the process of an opener, which is never
    given any.

    Args:
        masks: of every contribution in the cohort.
    """

    def __init__(
        self,
        parameters: CkksParameters,
        dimension: int,
        secret: bytes,
        masks: Sequence[Mask],
    ) -> None:
        self._parameters = parameters
        self._masks = tuple(masks)
        self._geometry = parameters.geometry(dimension)
        self._seal = _Seal(parameters)
        coefficients = _decode_secret(parameters, secret)
        transformed = ring.to_transform(coefficients, parameters.modulus)
        self._decryptor = self._seal.decryptor(transformed)
        coefficients.fill(0)
        transformed.fill(0)

    def reveal(self, chunk: int, total: bytes, cohort: int) -> Integers:
        """Open one chunk of the sum of `cohort` contributions.

        Returns:
            Shape (values_in(chunk),), int64, in grid steps.

        Raises:
            SumOffGrid: a slot is beyond 0.4 from an integer, or a value beyond what `cohort`
                sites can reach.
            MalformedMessage: not this chunk's container.
            UnsafeParameters: a cohort the parameters do not hold for, or another than the masks'.
        """
        self._parameters.require_cohort(cohort)
        if cohort != len(self._masks):
            raise UnsafeParameters(f"{len(self._masks)} masks for a cohort of {cohort}")
        values = self._geometry.values_in(chunk)
        count = self._parameters.ciphertexts_in(values)
        words = decode_chunk(self._parameters.layout, chunk, count, total)
        take_off(self._parameters, words[:, 0, 0], self._masks, chunk)
        opened = np.stack([self._open(ciphertext) for ciphertext in words])
        nearest = np.rint(opened)
        # Written so that a NaN, whose comparisons are all false, is refused too. How far the
        # values were is not said: it would carry noise, and with it the key, into logs.
        if not np.all(np.abs(opened - nearest) <= GUARD):
            raise _off_grid(chunk, f"a value more than {GUARD} steps from the grid")
        # No embedding is above N·q/2 over the scale, 2^51 at the smallest legal one, so any
        # half is an int64. The last field takes what the others leave, so nothing is missed.
        sums = self._split(nearest.astype(np.int64))
        if np.any(np.abs(sums) > cohort * self._parameters.largest_value):
            raise _off_grid(chunk, f"a value beyond what {cohort} sites can add up to")
        return sums[:values]

    def _split(self, halves: Integers) -> Integers:
        # Shape (ciphertexts, N) in, all values in their order out, padding at the end.
        bits, per_half = self._parameters.field_bits, self._parameters.values_per_half
        rows = fields.split(halves.reshape(-1), bits, per_half).reshape(per_half, *halves.shape)
        return rows.transpose(1, 0, 2).reshape(-1)

    def _open(self, ciphertext: Words) -> NDArray[np.float64]:
        slots = self._seal.decrypt(self._decryptor, ciphertext)
        return np.concatenate((slots.real, slots.imag))


def _off_grid(chunk: int, what: str) -> SumOffGrid:
    return SumOffGrid(
        f"chunk {chunk} of the sum has {what}: a contribution was not made under this key as "
        "the protocol asks; which one cannot be told from a sum"
    )


def _encode_public(parameters: CkksParameters, public: Words) -> bytes:
    return encode_chunk(_public_layout(parameters), 0, public[np.newaxis, :, np.newaxis, :])


def _decode_public(parameters: CkksParameters, public: bytes) -> Words:
    # Shape (2, N), in the transform's order.
    return decode_chunk(_public_layout(parameters), 0, 1, public)[0, :, 0, :]


def _public_layout(parameters: CkksParameters) -> Layout:
    return Layout(parameters.degree, (parameters.modulus,), marker=PUBLIC_KEY)


def _encode_secret(parameters: CkksParameters, secret: Integers) -> bytes:
    # Two bits a coefficient, of coefficient + 1, the first in the lowest bits.
    if np.any(np.abs(secret) > 1):
        raise MalformedMessage("the secret is not ternary")
    codes = (secret + 1).astype(np.uint8).reshape(-1, 4)
    packed = codes[:, 0] | codes[:, 1] << 2 | codes[:, 2] << 4 | codes[:, 3] << 6
    header = _SECRET.pack(_SECRET_MARKER, _SECRET_VERSION, parameters.degree, parameters.modulus)
    encoded: bytes = header + packed.tobytes()
    codes.fill(0)
    packed.fill(0)
    return encoded


def _decode_secret(parameters: CkksParameters, secret: bytes) -> Integers:
    header = _SECRET.pack(_SECRET_MARKER, _SECRET_VERSION, parameters.degree, parameters.modulus)
    if len(secret) != _SECRET.size + parameters.degree // 4 or not secret.startswith(header):
        raise MalformedMessage("not a cohort secret for these parameters")
    packed = np.frombuffer(secret, np.uint8, offset=_SECRET.size)
    codes = np.stack([packed >> shift & 3 for shift in (0, 2, 4, 6)], axis=1).reshape(-1)
    if np.any(codes == 3):
        raise MalformedMessage("the secret is not ternary")
    coefficients: Integers = codes.astype(np.int64) - 1
    codes.fill(0)
    return coefficients


def _key_error(public: Words, transformed: Words, modulus: int) -> Integers:
    # pk0 + pk1·s, which is the key's error.
    return ring.from_transform(
        ring.multiply_add(public[1], transformed, public[0], modulus), modulus
    )


def _require_dense(secret: Integers) -> None:
    # Eight deviations of a uniform ternary draw: a sparse secret is easier to find.
    nonzero, size = int(np.count_nonzero(secret)), secret.size
    if abs(nonzero - TERNARY_VARIANCE * size) > 8 * math.sqrt(size * 2 / 9):
        raise MalformedMessage("the secret is not a uniform ternary draw")


def _require_small(error: Integers) -> None:
    largest = int(np.max(np.abs(error)))
    if largest > ERROR_BOUND:
        raise MalformedMessage(
            f"pk0 + pk1·s has a coefficient above {ERROR_BOUND}: the two keys are not a pair"
        )
    # The variance of N draws is within 8 deviations of 10.5; less noise hides less.
    variance = float(np.mean(np.square(error)))
    if abs(variance - ERROR_VARIANCE) > 8 * ERROR_VARIANCE * math.sqrt(2 / error.size):
        raise MalformedMessage(f"the key's error has variance {variance:.2f}, not {ERROR_VARIANCE}")


def _require_round_trip(parameters: CkksParameters, public: bytes, secret: bytes) -> None:
    largest, size = parameters.largest_value, parameters.values_per_ciphertext
    values = np.resize(np.array([largest, -largest, 0, 1, -1, largest - 1]), size).astype(np.int64)
    # A mask that anybody knows: what travels under it is nobody's update.
    mask = Mask(parameters, bytes(MASK_SECRET_BYTES), b"round trip")
    payload = CkksProtector(parameters, size, public, mask).protect(0, values)
    total = CkksCombiner(parameters, size).combine(0, [payload])
    revealer = CkksRevealer(parameters, size, secret, (mask,))
    if not np.array_equal(revealer.reveal(0, total, 1), values):
        raise SumOffGrid("the key does not give back what was encrypted under it")


class _Seal:
    """SEAL for one set of parameters, with bytes in and out through anonymous memory.

    The prefixes of SEAL's containers are learned from a throwaway key: all that precedes the
    residues (parameter digest, transform flag, sizes, scale) is the same for every object of
    its kind, and whatever the running release puts there is put back.
    """

    def __init__(self, parameters: CkksParameters) -> None:
        self._degree = parameters.degree
        self._scale = parameters.scale
        self._context = _context(parameters)
        self._encoder = sealapi.CKKSEncoder(self._context)
        generator = sealapi.KeyGenerator(self._context)
        public = _public_of(generator)
        secret = generator.secret_key()
        ciphertext = self._encrypted(
            sealapi.Encryptor(self._context, public), np.zeros(self._degree // 2, np.complex128)
        )
        self._prefixes = {
            sealapi.PublicKey: self._learn(public, public.data(), 2),
            sealapi.SecretKey: self._learn(secret, secret.data(), 1),
            sealapi.Ciphertext: self._learn(ciphertext, ciphertext, 2),
        }

    def draw_key(self) -> tuple[Words, Words]:
        """Return a fresh key: public, shape (2, N), and secret, shape (N,), transformed."""
        generator = sealapi.KeyGenerator(self._context)
        public = self._residues(_public_of(generator), 2)
        return public, self._residues(generator.secret_key(), 1)[0]

    def encryptor(self, public: Words) -> _Native:
        """Return SEAL's encryptor under a public key of shape (2, N)."""
        return sealapi.Encryptor(self._context, self._load(sealapi.PublicKey, public))

    def decryptor(self, transformed: Words) -> _Native:
        """Return SEAL's decryptor under a transformed secret of shape (N,)."""
        return sealapi.Decryptor(self._context, self._load(sealapi.SecretKey, transformed))

    def encrypt(self, encryptor: _Native, slots: NDArray[np.complex128]) -> Words:
        """Encrypt N/2 complex slots, and return residues of shape (2, N)."""
        return self._residues(self._encrypted(encryptor, slots), 2)

    def decrypt(self, decryptor: _Native, ciphertext: Words) -> NDArray[np.complex128]:
        """Open residues of shape (2, 1, N), and return N/2 complex slots."""
        plaintext = sealapi.Plaintext()
        decryptor.decrypt(self._load(sealapi.Ciphertext, ciphertext), plaintext)
        return np.array(self._encoder.decode_complex(plaintext), np.complex128)

    def _encrypted(self, encryptor: _Native, slots: NDArray[np.complex128]) -> _Native:
        plaintext, ciphertext = sealapi.Plaintext(), sealapi.Ciphertext()
        # A list: the binding takes Python's numbers, and converts an array more slowly.
        self._encoder.encode(slots.tolist(), self._scale, plaintext)
        encryptor.encrypt(plaintext, ciphertext)
        return ciphertext

    def _learn(self, keeper: _Native, words: _Native, polynomials: int) -> tuple[bytes, bytes]:
        # The outer header, and all that stands between it and the residues.
        header, body = _saved(keeper)
        size = 8 * polynomials * self._degree
        residues = np.frombuffer(body[-size:], "<u8")
        ends = (0, residues.size - 1)
        if any(words.dyn_array().at(end) != int(residues[end]) for end in ends):
            raise UnsafeParameters("this TenSEAL release stores residues in an unknown form")
        return header, bytes(body[:-size])

    def _residues(self, keeper: _Native, polynomials: int) -> Words:
        _, body = _saved(keeper)
        flat = np.frombuffer(body, "<u8", offset=len(body) - 8 * polynomials * self._degree)
        return flat.astype(np.uint64).reshape(polynomials, self._degree)

    def _load(self, kind: _Native, words: Words) -> _Native:
        header, prefix = self._prefixes[kind]
        body = prefix + words.astype("<u8", copy=False).tobytes()
        plain = header[:_COMPRESSION_AT] + b"\x00" + header[_COMPRESSION_AT + 1 : 8]
        outer = plain + struct.pack("<Q", _SEAL_HEADER_BYTES + len(body))
        loaded = kind()
        _through_memory(lambda path: loaded.load(self._context, path), outer + body)
        return loaded


def _context(parameters: CkksParameters) -> _Native:
    chosen = sealapi.EncryptionParameters(sealapi.SCHEME_TYPE.CKKS)
    chosen.set_poly_modulus_degree(parameters.degree)
    chosen.set_coeff_modulus(
        sealapi.CoeffModulus.Create(parameters.degree, [parameters.modulus.bit_length()])
    )
    if [prime.value() for prime in chosen.coeff_modulus()] != [parameters.modulus]:
        raise UnsafeParameters("this TenSEAL release picks another prime")
    context = sealapi.SEALContext(chosen, True, sealapi.SEC_LEVEL_TYPE.TC128)
    if not context.parameters_set():
        raise UnsafeParameters(f"SEAL refuses the parameters: {context.parameters_error_name()}")
    return context


def _public_of(generator: _Native) -> _Native:
    public = sealapi.PublicKey()
    generator.create_public_key(public)
    return public


def _saved(keeper: _Native) -> tuple[bytes, bytes]:
    # SEAL's header of 16 bytes, and what follows it, without compression.
    saved = _through_memory(keeper.save)
    header, body = saved[:_SEAL_HEADER_BYTES], saved[_SEAL_HEADER_BYTES:]
    if header[_COMPRESSION_AT] == 0:
        return header, body
    if header[_COMPRESSION_AT] != _ZSTD:
        raise UnsafeParameters("this TenSEAL release compresses in an unknown way")
    return header, zstandard.ZstdDecompressor().decompressobj().decompress(body)


def _through_memory(use: Callable[[str], None], content: bytes = b"") -> bytes:
    # The file has no name anywhere: the path leads to this process's own descriptor.
    descriptor = os.memfd_create("veilsum", os.MFD_CLOEXEC)
    try:
        if content:
            os.pwrite(descriptor, content, 0)
        use(f"/proc/self/fd/{descriptor}")
        size = os.fstat(descriptor).st_size
        saved = os.pread(descriptor, size, 0)
        os.pwrite(descriptor, bytes(size), 0)
        return saved
    finally:
        os.close(descriptor)
