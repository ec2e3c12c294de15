"""Epsilon is never too small, and two strangers compute the same."""

import itertools
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import dp_accounting
import numpy as np
import pytest
from dp_accounting import pld, rdp
from hypothesis import given, settings
from hypothesis import strategies as st
from opacus.accountants.analysis import rdp as opacus_rdp
from scipy import integrate, stats

from privacy.accounting import (
    ORDERS,
    epsilon_of,
    rdp_of,
    rdp_to_epsilon,
    smallest_noise_multiplier,
)
from privacy.errors import MalformedMessage, UnsafeParameters
from privacy.events import Composed, DpEvent, Gaussian, PoissonSampled, SelfComposed

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "dp_golden.json").read_text())
GOLDEN = [pytest.param(vector, id=vector["name"]) for vector in VECTORS["vectors"]]
ORDER_ROW = np.array(ORDERS)
WHOLE_ORDERS = ORDER_ROW[np.round(ORDER_ROW) == ORDER_ROW]
FRACTIONS = [1.25, 1.5, 1.75, 2.5, 4.5, 10.5]


def event_of(vector: dict[str, Any]) -> DpEvent:
    sampled = PoissonSampled(vector["q"], Gaussian(vector["noise_multiplier"]))
    return SelfComposed(vector["count"], sampled)


def theirs(vector: dict[str, Any]) -> dp_accounting.DpEvent:
    gaussian = dp_accounting.GaussianDpEvent(float(vector["noise_multiplier"]))
    sampled = dp_accounting.PoissonSampledDpEvent(float(vector["q"]), gaussian)
    return dp_accounting.SelfComposedDpEvent(sampled, vector["count"])


def exact_delta(mu: float, epsilon: float) -> float:
    """Balle and Wang, arXiv:1805.06530, equation 6, for sensitivity over noise `mu`."""
    below = stats.norm.cdf(-epsilon / mu + mu / 2)
    return float(below - math.exp(epsilon) * stats.norm.cdf(-epsilon / mu - mu / 2))


def by_quadrature(q: float, sigma: float, order: float) -> float:
    """The definition of the divergence (arXiv:1908.10530, section 3.3), integrated blindly."""

    def integrand(z: float) -> float:
        ratio = np.logaddexp(math.log1p(-q), math.log(q) + (z - 0.5) / sigma**2)
        return float(np.exp(stats.norm.logpdf(z, scale=sigma) + order * ratio))

    edges = np.linspace(-15 * sigma, order + 15 * sigma, 60)
    pieces = itertools.pairwise(edges)
    moment = sum(integrate.quad(integrand, low, high, epsabs=0)[0] for low, high in pieces)
    return math.log(moment) / (order - 1)


@pytest.mark.parametrize("vector", GOLDEN)
def test_epsilon_agrees_with_both_strangers_as_published(vector: dict[str, Any]) -> None:
    """Google's RDP to a thousandth, Opacus's too; their PLD and PRV are smaller."""
    epsilon = epsilon_of(event_of(vector), float(vector["delta"]))

    assert epsilon == pytest.approx(vector["rdp"], rel=1e-3)
    assert epsilon == pytest.approx(vector["opacus_rdp"], rel=1e-3)
    assert epsilon >= vector["pld"]
    assert epsilon >= vector["opacus_prv"]


@pytest.mark.parametrize("vector", GOLDEN)
def test_epsilon_agrees_with_the_accountants_installed(vector: dict[str, Any]) -> None:
    """At the same orders, Google's RDP; and never below its pessimistic PLD."""
    delta = float(vector["delta"])
    same_orders = rdp.RdpAccountant(orders=list(WHOLE_ORDERS)).compose(theirs(vector))
    distribution = pld.PLDAccountant().compose(theirs(vector))

    whole = rdp_to_epsilon(WHOLE_ORDERS, rdp_of(event_of(vector), WHOLE_ORDERS), delta)

    assert whole == pytest.approx(same_orders.get_epsilon(delta), rel=1e-9)
    assert epsilon_of(event_of(vector), delta) >= distribution.get_epsilon(delta)


