"""The demo's hospitals: the split, the scaling, the budget and the accuracy."""

import math
import os
from fractions import Fraction

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer

from participant.site import Site, initial_vector, load_site, model_shapes
from privacy.accounting import epsilon_of
from privacy.events import SelfComposed
from privacy.mechanism import events_of
from privacy.schemes.ckks_parameters import fitting
from privacy.vectors import dimension
from veilsum.demo import baselines, clinical_data, spread
from veilsum.demo.clinical_data import HOSPITALS, all_hospitals, held_out, patients_of
from veilsum.demo.network import accuracy
from veilsum.demo.settings import DELTA, DISTRIBUTED, JOBS, LOCAL, Job

GRID, TRAINING, CLIP = LOCAL.grid, LOCAL.training, LOCAL.clip


def test_every_patient_is_in_exactly_one_place():
    """A patient in two hospitals would spend twice, and one in the test set would flatter it."""
    places = [patients_of(name) for name in HOSPITALS] + [held_out()]

    rows = np.concatenate([place.features for place in places])

    assert rows.shape == (569, 30)
    assert len(np.unique(rows, axis=0)) == 569


def test_hospitals_differ_in_size_and_mix():
    """Equal hospitals would make averaging look easier than it is."""
    sizes = [len(patients_of(name)) for name in HOSPITALS]
    mixes = [round(float(patients_of(name).malignant.mean()), 2) for name in HOSPITALS]

    assert sizes == [150, 120, 90, 67]
    assert mixes == [0.30, 0.45, 0.24, 0.57]
    assert len(all_hospitals()) == 427
    assert len(held_out()) == 142


def test_scaling_is_by_constants_alone():
    """A hospital's features are the same whoever else is in it: no statistic of its patients."""
    raw, _ = load_breast_cancer(return_X_y=True)
    constants = np.array(clinical_data._TYPICAL_AND_SPREAD)
    scaled = np.clip((raw - constants[:, 0]) / constants[:, 1], -3, 3)

    everybody = {row.tobytes() for row in scaled}

    assert all(row.tobytes() in everybody for row in patients_of("hospital-c").features)
    assert all(float(f"{value:.2g}") == value for value in constants.ravel())


@pytest.mark.parametrize("job", JOBS.values(), ids=str)
@pytest.mark.parametrize("letter", "ABCD")
def test_a_hospital_is_loaded_as_any_site_is(letter, job):
    """The demo has no way in that a real hospital lacks."""
    site = load_site(f"{job.sites}:Hospital{letter}")

    assert isinstance(site, Site)
    assert model_shapes(site) == job.shapes
    assert len(site.records()) == len(patients_of(f"hospital-{letter.lower()}"))


def test_the_model_has_16353_parameters():
    """Two ciphertexts of 8,192 values, the last not full: two values in each half of a slot."""
    parameters = fitting(value_bits=GRID.value_bits, cohort_max=len(HOSPITALS))

    assert dimension(LOCAL.shapes) == 16_353
    assert parameters.values_per_half == 2
    assert parameters.geometry(16_353).chunks == parameters.ciphertexts_in(16_353) == 2


@pytest.mark.parametrize(
    ("job", "sums", "vector"), [(LOCAL, 2.829, 2.829), (DISTRIBUTED, 0.998, 1.902)], ids=str
)
def test_the_budget_holds_for_all_rounds(job: Job, sums: float, vector: float) -> None:
    """In both views, at each hospital, at a delta below one patient of the smallest."""
    events = events_of(job.training)
    limits = (float(job.epsilon_limit), float(job.vector_epsilon_limit))

    spent = [
        epsilon_of(SelfComposed(job.rounds, event), float(DELTA))
        for event in (events.sums, events.vector)
    ]

    assert spent == pytest.approx([sums, vector], abs=0.001)
    assert all(epsilon <= limit for epsilon, limit in zip(spent, limits, strict=True))
    assert float(DELTA) < 1 / min(len(patients_of(name)) for name in HOSPITALS)


def test_the_clip_leaves_noise_alone_and_stays_on_the_grid():
    """A clip below the noise's own length would shrink every update, signal and all."""
    noise = (
        float(Fraction(TRAINING.noise_multiplier))
        * math.sqrt(TRAINING.steps * dimension(LOCAL.shapes))
        / TRAINING.divisor
    )

    assert noise < 0.9 * float(CLIP)
    assert float(CLIP) < 32
    assert float(CLIP) * 2**GRID.fraction_bits <= GRID.largest


def test_the_grid_is_much_finer_than_the_noise():
    """Few bits must not cost accuracy: a step is below a hundredth of the noise on a value."""
    steps = TRAINING.steps
    noise = float(TRAINING.noise_multiplier) * math.sqrt(steps) / TRAINING.divisor

    assert 2**-GRID.fraction_bits < noise / 100


@pytest.mark.deep
def test_the_federation_learns():
    """Five runs of the training alone; a hundred are run by `python -m veilsum.demo.spread`."""
    site = load_site("veilsum.demo.hospitals:HospitalA")
    start = accuracy(initial_vector(site, LOCAL.model_text), LOCAL.shapes)

    found = list(spread.accuracies(5))

    assert start < 0.8
    assert min(found) >= 0.9


@pytest.mark.parametrize("job", JOBS.values(), ids=str)
def test_the_baselines_are_what_they_say(job: Job) -> None:
    """Alone with the same privacy; pooled without any, and therefore never two answers."""
    alone = baselines.accuracy_alone("HospitalD", job, os.urandom)

    # Of 25 draws under shared noise the lowest was 0.78.
    assert 0.7 < alone <= 1.0
    assert baselines.accuracy_pooled(job) == baselines.accuracy_pooled(job) > 0.95
