"""Neighbouring datasets under identical noise, mechanism `distributed`: exact, in integers.

The noise is the same in both runs, so it falls out of their difference, and what is left is
what one patient did to the sum. On the grid that is a whole number of steps, and its length
is compared with the bound in integers: there is no rounding to allow for.

Source: Cebere et al. (2026), "Re:cord-play", arXiv:2602.17454.
"""

import msgspec
import numpy as np
import pytest

from participant.site import model_shapes
from participant.training import gradient_sum as module
from participant.training.gradient_sum import gradient_sum
from privacy.distributed_sum import DistributedSum
from privacy.grid import Grid

from .ward import (
    MODELS,
    STRANGERS,
    UNUSABLE,
    WARD,
    Replayed,
    Ward,
    cancelling,
    linear,
    patient,
    start_of,
)

GRID = Grid(fraction_bits=16, value_bits=32)
ORDER = DistributedSum(
    sampling_rate="1",
    noise_multiplier="1",
    clip="1.3",
    units_cap=400,
    divisor=50,
    honest=2,
    colluders=1,
)
BOUND = 13 * 2**16 // 10
"""The largest whole number of steps within the clip."""


def sum_of(units, order=ORDER, text="keys", build=linear, entropy=None):
    site = Ward(list(units), build)
    start, entropy = start_of(build), entropy or Replayed(text)
    return gradient_sum(site, model_shapes(site), start, order, GRID, entropy)


def squared_distance(one, other):
    """In Python's integers, which do not wrap."""
    return sum(int(step) ** 2 for step in (one - other).tolist())


@pytest.mark.parametrize("build", MODELS.values(), ids=MODELS)
@pytest.mark.parametrize("stranger", STRANGERS.values(), ids=STRANGERS)
def test_no_patient_moves_a_sum_further_than_the_clip(build, stranger):
    """Rounding to the grid adds nothing: it is clipped again after it."""
    without = sum_of(WARD, build=build)

    with_stranger = sum_of([*WARD, stranger], build=build)

    assert squared_distance(with_stranger, without) <= BOUND**2


@pytest.mark.parametrize("stranger", STRANGERS.values(), ids=STRANGERS)
def test_a_sum_of_one_differs_from_a_sum_of_nobody_by_no_more(stranger):
    """An empty site sends noise, as any other does."""
    assert squared_distance(sum_of([stranger]), sum_of([])) <= BOUND**2


@pytest.mark.parametrize("bits", [12, 14, 16, 24])
def test_the_bound_is_reached_and_not_passed_on_any_grid(monkeypatch, bits):
    """The coarsest that a plan may have rounds most: a bound in floats would be passed there."""
    monkeypatch.setattr(f"{__name__}.GRID", Grid(fraction_bits=bits, value_bits=36))
    bound = 13 * 2**bits // 10
    empty = sum_of([])

    distances = [squared_distance(sum_of([patient(seed)]), empty) for seed in range(10)]

    assert max(distances) <= bound**2
    assert max(distances) ** 0.5 > 0.5 * bound


def test_without_the_second_clip_rounding_would_pass_the_bound(monkeypatch):
    """The control: put on the grid and no more, a gradient is longer than the noise knows."""
    monkeypatch.setattr(f"{__name__}.GRID", Grid(fraction_bits=12, value_bits=36))
    monkeypatch.setattr(module, "bounded_steps", _only_rounded)
    empty = sum_of([])

    distances = [squared_distance(sum_of([patient(seed)]), empty) for seed in range(40)]

    assert max(distances) > (13 * 2**12 // 10) ** 2


def _only_rounded(gradients, bound, fraction_bits):
    return np.rint(np.ldexp(gradients, fraction_bits)).astype(np.int64)


def test_every_single_patient_can_leave_a_sum():
    """Wherever it stood in the data."""
    whole = sum_of(WARD)

    for at in range(len(WARD)):
        assert squared_distance(whole, sum_of(WARD[:at] + WARD[at + 1 :])) <= BOUND**2


def test_who_else_is_in_the_sum_changes_nobodys_part():
    """Not even by rounding: where terms cancel, the last bit decides the whole direction."""
    distances = []
    for scale in (1.0, 1e8, 1e16, 1e30):
        fragile = [cancelling(seed, scale) for seed in range(20)]
        whole = sum_of(fragile)
        for rest in (fragile[1:], fragile[:-1], fragile[:7] + fragile[8:]):
            distances.append(squared_distance(whole, sum_of(rest)))

    assert max(distances) <= BOUND**2


def test_out_of_the_batch_a_patient_changes_no_step():
    """At rate one half both happen."""
    half = msgspec.structs.replace(ORDER, sampling_rate="0.5")

    distances = [
        squared_distance(sum_of([*WARD, patient(9)], half, text), sum_of(WARD, half, text))
        for text in map(str, range(40))
    ]

    assert max(distances) <= BOUND**2
    assert 8 < distances.count(0) < 32


@pytest.mark.parametrize("stranger", STRANGERS.values(), ids=STRANGERS)
def test_as_much_entropy_is_drawn_for_a_sum_whoever_is_there(stranger):
    """Two keys, for an empty site as well."""
    asked = []
    for units in ([], [stranger], [*WARD, stranger]):
        entropy = Replayed()
        sum_of(units, entropy=entropy)
        asked.append(entropy.asked)

    assert asked == [[32, 32]] * 3


def test_no_record_stops_a_sum():
    """A refusal is seen by everybody and has no noise; a record must not be able to cause it."""
    hostile = [cancelling(seed, 10.0**power) for seed in range(6) for power in (8, 16, 30)]
    hostile += UNUSABLE

    sums = [sum_of([record, *WARD]) for record in hostile]

    assert len(sums) == len(hostile)
