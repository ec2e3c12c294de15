"""Mechanism `distributed` at a site: each unit moves the sum by at most the clip, in integers."""

import hashlib
import math
from fractions import Fraction
from itertools import count

import msgspec
import numpy as np
import pytest
import structlog
import torch
from torch import nn

from participant.site import initial_vector, model_shapes
from participant.training import gradient_sum as module
from participant.training import train as training
from participant.training.gradient_sum import bounded_steps, gradient_sum
from privacy.distributed_sum import LEAST_BOUND, DistributedSum
from privacy.errors import ConfigError, UnsafeParameters
from privacy.grid import Grid
from tests.participant.training.test_train import Clinic, unit

ORDER = DistributedSum(
    sampling_rate="1",
    noise_multiplier="2",
    clip="1",
    units_cap=8,
    divisor=8,
    honest=2,
    colluders=1,
)
GRID = Grid(fraction_bits=12, value_bits=20)
ONE = 1 << 12
"""One, the clip, in grid steps."""

WIDE = lambda: nn.Linear(3, 4000)  # noqa: E731
SUMMED = lambda output, target: output.sum(1)  # noqa: E731


def keys(text="keys"):
    """A source of entropy with a new, known key at each call."""
    calls = count()
    return lambda size: hashlib.shake_256(f"{text} {next(calls)}".encode()).digest(size)


def sum_of(units, order=ORDER, text="keys", grid=GRID, **parts):
    site = Clinic(units, **parts)
    start = initial_vector(site, "start")
    return gradient_sum(site, model_shapes(site), start, order, grid, keys(text))


def squared_norm(steps):
    """Exactly: in integers that do not end."""
    return sum(int(step) ** 2 for step in steps)


def test_neighbours_differ_by_at_most_the_clip_in_integers():
    """The sensitivity that the accountant is told, exactly, with identical randomness."""
    units = [unit(seed, target=100.0) for seed in range(6)]

    whole = sum_of(units)
    apart = [squared_norm(whole - sum_of(units[:i] + units[i + 1 :])) for i in range(6)]

    assert max(apart) <= ONE**2
    assert min(apart) > 0.99 * ONE**2


def test_a_patient_with_many_rows_is_one_unit():
    """Fifty rows of one patient move the sum no further than one row of another."""
    units = [unit(seed) for seed in range(4)]

    with_patient = sum_of([*units, unit(9, rows=50, target=100.0)])

    assert squared_norm(with_patient - sum_of(units)) <= ONE**2


def test_the_sum_is_that_of_clipped_gradients_downwards():
    """Against autograd, one patient at a time; what is added to a model makes its loss fall."""
    units = [unit(seed, target=0.1 * seed) for seed in range(5)]
    site = Clinic(units)
    start = initial_vector(site, "start")
    expected = np.zeros_like(start)
    for features, target in units:
        model = training._model(site, model_shapes(site), start)
        site.loss(model(features), target).sum().backward()
        gradient = np.concatenate([p.grad.numpy().ravel() for p in model.parameters()])
        expected -= gradient * min(1.0, 0.5 / math.sqrt(np.sum(gradient**2)))

    order = msgspec.structs.replace(ORDER, clip="0.5")
    found = (sum_of(units, order) - sum_of([], order)) / ONE

    # Half a step a value and unit.
    assert np.allclose(found, expected, atol=2.6 / ONE)


def test_the_noise_is_one_sites_part_and_there_without_anybody():
    """Variance (2·4096)²/2; an empty batch is noised like any other, and nothing is skipped."""
    noise = sum_of([], build=WIDE, per_row=SUMMED) / math.sqrt((2 * ONE) ** 2 / 2)

    assert noise.size == 16_000
    assert abs(noise.mean()) < 4 / math.sqrt(noise.size)
    assert abs(noise.var() - 1) < 4 * math.sqrt(2 / noise.size)
    unsampled = msgspec.structs.replace(ORDER, sampling_rate="0.000001")
    assert sum_of([unit(1)], unsampled).tolist() == sum_of([]).tolist()


def test_parts_of_honest_sites_make_the_noise_that_is_accounted():
    """Two sites' parts together have sigma times clip, and no two sites the same."""
    one, two = (sum_of([], text=text, build=WIDE, per_row=SUMMED) for text in ("a", "b"))

    assert abs((one + two).std() / (2 * ONE) - 1) < 4 / math.sqrt(2 * one.size)
    assert abs(np.corrcoef(one, two)[0, 1]) < 4 / math.sqrt(one.size)


