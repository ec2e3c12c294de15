"""What measured scores are held against is computed as is said, in few seconds."""

import os
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from participant.site import load_site
from privacy.initial import initial_vector
from veilsum.demo.federation import HOSPITALS
from veilsum.demo.settings import DISTRIBUTED, LOCAL
from veilsum.demo.training import updates
from veilsum.demo.yardsticks import exact_parts, main, read, squared_noise, unnoised_parts

ONE_STEP = replace(
    LOCAL, rounds=1, training=msgspec.structs.replace(LOCAL.training, steps=1, sampling_rate="1")
)


def test_exact_parts_add_up_to_one_and_rank_the_largest_hospital_first() -> None:
    """Of a logistic regression, which learns more from more patients."""
    found = exact_parts(DISTRIBUTED)

    assert sum(found.values()) == pytest.approx(1)
    assert list(found) == list(HOSPITALS)
    assert sorted(found, key=found.__getitem__)[::3] == ["hospital-d", "hospital-a"]


def test_without_noise_the_measure_ranks_hospitals_as_the_exact_values_do() -> None:
    """By what they have moved of the sum: the reason to believe in it at all."""
    found = unnoised_parts(ONE_STEP, os.urandom)

    assert sum(found.values()) == pytest.approx(1)
    assert sorted(found, key=found.__getitem__, reverse=True) == list(HOSPITALS)


def test_the_noise_of_an_update_is_as_long_as_is_said() -> None:
    """Measured on one; what it has learned is a hundredth of that."""
    site = load_site(f"{LOCAL.sites}:HospitalD")
    start = initial_vector(LOCAL.shapes, LOCAL.model_text)

    (update,) = updates(LOCAL, [site], start, os.urandom)

    length = float(np.sum((update / 2.0**LOCAL.grid.fraction_bits) ** 2))
    assert length == pytest.approx(squared_noise(LOCAL), rel=0.08)


def test_where_hospitals_share_the_noise_nothing_is_measured(tmp_path: Path) -> None:
    """The process writes what the report reads; there is no measure to show without noise."""
    main("distributed", tmp_path / "yardsticks.json")

    found = read(tmp_path / "yardsticks.json")

    assert found.exact == exact_parts(DISTRIBUTED)
    assert found.unnoised == {}
