"""Updates that nobody trained: the same at a site and at the judge, and within the clip."""

import numpy as np
import pytest

from participant.training.privatise import privatise
from privacy.errors import ConfigError
from privacy.vectors import model_digest
from veilsum.bench import untrained
from veilsum.bench.untrained import (
    Untrained,
    first_digest,
    grid_for,
    largest_step,
    mean_digest,
    parse,
    shapes_of,
)

KEYS = ("aa" * 32, "bb" * 32, "cc" * 32)


def updates(dimension: int, value_bits: int = 16) -> list[Untrained]:
    fraction_bits = grid_for(value_bits).fraction_bits
    return [Untrained(dimension, fraction_bits, key) for key in KEYS]


def steps(update: Untrained) -> np.ndarray:
    return np.concatenate([part for _, part in update.parts()])


def test_a_sites_file_says_which_update_it_sends() -> None:
    """Its worker gets this name and nothing else."""
    update = Untrained(1000, 14, "0f" * 32)

    assert parse(str(update)) == update


def test_what_is_privatised_is_what_the_judge_adds() -> None:
    """Neither clipped nor rounded on the way: the judge needs no second opinion on either."""
    (update, *_) = updates(5000)

    integers = privatise(update.update(), 1.0, grid_for(16))

    assert np.array_equal(integers, steps(update))
    assert np.count_nonzero(integers) > 4900


def test_parts_join_without_a_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    """A vector longer than a part is made of parts that differ."""
    monkeypatch.setattr(untrained, "_PART", 64)
    (update, *_) = updates(200)

    made = steps(update)

    assert [span for span, _ in update.parts()][-1] == slice(192, 200)
    assert made.shape == (200,)
    assert not np.array_equal(made[:64], made[64:128])
    assert np.array_equal(np.ldexp(made.astype(float), -14), update.update())


def test_updates_of_other_keys_differ() -> None:
    """Or a sum that takes one of them thrice would look right."""
    first, second, _ = (steps(update) for update in updates(100))

    assert not np.array_equal(first, second)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_judges_model_is_the_plain_mean(count: int) -> None:
    """Computed here without parts."""
    some = updates(3000)[:count]
    mean = np.mean([update.update() for update in some], axis=0)

    assert mean_digest(some) == model_digest(shapes_of(3000), mean)
    assert mean_digest([*some, some[0], updates(3000)[2]]) != mean_digest(some)


def test_the_first_model_is_zeros() -> None:
    """Nobody derives it: what it is does not matter, that all have the same does."""
    assert first_digest(70) == model_digest(shapes_of(70), np.zeros(70))


@pytest.mark.parametrize(("dimension", "fraction_bits"), [(1, 14), (11_700_000, 14), (9, 2)])
def test_the_norm_is_at_most_one(dimension: int, fraction_bits: int) -> None:
    """Even if every value were the largest."""
    largest = largest_step(dimension, fraction_bits)

    assert largest >= 1
    assert dimension * largest**2 <= 4**fraction_bits < dimension * (largest + 1) ** 2


def test_a_vector_too_long_for_its_bits_is_refused() -> None:
    """With the bits that would do."""
    with pytest.raises(ConfigError, match="take --value-bits 9 or more"):
        largest_step(10_000, grid_for(8).fraction_bits)

    assert largest_step(10_000, grid_for(9).fraction_bits) == 1
