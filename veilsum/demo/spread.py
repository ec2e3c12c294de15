"""How much the demo's accuracy varies: its training alone, many times over.

    python -m veilsum.demo.spread --runs 100 --mechanism distributed

The same training as in the demo, without keys, network or processes; noise and batches are
drawn anew in every run.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from participant.sending.random_words import Entropy
from participant.site import load_site
from privacy.initial import initial_vector

from .federation import HOSPITALS, KILL_ROUND, KILLED
from .network import accuracy
from .settings import JOBS, LOCAL, Job
from .training import change


def one_run(job: Job, entropy: Entropy) -> NDArray[np.float64]:
    """Return the global model after the demo's rounds, shape (d,).

    The killed hospital is not in its round's sum, where that sum can do without it.
    """
    sites = {name: load_site(f"{job.sites}:{site}") for name, (_, site) in HOSPITALS.items()}
    vector = initial_vector(job.shapes, job.model_text)
    for number in range(1, job.rounds + 1):
        away = number == KILL_ROUND and job.cohort_minimum < len(sites)
        cohort = [site for name, site in sites.items() if not (away and name == KILLED)]
        vector = vector + change(job, cohort, vector, entropy)
    return vector


def accuracies(runs: int, job: Job = LOCAL, entropy: Entropy = os.urandom) -> Iterable[float]:
    """Give the held-out accuracy of each of `runs` independent runs."""
    for _ in range(runs):
        yield accuracy(one_run(job, entropy), job.shapes)


def main(arguments: Sequence[str]) -> None:
    """Print the lowest, mean and highest accuracy."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--mechanism", choices=JOBS, default="local")
    asked = parser.parse_args(arguments)
    started = time.perf_counter()
    found = list(accuracies(asked.runs, JOBS[asked.mechanism]))
    seconds = time.perf_counter() - started
    print(
        f"{asked.runs} runs: accuracy {min(found):.3f} lowest, {statistics.fmean(found):.3f} mean, "
        f"{max(found):.3f} highest, deviation {statistics.pstdev(found):.4f}; "
        f"{seconds / asked.runs:.2f} s a run"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
