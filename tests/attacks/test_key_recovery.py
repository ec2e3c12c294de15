"""Who publishes what decryption gives before rounding publishes the key.

An opening computes m = c0 + c1·s. Whoever holds the sum's ciphertext and m exactly divides:
s = (m − c0)/c1. The floats of a decryption are m, to the last coefficient; the integers that
an opener hands on are m without its noise, and c0 + c1·s = integers + noise is what hides a
key everywhere else. Each attack here is shown to succeed on floats first, by the same code,
with the parameters that rounds use; then it gets the integers.

The attacker is given the sum as an opener has it, without masks. A coordinator, which has no
mask, does not even get the key from the floats.

Source: Li and Micciancio, "On the security of homomorphic encryption on approximate numbers",
eprint 2020/1533.
"""

from dataclasses import dataclass

import numpy as np
import pytest
import tenseal
import zstandard

from privacy.limbs import Words, encode_chunk
from privacy.schemes import ckks, ring
from privacy.schemes.base import Integers
from privacy.schemes.ckks import CkksRevealer, CohortKey, make_cohort_key
from privacy.schemes.ckks_parameters import CkksParameters
from tests.attacks.slots import (
    Slots,
    as_secret,
    coefficients_of,
    plus,
    quotient,
    secret_of,
    slots_of,
    transformed,
)
from tests.attacks.sums import COHORT, SETS, Summed, drawn, slots_from, summed
from tests.participant.signed_round import NoMask

CHANCE = (1 / 3 - 0.06, 1 / 3 + 0.06)
"""Coefficients of a ternary secret that a guess gets right: more than eight deviations wide."""


def divided(sum_of: Summed, slots: Slots) -> Integers:
    """(m − c0)/c1 for the integer polynomial m that is nearest to these slots."""
    modulus, (first, second) = sum_of.parameters.modulus, sum_of.ciphertext
    message = transformed(coefficients_of(slots) * sum_of.parameters.scale, modulus)
    found = quotient(plus(message, first, modulus, -1), second, modulus)
    return ring.from_transform(found, modulus)


@pytest.fixture(scope="module", params=SETS, ids=str)
def round_(request):
    parameters = SETS[request.param]
    return summed(parameters, make_cohort_key(parameters), drawn(parameters, 1))


# -- one opening ----------------------------------------------------------------------------


def test_floats_of_one_sum_give_the_key_and_every_sites_update(round_):
    """The control: one division, and one site's ciphertext alone is open."""
    found = divided(round_, round_.floats())

    assert np.array_equal(found, round_.secret)
    secret, mask = as_secret(round_.parameters, found), round_.masks[2]
    thief = CkksRevealer(round_.parameters, round_.size, secret, [mask])
    update = drawn(round_.parameters, 1)[2]
    assert np.array_equal(thief.reveal(0, round_.payloads[2], 1), update)


def test_who_has_no_mask_divides_in_vain(round_):
    """The coordinator: floats and its own store, and a uniform word more in every place."""
    modulus, (first, second) = round_.parameters.modulus, round_.stored
    message = transformed(coefficients_of(round_.floats()) * round_.parameters.scale, modulus)

    found = ring.from_transform(
        quotient(plus(message, first, modulus, -1), second, modulus), modulus
    )

    assert np.count_nonzero(found == round_.secret) == 0


@pytest.mark.parametrize(
    "handed_on",
    [
        lambda integers: integers,
        lambda integers: integers.astype(np.float32),
        lambda integers: integers / np.float64(COHORT) * COHORT,
    ],
    ids=["integers", "integers as float32", "their mean as float64"],
)
def test_what_openers_hand_on_gives_not_one_coefficient(round_, handed_on):
    """What the same division makes of it is any element of the ring."""
    found = divided(round_, slots_from(round_.parameters, handed_on(round_.handed_on())))

    assert np.count_nonzero(found == round_.secret) == 0
    assert np.abs(found).max() > round_.parameters.modulus // 3


def test_the_integers_are_less_than_half_a_step_from_the_floats(round_):
    """The control of the failure: so little away from the attack that succeeds."""
    given = slots_from(round_.parameters, round_.handed_on())

    away = np.abs(given - round_.floats()).max()
    assert 0 < away < 0.4
    assert np.array_equal(np.rint(given.real), np.rint(round_.floats().real))


