"""Keys are checked before use, sums open exactly or not at all, and releases can change."""

import base64
import json
import math
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tenseal import sealapi

from privacy.errors import MalformedMessage, SumOffGrid, UnsafeParameters
from privacy.limbs import PUBLIC_KEY, Layout, decode_chunk, encode_chunk
from privacy.schemes import ckks, ring
from privacy.schemes.ckks import (
    CkksRevealer,
    CohortKey,
    check_cohort_key,
    make_cohort_key,
    worst_slot_ratio,
)
from privacy.schemes.ckks_parameters import (
    ERROR_VARIANCE,
    MODULUS_4096,
    WORST_SLOT_RATIO,
    CkksParameters,
)
from privacy.schemes.ckks_sum import CkksCombiner
from privacy.schemes.masks import Mask
from tests import ckks_golden
from tests.privacy.schemes.masked import AnyCohort, Unmasked, protector

PARAMETERS = CkksParameters(28, 24, 100)
KEY_LAYOUT = Layout(4096, (MODULUS_4096,), marker=PUBLIC_KEY)
COMBINER = CkksCombiner(PARAMETERS, 4096)
VALUES = np.random.default_rng(9).integers(-(2**23) + 1, 2**23, 4096)


@pytest.fixture(scope="module")
def key() -> CohortKey:
    return make_cohort_key(PARAMETERS)


@pytest.fixture(scope="module")
def other() -> CohortKey:
    return make_cohort_key(PARAMETERS)


def protect(key: CohortKey, values: np.ndarray = VALUES) -> bytes:
    return protector(PARAMETERS, values.size, key.public).protect(0, values)


def public_words(key: CohortKey) -> np.ndarray:
    return decode_chunk(KEY_LAYOUT, 0, 1, key.public)


def secret_of(key: CohortKey) -> np.ndarray:
    return ckks._decode_secret(PARAMETERS, key.secret)


def pair_from(secret: np.ndarray, error: np.ndarray, uniform: np.ndarray) -> CohortKey:
    """A pair with pk0 = error - uniform·s, whatever these are."""
    transformed = ring.to_transform(secret, MODULUS_4096)
    negated = (MODULUS_4096 - transformed) % MODULUS_4096
    noise = ring.to_transform(error, MODULUS_4096)
    first = ring.multiply_add(uniform, negated, noise, MODULUS_4096)
    words = np.stack([first, uniform])[np.newaxis, :, np.newaxis, :]
    return CohortKey(encode_chunk(KEY_LAYOUT, 0, words), ckks._encode_secret(PARAMETERS, secret))


def binomial(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).binomial(42, 0.5, 4096) - 21


def uniform(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, MODULUS_4096, 4096, np.uint64)


def test_a_made_key_passes_its_check(key: CohortKey) -> None:
    """The maker and the other openers ask the same of it."""
    check_cohort_key(PARAMETERS, key.public, key.secret)


def test_the_secret_does_not_print(key: CohortKey) -> None:
    """It would end in a log."""
    assert "secret" not in repr(key)


def test_the_secret_is_seals_own(key: CohortKey) -> None:
    """Our transform, order of roots included, is the one SEAL keeps secrets in."""
    seal = ckks._Seal(PARAMETERS)
    generator = sealapi.KeyGenerator(seal._context)

    transformed = seal._residues(generator.secret_key(), 1)[0]

    coefficients = ring.from_transform(transformed, MODULUS_4096)
    assert set(coefficients.tolist()) == {-1, 0, 1}
    assert np.array_equal(ring.to_transform(coefficients, MODULUS_4096), transformed)


def test_two_keys_and_two_encryptions_share_nothing(key: CohortKey, other: CohortKey) -> None:
    """Each draws afresh from the operating system's entropy."""
    first, second = protect(key), protect(key)

    assert key.secret != other.secret
    assert key.public != other.public
    assert COMBINER.check(0, first) != COMBINER.check(0, second)


def test_addition_is_seals_own(key: CohortKey) -> None:
    """Our sum of residues is SEAL's add_many, bit for bit."""
    seal = ckks._Seal(PARAMETERS)
    payloads = [protect(key) for _ in range(3)]
    words = [decode_chunk(PARAMETERS.layout, 0, 1, payload)[0] for payload in payloads]
    native = [seal._load(sealapi.Ciphertext, each) for each in words]
    evaluator = sealapi.Evaluator(seal._context)

    total = native[0]
    for each in native[1:]:
        evaluator.add_inplace(total, each)

    ours = decode_chunk(PARAMETERS.layout, 0, 1, COMBINER.combine(0, payloads))
    assert np.array_equal(seal._residues(total, 2), ours[0, :, 0, :])