def test_sampling_is_at_the_public_rate(monkeypatch):
    """The rate that is accounted is the rate that is used, exactly."""
    seen = []

    def spy(words, units, rate):
        seen.append((units, rate))
        return np.array([1], np.int64)

    monkeypatch.setattr(training, "poisson_batch", spy)
    order = msgspec.structs.replace(ORDER, sampling_rate="0.1")
    one = sum_of([unit(1), unit(2), unit(3)], order)

    assert seen == [(3, Fraction(1, 10))]
    assert one.tolist() == sum_of([unit(1), unit(2)], order).tolist()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e200, 1e308])
def test_a_broken_record_counts_as_nobody(value):
    """A NaN in the sum would tell that it is there, and stop the site from taking part."""
    units = [unit(seed) for seed in range(4)]
    broken = torch.tensor([[value, 0.0, 1.0]], dtype=torch.float64)

    found = sum_of([*units, (broken, torch.tensor([[value]], dtype=torch.float64))])

    assert found.tolist() == sum_of(units).tolist()


def test_a_unit_that_cannot_be_taken_counts_as_nobody():
    """As under `local`: it would stop the site, and so tell of itself."""
    units = [unit(seed) for seed in range(4)]
    wrong = [(torch.ones(1, 5).double(), torch.ones(1, 1).double()), (torch.ones(0, 3), None)]

    with structlog.testing.capture_logs() as logs:
        found = sum_of([wrong[0], *units, wrong[1]])

    assert found.tolist() == sum_of(units).tolist()
    assert [(each["event"], each["passes"]) for each in logs] == [("units_counted_as_zero", 2)]


def test_more_units_than_the_cap_are_refused_before_anything():
    """None is left out in silence: whom the cap would leave out, no accountant knows of."""
    units = [unit(seed) for seed in range(9)]
    drawn = []

    sum_of(units[:8])
    site = Clinic(units, per_row=lambda output, target: drawn.append(output))
    with pytest.raises(ConfigError, match="more units than the 8"):
        gradient_sum(site, model_shapes(site), initial_vector(site, "start"), ORDER, GRID, keys())

    assert not drawn


def test_noise_comes_first_and_the_grids_edge_after_it(monkeypatch):
    """Cutting off costs nothing after the noise; before it, it would be another sum."""
    steps = np.array([GRID.largest - 5, 5 - GRID.largest, 7])
    monkeypatch.setattr(module, "discrete_gaussian", lambda words, size, variance: steps + 0)
    monkeypatch.setattr(module, "unit_gradients", lambda *rest: [np.array([[-1.0, 1.0, 0.0]])])

    with structlog.testing.capture_logs() as logs:
        found = gradient_sum(None, (), np.zeros(3), order_of_any_norm(), GRID, keys())

    assert found.tolist() == [GRID.largest, -GRID.largest, 7]
    assert [(each["event"], each["values"]) for each in logs] == [("noise_left_the_grid", 2)]


def order_of_any_norm():
    return msgspec.structs.replace(ORDER, clip="2")


def test_a_batch_too_large_for_memory_gives_the_same_sum(monkeypatch):
    """Gradients are made in parts; the noise is still added once."""
    units = [unit(seed) for seed in range(7)]
    whole = sum_of(units)

    monkeypatch.setattr(training, "_VALUES_AT_ONCE", 2 * 21)

    assert sum_of(units).tolist() == whole.tolist()


def test_batch_and_noise_have_keys_of_their_own():
    """One stream for both would tie the noise to who was sampled."""
    asked = []

    def entropy(size):
        asked.append(size)
        return hashlib.shake_256(bytes(asked)).digest(size)

    site = Clinic([unit(1)])
    gradient_sum(site, model_shapes(site), initial_vector(site, "start"), ORDER, GRID, entropy)

    assert asked == [32, 32]