def test_float32_is_no_protection(round_):
    """Where the sum is zero, as in a last chunk's padding, 24 bits hold the noise exactly."""
    nothing_sent = [np.zeros(round_.size, np.int64)] * COHORT
    empty = summed(round_.parameters, round_.key, nothing_sent)

    found = divided(empty, empty.floats().astype(np.complex64).astype(np.complex128))

    assert np.array_equal(found, round_.secret)
    nothing = divided(empty, slots_from(round_.parameters, empty.handed_on()))
    assert np.count_nonzero(nothing == round_.secret) == 0


# -- many openings under one key, which no round has ----------------------------------------


def test_the_real_halves_of_two_sums_give_the_key():
    """The control for decoders that drop the imaginary halves: two unknowns, two equations.

    r = m + m* is known for the conjugate m*(X) = m(1/X), which the transform holds backwards:
    c0 + c0* + c1·s + c1*·s* = r, twice.
    """
    parameters = SETS["24 bits, one in a half"]
    key = make_cohort_key(parameters)
    sums = [summed(parameters, key, drawn(parameters, seed)) for seed in (1, 2)]

    def both(openings):
        return from_real_halves(
            [each.ciphertext for each in sums],
            [2 * coefficients_of(each) * parameters.scale for each in openings],
            parameters.modulus,
        )

    found = both([each.floats().real.astype(np.complex128) for each in sums])
    nothing = both([slots_from(parameters, s.handed_on()).real.astype(complex) for s in sums])

    assert np.array_equal(found, sums[0].secret)
    assert np.count_nonzero(nothing == sums[0].secret) == 0


def from_real_halves(ciphertexts: list[Words], twice: list[np.ndarray], modulus: int) -> Integers:
    """Solve for s and s* entry by entry in the transform's domain, by Cramer's rule."""
    known = []
    for (first, _), coefficients in zip(ciphertexts, twice, strict=True):
        both = plus(first, first[::-1], modulus)
        known.append(plus(transformed(coefficients, modulus), both, modulus, -1).astype(object))
    (_, one), (_, two) = ((a.astype(object), b.astype(object)) for a, b in ciphertexts)
    determinant = (one * two[::-1] - one[::-1] * two) % modulus
    numerator = (known[0] * two[::-1] - known[1] * one[::-1]) % modulus
    found = quotient(numerator.astype(np.uint64), determinant.astype(np.uint64), modulus)
    return ring.from_transform(found, modulus)


ROUNDS = 64


@dataclass(frozen=True)
class Own:
    """A contribution made by hand, so that its maker knows u and e1, with its own zeros in it."""

    payload: bytes
    mask: Slots
    error: Slots


def own(parameters: CkksParameters, key: CohortKey, draw: np.random.Generator) -> Own:
    """Encrypt zeros: (pk0·u + e0, pk1·u + e1), all of it known to who makes it."""
    degree, modulus = parameters.degree, parameters.modulus
    public = ckks._decode_public(parameters, key.public)
    mask = draw.integers(-1, 2, degree)
    errors = draw.binomial(42, 0.5, (2, degree)) - 21
    masked = transformed(mask, modulus)
    words = np.stack(
        [
            ring.multiply_add(public[at], masked, transformed(errors[at], modulus), modulus)
            for at in (0, 1)
        ]
    )
    payload = encode_chunk(parameters.layout, 0, words[np.newaxis, :, np.newaxis])
    return Own(payload, slots_of(mask), slots_of(errors[1]))


def regressed(known: list[Own], outputs: list[Slots], scale: float) -> Integers:
    """Least squares over rounds, slot by slot: output − true sum = E·u + S·e1 + what others add.

    Without a ciphertext of anybody else, and without the sum's.
    """
    features = np.stack([[each.mask for each in known], [each.error for each in known]], axis=-1)
    noise = np.stack(outputs) * scale
    gram = np.einsum("rja,rjb->jab", features.conj(), features)
    right = np.einsum("rja,rj->ja", features.conj(), noise)
    estimate = np.linalg.solve(gram, right[..., np.newaxis])[:, 1, 0]
    return np.clip(np.rint(coefficients_of(estimate)), -1, 1).astype(np.int64)


