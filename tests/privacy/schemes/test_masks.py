"""Masks come off a sum when they are exactly its cohort's, and otherwise nothing opens."""

import hashlib
import hmac
import math
import os
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import ECB
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy.errors import MalformedMessage, SumOffGrid, UnsafeParameters
from privacy.limbs import Words, decode_chunk, encode_chunk
from privacy.schemes import ckks, ring
from privacy.schemes.base import Integers
from privacy.schemes.ckks import CkksProtector, CkksRevealer, CohortKey, make_cohort_key
from privacy.schemes.ckks_parameters import MODULUS_4096, CkksParameters
from privacy.schemes.ckks_sum import CkksCombiner
from privacy.schemes.masks import Mask, put_on, take_off
from privacy.signing import transcript
from tests.privacy.schemes.masked import Unmasked

PARAMETERS = CkksParameters(28, 24, 100)
DIMENSION = 3 * 4096
PLAN, OTHER_PLAN = b"digest of a plan", b"digest of another"
SITES = ("charite", "heidelberg", "tum")
COMBINER = CkksCombiner(PARAMETERS, DIMENSION)


def mask(site: str, context: bytes = PLAN) -> Mask:
    """One site's, from a secret of its own."""
    return Mask(PARAMETERS, hashlib.sha256(site.encode()).digest(), context)


@cache
def key() -> CohortKey:
    return make_cohort_key(PARAMETERS)


def values(site: str, chunk: int) -> Integers:
    seed = hashlib.sha256(f"{site} {chunk}".encode()).digest()
    draw = np.random.default_rng(list(seed))
    return draw.integers(-(2**23) + 1, 2**23, 4096)


@cache
def payload(site: str, chunk: int = 0) -> bytes:
    protector = CkksProtector(PARAMETERS, DIMENSION, key().public, mask(site))
    return protector.protect(chunk, values(site, chunk))


def total(sites: tuple[str, ...] = SITES) -> bytes:
    return COMBINER.combine(0, [payload(site) for site in sites])


def revealer(*masks: Mask) -> CkksRevealer:
    return CkksRevealer(PARAMETERS, DIMENSION, key().secret, masks)


