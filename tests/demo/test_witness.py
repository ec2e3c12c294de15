"""The witness notes all that a site protects and an opener opens, and changes neither."""

from pathlib import Path

import numpy as np
import pytest

from privacy.errors import SumOffGrid
from veilsum.demo.witness import WitnessedProtector, WitnessedRevealer, noted

VALUES = np.arange(-5, 6, dtype=np.int64)


class _Protector:
    def protect(self, chunk, values):
        return bytes([chunk]) + values.tobytes()


class _Revealer:
    def reveal(self, chunk, total, cohort):
        return np.frombuffer(total[1:], np.int64) * cohort


def test_every_chunk_is_noted_in_its_order(tmp_path: Path) -> None:
    """Whatever the order they were protected in; eleven need more than one digit."""
    place = tmp_path / "2"
    place.mkdir()
    protector = WitnessedProtector(_Protector(), place)

    for chunk in (10, 2, *range(2), *range(3, 10)):
        protector.protect(chunk, VALUES[chunk : chunk + 1])

    assert np.array_equal(noted(tmp_path, 2, "update"), VALUES)
    assert noted(tmp_path, 2, "sum") is None
    assert noted(tmp_path, 1, "update") is None


def test_what_is_protected_and_opened_is_not_changed(tmp_path: Path) -> None:
    """The demo must show the product, not the witness."""
    place = tmp_path / "1"
    place.mkdir()

    payload = WitnessedProtector(_Protector(), place).protect(3, VALUES)
    opened = WitnessedRevealer(_Revealer(), place).reveal(3, payload, 4)

    assert payload == _Protector().protect(3, VALUES)
    assert np.array_equal(opened, 4 * VALUES)
    assert np.array_equal(noted(tmp_path, 1, "sum"), 4 * VALUES)
    assert np.array_equal(noted(tmp_path, 1, "update"), VALUES)


def test_what_cannot_be_opened_is_not_noted(tmp_path: Path) -> None:
    """A sum that failed must not look like one that was exact."""
    place = tmp_path / "1"
    place.mkdir()

    class Broken:
        def reveal(self, chunk, total, cohort):
            raise SumOffGrid("chunk 0")

    with pytest.raises(SumOffGrid):
        WitnessedRevealer(Broken(), place).reveal(0, b"", 1)

    assert noted(tmp_path, 1, "sum") is None
