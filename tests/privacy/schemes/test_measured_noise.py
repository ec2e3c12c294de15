"""What `ckks_parameters` derives, measured: noise, float64, the guard, and the edge of the prime.

Noise is measured on fresh encryptions. Sums have a fresh ciphertext of each site, as rounds do.
They have no masks: openers take those off residue by residue, before any of this.
By default the cohorts of 100 and 1,000 give fewer than a million values; the deep runs give
each set twenty keys (1,000 sites: two) and a million values for each key.
"""

import math
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray
from tenseal import sealapi

from privacy.errors import SumOffGrid
from privacy.limbs import decode_chunk
from privacy.schemes import ckks, ckks_parameters, fields, ring
from privacy.schemes.base import Integers
from privacy.schemes.ckks import CkksProtector, CkksRevealer, CohortKey, make_cohort_key
from privacy.schemes.ckks_parameters import (
    GUARD,
    WORST_SLOT_RATIO,
    CkksParameters,
    fitting,
    mean_slot_deviation,
)
from privacy.schemes.ckks_sum import CkksCombiner
from tests.privacy.schemes import masked

MILLION = 1_000_000

SETS = {
    "8 sites of 16 bits, two in a half": CkksParameters(21, 16, 8, values_per_half=2),
    "32 sites of 13 bits, two in a half": CkksParameters(23, 13, 32, values_per_half=2),
    "100 sites of 11 bits, two in a half": CkksParameters(23, 11, 100, values_per_half=2),
    "100 sites of 24 bits": CkksParameters(28, 24, 100),
    "1000 sites of 24 bits": CkksParameters(25, 24, 1000),
}
every_set = pytest.mark.parametrize("parameters", SETS.values(), ids=SETS.keys())


@dataclass(frozen=True)
class Opening:
    """A cohort's roles, and what an opener sees before it rounds."""

    parameters: CkksParameters
    key: CohortKey
    protector: CkksProtector
    combiner: CkksCombiner
    revealer: CkksRevealer

    def encrypt(self, values: Integers) -> bytes:
        return self.protector.protect(0, values)

    def halves(self, total: bytes) -> NDArray[np.float64]:
        """The two halves of all slots of a sum, shape (2, N/2), not rounded."""
        words = decode_chunk(self.parameters.layout, 0, 1, total)
        return self.revealer._open(words[0]).reshape(2, -1)

    def reveal(self, total: bytes, cohort: int) -> Integers:
        return self.revealer.reveal(0, total, cohort)


def opening(parameters: CkksParameters) -> Opening:
    """One full ciphertext under a fresh key."""
    key, dimension = make_cohort_key(parameters), parameters.values_per_ciphertext
    none = masked.Unmasked(parameters)
    return Opening(
        parameters,
        key,
        masked.protector(parameters, dimension, key.public, none),
        CkksCombiner(parameters, dimension),
        masked.AnyCohort(parameters, dimension, key.secret, none),
    )


def joined(parameters: CkksParameters, values: Integers) -> NDArray[np.float64]:
    """What `halves` gives where there is no noise."""
    rows = values.reshape(parameters.values_per_half, -1)
    return fields.join(rows, parameters.field_bits).reshape(2, -1).astype(np.float64)


def drawn(parameters: CkksParameters, draw: np.random.Generator) -> Integers:
    """Any values of one site."""
    largest, size = parameters.largest_value, parameters.values_per_ciphertext
    return draw.integers(-largest, largest, size, endpoint=True)