@pytest.mark.parametrize("q", ["0.001", "0.05", "0.3", "0.5", "0.9"])
@pytest.mark.parametrize("sigma", ["0.5", "1", "4", "50"])
def test_divergence_at_whole_orders_is_googles_and_opacus(q: str, sigma: str) -> None:
    """Two independent implementations of Mironov, Talwar and Zhang, order by order."""
    ours = rdp_of(PoissonSampled(q, Gaussian(sigma)), WHOLE_ORDERS)

    google = rdp.RdpAccountant(orders=list(WHOLE_ORDERS))
    google.compose(
        dp_accounting.PoissonSampledDpEvent(float(q), dp_accounting.GaussianDpEvent(float(sigma)))
    )
    opacus = opacus_rdp.compute_rdp(
        q=float(q), noise_multiplier=float(sigma), steps=1, orders=list(WHOLE_ORDERS)
    )
    np.testing.assert_allclose(ours, google._rdp, rtol=1e-6)
    np.testing.assert_allclose(ours, opacus, rtol=1e-6)


@pytest.mark.parametrize("order", FRACTIONS)
@pytest.mark.parametrize(
    ("q", "sigma"), [("0.01", "1"), ("0.1", "1.39"), ("0.5", "2"), ("0.25", "5")]
)
def test_divergence_at_fractional_orders_is_the_integral(q: str, sigma: str, order: float) -> None:
    """Against an adaptive quadrature that knows nothing of our grid."""
    (ours,) = rdp_of(PoissonSampled(q, Gaussian(sigma)), np.array([order]))

    assert ours == pytest.approx(by_quadrature(float(q), float(sigma), order), rel=1e-7, abs=1e-11)


@pytest.mark.parametrize("sigma", ["0.001", "0.1", "0.3", "1", "1000", "1000000000"])
@pytest.mark.parametrize("q", ["0.0000001", "0.01", "0.5", "0.9999999"])
def test_divergence_is_finite_and_rises_with_the_order(q: str, sigma: str) -> None:
    """At every corner of what can be built; a sampled sum tells no more than the full one."""
    ours = rdp_of(PoissonSampled(q, Gaussian(sigma)), np.sort(ORDER_ROW))
    full = rdp_of(Gaussian(sigma), np.sort(ORDER_ROW))

    assert np.all(np.isfinite(ours))
    assert np.all(ours >= 0)
    assert np.all(ours <= full)
    assert np.all(np.diff(ours) >= -1e-9 * ours[1:] - 1e-13)


@pytest.mark.parametrize("steps", [1, 20, 400])
@pytest.mark.parametrize("sigma", ["2", "14.25", "60"])
@pytest.mark.parametrize("delta", [1e-3, 1e-5, 1e-8])
def test_epsilon_is_sound_for_the_gaussian(steps: int, sigma: str, delta: float) -> None:
    """At our epsilon the exact delta is within the delta that was promised."""
    epsilon = epsilon_of(SelfComposed(steps, Gaussian(sigma)), delta)

    assert exact_delta(math.sqrt(steps) / float(sigma), max(epsilon, 1e-12)) <= delta


def test_composition_adds_up() -> None:
    """However a tree says the same steps, they cost the same."""
    step = PoissonSampled("0.1", Gaussian("2"))

    together = rdp_of(SelfComposed(5, step), ORDER_ROW)
    apart = rdp_of(Composed((SelfComposed(2, step), step, Composed((step, step)))), ORDER_ROW)

    np.testing.assert_allclose(together, apart, rtol=1e-12)


def test_a_rate_of_one_is_no_sampling() -> None:
    """A full batch has the closed form, order / (2 sigma^2)."""
    sampled = rdp_of(PoissonSampled("1", Gaussian("3")), ORDER_ROW)

    np.testing.assert_array_equal(sampled, ORDER_ROW / 18)


@pytest.mark.parametrize(
    "event",
    [
        PoissonSampled("0.1", SelfComposed(2, Gaussian("1"))),
        PoissonSampled("0.1", PoissonSampled("0.1", Gaussian("1"))),
        SelfComposed(3, PoissonSampled("0.1", Composed((Gaussian("1"), Gaussian("1"))))),
    ],
)
def test_an_event_without_a_proven_bound_is_refused(event: DpEvent) -> None:
    """A guess would be a promise to patients that nobody has proved."""
    with pytest.raises(UnsafeParameters):
        rdp_of(event, ORDER_ROW)


def test_a_tree_built_too_deep_is_refused() -> None:
    """Built in code it passes no reader, so the accountant looks too."""
    event: DpEvent = Gaussian("1")
    for _ in range(10):
        event = Composed((event,))

    with pytest.raises(MalformedMessage):
        rdp_of(event, ORDER_ROW)


