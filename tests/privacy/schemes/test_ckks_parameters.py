"""Parameters that would not be secure, or not exact, cannot be built."""

import json
import math
from pathlib import Path

import pytest

from privacy.errors import UnsafeParameters
from privacy.schemes import ckks_parameters
from privacy.schemes.ckks_parameters import (
    MODULUS_4096,
    POST_QUANTUM_MODULUS_BITS,
    CkksParameters,
    fitting,
    guard_log2_probability,
    largest_scale,
    mean_slot_deviation,
)

STANDARD = json.loads((Path(__file__).parents[2] / "vectors" / "he_standard.json").read_text())


def test_the_security_table_is_the_standards() -> None:
    """The post-quantum row for ternary secrets, as published."""
    published = {int(degree): bits for degree, bits in STANDARD["ternary_128_quantum"].items()}

    assert published == POST_QUANTUM_MODULUS_BITS


@pytest.mark.parametrize(
    ("value_bits", "cohort", "weight", "scale"),
    [
        (24, 100, 1, 28),
        (24, 1000, 1, 25),
        (24, 4, 1, 33),
        (16, 8, 1 + 2**19, 21),
        (13, 32, 1 + 2**18, 23),
        (11, 100, 1 + 2**18, 23),
    ],
)
def test_the_largest_scale_fits_and_the_next_wraps(
    value_bits: int, cohort: int, weight: int, scale: int
) -> None:
    """sqrt(2)·n·2^(v-1)·(1 + 2^k)·scale stays below half the prime."""
    per_half = 1 if weight == 1 else 2
    derived = largest_scale(value_bits=value_bits, cohort_max=cohort, values_per_half=per_half)

    amplitude = math.sqrt(2) * cohort * 2 ** (value_bits - 1) * weight
    assert derived == scale
    assert amplitude * 2**scale < MODULUS_4096 / 2 <= amplitude * 2 ** (scale + 1)
    CkksParameters(scale, value_bits, cohort, per_half)
    with pytest.raises(UnsafeParameters, match=f"largest is 2\\^{scale}"):
        CkksParameters(scale + 1, value_bits, cohort, per_half)


def test_noise_and_rounding_at_their_worst_are_kept_clear_of_the_edge() -> None:
    """A modulus that holds the values alone is too small for any scale."""
    noise = 4 * (2 * 21 * 4096 + 21 + 1)
    small, large = (math.isqrt(2 * (2 * 4 * 2 ** (v - 1)) ** 2) + 1 for v in (24, 56))

    assert _scale_for(2 * (small + noise) - 1, value_bits=24) is None
    assert _scale_for(2 * (small + noise) + 1, value_bits=24) == 1
    # Here float64 no longer has the coefficients exactly.
    edge = 2 * (large + noise) + 1
    assert _scale_for(edge + (edge >> 47), value_bits=56) is None
    assert _scale_for(edge + (edge >> 45), value_bits=56) == 1


def _scale_for(modulus: int, value_bits: int) -> int | None:
    try:
        return largest_scale(value_bits=value_bits, cohort_max=4, modulus=modulus)
    except UnsafeParameters:
        return None


def test_a_modulus_above_the_row_is_refused() -> None:
    """60 bits are too many for degree 2048, whatever else is right."""
    with pytest.raises(UnsafeParameters, match="log2 q = 60 > 51"):
        CkksParameters(28, 24, 100, degree=2048)


@pytest.mark.parametrize("modulus", [MODULUS_4096 - 2, 97, (1 << 59) + 1])
def test_a_modulus_that_is_not_named_is_refused(modulus: int) -> None:
    """A peer cannot bring in a number with special structure."""
    with pytest.raises(UnsafeParameters, match="not named"):
        CkksParameters(28, 24, 100, modulus=modulus)


def test_a_degree_without_a_row_is_refused() -> None:
    """4095 is no power of two, and nobody has tabled it."""
    with pytest.raises(UnsafeParameters, match="no row"):
        CkksParameters(28, 24, 100, degree=4095)


def test_a_scale_that_drowns_in_noise_is_refused() -> None:
    """The message has the bound that fails."""
    CkksParameters(25, 24, 1000)
    with pytest.raises(UnsafeParameters, match="above 2\\^-40"):
        CkksParameters(24, 24, 1000)


def test_no_legal_scale_is_below_two_to_the_twentieth() -> None:
    """Two sites are the fewest, and have the least noise; openers rely on it for their int64."""
    CkksParameters(20, 2, 2)
    for value_bits, per_half in ((2, 1), (2, 2), (18, 2), (38, 1)):
        with pytest.raises(UnsafeParameters):
            CkksParameters(19, value_bits, 2, per_half)


def test_a_cohort_and_value_range_without_any_scale_are_refused() -> None:
    """Before the round, with the numbers."""
    scale = largest_scale(value_bits=32, cohort_max=1000)

    with pytest.raises(UnsafeParameters):
        CkksParameters(scale, 32, 1000)
    with pytest.raises(UnsafeParameters, match="no room"):
        largest_scale(value_bits=40, cohort_max=1 << 20)


@pytest.mark.parametrize(
    ("value_bits", "cohort", "per_half", "scale", "bound"),
    [
        (16, 8, 2, 21, -55.2),
        (13, 32, 2, 23, -314.5),
        (11, 100, 2, 23, -79.6),
        (24, 100, 1, 28, None),
        (24, 1000, 1, 25, -146.0),
        # What two in a half do not hold, one does.
        (14, 32, 1, 40, None),
        (16, 1000, 1, 33, None),
        (12, 100, 1, 40, None),
        (17, 8, 1, 39, None),
    ],
)
def test_parameters_follow_from_values_and_cohort(
    value_bits: int, cohort: int, per_half: int, scale: int, bound: float | None
) -> None:
    """The most values that fit, and the scale with the least noise."""
    parameters = fitting(value_bits=value_bits, cohort_max=cohort)

    assert (parameters.values_per_half, parameters.scale_log2) == (per_half, scale)
    assert parameters.degree == 4096
    assert parameters.modulus == MODULUS_4096
    probability = guard_log2_probability(parameters)
    assert probability == pytest.approx(bound, abs=0.1) if bound else probability < -1000