def test_least_squares_over_many_rounds_outputs():
    """Who knows the updates and its own randomness regresses the key out of floats alone.

    And out of the integers nothing: they are the true sum, and leave nothing to regress.
    """
    parameters = SETS["24 bits, one in a half"]
    key, draw = make_cohort_key(parameters), np.random.default_rng(7)
    known, floats, integers = [], [], []
    for seed in range(ROUNDS):
        updates, mine = drawn(parameters, seed, COHORT - 1), own(parameters, key, draw)
        honest = summed(parameters, key, updates)
        masks = [*honest.masks, NoMask(parameters)]
        total = Summed(parameters, key, [*honest.payloads, mine.payload], masks)
        truth = slots_from(parameters, np.sum(updates, axis=0))
        known.append(mine)
        floats.append(total.floats() - truth)
        integers.append(slots_from(parameters, total.handed_on()) - truth)
    secret = secret_of(parameters, key.secret)

    found = regressed(known, floats, parameters.scale)
    nothing = regressed(known, integers, parameters.scale)

    assert np.mean(found == secret) > 0.9
    assert CHANCE[0] < np.mean(nothing == secret) < CHANCE[1]


def test_many_sums_under_one_key_agree_on_nothing():
    """Division, for each of many sums, and the coefficient that most of them name."""
    parameters = SETS["24 bits, one in a half"]
    key = make_cohort_key(parameters)
    sums = [summed(parameters, key, drawn(parameters, seed)) for seed in range(24)]
    secret = secret_of(parameters, key.secret)

    def by_sum(openings):
        found = [divided(each, slots) for each, slots in zip(sums, openings, strict=True)]
        return np.median(np.clip(found, -1, 1), axis=0)

    found = by_sum([each.floats() for each in sums])
    nothing = by_sum([slots_from(parameters, each.handed_on()) for each in sums])

    assert np.array_equal(found, secret)
    assert np.mean(nothing == secret) < CHANCE[1]


def test_what_is_handed_on_depends_on_the_updates_alone(round_):
    """Two keys, and fresh randomness for each: the same bytes, so nothing of either is in them."""
    parameters = round_.parameters
    other = summed(parameters, make_cohort_key(parameters), drawn(parameters, 1))

    assert other.handed_on().tobytes() == round_.handed_on().tobytes()
    assert other.total != round_.total
    assert not np.array_equal(other.floats(), round_.floats())


# -- TenSEAL's own vectors, as other federations use them -----------------------------------


def test_two_sums_of_tenseals_own_vectors_give_their_key(tmp_path):
    """The usual parameters, 8192/[60, 40, 40] at 2^40: `decrypt()` of two sums is the key."""
    context = tenseal.context(tenseal.SCHEME_TYPE.CKKS, 8192, -1, [60, 40, 40])
    context.global_scale = 2.0**40
    chain = context.seal_context().data.first_context_data().parms()
    modulus, draw = chain.coeff_modulus()[0].value(), np.random.default_rng(3)
    ciphertexts, twice = [], []
    for _ in range(2):
        sites = [tenseal.ckks_vector(context, draw.normal(0, 0.01, 4096)) for _ in range(COHORT)]
        total = sites[0] + sites[1] + sites[2] + sites[3]
        opened = np.array(total.decrypt(), np.complex128)
        total.ciphertext()[0].save(str(tmp_path / "sum"))
        ciphertexts.append(first_residues((tmp_path / "sum").read_bytes()))
        twice.append(2 * coefficients_of(opened) * 2.0**40)

    found = from_real_halves(ciphertexts, twice, modulus)

    assert set(np.unique(found)) == {-1, 0, 1}
    secret = context.secret_key().data.data()
    kept = [secret.data(at) for at in range(8192)]
    assert transformed(found, modulus).tolist() == kept


def first_residues(saved: bytes) -> Words:
    """Two polynomials of 8192 residues modulo the first of two primes, from SEAL's own bytes."""
    body = zstandard.ZstdDecompressor().decompressobj().decompress(saved[16:])
    return np.frombuffer(body[-8 * 2 * 2 * 8192 :], "<u8").reshape(2, 2, 8192)[:, 0]
