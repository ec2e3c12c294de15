"""The judgement of one view: which bound counts when, from values that are made by hand."""

from dataclasses import replace

import numpy as np
import pytest
from msgspec.structs import replace as changed

from privacy.plan import Mechanism
from veilsum.audit.canaries.judge import judge
from veilsum.audit.canaries.result import Verdict
from veilsum.audit.canaries.views import Look, looks

from .small_audit import SETTINGS

SHARED = SETTINGS[Mechanism.DISTRIBUTED]


def look(claimed, *, steps=4, rate=1.0, sigma=1.2, canaries=1000):
    """An ideal run: noise of `sigma` a round, and canaries that take part at `rate`."""
    draws = np.random.default_rng(5)
    included = draws.random(canaries) < 0.5
    values = draws.normal(0.0, sigma, (steps, canaries + 2500))
    values[:, :canaries] += included * draws.binomial(1, rate, (steps, canaries))
    return Look("sums", claimed, sigma, included, values, np.zeros_like(values))


def words(findings, verdict):
    return [finding.words for finding in findings if finding.verdict is verdict]


def test_an_ideal_run_has_no_findings():
    """The figures in the view are those of the run."""
    view, findings = judge(SHARED, look(8.0))

    assert findings == []
    assert (view.canaries, view.guesses, view.claimed) == (1000, 100, 8.0)
    assert view.noise.ratio == pytest.approx(1.0, abs=0.03)
    assert view.gap.ratio == pytest.approx(1.0, abs=0.1)


def test_each_bound_above_the_claim_is_a_violation():
    """A claim that is too small for the same noise, and by how much."""
    view, findings = judge(SHARED, look(0.5))

    found = words(findings, Verdict.VIOLATED)

    assert f"sums: one-run bound {view.one_run:.2f} > claimed epsilon 0.50" in found
    assert f"sums: trade-off bound {view.trade_off:.2f} > claimed epsilon 0.50" in found


def test_of_samples_the_trade_off_bound_alone_is_no_violation():
    """It refutes a Gaussian's curve, and a sampled Gaussian has another one."""
    sampled = replace(SHARED, training=changed(SHARED.training, sampling_rate="0.5"))
    view, _ = judge(sampled, look(9.0, rate=0.5))
    between = 0.5 * (view.one_run + view.trade_off)

    _, findings = judge(sampled, look(between, rate=0.5))

    assert words(findings, Verdict.VIOLATED) == []
    full = look(between)
    assert any("trade-off" in each.words for each in judge(SHARED, full)[1])


def test_known_noise_is_taken_off_before_anything_is_looked_at():
    """What a coalition drew itself hides nothing from it."""
    clean = look(8.0)
    known = np.random.default_rng(6).normal(0.0, 3.0, clean.values.shape)

    view, findings = judge(SHARED, replace(clean, values=clean.values + known, known=known))

    assert findings == []
    assert view.noise.ratio == pytest.approx(1.0, abs=0.03)


def test_the_vector_view_has_the_first_sites_canaries_only():
    """Another site's canary is not in its vector, and would count as a wrong guess."""

    class Held:
        included = np.array([True, False, True, True])
        sums = np.arange(12.0).reshape(2, 6)
        vector = sums + 100
        known = sums + 200

    sums, vector = looks(SHARED, Held)

    assert sums.included.tolist() == [True, False, True, True]
    assert vector.included.tolist() == [True, True]
    assert vector.values[0].tolist() == [100.0, 102.0, 104.0, 105.0]
    assert vector.known[0].tolist() == [200.0, 202.0, 204.0, 205.0]
    assert vector.noise_multiplier == pytest.approx(1.2 / 2**0.5)