@pytest.mark.parametrize(
    ("value_bits", "cohort", "scale", "bound"),
    [
        (17, 8, 19, r"2\^25\.6"),
        (14, 32, 21, r"2\^9\.4"),
        (12, 100, 21, r"2\^24\.1"),
        (16, 1000, 7, r"2\^31\.0"),
    ],
)
def test_two_values_that_do_not_fit_in_a_half_are_refused(
    value_bits: int, cohort: int, scale: int, bound: str
) -> None:
    """One bit beyond the sets above, and far beyond; the message has the numbers."""
    assert largest_scale(value_bits=value_bits, cohort_max=cohort, values_per_half=2) == scale

    numbers = rf"{cohort} sites of {value_bits} bits, 2 in a half.*2\^{scale}: P.* {bound} only"
    with pytest.raises(UnsafeParameters, match=numbers):
        CkksParameters(scale, value_bits, cohort, values_per_half=2)


def test_what_does_not_fit_in_any_way_is_refused_with_each_tries_numbers() -> None:
    """Before the round, when the operator can still plan fewer bits or fewer sites."""
    with pytest.raises(
        UnsafeParameters,
        match=r"1000 sites of 26 bits, 2 .* no room .*; "
        r"1000 sites of 26 bits, 1 .* at scale 2\^23: P\(a value beyond 0\.4 from the grid\)",
    ):
        fitting(value_bits=26, cohort_max=1000)
    with pytest.raises(UnsafeParameters) as refused:
        fitting(value_bits=16, cohort_max=8, ciphertexts_per_chunk=18)
    assert str(refused.value).count("18 ciphertexts") == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("value_bits", 1),
        ("value_bits", 41),
        ("cohort_max", 1),
        ("cohort_max", (1 << 20) + 1),
        ("values_per_half", 0),
        ("values_per_half", 3),
        ("scale_log2", 0),
        ("scale_log2", 61),
        ("ciphertexts_per_chunk", 0),
        ("ciphertexts_per_chunk", 18),
    ],
)
def test_numbers_outside_their_ranges_are_refused(name: str, value: int) -> None:
    """Eighteen ciphertexts would leave the mebibyte of a chunk; one site is no cohort."""
    good = {"scale_log2": 28, "value_bits": 24, "cohort_max": 100, "ciphertexts_per_chunk": 17}
    CkksParameters(**good)

    with pytest.raises(UnsafeParameters):
        CkksParameters(**{**good, name: value})


@pytest.mark.parametrize("cohort", [0, 101])
def test_a_cohort_beyond_the_parameters_is_refused(cohort: int) -> None:
    """One site more could wrap the sum."""
    with pytest.raises(UnsafeParameters, match=r"1\.\.100"):
        CkksParameters(28, 24, 100).require_cohort(cohort)


def test_the_mean_deviation_is_the_formula_of_the_text() -> None:
    """Spelt out once more with the numbers of one set."""
    expected = math.sqrt(100 * 2048 * 10.5 * (4 * 4096 / 3 + 1)) / 2**28

    assert mean_slot_deviation(CkksParameters(28, 24, 100)) == pytest.approx(expected)


def test_the_bound_is_the_formula_of_the_text() -> None:
    """Chernoff for the worst slot of an accepted key, and a union over 2^30 halves."""
    parameters = CkksParameters(21, 16, 8, values_per_half=2)
    mean = 8 * 2048 * 10.5 * (4 * 4096 / 3 + 1)
    # Rounding: 8 sites alike, to integers, and float64's 53 bits at 2^55.5 and at q/2.
    one_site, total = 2 ** (55 - 52), 2 ** (58 - 52)
    rounding = 2048 / 12 * (8**2 * (1 + 12 * one_site**2) + 12 * total**2)
    variance = (2.5**2 * mean + rounding) / 2**42

    expected = 30 + 1 - 0.4**2 / (2 * variance) / math.log(2)

    assert guard_log2_probability(parameters) == pytest.approx(expected, abs=1e-6)
    assert rounding < 0.01 * 2.5**2 * mean


def test_the_bound_follows_the_round_of_most_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """A union over twice the values costs one bit."""
    parameters = CkksParameters(25, 24, 1000)
    before = guard_log2_probability(parameters)

    monkeypatch.setattr(ckks_parameters, "LARGEST_DIMENSION", 1 << 31)

    assert guard_log2_probability(parameters) == pytest.approx(before + 1)


@pytest.mark.parametrize(
    ("value_bits", "cohort", "bytes_each"), [(24, 100, 15.1), (24, 1000, 15.1), (16, 8, 7.6)]
)
def test_the_price_of_a_value_is_fifteen_bytes_or_half_of_it(
    value_bits: int, cohort: int, bytes_each: float
) -> None:
    """Containers and the short end of a vector included."""
    parameters = fitting(value_bits=value_bits, cohort_max=cohort)
    geometry = parameters.geometry(1_048_550)

    paid = sum(
        parameters.layout.chunk_bytes(parameters.ciphertexts_in(geometry.values_in(chunk)))
        for chunk in range(geometry.chunks)
    )

    assert paid / geometry.dimension <= bytes_each
