"""What sharing the noise is worth: accuracy at a smaller epsilon, from the real training."""

import hashlib
import statistics
from collections.abc import Sequence
from dataclasses import replace
from itertools import count

import msgspec
import numpy as np
import pytest

from participant.sending.random_words import Entropy
from participant.site import Site
from privacy.accounting import smallest_noise_multiplier
from privacy.distributed_sum import DistributedSum
from privacy.initial import initial_vector
from veilsum.demo.clinical_data import Patients, all_hospitals
from veilsum.demo.logistic_hospitals import LogisticHospital
from veilsum.demo.network import accuracy
from veilsum.demo.settings import DELTA, DISTRIBUTED, LOCAL, Job
from veilsum.demo.spread import accuracies
from veilsum.demo.training import change

pytestmark = [pytest.mark.deep, pytest.mark.timeout(0)]

SEEDS = 20
MANY = 16


def seeded(seed: int) -> Entropy:
    """Return bytes that are the same in every run of this test; never for anything else."""
    numbers = count()
    return lambda size: hashlib.shake_256(f"{seed}/{next(numbers)}".encode()).digest(size)


def test_shared_noise_at_epsilon_1_is_as_accurate_as_local_noise_at_epsilon_3() -> None:
    """The demo's two jobs at its four hospitals, means over 20 seeds."""
    distributed, local = (
        statistics.fmean(next(iter(accuracies(1, job, seeded(seed)))) for seed in range(SEEDS))
        for job in (DISTRIBUTED, LOCAL)
    )

    print(f"distributed at epsilon 1: {distributed:.4f}; local at epsilon 3: {local:.4f}")
    assert distributed >= local


def test_with_many_sites_the_same_model_needs_a_third_of_the_epsilon() -> None:
    """Sixteen sites, one job: all that differs is who adds how much noise.

    Local noise of n sites adds up to n parts, shared noise to n / honest. With four sites the
    former is still the smaller one at three times the epsilon; from eight on it is not.
    """
    sites = spread_over(MANY)
    shared, local = (
        statistics.fmean(trained(job, sites, seeded(seed)) for seed in range(SEEDS))
        for job in (shared_by(MANY, "1"), alone_at("3"))
    )

    print(f"{MANY} sites: shared at epsilon 1 {shared:.4f}, local at epsilon 3 {local:.4f}")
    assert shared > local


def spread_over(sites: int) -> Sequence[Site]:
    """Return the hospitals' patients dealt to so many sites."""
    patients = all_hospitals()
    return [
        LogisticHospital(Patients(patients.features[at::sites], patients.malignant[at::sites]))
        for at in range(sites)
    ]


def shared_by(sites: int, epsilon: str) -> Job:
    """Return the demo's job for so many sites, one of which may keep its noise for itself."""
    return _with(epsilon, honest=sites - 1)


def alone_at(epsilon: str) -> Job:
    """Return the same job with all of the noise at each site: its guarantee needs nobody else."""
    return _with(epsilon, honest=1)


def _with(epsilon: str, honest: int) -> Job:
    order = DISTRIBUTED.training
    assert isinstance(order, DistributedSum)
    sigma = smallest_noise_multiplier("1", DISTRIBUTED.rounds, float(DELTA), float(epsilon))
    training = msgspec.structs.replace(order, noise_multiplier=sigma, honest=honest)
    return replace(DISTRIBUTED, training=training)


def trained(job: Job, sites: Sequence[Site], entropy: Entropy) -> float:
    """Return the held-out accuracy after the job's rounds."""
    vector = initial_vector(job.shapes, job.model_text)
    for _ in range(job.rounds):
        vector = vector + change(job, sites, vector, entropy)
    assert np.all(np.isfinite(vector))
    return accuracy(vector, job.shapes)