def test_the_same_data_twice_has_other_noise():
    """With the noise of an earlier round, the difference of two sums would have none."""
    site = Clinic([unit(1)])
    shapes, start, entropy = model_shapes(site), initial_vector(site, "start"), keys()

    first = gradient_sum(site, shapes, start, ORDER, GRID, entropy)
    again = gradient_sum(site, shapes, start, ORDER, GRID, entropy)

    assert np.count_nonzero(first == again) < 3


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (lambda: nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1)), "mixes"),
        (lambda: nn.Sequential(nn.Linear(3, 4), nn.Dropout(), nn.Linear(4, 1)), "generator"),
    ],
)
def test_a_model_that_clipping_does_not_bound_is_refused(build, reason):
    """As under `local`: the door is the same."""
    with pytest.raises(UnsafeParameters, match=reason):
        sum_of([unit(1), unit(2)], build=build)


def test_models_go_down_along_noisy_sums():
    """Two sites, twenty rounds, noise and all: the loss falls, on every site's data."""
    sites = [
        Clinic([unit(seed, target=float(seed % 2)) for seed in range(first, first + 8)])
        for first in (0, 8)
    ]
    shapes, model = model_shapes(sites[0]), initial_vector(sites[0], "start")
    order = msgspec.structs.replace(ORDER, noise_multiplier="0.5")
    before = [loss_at(model, each) for each in sites]

    for at in range(20):
        sums = [
            gradient_sum(each, shapes, model, order, GRID, keys(f"site {number} round {at}"))
            for number, each in enumerate(sites)
        ]
        model = model + 0.5 * (np.sum(sums, axis=0) / ONE) / 16

    after = [loss_at(model, each) for each in sites]
    assert all(later < 0.8 * earlier for earlier, later in zip(before, after, strict=True))


def loss_at(vector, site):
    model = training._model(site, model_shapes(site), vector)
    with torch.no_grad():
        return float(sum(site.loss(model(x.double()), y).sum() for x, y in site.units))


# -- gradients in integers -------------------------------------------------------------------


def test_rounding_adds_nothing_to_a_norm():
    """4,096 values of 3/4 have a norm of 48; rounded, they would have 64."""
    gradients = np.full((1, 4096), 0.75)

    steps = bounded_steps(gradients, 48, 0)

    assert squared_norm(steps[0]) <= 48**2


def test_a_norm_within_the_bound_is_rounded_to_the_nearest():
    """What fits is not shortened: the least error, and none that leans."""
    gradients = np.array([[0.6, -0.6, 1.4, -1.4, 0.0], [2.5, 0.5, -0.5, 0.2, 0.1]])

    assert bounded_steps(gradients, 3, 0).tolist() == [[1, -1, 1, -1, 0], [2, 0, 0, 0, 0]]


@pytest.mark.parametrize("bits", [12, 16, 20, 30])
def test_no_norm_passes_the_bound(bits):
    """Unit vectors of many shapes, a rounding too long included, at coarse and fine steps."""
    draws = np.frombuffer(hashlib.shake_256(b"shapes").digest(8 * 40 * 300), "<i8")
    gradients = draws.reshape(40, 300).astype(np.float64) ** 3
    gradients[:10, 5:] = 0.0
    gradients *= (1 + 2.0**-20) / np.sqrt(np.sum(gradients**2, 1, keepdims=True))

    steps = bounded_steps(gradients, 1 << bits, bits)

    norms = [squared_norm(each) for each in steps]
    assert max(norms) <= 1 << (2 * bits)
    if bits >= 20:
        assert min(norms) > 0.999 * (1 << (2 * bits))


@pytest.mark.parametrize("values", [1, 2, 3, 100, 100_000])
@pytest.mark.parametrize("last", [0.0, 0.999])
def test_a_few_passes_bound_the_longest_gradient_of_the_least_bound(monkeypatch, values, last):
    """2^12 steps and a rest that is rounded off; thousands of passes would tell of the record."""
    longest = (LEAST_BOUND + last) * (1 + 2.0**-20)
    passes = []
    real = module._squares
    monkeypatch.setattr(module, "_squares", lambda steps: passes.append(1) or real(steps))

    steps = bounded_steps(np.full((1, values), longest / math.sqrt(values)), LEAST_BOUND, 0)

    assert squared_norm(steps[0]) <= LEAST_BOUND**2
    assert len(passes) == 8


def test_the_bound_of_a_clip_between_two_steps_is_the_lower_one():
    """0.3 is 2.4 steps of an eighth: two, never above the clip that the noise was chosen for."""
    order = msgspec.structs.replace(ORDER, clip="0.3")

    assert order.bound(3) == 2
    assert order.bound(12) == 1228
