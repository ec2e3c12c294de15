"""The witness notes all that a site protects and an opener opens, and changes neither."""

import os
from pathlib import Path

import numpy as np
import pytest

from participant.sending.share import Shared
from participant.training.workshop import Workshop
from privacy.errors import SumOffGrid
from privacy.plan import pack
from privacy.schemes.shares.sharing import UpdateSecrets
from tests.coordinator.seated_round import DIMENSION, make_plan, make_roster
from veilsum.demo.witness import WitnessedProtector, WitnessedRevealer, note_update, noted
from veilsum.demo.witnessed_workshop import WitnessedWorkshop

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


def test_an_update_that_is_split_is_noted_first_and_not_changed(tmp_path: Path) -> None:
    """Chunk by chunk, as one that is encrypted; what leaves is what would leave without it."""
    plan, secrets = make_plan(make_roster()), UpdateSecrets.generate(os.urandom)
    values = np.arange(DIMENSION, dtype=np.int64) - 100
    place = tmp_path / "1"
    place.mkdir()

    def shared(workshop: Workshop, name: str) -> Shared:
        workshop._integers = values
        (tmp_path / name).mkdir()
        return workshop.share(pack(plan), "a", secrets, tmp_path / name)

    plain = shared(Workshop(None, os.urandom), "plain")
    noting = WitnessedWorkshop(None, os.urandom, note=lambda p, v: note_update(place, p, v))
    witnessed = shared(noting, "witnessed")

    assert witnessed == plain
    assert np.array_equal(noted(tmp_path, 1, "update"), values)
    assert len(list(place.iterdir())) == plan.arithmetic.chunks == 2
