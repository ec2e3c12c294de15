"""What measured scores are held against: exact Shapley values, and the same without noise.

Both need what nobody has in earnest: all patients in one place, and training without privacy.

    python -m veilsum.demo.yardsticks local FILE

A process of its own, since its matrices are so small that one thread is twenty times as fast as
many, and libraries ask for that where they start.
"""

import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from participant.sending.random_words import Entropy
from participant.site import load_site
from privacy.initial import initial_vector
from privacy.learned import learned
from privacy.local_training import LocalTraining
from privacy.vectors import dimension

from .clinical_data import held_out, patients_of
from .federation import HOSPITALS
from .settings import JOBS, Job
from .shapley import by_retraining
from .training import step_by, updates

Parts: TypeAlias = dict[str, float]

_HARDLY_ANY = "0.001"
"""A noise multiplier; noise is then a two-hundredth of what a hospital has learned."""


class Yardsticks(msgspec.Struct, frozen=True):
    """Each hospital's part of 1; `unnoised` is empty where nothing is measured."""

    exact: dict[str, float]
    unnoised: dict[str, float]


def read(path: Path) -> Yardsticks:
    """Return what the process has written."""
    return msgspec.json.decode(path.read_bytes(), type=learned(Yardsticks))


def main(mechanism: str, path: Path) -> None:
    """Write the yardsticks of the job of a mechanism to a file."""
    job = JOBS[mechanism]
    measured = isinstance(job.training, LocalTraining)
    quiet = unnoised_parts(job, os.urandom) if measured else {}
    path.write_bytes(msgspec.json.encode(Yardsticks(exact_parts(job), quiet)))


def exact_parts(job: Job) -> Parts:
    """Return each hospital's part of the exact Shapley values, which add up to 1."""
    patients = {name: patients_of(name) for name in HOSPITALS}
    start = initial_vector(job.shapes, job.model_text)
    return _in_parts(by_retraining(patients, held_out(), job.shapes, start))


def unnoised_parts(job: Job, entropy: Entropy) -> Parts:
    """Return each hospital's part by alignment, had there been next to no noise.

    The same training, round after round, with every hospital in each.
    """
    assert isinstance(job.training, LocalTraining)  # of shared noise nothing is measured
    quiet = msgspec.structs.replace(job.training, noise_multiplier=_HARDLY_ANY)
    job = replace(job, training=quiet)
    sites = [load_site(f"{job.sites}:{site}") for _, site in HOSPITALS.values()]
    start: NDArray[np.float64] = initial_vector(job.shapes, job.model_text)
    vector, found = start, np.zeros(len(sites))
    for _ in range(job.rounds):
        each = updates(job, sites, vector, entropy)
        found += np.stack(each) @ np.sum(each, axis=0)
        vector = vector + step_by(job, each)
    return _in_parts(dict(zip(HOSPITALS, found.tolist(), strict=True)))


def squared_noise(job: Job) -> float:
    """Return the mean squared length of the noise in one update, in squared units of the model."""
    order = job.training
    assert isinstance(order, LocalTraining)
    deviation = float(order.noise_multiplier) * float(order.clip) * float(order.learning_rate)
    return (deviation / order.divisor) ** 2 * order.steps * dimension(job.shapes)


def _in_parts(values: Mapping[str, float]) -> Parts:
    total = sum(values.values())
    return {name: value / total for name, value in values.items()}


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
