"""What the same audit says of an ideal mechanism, exactly at the claim: its yardstick.

Copied figures hold for their own number of canaries, rounds and samples; a simulation in the
same run holds for these. It draws from a fixed seed, so that expectation and floor are fixed
before the audit as well, and the same for everybody.
"""

from dataclasses import dataclass

import numpy as np

from . import one_run, trade_off
from .guesses import guess

RUNS = 300
DEVIATIONS = 4.0


@dataclass(frozen=True, slots=True)
class Ideal:
    """Bounds of an ideal mechanism over `RUNS` simulated audits.

    Attributes:
        one_run: mean of the bound of Steinke et al.
        trade_off: mean of the bound of Mahloujifar et al.
        floor: four deviations below the latter, or 0.0; whoever measures less has not audited
            anything.
    """

    one_run: float
    trade_off: float
    floor: float


@dataclass(frozen=True, slots=True)
class Run:
    """The numbers on which an ideal run depends."""

    canaries: int
    guesses: int
    steps: int
    rate: float
    noise_multiplier: float
    delta: float
    confidence: float


def ideal(run: Run, runs: int = RUNS, seed: int = 0) -> Ideal:
    """Return what audits of the sampled Gaussian mechanism itself give."""
    bounds = np.array(bounds_of(run, runs, seed))
    (of_one_run, of_trade_off), (_, spread) = bounds.mean(axis=0), bounds.std(axis=0)
    floor = max(0.0, float(of_trade_off - DEVIATIONS * spread))
    return Ideal(float(of_one_run), float(of_trade_off), floor)


def bounds_of(run: Run, runs: int, seed: int) -> list[tuple[float, float]]:
    """Return both bounds of each simulated run."""
    # A simulation hides nothing: its generator may be guessed.
    draws = np.random.default_rng(seed)
    return [_bounds(run, draws) for _ in range(runs)]


def _bounds(run: Run, draws: np.random.Generator) -> tuple[float, float]:
    included = draws.random(run.canaries) < 0.5
    scores = draws.normal(0.0, run.noise_multiplier * run.steps**0.5, run.canaries)
    scores += included * draws.binomial(run.steps, run.rate, run.canaries)
    guesses = guess(scores, included, run.guesses)
    return (
        one_run.lower_bound(guesses, run.delta, run.confidence),
        trade_off.lower_bound(guesses, run.delta, run.confidence),
    )
