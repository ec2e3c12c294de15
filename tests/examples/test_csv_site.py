"""The CSV example trains as it stands."""

import os
from pathlib import Path

import numpy as np
import pytest

from participant.site import initial_vector, load_site, model_shapes
from participant.training.train import train
from privacy.local_training import LocalTraining

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def site(tmp_path, monkeypatch):
    header = ",".join(["patient", *(f"x{i}" for i in range(30)), "outcome"])
    rows = [
        ",".join([f"p{n % 4}", *(str(40 + (n * i) % 20) for i in range(30)), str(n % 2)])
        for n in range(6)
    ]
    path = tmp_path / "cohort.csv"
    path.write_text("\n".join([header, *rows]))
    monkeypatch.setenv("COHORT_CSV", str(path))
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return load_site("csv_site:CsvSite")


def test_rows_of_one_patient_are_one_unit(site):
    """Six rows of four patients: the unit of privacy is the patient."""
    units = site.records()

    assert [len(target) for _, target in units] == [2, 2, 1, 1]
    assert units[0][0].shape == (2, 30)


def test_it_trains(site):
    """From the file to an update, with no other code of the hospital's own."""
    order = LocalTraining("0.5", "2", 3, "1", "0.5", 4)

    start = initial_vector(site, "start")
    update = train(site, model_shapes(site), start, order, os.urandom)

    assert update.shape == (30 * 16 + 16 + 16 + 1,)
    assert np.isfinite(update).all()
    assert update.any()


def test_the_example_is_as_short_as_it_claims():
    """Thirty lines of code, docstrings aside."""
    text = (EXAMPLES / "csv_site.py").read_text().splitlines()
    code = [line for line in text if line.strip() and '"""' not in line]

    assert len(code) <= 32
