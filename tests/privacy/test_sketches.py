"""Sketches are exactly linear, whatever comes in, and estimate as well as the source says."""

import os
import tracemalloc
from fractions import Fraction
from math import exp, isqrt

import numpy as np
import pytest
from Crypto.Cipher import AES
from Crypto.Hash import SHA256
from Crypto.Protocol.KDF import HKDF

from privacy import sketches
from privacy.errors import FalseSketch, MalformedMessage, UnsafeParameters
from privacy.signing import transcript
from privacy.sketches import (
    MOST_ROWS,
    Sketcher,
    check_norms,
    check_sum,
    cosines,
    largest_norm,
    largest_value,
    measured,
    rows_of,
    sketch_of,
    standard_error,
)

SEED = bytes(range(32))
EXTREMES = np.iinfo(np.int64)


def signs_by_another(seed: bytes, dimension: int) -> list[list[int]]:
    """The matrix, shape (d, 256), by PyCryptodome and Python's integers."""
    key = HKDF(seed, 32, b"", SHA256, context=transcript("veilsum/sketches/1"))
    rows = []
    for group in range(-(-dimension // 512)):
        cipher = AES.new(key, AES.MODE_CTR, nonce=group.to_bytes(8, "big"), initial_value=0)
        for _ in range(512):
            bits = int.from_bytes(cipher.encrypt(bytes(32)), "little")
            rows.append([1 - 2 * (bits >> row & 1) for row in range(256)])
    return rows[:dimension]


def drawn(seed: int, *shape: int, bits: int = 23) -> np.ndarray:
    return np.random.default_rng(seed).integers(-(1 << bits), 1 << bits, shape)


def test_rows_are_those_of_another_implementation() -> None:
    """Key and words from the documentation; three groups of values, the last in part."""
    vector = drawn(1, 1100)
    signs = signs_by_another(SEED, 1100)

    found = sketch_of(SEED, vector)

    assert len(found) == 11
    assert list(found) == [
        sum(int(value) * signs[at][row] for at, value in enumerate(vector)) for row in range(11)
    ]


@pytest.mark.parametrize("cut", [1, 511, 512, 513, 1000])
def test_a_sketch_does_not_depend_on_how_its_vector_is_cut(cut: int) -> None:
    """Chunks of a scheme have other sizes than the groups that signs are drawn in."""
    vector = drawn(2, 3000)
    sketcher = Sketcher(SEED, 3000)

    for start in range(0, 3000, cut):
        sketcher.add(vector[start : start + cut])

    assert sketcher.sketch() == sketch_of(SEED, vector)


def test_signs_of_the_first_rows_are_the_same_for_any_number_of_rows() -> None:
    """Zeros that are added to a vector bring it more rows, and change none of those it had."""
    short, long = drawn(3, 500), np.zeros(25_600, np.int64)
    long[:500] = short

    assert sketch_of(SEED, long)[:5] == sketch_of(SEED, short)


def test_sketches_are_linear_at_the_edges_of_64_bits() -> None:
    """No row wraps, and no float rounds: values as no grid has them, of both signs."""
    draws = np.random.default_rng(4)
    vectors = draws.choice(np.array([EXTREMES.min, -1, 0, 1, EXTREMES.max]), (4, 2000))
    signs = signs_by_another(SEED, 2000)

    found = [sketch_of(SEED, vector) for vector in vectors]

    for vector, sketch in zip(vectors.tolist(), found, strict=True):
        assert sketch[0] == sum(value * signs[at][0] for at, value in enumerate(vector))
    halves = vectors // 8
    check_sum([sketch_of(SEED, each) for each in halves], sketch_of(SEED, halves.sum(0)))


@pytest.mark.parametrize("sites", [1, 2, 7])
def test_sketches_of_updates_add_up_to_that_of_their_sum(sites: int) -> None:
    updates = drawn(5, sites, 4000)

    check_sum([sketch_of(SEED, each) for each in updates], sketch_of(SEED, updates.sum(0)))


def changed(sketch: tuple[int, ...], row: int, by: int) -> tuple[int, ...]:
    return (*sketch[:row], sketch[row] + by, *sketch[row + 1 :])


@pytest.mark.parametrize("row", [0, 17, 39])
@pytest.mark.parametrize("by", [1, -1, 1 << 64])
def test_a_single_false_row_is_caught_by_one_unit(row: int, by: int) -> None:
    """Modulo no power of two: 2^64 more is as wrong as 1 more."""
    updates = drawn(6, 3, 4000)
    stated = [sketch_of(SEED, each) for each in updates]
    stated[1] = changed(stated[1], row, by)

    with pytest.raises(FalseSketch, match="1 of 40 rows of 3 sketches"):
        check_sum(stated, sketch_of(SEED, updates.sum(0)))


def test_a_sketch_that_is_missing_stands_twice_or_is_of_another_seed_is_caught() -> None:
    updates = drawn(7, 3, 4000)
    stated = [sketch_of(SEED, each) for each in updates]
    total = sketch_of(SEED, updates.sum(0))

    others = (stated[:2], [*stated, stated[0]], [*stated[:2], sketch_of(bytes(32), updates[2])], [])
    for wrong in others:
        with pytest.raises(FalseSketch):
            check_sum(wrong, total)


def test_a_sketch_of_another_number_of_rows_is_malformed() -> None:
    sketch = sketch_of(SEED, drawn(8, 400))

    for wrong in (sketch[:-1], (*sketch, 0), ()):
        with pytest.raises(MalformedMessage, match="4 rows"):
            check_sum([wrong], sketch)


@pytest.mark.parametrize(("dimension", "rows"), [(100, 1), (16_353, 163), (10**6, 256)])
def test_a_sketch_has_a_row_for_each_hundred_values_and_256_at_most(
    dimension: int, rows: int
) -> None:
    assert rows_of(dimension) == rows <= MOST_ROWS


@pytest.mark.parametrize("dimension", [0, 31, 99, (1 << 30) + 1])
def test_vectors_too_short_for_a_row_or_too_long_for_its_sums_are_refused(dimension: int) -> None:
    """The demo's logistic regression has 31 values: one row would tell a thirtieth of it."""
    with pytest.raises(UnsafeParameters, match="participation"):
        rows_of(dimension)


def test_a_sketch_is_of_the_whole_vector_and_no_longer_one() -> None:
    sketcher = Sketcher(SEED, 200)
    sketcher.add(np.ones(150, np.int64))

    with pytest.raises(MalformedMessage, match="150 values"):
        sketcher.sketch()
    with pytest.raises(MalformedMessage, match="201 values"):
        sketcher.add(np.ones(51, np.int64))


@pytest.mark.parametrize("length", [0, 16, 31, 33])
def test_a_seed_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(MalformedMessage):
        Sketcher(bytes(length), 200)


def test_memory_does_not_grow_with_the_vector() -> None:
    """Measured: 3 MiB for 2^20 values that come in chunks, of which all signs are 2 GiB."""
    part = np.ones(1 << 16, np.int64)
    sketcher = Sketcher(SEED, 1 << 20)
    tracemalloc.start()

    for _ in range(16):
        sketcher.add(part)

    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 << 20


def estimates(one: np.ndarray, other: np.ndarray, times: int) -> np.ndarray:
    found = []
    for number in range(times):
        seed = number.to_bytes(32, "big")
        a, b = sketch_of(seed, one), sketch_of(seed, other)
        found.append(sum(x * y for x, y in zip(a, b, strict=True)) / len(a))
    return np.array(found)


@pytest.mark.parametrize("same", [True, False], ids=["squared norm", "product"])
def test_estimates_are_unbiased_and_as_far_off_as_is_said(same: bool) -> None:
    """300 seeds: the mean within four of its deviations, the deviation within a sixth."""
    one, other = drawn(9, 2, 2000, bits=10)
    other = one if same else one + other
    norm, length, product = (int(a @ b) for a, b in ((one, one), (other, other), (one, other)))

    found = estimates(one, other, 300)

    said = standard_error(20, norm, length, product)
    assert abs(found.mean() - product) < 4 * said / np.sqrt(300)
    assert found.std() == pytest.approx(said, rel=1 / 6)


def test_one_coordinate_alone_is_measured_exactly() -> None:
    """The term that the bound on the error leaves out: nothing is random about a single value."""
    vector = np.zeros(300, np.int64)
    vector[77] = -12_345

    assert set(estimates(vector, vector, 20)) == {12_345.0**2}


def test_scores_are_estimates_rounded_to_the_nearest_step_and_up_where_two_are_as_near() -> None:
    """As seats round: floor((v + half a step) / step) steps. Two rows, so halves exist."""
    stated = {"a": (3, 2), "b": (1, -4)}
    total = (4, -2)

    exact, stepped = (
        {each.participant: (each.squared_norm, each.alignment) for each in found}
        for found in (measured(stated, total, step_log2=log2, norm_bound=100) for log2 in (0, 3))
    )

    assert exact == {"a": ("7", "4"), "b": ("9", "6")}  # 6.5, 4, 8.5, 6
    assert stepped == {"a": ("8", "8"), "b": ("8", "8")}  # 4 is half a step of 8


def test_negative_estimates_are_rounded_the_same_way() -> None:
    """Up where two are as near, which is towards zero: -4 of steps of 8 is 0, -5 is -8."""
    for product, expected in ((-4, "0"), (-5, "-8"), (-12, "-8")):
        stated = {"a": (product,), "b": (1 - product,)}

        found = measured(stated, (1,), step_log2=3, norm_bound=100)

        assert found[0].alignment == expected


def test_scores_need_sketches_that_add_up_and_are_not_too_long() -> None:
    """Both checks come before the first estimate, for whoever measures."""
    with pytest.raises(FalseSketch, match="add up"):
        measured({"a": (3, 2), "b": (1, -4)}, (4, -1), step_log2=0, norm_bound=100)
    with pytest.raises(FalseSketch, match="sketch of b"):
        measured({"a": (-400, 2), "b": (1000, -4)}, (600, -2), step_log2=0, norm_bound=100)


def test_no_row_of_a_bounded_vector_is_above_the_limit() -> None:
    """A vector along a row reaches it, so no smaller limit would let honest sites through."""
    signs = np.array(signs_by_another(SEED, 400))[:, 0]

    sketch = sketch_of(SEED, 1000 * signs)

    assert max(map(abs, sketch)) == sketch[0] == largest_value(isqrt(400) * 1000, 400)
    assert largest_value(1000, 401) == 20_024


def test_a_sketch_too_long_for_a_clipped_update_names_its_site() -> None:
    """What two colluders add and take away stays within it, and so what they gain."""
    update = drawn(10, 20_000)
    norm = isqrt(int(update @ update)) + 1
    honest = sketch_of(SEED, update)
    twice = tuple(2 * row for row in honest)

    check_norms({"a": honest}, norm)
    with pytest.raises(FalseSketch, match="sketch of b"):
        check_norms({"a": honest, "b": twice}, norm)


@pytest.mark.parametrize("dimension", [100, 1000, 25_600])
def test_no_honest_sketch_is_called_too_long(dimension: int) -> None:
    """At the bound itself; of one row the limit is farthest, in proportion."""
    update = np.full(dimension, 1000)

    for _ in range(20):
        check_norms({"a": sketch_of(os.urandom(32), update)}, isqrt(dimension * 10**6) + 1)


@pytest.mark.parametrize("dimension", [100, 1000, 5000])
def test_how_often_an_honest_sketch_is_called_too_long_is_what_the_source_says(
    dimension: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With u = 1 in place of 28 it may be exp(-1) of all; measured: less than a tenth."""
    monkeypatch.setattr(sketches, "_TAIL", 1)
    update = np.full(dimension, 1000)
    alarms = 0

    for number in range(300):
        try:
            check_norms(
                {"a": sketch_of(number.to_bytes(32, "big"), update)}, isqrt(dimension * 10**6)
            )
        except FalseSketch:
            alarms += 1

    print(f"{alarms} of 300")
    assert 0 < alarms <= 300 * exp(-1)


def test_the_largest_norm_has_room_for_rounding_to_the_grid() -> None:
    """Half a step on each of 10,000 coordinates is 50 steps."""
    assert largest_norm(Fraction(3, 2), 4, 10_000) >= 24 + 50
    assert largest_norm(Fraction(3, 2), 4, 10_000) <= 24 + 52


def test_cosines_of_sketches_are_those_of_updates_within_their_error() -> None:
    updates = drawn(11, 2, 25_600)
    some = np.stack([updates[0], 3 * updates[0], updates[0] + updates[1], 0 * updates[0]])

    found = cosines([sketch_of(SEED, each) for each in some])

    assert found[0, 1] == pytest.approx(1.0)
    assert found[0, 2] == pytest.approx(0.5**0.5, abs=0.2)
    assert np.all(found[3] == 0)
