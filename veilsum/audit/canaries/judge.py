"""From what a coalition looks at to bounds, tests, and what is wrong with either."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from . import calibration, one_run, trade_off
from .guesses import guess
from .ideal import Run, ideal
from .result import Test, Verdict, View
from .setting import Setting, guesses_of
from .views import Look

CONFIDENCE = 0.95
"""Of each lower bound."""

DEVIATIONS = 4.0
"""Beyond which a test fails; noise as claimed is, once in thirty thousand audits."""

FINEST = 0.03
"""A noise test that would not see so small a part missing is too weak."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A reason against a pass: what is wrong, or why the audit cannot know."""

    verdict: Verdict
    words: str


def violated(words: str) -> Finding:
    """Return that something is not as claimed, to the cost of privacy."""
    return Finding(Verdict.VIOLATED, words)


def too_weak(words: str) -> Finding:
    """Return that the audit could not see what it looks for."""
    return Finding(Verdict.TOO_WEAK, words)


def judge(setting: Setting, look: Look) -> tuple[View, list[Finding]]:
    """Return the bounds and tests of one view, and what is wrong."""
    m, per_round = look.included.size, setting.steps // setting.rounds
    held = calibration.without_known(look.values, look.known, m)
    scores = held.sum(axis=0)
    run = _run(setting, look)
    guesses, expected = guess(scores[:m], look.included, run.guesses), ideal(run)
    noise = calibration.noise(held[:, m:], run.noise_multiplier * math.sqrt(per_round))
    inside = scores[:m][look.included]
    outside = scores[m:] if look.included.all() else scores[:m][~look.included]
    gap = calibration.gap(inside, outside, run.steps * run.rate, _deviation(run))
    view = View(
        name=look.name,
        claimed=look.claimed,
        one_run=one_run.lower_bound(guesses, run.delta, run.confidence),
        trade_off=trade_off.lower_bound(guesses, run.delta, run.confidence),
        expected_one_run=expected.one_run,
        expected_trade_off=expected.trade_off,
        floor=expected.floor,
        canaries=m,
        included=inside.size,
        guesses=guesses.made,
        right=guesses.right,
        noise=noise,
        gap=gap,
    )
    return view, [*_of_bounds(view, run), *_of_noise(view), *_of_gap(view)]


def of_dependence(test: Test) -> Iterator[Finding]:
    """Say what is wrong with the noise of different sites."""
    if test.z > DEVIATIONS:
        yield violated(
            f"the noise of different sites is correlated ({test.ratio:.2f}, z {test.z:.0f}): "
            "whoever knows one site's noise takes it off the others'"
        )


def of_participation(test: Test) -> Iterator[Finding]:
    """Say what is wrong with how often canaries took part."""
    if test.z > DEVIATIONS:
        yield violated(
            f"how often a record takes part varies {test.ratio:.2f} times as much as Poisson "
            f"sampling lets it (z {test.z:.0f}), which the accountant assumes"
        )


def of_batch_sizes(test: Test) -> Iterator[Finding]:
    """Say what is wrong with how many canaries took part in a round."""
    if test.z > DEVIATIONS:
        yield violated(
            f"the size of batches varies {test.ratio:.2f} times as much as Poisson sampling lets "
            f"it (z {test.z:.0f}), which the accountant assumes"
        )


def _run(setting: Setting, look: Look) -> Run:
    return Run(
        canaries=look.included.size,
        guesses=guesses_of(look.included.size),
        steps=setting.steps,
        rate=float(setting.training.rate),
        noise_multiplier=look.noise_multiplier,
        delta=setting.delta,
        confidence=CONFIDENCE,
    )


def _deviation(run: Run) -> float:
    return math.sqrt(run.steps * (run.noise_multiplier**2 + run.rate * (1 - run.rate)))


def _of_bounds(view: View, run: Run) -> Iterator[Finding]:
    if view.one_run > view.claimed:
        yield violated(f"{view.name}: {_above('one-run', view.one_run, view.claimed)}")
    # Only a Gaussian's claim is refuted by this bound; a sampled one has another trade-off.
    if run.rate == 1.0 and view.trade_off > view.claimed:
        yield violated(f"{view.name}: {_above('trade-off', view.trade_off, view.claimed)}")
    if view.floor <= 0.0:
        yield too_weak(
            f"{view.name}: of epsilon {view.claimed:.2f} even an ideal mechanism shows "
            f"{view.expected_trade_off:.2f} only, and may show nothing; take more canaries"
        )
    if view.trade_off < view.floor:
        yield too_weak(
            f"{view.name}: a bound of {view.trade_off:.2f} is below {view.floor:.2f}, which "
            "an ideal mechanism is above; the canaries did not arrive as they should"
        )


def _above(which: str, bound: float, claimed: float) -> str:
    return f"{which} bound {bound:.2f} > claimed epsilon {claimed:.2f}"


def _of_noise(view: View) -> Iterator[Finding]:
    noise, found = view.noise, f"{view.name}: noise is {view.noise.ratio:.2f} of what is claimed"
    if noise.resolution * DEVIATIONS > FINEST:
        yield too_weak(
            f"{view.name}: too few coordinates without canaries to see {FINEST:.0%} of the noise "
            "missing; more of them, or more rounds"
        )
    if noise.z > DEVIATIONS:
        yield violated(f"{found} (z {noise.z:.0f})")
    if noise.z < -DEVIATIONS:
        yield too_weak(f"{found}: not the mechanism that was to be audited")


def _of_gap(view: View) -> Iterator[Finding]:
    gap, found = view.gap, f"{view.name}: a canary moves the sum {view.gap.ratio:.2f} times as far"
    if gap.z > DEVIATIONS:
        yield violated(f"{found} as the clip allows (z {gap.z:.0f})")
    if gap.z < -DEVIATIONS:
        yield too_weak(f"{found} as it should; it did not arrive whole")
