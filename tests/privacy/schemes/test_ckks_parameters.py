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
    ("value_bits", "cohort", "scale"), [(24, 100, 28), (24, 1000, 25), (24, 4, 33)]
)
def test_the_largest_scale_fits_and_the_next_wraps(
    value_bits: int, cohort: int, scale: int
) -> None:
    """sqrt(2)·n·2^(v-1)·scale stays below half the prime."""
    derived = largest_scale(value_bits=value_bits, cohort_max=cohort)

    amplitude = math.sqrt(2) * cohort * 2 ** (value_bits - 1)
    assert derived == scale
    assert amplitude * 2**scale < MODULUS_4096 / 2 <= amplitude * 2 ** (scale + 1)
    CkksParameters(scale, value_bits, cohort)
    with pytest.raises(UnsafeParameters, match=f"largest is 2\\^{scale}"):
        CkksParameters(scale + 1, value_bits, cohort)


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


def test_a_cohort_and_value_range_without_any_scale_are_refused() -> None:
    """Before the round, with the numbers."""
    scale = largest_scale(value_bits=32, cohort_max=1000)

    with pytest.raises(UnsafeParameters):
        CkksParameters(scale, 32, 1000)
    with pytest.raises(UnsafeParameters, match="no room"):
        largest_scale(value_bits=40, cohort_max=1 << 20)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("value_bits", 1),
        ("value_bits", 41),
        ("cohort_max", 0),
        ("scale_log2", 0),
        ("scale_log2", 61),
        ("ciphertexts_per_chunk", 0),
        ("ciphertexts_per_chunk", 18),
    ],
)
def test_numbers_outside_their_ranges_are_refused(name: str, value: int) -> None:
    """Eighteen ciphertexts would leave the mebibyte of a chunk."""
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


def test_the_bound_follows_the_round_of_most_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """A union over twice the values costs one bit."""
    parameters = CkksParameters(25, 24, 1000)
    before = guard_log2_probability(parameters)

    monkeypatch.setattr(ckks_parameters, "LARGEST_DIMENSION", 1 << 31)

    assert guard_log2_probability(parameters) == pytest.approx(before + 1)


def test_the_price_of_a_value_is_fifteen_bytes() -> None:
    """Four chunks of one ciphertext for 16,353 values."""
    parameters = CkksParameters(28, 24, 100)
    geometry = parameters.geometry(16_353)

    paid = sum(
        parameters.layout.chunk_bytes(parameters.ciphertexts_in(geometry.values_in(chunk)))
        for chunk in range(geometry.chunks)
    )

    assert paid / 16_353 <= 15.1
