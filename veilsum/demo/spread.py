"""How much the demo's accuracy varies: its training alone, many times over.

    python -m veilsum.demo.spread --runs 100

The same training, clipping, grid and equal-weight averaging as in the demo, without
keys, network or processes; noise and batches are drawn anew in every run.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from participant.privatise import privatise
from participant.random_words import Entropy
from participant.site import Site
from participant.train import train
from privacy.initial import initial_vector

from .clinical_data import HOSPITALS
from .hospitals import SITES
from .network import accuracy
from .settings import DEMO_GRID, DEMO_SHAPES, DEMO_TRAINING, MODEL_SEED_TEXT, UPDATE_CLIP

COHORTS = (HOSPITALS, HOSPITALS[:3], HOSPITALS)
"""Who is in each round's sum: in the second one, hospital-d has been killed."""


def one_run(entropy: Entropy) -> NDArray[np.float64]:
    """Return the global model after the demo's rounds, shape (16353,)."""
    vector = initial_vector(DEMO_SHAPES, MODEL_SEED_TEXT)
    for cohort in COHORTS:
        vector = vector + mean_update([SITES[name]() for name in cohort], vector, entropy)
    return vector


def mean_update(
    cohort: Sequence[Site], vector: NDArray[np.float64], entropy: Entropy
) -> NDArray[np.float64]:
    """Return the mean of the sites' updates, each site with the same weight."""
    steps = [_grid_update(site, vector, entropy) for site in cohort]
    return DEMO_GRID.from_grid(np.sum(steps, axis=0)) / len(cohort)


def _grid_update(site: Site, vector: NDArray[np.float64], entropy: Entropy) -> NDArray[np.int64]:
    update = train(site, DEMO_SHAPES, vector, DEMO_TRAINING, entropy)
    return privatise(update, float(UPDATE_CLIP), DEMO_GRID)


def accuracies(runs: int, entropy: Entropy = os.urandom) -> Iterable[float]:
    """Give the held-out accuracy of each of `runs` independent runs."""
    for _ in range(runs):
        yield accuracy(one_run(entropy))


def main(arguments: Sequence[str]) -> None:
    """Print the lowest, mean and highest accuracy."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=100)
    runs = parser.parse_args(arguments).runs
    started = time.perf_counter()
    found = list(accuracies(runs))
    seconds = time.perf_counter() - started
    print(
        f"{runs} runs: accuracy {min(found):.3f} lowest, {statistics.fmean(found):.3f} mean, "
        f"{max(found):.3f} highest, deviation {statistics.pstdev(found):.4f}; "
        f"{seconds / runs:.2f} s a run"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
