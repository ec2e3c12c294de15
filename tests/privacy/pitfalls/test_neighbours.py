"""Neighbouring datasets under identical randomness: what one patient can change, and what not.

Two runs get the same keys, so that all that differs between them is one patient. How far apart
they are is then the sensitivity itself, and not an estimate of it; and whatever else differs
(an error, how much entropy was drawn) would tell about the patient without noise.

Source: Cebere et al. (2026), "Re:cord-play", arXiv:2602.17454: this method found thirteen
violations in twelve libraries.
"""

import msgspec
import numpy as np
import pytest

from participant.site import model_shapes
from participant.training import train as module
from participant.training.train import train

from .ward import (
    MODELS,
    ORDER,
    SENSITIVITY,
    STRANGERS,
    UNUSABLE,
    WARD,
    Replayed,
    Ward,
    cancelling,
    length,
    linear,
    patient,
    start_of,
    update_of,
)

# What float64 leaves in a difference of two sums of noise.
DUST = 1e-12


@pytest.mark.parametrize("build", MODELS.values(), ids=MODELS)
@pytest.mark.parametrize("stranger", STRANGERS.values(), ids=STRANGERS)
def test_no_patient_moves_a_step_further_than_declared(build, stranger):
    """The noise is chosen for learning rate times clip over divisor, whoever comes in."""
    without = update_of(WARD, build=build)

    with_stranger = update_of([*WARD, stranger], build=build)

    assert length(with_stranger - without) <= SENSITIVITY + DUST


def test_the_bound_is_reached():
    """A bound that nothing comes near would be passed by a training that learns nothing."""
    distance = length(update_of([*WARD, patient(9)]) - update_of(WARD))

    assert distance > 0.999 * SENSITIVITY


def test_every_single_patient_can_leave():
    """Wherever it stood in the data: one less is as far as one more."""
    whole = update_of(WARD)

    distances = [length(whole - update_of(WARD[:at] + WARD[at + 1 :])) for at in range(len(WARD))]

    assert max(distances) <= SENSITIVITY + DUST


@pytest.mark.parametrize("stranger", STRANGERS.values(), ids=STRANGERS)
def test_a_ward_of_one_differs_from_an_empty_one_by_no_more(stranger):
    """That there is anybody at all is what one patient's presence says."""
    empty, one = update_of([]), update_of([stranger])

    assert length(one - empty) <= SENSITIVITY + DUST


@pytest.mark.parametrize("stranger", STRANGERS.values(), ids=STRANGERS)
def test_each_step_is_bounded_once_what_came_out_before_is_fixed(stranger):
    """The accountant adds up steps that each start from the same released weights."""
    vector, distances = start_of(), []
    for step in range(4):
        without = update_of(WARD, text=f"step {step}", vector=vector)
        with_stranger = update_of([*WARD, stranger], text=f"step {step}", vector=vector)
        distances.append(length(with_stranger - without))
        vector = vector + without

    assert max(distances) <= SENSITIVITY + DUST


def test_a_patient_counts_only_where_it_was_sampled():
    """At rate one half both happen; out of the batch it changes no bit."""
    half = msgspec.structs.replace(ORDER, sampling_rate="0.5")

    distances = [
        length(update_of([*WARD, patient(9)], half, text) - update_of(WARD, half, text))
        for text in map(str, range(40))
    ]

    assert max(distances) <= SENSITIVITY + DUST
    assert 8 < distances.count(0.0) < 32


@pytest.mark.parametrize("stranger", STRANGERS.values(), ids=STRANGERS)
def test_as_much_entropy_is_drawn_whoever_is_there(stranger):
    """Two keys, for an empty ward as well: what is drawn is no channel."""
    asked = []
    for units in ([], [stranger], WARD, [*WARD, stranger], [stranger, *WARD]):
        entropy, site = Replayed(), Ward(units)
        train(site, model_shapes(site), start_of(), ORDER, entropy)
        asked.append(entropy.asked)

    assert asked == [[32, 32]] * 5


@pytest.mark.parametrize("build", MODELS.values(), ids=MODELS)
def test_no_record_stops_the_training(build):
    """A refusal is seen by everybody and has no noise; a record must not be able to cause it."""
    hostile = [cancelling(seed, 10.0**power) for seed in range(6) for power in (8, 16, 30)]
    hostile += UNUSABLE

    updates = [update_of([record, *WARD], build=build) for record in hostile]

    assert all(np.isfinite(update).all() for update in updates)


def test_who_else_is_in_the_batch_changes_nobodys_gradient():
    """Not even by rounding: where terms cancel, the last bit decides the whole direction."""
    distances = []
    for scale in (1.0, 1e8, 1e16, 1e30):
        fragile = [cancelling(seed, scale) for seed in range(20)]
        whole = update_of(fragile, build=linear)
        for rest in (fragile[1:], fragile[:-1], fragile[:7] + fragile[8:]):
            distances.append(length(whole - update_of(rest, build=linear)))

    assert max(distances) <= SENSITIVITY + DUST


def test_replacing_a_patient_moves_a_step_twice_as_far():
    """Why the relation is a mandatory field: the same noise protects a replacement half as well."""
    one, other = patient(9, target=1e6), patient(9, target=-1e6)

    distance = length(update_of([*WARD, one]) - update_of([*WARD, other]))

    assert 1.9 * SENSITIVITY < distance <= 2 * SENSITIVITY + DUST


def test_a_training_that_does_not_clip_is_caught(monkeypatch):
    """The control: without the bound the same measurement finds the same patient at once."""
    monkeypatch.setattr(module, "_bounded", lambda gradients, clip: list(gradients))
    monkeypatch.setattr(module.DPOptimizer, "clip_and_accumulate", _sum_as_it_is)

    distance = length(update_of([*WARD, patient(9)]) - update_of(WARD))

    assert distance > 10 * SENSITIVITY


def _sum_as_it_is(optimizer):
    for parameter in optimizer.params:
        parameter.summed_grad = parameter.grad_sample.sum(0)