def test_noise_has_the_variance_of_the_derivation() -> None:
    """Slot by slot: 2/3·|E_j|² + sigma²(1 + |S_j|²), for the slots of SEAL's order."""
    seal = ckks._Seal(PARAMETERS)
    public, transformed = seal.draw_key()
    encryptor, decryptor = seal.encryptor(public), seal.decryptor(transformed)
    secret = ring.from_transform(transformed, MODULUS_4096)
    error = ckks._key_error(public, transformed, MODULUS_4096)
    zero = np.zeros(2048, np.complex128)

    noise = np.array(
        [
            seal.decrypt(decryptor, seal.encrypt(encryptor, zero).reshape(2, 1, 4096))
            for _ in range(250)
        ]
    )

    slots = np.array([(1 - pow(3, slot, 8192)) // 2 % 4096 for slot in range(2048)])
    expected = 2048 * (
        2 / 3 * ring.embedding_squared(error)[slots]
        + ERROR_VARIANCE * (1 + ring.embedding_squared(secret)[slots])
    )
    scaled = noise * PARAMETERS.scale / np.sqrt(expected)
    per_slot = (np.mean(scaled.real**2, axis=0) + np.mean(scaled.imag**2, axis=0)) / 2
    # 500 squares a slot: each mean is within 6 deviations of 1, and all together within 6.
    assert np.mean(per_slot) == pytest.approx(1, abs=6 * math.sqrt(2 / 500 / 2048))
    assert np.max(np.abs(per_slot - 1)) < 6 * math.sqrt(2 / 500)
    assert np.max(np.abs(scaled)) < 8


def test_what_a_key_was_made_and_checked_with_is_overwritten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The secret, and the error, which with the public key is the secret."""
    kept, key_error, decode = [], ckks._key_error, ckks._decode_secret

    def error_of(*given: object) -> np.ndarray:
        kept.append(key_error(*given))
        return kept[-1]

    def decoded(*given: object) -> np.ndarray:
        kept.append(decode(*given))
        return kept[-1]

    monkeypatch.setattr(ckks, "_key_error", error_of)
    monkeypatch.setattr(ckks, "_decode_secret", decoded)

    made = make_cohort_key(PARAMETERS)
    check_cohort_key(PARAMETERS, made.public, made.secret)

    assert len(kept) >= 4
    assert not any(each.any() for each in kept)


def test_keys_are_drawn_until_their_worst_slot_is_good() -> None:
    """One key in ten is not; the maker never hands one out, and a check refuses it."""
    seal = ckks._Seal(PARAMETERS)
    for _ in range(400):
        public, transformed = seal.draw_key()
        secret = ring.from_transform(transformed, MODULUS_4096)
        error = ckks._key_error(public, transformed, MODULUS_4096)
        if worst_slot_ratio(secret, error) > WORST_SLOT_RATIO:
            break

    with pytest.raises(UnsafeParameters, match="mean deviations"):
        check_cohort_key(
            PARAMETERS,
            ckks._encode_public(PARAMETERS, public),
            ckks._encode_secret(PARAMETERS, secret),
        )


def test_a_generator_that_gives_no_usable_key_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing for ever would hide it."""
    monkeypatch.setattr(ckks, "worst_slot_ratio", lambda _secret, _error: 2.6)
    monkeypatch.setattr(ckks, "_DRAWS", 2)

    with pytest.raises(UnsafeParameters, match="2 keys in a row"):
        make_cohort_key(PARAMETERS)


def test_a_secret_that_is_not_ternary_is_refused(key: CohortKey) -> None:
    """Two bits can say 2, which no honest secret has."""
    changed = bytearray(key.secret)
    changed[-1] |= 0b11

    with pytest.raises(MalformedMessage, match="not ternary"):
        check_cohort_key(PARAMETERS, key.public, bytes(changed))
    with pytest.raises(MalformedMessage, match="not ternary"):
        ckks._encode_secret(PARAMETERS, np.full(4096, 2))


@pytest.mark.parametrize("cut", [slice(0, -1), slice(1, None), slice(0, 0)])
def test_a_secret_for_other_parameters_is_refused(key: CohortKey, cut: slice) -> None:
    """Marker, version, degree, modulus and length are all fixed."""
    with pytest.raises(MalformedMessage, match="not a cohort secret"):
        AnyCohort(PARAMETERS, 4096, key.secret[cut])


def test_halves_of_two_pairs_are_refused(key: CohortKey, other: CohortKey) -> None:
    """pk0 + pk1·s is uniform then, not small."""
    with pytest.raises(MalformedMessage, match="not a pair"):
        check_cohort_key(PARAMETERS, key.public, other.secret)


def test_one_changed_residue_of_the_public_key_is_refused(key: CohortKey) -> None:
    """It spreads over all coefficients of the error."""
    words = public_words(key)
    words[0, 0, 0, 7] ^= np.uint64(1)

    with pytest.raises(MalformedMessage, match="not a pair"):
        check_cohort_key(PARAMETERS, encode_chunk(KEY_LAYOUT, 0, words), key.secret)


def test_an_error_just_above_the_bound_is_refused(key: CohortKey) -> None:
    """21 is what SEAL can draw at most; 22 is not SEAL's."""
    error = binomial(1)
    error[5] = 22
    pair = pair_from(secret_of(key), error, uniform(1))

    with pytest.raises(MalformedMessage, match="above 21"):
        check_cohort_key(PARAMETERS, pair.public, pair.secret)


def test_an_error_that_hides_too_little_is_refused(key: CohortKey) -> None:
    """Without noise the secret follows from the public key by division."""
    pair = pair_from(secret_of(key), np.zeros(4096, np.int64), uniform(2))

    with pytest.raises(MalformedMessage, match="variance"):
        check_cohort_key(PARAMETERS, pair.public, pair.secret)


@pytest.mark.parametrize("value", [0, 1])
def test_a_second_polynomial_that_is_not_uniform_is_refused(key: CohortKey, value: int) -> None:
    """With zero in its place, ciphertexts would be readable by anybody."""
    pair = pair_from(secret_of(key), binomial(3), np.full(4096, value, np.uint64))

    with pytest.raises(MalformedMessage, match="not uniform"):
        check_cohort_key(PARAMETERS, pair.public, pair.secret)


def test_a_sparse_secret_is_refused() -> None:
    """The standard's row is for uniform ternary secrets."""
    sparse = np.zeros(4096, np.int64)
    sparse[:64] = 1
    pair = pair_from(sparse, binomial(4), uniform(4))

    with pytest.raises(MalformedMessage, match="uniform ternary"):
        check_cohort_key(PARAMETERS, pair.public, pair.secret)


def test_a_pair_of_our_own_making_passes() -> None:
    """So the refusals above are for their one fault each."""
    secret = np.random.default_rng(6).integers(-1, 2, 4096)
    for seed in range(20):
        error = binomial(seed)
        if worst_slot_ratio(secret, error) <= WORST_SLOT_RATIO:
            break
    pair = pair_from(secret, error, uniform(5))

    check_cohort_key(PARAMETERS, pair.public, pair.secret)


@pytest.mark.parametrize("fault", [slice(0, -1), slice(1, None)])
def test_a_public_key_in_another_form_is_refused(key: CohortKey, fault: slice) -> None:
    """It is a container of its own kind."""
    with pytest.raises(MalformedMessage):
        protector(PARAMETERS, 4096, key.public[fault])
    with pytest.raises(MalformedMessage, match="marker"):
        protector(PARAMETERS, 4096, protect(key))


def test_another_key_opens_nothing(key: CohortKey, other: CohortKey) -> None:
    """What comes out is off the grid, and nothing of it is returned."""
    total = COMBINER.combine(0, [protect(key), protect(key)])

    with pytest.raises(SumOffGrid, match="cannot be told"):
        AnyCohort(PARAMETERS, 4096, other.secret).reveal(0, total, 2)


def test_one_contribution_under_another_key_spoils_the_sum(
    key: CohortKey, other: CohortKey
) -> None:
    """It cannot be told apart before opening, so opening must refuse it."""
    payloads = [protect(key), protect(other), protect(key)]
    for payload in payloads:
        COMBINER.check(0, payload)
    total = COMBINER.combine(0, payloads)

    with pytest.raises(SumOffGrid, match="cannot be told"):
        AnyCohort(PARAMETERS, 4096, key.secret).reveal(0, total, 3)


def test_a_sum_beyond_what_the_cohort_can_reach_is_refused(key: CohortKey) -> None:
    """One contribution that left the grid, here as two at its edge under one mask."""
    edge, none = np.full(4096, PARAMETERS.largest_value), Unmasked(PARAMETERS)
    payload = protector(PARAMETERS, 4096, key.public, none).protect(0, edge)
    total = COMBINER.combine(0, [payload, payload])

    with pytest.raises(SumOffGrid, match="1 sites"):
        AnyCohort(PARAMETERS, 4096, key.secret, none).reveal(0, total, 1)


@pytest.mark.parametrize("distance", [0.41, 0.5])
def test_a_value_between_two_steps_is_refused(key: CohortKey, distance: float) -> None:
    """And one well inside the guard is rounded to its step."""
    seal = ckks._Seal(PARAMETERS)
    encryptor = seal.encryptor(public_words(key)[0, :, 0, :])
    revealer = AnyCohort(PARAMETERS, 4096, key.secret, Unmasked(PARAMETERS))
    slots = np.zeros(2048, np.complex128)

    def total(value: complex) -> bytes:
        slots[77] = value
        words = seal.encrypt(encryptor, slots).reshape(1, 2, 1, 4096)
        return encode_chunk(PARAMETERS.layout, 0, words)

    assert revealer.reveal(0, total(3.3 - 5.3j), 1)[[77, 2125]].tolist() == [3, -5]
    for value in (complex(distance, 0), complex(0, -distance)):
        with pytest.raises(SumOffGrid, match=r"more than 0\.4"):
            revealer.reveal(0, total(value), 1)


@pytest.mark.parametrize("cohort", [0, 101])
def test_a_cohort_beyond_the_parameters_is_not_opened(key: CohortKey, cohort: int) -> None:
    """Its sum may have wrapped."""
    with pytest.raises(UnsafeParameters):
        AnyCohort(PARAMETERS, 4096, key.secret).reveal(0, protect(key), cohort)


def test_a_chunk_of_many_ciphertexts_is_exact(key: CohortKey) -> None:
    """Seventeen of them, the last one short, in one container."""
    parameters = CkksParameters(28, 24, 100, ciphertexts_per_chunk=17)
    dimension = 17 * 4096 - 100
    values = np.random.default_rng(4).integers(-(2**23) + 1, 2**23, dimension)
    combiner = CkksCombiner(parameters, dimension)

    payload = protector(parameters, dimension, key.public).protect(0, values)

    total = combiner.combine(0, [payload] * 16)
    assert len(payload) <= 1 << 20
    revealed = AnyCohort(parameters, dimension, key.secret).reveal(0, total, 16)
    assert np.array_equal(revealed, 16 * values)


@given(data=st.data())
@settings(deadline=None, max_examples=25)
@pytest.mark.parametrize("per_half", [1, 2])
def test_any_cut_of_any_vector_is_exact(key: CohortKey, per_half: int, data: st.DataObject) -> None:
    """One value or two in a half, one ciphertext in a chunk or more, the last one short or full."""
    scale, bits, most = {1: (28, 24, 100), 2: (21, 16, 8)}[per_half]
    parameters = CkksParameters(scale, bits, most, per_half, data.draw(st.integers(1, 3)))
    full = parameters.geometry(1).values_per_chunk
    dimension = data.draw(st.integers(1, 20_000) | st.sampled_from([full, full + 1, 2 * full]))
    draw = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    shape = (data.draw(st.integers(1, 3)), dimension)
    edge = parameters.largest_value
    updates = draw.choice([-edge, -1, 0, 1, edge], shape)
    site = protector(parameters, dimension, key.public)
    combiner, geometry = CkksCombiner(parameters, dimension), parameters.geometry(dimension)
    revealer = AnyCohort(parameters, dimension, key.secret)

    revealed = [
        revealer.reveal(
            chunk,
            combiner.combine(chunk, (site.protect(chunk, u[cut]) for u in updates)),
            len(updates),
        )
        for chunk, cut in ((each, geometry.span(each)) for each in range(geometry.chunks))
    ]

    assert np.array_equal(np.concatenate(revealed), np.sum(updates, axis=0))


@pytest.mark.parametrize("where", [0, 4095, 4096, 8191])
def test_each_value_has_its_own_place(key: CohortKey, where: int) -> None:
    """The first N values are the low fields, in the order of the halves, then the high ones."""
    parameters = CkksParameters(21, 16, 8, values_per_half=2)
    values = np.zeros(8192, np.int64)
    values[where] = 3
    none = Unmasked(parameters)
    revealer = AnyCohort(parameters, 8192, key.secret, none)
    payload = protector(parameters, 8192, key.public, none).protect(0, values)

    opened = np.rint(revealer._open(decode_chunk(parameters.layout, 0, 1, payload)[0]))

    assert np.flatnonzero(opened).tolist() == [where % 4096]
    assert opened[where % 4096] == (3 if where < 4096 else 3 * 2**19)


def test_a_field_beyond_what_the_cohort_can_reach_is_refused(key: CohortKey) -> None:
    """Its half as a whole is still within what a cohort's halves can be."""
    parameters = CkksParameters(21, 16, 8, values_per_half=2)
    seal, edge = ckks._Seal(parameters), parameters.largest_value
    slots = np.zeros(2048, np.complex128)
    slots[5] = edge + 1
    words = seal.encrypt(seal.encryptor(public_words(key)[0, :, 0, :]), slots)
    total = encode_chunk(parameters.layout, 0, words.reshape(1, 2, 1, 4096))
    revealer = AnyCohort(parameters, 8192, key.secret, Unmasked(parameters))

    assert revealer.reveal(0, total, 2)[5] == edge + 1
    with pytest.raises(SumOffGrid, match="1 sites"):
        revealer.reveal(0, total, 1)


def test_a_sum_written_by_one_release_opens_under_another() -> None:
    """The container holds nothing of SEAL's; this one was written once and is kept."""
    path = Path(__file__).parents[2] / "vectors" / "ckks_golden.json"
    golden = json.loads(path.read_text())
    parameters = CkksParameters(golden["scale_log2"], golden["value_bits"], golden["cohort_max"])
    index = np.arange(golden["dimension"])
    values = ((index * 1664525 + 1013904223) % (2**24 - 1) - (2**23 - 1))[4096:]
    masks = [
        Mask(parameters, bytes.fromhex(each), bytes.fromhex(golden["mask_context_hex"]))
        for each in golden["mask_secrets_hex"]
    ]
    secret = bytes.fromhex(golden["secret_hex"])
    revealer = CkksRevealer(parameters, golden["dimension"], secret, masks)

    revealed = revealer.reveal(
        golden["chunk"], base64.b64decode(golden["total_base64"]), golden["cohort"]
    )

    assert np.array_equal(revealed, values + -values // 3)


@pytest.mark.parametrize("release", ["0.3.16", "0.3.18"])
def test_keys_and_sums_of_other_releases_are_used_with_this_one(release: str) -> None:
    """SEAL's own bytes do not cross between these two; ours do, in both directions."""
    path = Path(__file__).parents[2] / "vectors" / f"ckks_tenseal_{release}.json"
    golden = json.loads(path.read_text())
    parameters = ckks_golden.PARAMETERS
    public, total = (base64.b64decode(golden[name]) for name in ("public", "total"))
    secret = base64.b64decode(golden["secret"])
    combiner = CkksCombiner(parameters, ckks_golden.DIMENSION)
    masks, last = [ckks_golden.mask(site) for site in range(4)], ckks_golden.update(3)
    three, four = (
        CkksRevealer(parameters, ckks_golden.DIMENSION, secret, masks[:cohort]) for cohort in (3, 4)
    )
    ours = protector(parameters, ckks_golden.DIMENSION, public, masks[3]).protect(1, last)

    check_cohort_key(parameters, public, secret)
    opened = three.reveal(1, total, 3)
    together = four.reveal(1, combiner.combine(1, [total, ours]), 4)

    assert golden["release"] == release
    assert sha256(opened.astype("<i8").tobytes()).hexdigest() == golden["sum_sha256"]
    assert np.array_equal(opened, sum(ckks_golden.update(site) for site in range(3)))
    assert np.array_equal(together, opened + last)


def test_seals_table_is_the_classical_one_of_the_file() -> None:
    """The file is read right: its other row is the one that SEAL was compiled with."""
    path = Path(__file__).parents[2] / "vectors" / "he_standard.json"
    classical = json.loads(path.read_text())["ternary_128_classic"]

    for degree, bits in classical.items():
        level = sealapi.SEC_LEVEL_TYPE.TC128
        assert sealapi.CoeffModulus.MaxBitCount(int(degree), level) == bits


@pytest.mark.parametrize(
    "fault",
    [
        lambda words: words[:, :, :-8],
        lambda words: words + np.uint64(MODULUS_4096),
    ],
    ids=["too few", "not reduced"],
)
def test_seal_itself_refuses_what_is_not_a_ciphertext(fault: object) -> None:
    """A second wall behind our own: its loader checks every residue."""
    seal = ckks._Seal(PARAMETERS)
    words = np.ones((2, 1, 4096), np.uint64)

    seal._load(sealapi.Ciphertext, words)

    with pytest.raises((RuntimeError, ValueError)):
        seal._load(sealapi.Ciphertext, fault(words))