def slot_variance(parameters: CkksParameters, key: CohortKey) -> NDArray[np.float64]:
    """Of each slot of one fresh ciphertext, in grid steps, shape (N/2,), in SEAL's order.

    (N/2)·(2/3·|E_j|² + 10.5·(1 + |S_j|²))/D². Slot j of SEAL is the embedding at the root
    zeta^(3^j); entry t of `embedding_squared` is the one at zeta^(1 - 2t).
    """
    degree, modulus = parameters.degree, parameters.modulus
    secret = ckks._decode_secret(parameters, key.secret)
    public = ckks._decode_public(parameters, key.public)
    error = ckks._key_error(public, ring.to_transform(secret, modulus), modulus)
    slots = [(1 - pow(3, slot, 2 * degree)) // 2 % degree for slot in range(degree // 2)]
    of_error, of_secret = (ring.embedding_squared(each)[slots] for each in (error, secret))
    one = degree / 2 * (2 / 3 * of_error + 10.5 * (1 + of_secret))
    return one / parameters.scale**2


def promised_distance(values: int) -> float:
    """How far the farthest of `values` halves is from the grid, but with probability 2^-20.

    The guard is where 2^30 halves stay but with probability 2^-40; Chernoff's bound falls
    with the square of the distance.
    """
    return GUARD * math.sqrt((math.log2(values) + 1 + 20) / (30 + 1 + 40))


def require_noise_of_the_formula(parameters: CkksParameters, values: int) -> None:
    """Measure one key with at least `values` values of one site each."""
    under, draw = opening(parameters), np.random.default_rng(8)
    variance = slot_variance(parameters, under.key)
    ciphertexts = -(-values // parameters.degree)

    noise = np.empty((ciphertexts, 2, parameters.degree // 2))
    for each in noise:
        update = drawn(parameters, draw)
        each[:] = under.halves(under.encrypt(update)) - joined(parameters, update)

    mean = mean_slot_deviation(parameters) / math.sqrt(parameters.cohort_max)
    assert math.sqrt(variance.max()) <= WORST_SLOT_RATIO * mean
    scaled = noise / np.sqrt(variance)
    squares = np.mean(scaled**2, axis=(0, 1))
    # Each slot has this many squares. Seven deviations, as there are 2,048 slots of many keys,
    # and six for all together.
    count = 2 * ciphertexts
    assert np.max(np.abs(squares - 1)) < 7 * math.sqrt(2 / count)
    assert np.mean(squares) == pytest.approx(1, abs=6 * math.sqrt(2 / count / squares.size))
    assert np.mean(scaled) == pytest.approx(0, abs=6 / math.sqrt(scaled.size))
    assert np.max(np.abs(scaled)) < 8


@every_set
@pytest.mark.parametrize("key", range(4))
def test_noise_has_the_variance_that_the_key_gives_it(parameters: CkksParameters, key: int) -> None:
    """Slot by slot over a million values, and no slot of a key in use is above the ratio."""
    require_noise_of_the_formula(parameters, MILLION)


@pytest.mark.deep
@every_set
@pytest.mark.parametrize("key", range(40))
def test_noise_has_that_variance_under_many_keys(parameters: CkksParameters, key: int) -> None:
    """A million values each."""
    require_noise_of_the_formula(parameters, MILLION)


def require_exact_sums(parameters: CkksParameters, sums: int) -> None:
    """Open sums of full cohorts under one key; each exact, and as near as promised."""
    under, draw = opening(parameters), np.random.default_rng(9)
    cohort = parameters.cohort_max
    deviation = np.sqrt(cohort * slot_variance(parameters, under.key))

    scaled = np.empty((sums, 2, parameters.degree // 2))
    farthest = 0.0
    for each in scaled:
        expected = np.zeros(parameters.values_per_ciphertext, np.int64)
        payloads = []
        for _ in range(cohort):
            update = drawn(parameters, draw)
            expected += update
            payloads.append(under.encrypt(update))
        total = under.combiner.combine(0, payloads)
        assert np.array_equal(under.reveal(total, cohort), expected)
        noise = under.halves(total) - joined(parameters, expected)
        farthest = max(farthest, float(np.max(np.abs(noise))))
        each[:] = noise / deviation

    assert farthest < promised_distance(scaled.size)
    assert np.mean(scaled**2) == pytest.approx(1, abs=6 * math.sqrt(2 / scaled.size))
    assert np.max(np.abs(scaled)) < 8


@every_set
def test_sums_of_full_cohorts_are_exact_and_as_near_as_promised(
    parameters: CkksParameters,
) -> None:
    """A million values, or what two thousand encryptions give (three sums of 1,000 sites)."""
    cohort = parameters.cohort_max
    million = -(-MILLION // parameters.values_per_ciphertext)

    require_exact_sums(parameters, min(million, max(3, 2000 // cohort)))


@pytest.mark.deep
@every_set
@pytest.mark.parametrize("key", range(20))
def test_a_million_values_of_full_cohorts_are_exact(parameters: CkksParameters, key: int) -> None:
    """Each under each key."""
    if parameters.cohort_max == 1000 and key >= 2:
        pytest.skip("245,000 encryptions a key; two keys have them")
    require_exact_sums(parameters, -(-MILLION // parameters.values_per_ciphertext))


def largest_coefficient(parameters: CkksParameters) -> Integers:
    """The values whose polynomial has the largest coefficient, that of X^(N/4).

    There all slots are at a corner of their square, and the embedding of X^(N/4) has
    exp(i·pi·3^j/4) in slot j, so all of them add up.
    """
    quarter = parameters.degree // 4
    signs = np.concatenate((np.tile([1, -1], quarter), np.ones(2 * quarter, np.int64)))
    return parameters.largest_value * np.tile(signs, parameters.values_per_half)


def extremes(parameters: CkksParameters) -> dict[str, list[Integers]]:
    """Updates of whole cohorts, at the edges of what they may be."""
    largest, cohort = parameters.largest_value, parameters.cohort_max
    size, degree = parameters.values_per_ciphertext, parameters.degree
    index, ones = np.arange(size), np.ones(size, np.int64)
    low = index < degree
    return {
        "the largest coefficient": [largest_coefficient(parameters)] * cohort,
        "all at +max": [largest * ones] * cohort,
        "all at -max": [-largest * ones] * cohort,
        "signs in turn": [largest * (1 - 2 * (index % 2))] * cohort,
        "one field against the other": [np.where(low, -largest, largest)] * cohort,
        "a small loan from a large value": [np.where(low, -1, largest)] * cohort,
        "one site at the edge": [largest * ones] + [0 * ones] * (cohort - 1),
        "half against half": [largest * ones, -largest * ones] * (cohort // 2),
    }


def require_exact(parameters: CkksParameters, updates: list[Integers]) -> None:
    under = opening(parameters)

    total = under.combiner.combine(0, map(under.encrypt, updates))

    assert np.array_equal(under.reveal(total, len(updates)), np.sum(updates, axis=0))


NAMES = tuple(extremes(SETS["8 sites of 16 bits, two in a half"]))


@every_set
@pytest.mark.parametrize("name", NAMES)
def test_the_extremes_of_a_full_cohort_are_exact(parameters: CkksParameters, name: str) -> None:
    """The parameters are derived for these: the most a sum can be, and every loan and carry."""
    if parameters.cohort_max == 1000 and name not in NAMES[:2]:
        pytest.skip("1,000 encryptions; the deep run has them")
    require_exact(parameters, extremes(parameters)[name])


@pytest.mark.deep
@pytest.mark.parametrize("name", NAMES)
def test_the_extremes_of_a_thousand_sites_are_exact(name: str) -> None:
    """All of them."""
    parameters = SETS["1000 sites of 24 bits"]
    require_exact(parameters, extremes(parameters)[name])


def test_the_largest_coefficient_is_that_of_the_bound() -> None:
    """sqrt(2)·2^(v-1)·(1 + 2^k)·scale: no other input could show that the bound holds."""
    parameters = SETS["8 sites of 16 bits, two in a half"]
    plain = residues(ckks._Seal(parameters), parameters, largest_coefficient(parameters))

    coefficients = np.abs(ring.from_transform(plain, parameters.modulus))

    weight = 1 + 2**parameters.field_bits
    bound = math.sqrt(2) * parameters.largest_value * weight * parameters.scale
    assert np.argmax(coefficients) == parameters.degree // 4
    assert coefficients.max() == pytest.approx(bound)


@every_set
def test_at_twice_the_largest_scale_the_largest_sum_wraps(
    parameters: CkksParameters, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So the input above is the worst, and its test can fail.

    The guard is no second wall: q/scale is nearly an integer, and some of these are accepted.
    """
    monkeypatch.setattr(CkksParameters, "_require_no_wrap", lambda _: None)
    doubled = _with_scale(parameters, parameters.scale_log2 + 1)
    under, update = opening(doubled), largest_coefficient(doubled)
    distinct = [under.encrypt(update) for _ in range(8)]
    cohort = doubled.cohort_max

    total = under.combiner.combine(0, [distinct[at % 8] for at in range(cohort)])

    expected = joined(doubled, cohort * update)
    assert np.min(np.abs(under.halves(total) - expected)) > 1000


def test_with_one_bit_less_between_fields_the_sum_is_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing notices: both values are on the grid, and what eight sites can reach."""
    parameters, width_of = SETS["8 sites of 16 bits, two in a half"], fields.width_of
    monkeypatch.setattr(fields, "width_of", lambda largest, count: width_of(largest, count) - 1)
    under, largest = opening(parameters), parameters.largest_value
    update = np.repeat([largest, 0], parameters.degree)

    total = under.combiner.combine(0, [under.encrypt(update) for _ in range(8)])

    revealed = under.reveal(total, 8).reshape(2, -1)
    assert np.all(revealed[0] == 8 * largest - 2**18)
    assert np.all(revealed[1] == 1)


def test_at_a_scale_that_the_guard_refuses_sums_do_not_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And whoever rounded them all the same would get other values."""
    monkeypatch.setattr(CkksParameters, "_require_exactness", lambda _: None)
    coarse = _with_scale(SETS["8 sites of 16 bits, two in a half"], 17)
    under, draw = opening(coarse), np.random.default_rng(3)
    updates = [drawn(coarse, draw) for _ in range(8)]

    total = under.combiner.combine(0, map(under.encrypt, updates))

    wrong = np.rint(under.halves(total)) != joined(coarse, np.sum(updates, axis=0))
    assert np.count_nonzero(wrong) > 50
    with pytest.raises(SumOffGrid):
        under.reveal(total, 8)


def _with_scale(parameters: CkksParameters, scale_log2: int) -> CkksParameters:
    return CkksParameters(
        scale_log2, parameters.value_bits, parameters.cohort_max, parameters.values_per_half
    )


def residues(seal: ckks._Seal, parameters: CkksParameters, values: Integers) -> NDArray[np.uint64]:
    """The encoder's polynomial, transformed, shape (N,); nothing is encrypted."""
    real, imaginary = joined(parameters, values)
    plain = sealapi.Plaintext()
    seal._encoder.encode((real + 1j * imaginary).tolist(), parameters.scale, plain)
    _, body = ckks._saved(plain)
    return np.frombuffer(body[-8 * parameters.degree :], "<u8").astype(np.uint64)


@every_set
def test_float64_gets_every_value_and_no_more_error_than_is_counted(
    parameters: CkksParameters,
) -> None:
    """Encoder and decoder alone: the same polynomial from each site, and no noise at all."""
    seal, cohort = ckks._Seal(parameters), parameters.cohort_max
    decryptor = seal.decryptor(ring.to_transform(np.ones(4096, np.int64), parameters.modulus))
    inputs = {name: updates[0] for name, updates in extremes(parameters).items()}
    inputs["any"] = drawn(parameters, np.random.default_rng(5))
    counted = math.sqrt(ckks_parameters._rounding_variance(parameters))

    for name, update in inputs.items():
        words = np.zeros((2, 1, 4096), np.uint64)
        words[0, 0] = (
            residues(seal, parameters, update).astype(object) * cohort % parameters.modulus
        )

        slots = seal.decrypt(decryptor, words)

        error = np.abs(np.stack((slots.real, slots.imag)) - joined(parameters, cohort * update))
        assert np.sqrt(np.mean(error**2)) <= 1.1 * counted, name
        assert np.max(error) < 0.01, name


def test_the_sets_are_those_that_are_derived() -> None:
    """Nobody chooses a scale."""
    for parameters in SETS.values():
        assert parameters == fitting(
            value_bits=parameters.value_bits, cohort_max=parameters.cohort_max
        )