def words_by_hand(secret: bytes, context: bytes, chunk: int, count: int) -> list[int]:
    """The definition: HKDF (RFC 5869) from its HMACs, and counter mode from single AES blocks."""
    pseudorandom = hmac.digest(bytes(32), secret, "sha256")
    info = transcript("veilsum/ckks-mask/1", context)
    derived = hmac.digest(pseudorandom, info + b"\x01", "sha256")
    encryptor = Cipher(AES256(derived), ECB()).encryptor()
    blocks = (
        encryptor.update(chunk.to_bytes(8, "big") + at.to_bytes(8, "big"))
        for at in range(-(-count // 2))
    )
    stream = b"".join(blocks)
    words = (int.from_bytes(stream[8 * at : 8 * at + 8], "little") for at in range(count))
    return [word & (2**60 - 1) for word in words]


@pytest.mark.parametrize(("chunk", "ciphertexts"), [(0, 1), (1, 2), (2**32 + 5, 1)])
def test_words_are_those_of_the_definition(chunk: int, ciphertexts: int) -> None:
    """Site and opener make the same, also where they are other programs."""
    secret = os.urandom(32)

    words = Mask(PARAMETERS, secret, PLAN).words(chunk, ciphertexts)

    expected = words_by_hand(secret, PLAN, chunk, ciphertexts * 4096)
    assert words.shape == (ciphertexts, 4096)
    assert words.reshape(-1).tolist() == expected


@given(secret=st.binary(min_size=32, max_size=32), context=st.binary(max_size=40))
@settings(deadline=None, max_examples=25)
def test_words_are_a_function_of_secret_context_and_chunk(secret: bytes, context: bytes) -> None:
    """Not of what was asked before, of how many ciphertexts, or of where they are written."""
    first, second = (Mask(PARAMETERS, secret, context) for _ in range(2))
    first.words(0, 2)
    spare = np.full((2, 4096), 7, np.uint64)

    words = first.words(3, 2, spare)

    assert words is spare
    assert np.array_equal(words, second.words(3, 2))
    assert np.array_equal(words[:1], second.words(3, 1))


def test_another_secret_context_or_chunk_shares_no_words() -> None:
    """60-bit words: eight thousand of each meet by chance once in ten billion runs."""
    secret, other = os.urandom(32), os.urandom(32)
    masks = [
        Mask(PARAMETERS, secret, PLAN).words(0, 1),
        Mask(PARAMETERS, other, PLAN).words(0, 1),
        Mask(PARAMETERS, secret, OTHER_PLAN).words(0, 1),
        Mask(PARAMETERS, secret, PLAN).words(1, 1),
    ]

    assert np.unique(np.concatenate(masks)).size == 4 * 4096


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_secret_of_another_length_is_refused(length: int) -> None:
    """A short one could be guessed."""
    with pytest.raises(MalformedMessage, match="32 bytes"):
        Mask(PARAMETERS, bytes(length), PLAN)


def put_on_all(residues: Words, masks: list[Mask], chunk: int) -> Words:
    """Residues with each mask on; every step is canonical."""
    masked = residues.copy()
    for each in masks:
        put_on(PARAMETERS, masked, each.words(chunk, len(masked)))
        assert masked.max() < MODULUS_4096
    return masked


@given(
    cohort=st.sampled_from([1, 15, 16, 17, 100]),
    ciphertexts=st.integers(1, 2),
    chunk=st.integers(0, 2**40),
    seed=st.integers(0, 2**32),
    edge=st.sampled_from([None, 0, MODULUS_4096 - 1]),
)
@settings(deadline=None, max_examples=30)
def test_what_was_put_on_comes_off(
    cohort: int, ciphertexts: int, chunk: int, seed: int, edge: int | None
) -> None:
    """The opener reduces once in fifteen masks, the sites each time."""
    draw, shape = np.random.default_rng(seed), (ciphertexts, 4096)
    residues = draw.integers(0, MODULUS_4096, shape, np.uint64)
    if edge is not None:
        residues[:] = edge
    masks = [Mask(PARAMETERS, draw.bytes(32), PLAN) for _ in range(cohort)]
    masked = put_on_all(residues, masks, chunk)

    take_off(PARAMETERS, masked, masks, chunk)

    assert np.array_equal(masked, residues)


class Largest(Mask):
    """Words that are all as large as words can be."""

    def words(self, chunk: int, ciphertexts: int, out: Words | None = None) -> Words:
        return np.full((ciphertexts, 4096), 2**60 - 1, np.uint64)


@pytest.mark.parametrize("cohort", [1, 14, 15, 16, 17, 30, 31, 100])
@pytest.mark.parametrize("residue", [0, MODULUS_4096 - 1])
def test_the_largest_words_do_not_overflow(cohort: int, residue: int) -> None:
    """Random words reach the edge of 64 bits too seldom to show it."""
    masks: list[Mask] = [Largest(PARAMETERS, bytes(32), PLAN)] * cohort
    residues = np.full((1, 4096), residue, np.uint64)
    masked = put_on_all(residues, masks, 0)
    expected = (residue + cohort * (2**60 - 1)) % MODULUS_4096
    assert np.all(masked == expected)

    take_off(PARAMETERS, masked, masks, 0)

    assert np.array_equal(masked, residues)


def test_a_cohorts_masks_open_its_sum() -> None:
    """In any order; so the refusals below are for their one fault each."""
    expected = sum(values(site, 0) for site in SITES)

    for sites in (SITES, SITES[::-1]):
        opened = revealer(*map(mask, sites)).reveal(0, total(), 3)
        assert np.array_equal(opened, expected)


WRONG = {
    "one missing": ("charite", "heidelberg"),
    "one too many": (*SITES, "jena"),
    "one counted twice": ("charite", "charite", "tum"),
    "one twice besides all": (*SITES, "tum"),
    "another site's": ("charite", "heidelberg", "jena"),
    "one alone": ("tum",),
}


@pytest.mark.parametrize("sites", WRONG.values(), ids=WRONG.keys())
def test_other_masks_than_the_cohorts_open_nothing(sites: tuple[str, ...]) -> None:
    """Whatever cohort is announced: with the count of masks the guard refuses, else the count."""
    opener = revealer(*map(mask, sites))

    with pytest.raises(SumOffGrid):
        opener.reveal(0, total(), len(sites))
    for cohort in {1, 2, 3, 4} - {len(sites)}:
        with pytest.raises(UnsafeParameters, match=f"{len(sites)} masks"):
            opener.reveal(0, total(), cohort)


def test_a_cohort_without_masks_opens_nothing() -> None:
    """Not even with a count to match."""
    with pytest.raises(UnsafeParameters):
        revealer().reveal(0, total(), 0)
    with pytest.raises(UnsafeParameters, match="0 masks"):
        revealer().reveal(0, total(), 3)


@pytest.mark.parametrize("odd", SITES)
def test_a_mask_of_another_plan_opens_nothing(odd: str) -> None:
    """The same secret, under another digest."""
    masks = [mask(site, OTHER_PLAN if site == odd else PLAN) for site in SITES]

    with pytest.raises(SumOffGrid):
        revealer(*masks).reveal(0, total(), 3)


@pytest.mark.parametrize("moved", [("charite",), SITES], ids=["one site's", "everybody's"])
def test_another_chunks_ciphertexts_open_nothing(moved: tuple[str, ...]) -> None:
    """A coordinator that passes chunk 1 off as chunk 0, number and all."""
    layout = PARAMETERS.layout
    renumbered = [
        encode_chunk(layout, 0, decode_chunk(layout, 1, 1, payload(site, 1)))
        if site in moved
        else payload(site)
        for site in SITES
    ]

    with pytest.raises(SumOffGrid):
        revealer(*map(mask, SITES)).reveal(0, COMBINER.combine(0, renumbered), 3)


FALSE_SUMS = {
    "one ciphertext as the sum": {"charite": 1},
    "one left out": {"charite": 1, "heidelberg": 1},
    "one counted twice": {"charite": 2, "heidelberg": 1, "tum": 1},
    "one for another": {"charite": 2, "heidelberg": 1},
    "one negated": {"charite": 1, "heidelberg": 1, "tum": -1},
}


@pytest.mark.parametrize("weights", FALSE_SUMS.values(), ids=FALSE_SUMS.keys())
def test_another_combination_than_the_sum_opens_nothing(weights: dict[str, int]) -> None:
    """Ciphertexts can be added and negated by anyone; every mask must be on exactly once."""
    modulus, layout = MODULUS_4096, PARAMETERS.layout
    words = sum(
        decode_chunk(layout, 0, 1, payload(site)).astype(object) * weight
        for site, weight in weights.items()
    )
    combined = encode_chunk(layout, 0, (words % modulus).astype(np.uint64))

    with pytest.raises(SumOffGrid):
        revealer(*map(mask, SITES)).reveal(0, combined, 3)


def phase(protected: bytes, parameters: CkksParameters) -> Integers:
    """What the secret key makes of ciphertexts: c0 + c1·s, coefficient by coefficient."""
    secret = ring.to_transform(ckks._decode_secret(parameters, key().secret), MODULUS_4096)
    ciphertexts = decode_chunk(parameters.layout, 0, parameters.ciphertexts_per_chunk, protected)
    return np.concatenate(
        [
            ring.from_transform(
                ring.multiply_add(second, secret, first, MODULUS_4096), MODULUS_4096
            )
            for first, second in ciphertexts[:, :, 0]
        ]
    )


def test_a_masked_ciphertext_of_known_values_is_uniform_also_for_the_key() -> None:
    """Byte by byte, by chi-square: who has key and values sees nothing but the mask.

    Sixteen ciphertexts of zeros. The prime is within 2^15 of 2^60, so all bits are uniform
    within 2^-45.
    """
    parameters = replace(PARAMETERS, ciphertexts_per_chunk=16)
    zeros = np.zeros(16 * 4096, np.int64)
    masks = (Unmasked(parameters), Mask(parameters, os.urandom(32), PLAN))
    bare, masked = (
        phase(
            CkksProtector(parameters, zeros.size, key().public, each).protect(0, zeros), parameters
        )
        for each in masks
    )

    assert np.max(np.abs(bare)) < 2**20
    residues = np.mod(masked, MODULUS_4096)
    for low in range(0, 60, 8):
        cells = 1 << min(8, 60 - low)
        _require_uniform(np.bincount((residues >> low) % cells, minlength=cells))


def _require_uniform(counts: Integers) -> None:
    expected, freedom = counts.sum() / counts.size, counts.size - 1
    statistic = float(np.sum((counts - expected) ** 2) / expected)
    # Mean and variance of chi-square are freedom and twice freedom; eight deviations.
    assert abs(statistic - freedom) < 8 * math.sqrt(2 * freedom)