@pytest.mark.parametrize("order", [1.0, 0.5, math.nan, math.inf, -2.0])
def test_an_order_without_meaning_is_refused(order: float) -> None:
    """Renyi bounds start above one."""
    with pytest.raises(UnsafeParameters):
        rdp_of(Gaussian("1"), np.array([2.0, order]))


@pytest.mark.parametrize("orders", [np.array([]), np.array([[2.0]])])
def test_orders_are_one_row(orders: Any) -> None:
    """A minimum over nothing would bound nothing."""
    with pytest.raises(UnsafeParameters):
        rdp_of(Gaussian("1"), orders)


@pytest.mark.parametrize(
    ("orders", "divergence", "delta"),
    [
        ([2.0], [math.nan], 1e-5),
        ([2.0, 3.0], [0.1, math.nan], 1e-5),
        ([2.0], [-0.1], 1e-5),
        ([math.nan], [0.1], 1e-5),
        ([1.0], [0.1], 1e-5),
        ([2.0, 3.0], [0.1], 1e-5),
        ([], [], 1e-5),
        ([2.0], [0.1], 0.0),
        ([2.0], [0.1], 1.0),
        ([2.0], [0.1], math.nan),
    ],
)
def test_what_is_out_of_range_has_no_epsilon(
    orders: list[float], divergence: list[float], delta: float
) -> None:
    """In Python max(0.0, nan) is 0.0: unchecked, NaN would be perfect privacy."""
    with pytest.raises(UnsafeParameters):
        rdp_to_epsilon(np.array(orders), np.array(divergence), delta)


def test_an_order_without_a_bound_does_not_count() -> None:
    """`inf` says nothing; the others still hold, and none is no bound at all."""
    alone = rdp_to_epsilon(np.array([4.0]), np.array([0.2]), 1e-5)

    assert rdp_to_epsilon(np.array([4.0, 8.0]), np.array([0.2, np.inf]), 1e-5) == alone
    assert rdp_to_epsilon(np.array([4.0]), np.array([np.inf]), 1e-5) == math.inf


def test_nothing_costs_nothing() -> None:
    """An untouched budget reads 0, not the artefact of a finite grid of orders."""
    assert rdp_to_epsilon(ORDER_ROW, np.zeros_like(ORDER_ROW), 1e-9) == 0.0


@pytest.mark.parametrize(
    ("q", "steps", "delta", "epsilon"),
    [
        ("1", 20, 1e-4, 1.0),
        ("0.1", 100, 1e-5, 3.0),
        ("0.01", 1000, 1e-5, 0.5),
        ("0.3", 30, 1e-3, 8.0),
    ],
)
def test_calibration_never_overshoots_and_wastes_little(
    q: str, steps: int, delta: float, epsilon: float
) -> None:
    """A search that ends on the wrong side would break the promise by its tolerance."""
    noise = smallest_noise_multiplier(q, steps, delta, epsilon)

    less = f"{float(noise) - 0.0002:.4f}".rstrip("0").rstrip(".")
    found = epsilon_of(SelfComposed(steps, PoissonSampled(q, Gaussian(noise))), delta)
    assert epsilon * 0.998 < found < epsilon
    assert epsilon_of(SelfComposed(steps, PoissonSampled(q, Gaussian(less))), delta) > epsilon * (
        1 - 1e-6
    )


@given(st.sampled_from(["1", "0.5", "0.05"]), st.integers(1, 300), st.floats(0.2, 20))
@settings(deadline=None, max_examples=15)
def test_calibration_never_overshoots(q: str, steps: int, epsilon: float) -> None:
    """For any target."""
    noise = smallest_noise_multiplier(q, steps, 1e-5, epsilon)

    event = SelfComposed(steps, PoissonSampled(q, Gaussian(noise)))
    assert epsilon_of(event, 1e-5) < epsilon


@pytest.mark.parametrize("epsilon", [0.0, -1.0, math.nan, math.inf, 1e-12])
def test_calibration_to_no_target_is_refused(epsilon: float) -> None:
    """An answer to such a question would be a number that means nothing."""
    with pytest.raises(UnsafeParameters):
        smallest_noise_multiplier("1", 1, 1e-5, epsilon)


def test_the_accountant_is_light() -> None:
    """A site's agent accounts, and loads no training library for it."""
    code = "import sys, privacy.accounting; print(*sorted(sys.modules))"

    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()

    assert not {"torch", "opacus", "scipy", "tenseal", "grpc"} & set(loaded)
