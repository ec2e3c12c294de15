"""What goes wrong with Opacus 1.6.0 alone, beside the same situation here.

Each pair is a control and a claim: the first test shows the fault in the library as it is
installed, so that the second is known to look at the right place. A control that fails
says that Opacus was mended, and that our reason for a detour may be gone.
"""

import io
import math
import warnings
from fractions import Fraction

import msgspec
import numpy as np
import opacus
import pytest
import torch
from opacus import PrivacyEngine
from opacus.accountants import PRVAccountant, RDPAccountant
from opacus.utils.uniform_sampler import DistributedUniformWithReplacementSampler
from torch import nn
from torch.nn.functional import mse_loss
from torch.utils.data import DataLoader, TensorDataset

from participant.sending.random_words import RandomWords
from participant.training import train as module
from participant.training.sampling import poisson_batch
from privacy.accounting import ORDERS, epsilon_of, rdp_to_epsilon
from privacy.errors import UnsafeParameters
from privacy.events import Gaussian, SelfComposed
from privacy.local_training import event_of

from .ward import ORDER, Replayed, constant, patient, update_of

LOST_A_STEP = [93, 99, 105, 117, 123]
"""The first five numbers of steps that `int(1 / q)` does not give back for q = 1 / steps."""


@pytest.fixture(autouse=True)
def _quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


class Theirs:
    """A linear model under Opacus's own engine, sampler, optimizer and accountant."""

    def __init__(self, units, batch, first_value=0.0):
        features = torch.zeros(units, 3)
        features[0, 0] = first_value
        data = TensorDataset(features, torch.zeros(units, 1))
        model = nn.Linear(3, 1)
        self.engine = PrivacyEngine(accountant="rdp")
        self.model, self.optimizer, self.loader = self.engine.make_private(
            module=model,
            optimizer=torch.optim.SGD(model.parameters(), lr=0.1),
            data_loader=DataLoader(data, batch_size=batch),
            noise_multiplier=1.0,
            max_grad_norm=1.0,
        )

    def epoch(self):
        for features, target in self.loader:
            self.optimizer.zero_grad()
            mse_loss(self.model(features), target).backward()
            self.optimizer.step()

    def epsilon(self):
        return self.engine.get_epsilon(1e-5)


def test_these_are_the_faults_of_the_version_that_is_installed():
    """Others have others."""
    assert opacus.__version__ == "1.6.0"


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_in_opacus_one_broken_record_makes_every_weight_not_finite(value):
    """It tells for certain that the record is there, and ends the training for all."""
    alone = Theirs(units=8, batch=8, first_value=value)

    alone.epoch()

    assert not any(bool(weights.isfinite().any()) for weights in alone.model.parameters())


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_here_a_broken_record_changes_no_bit(value):
    """It counts as zero, before anything is clipped or added."""
    ward = [patient(seed) for seed in range(7)]

    update = update_of([*ward, constant(value)])

    assert update.tolist() == update_of([*ward, constant(float("inf"))]).tolist()
    assert np.isfinite(update).all()


def test_in_opacus_a_restored_checkpoint_refunds_the_budget():
    """Whatever was spent after it was written is forgotten, in good faith."""
    alone, checkpoint = Theirs(units=64, batch=8), io.BytesIO()
    alone.epoch()
    alone.engine.save_checkpoint(path=checkpoint, module=alone.model, optimizer=alone.optimizer)
    early = alone.epsilon()
    for _ in range(4):
        alone.epoch()
    spent = alone.epsilon()
    checkpoint.seek(0)

    alone.engine.load_checkpoint(path=checkpoint, module=alone.model, optimizer=alone.optimizer)

    assert alone.epsilon() == early < 0.6 * spent


def test_in_opacus_the_divisor_follows_the_number_of_patients():
    """Published weights then depend on how many there are; for 49 in batches of one it is 0."""
    divisors = {n: Theirs(n, batch).optimizer.expected_batch_size for n, batch in _SIZES}

    assert divisors == {48: 4, 199: 3, 49: 0}


_SIZES = [(48, 4), (199, 4), (49, 1)]


@pytest.mark.parametrize("patients", [0, 1, 48, 49, 199])
def test_here_rate_and_divisor_are_those_of_the_plan(patients):
    """However many there are whose gradients are zero: the same update, bit for bit."""
    nobody = [constant(float("nan"))] * patients

    update = update_of(nobody)

    assert update.tolist() == update_of([]).tolist()


@pytest.mark.parametrize("steps", LOST_A_STEP)
def test_in_opacus_a_step_is_lost_between_two_roundings(steps):
    """An epoch of that many batches is run as one fewer, or accounted as one fewer."""
    assert int(1 / (1 / steps)) == steps - 1


def test_in_opacus_one_number_of_steps_in_fourteen_is_lost():
    """141 of 1 to 1999."""
    lost = [steps for steps in range(1, 2000) if int(1 / (1 / steps)) != steps]

    assert (len(lost), lost[:5]) == (141, LOST_A_STEP)


@pytest.mark.parametrize("steps", LOST_A_STEP)
def test_here_as_many_steps_are_accounted_as_taken(monkeypatch, steps):
    """An integer in the plan, run and accounted as it stands there."""
    order = msgspec.structs.replace(ORDER, steps=steps, sampling_rate="0.5")
    taken = []

    def counted(words, units, rate):
        taken.append(rate)
        return np.array([], np.int64)

    monkeypatch.setattr(module, "poisson_batch", counted)
    update_of([patient(1)], order)

    assert taken == [Fraction(1, 2)] * steps
    assert event_of(order).count == steps


def test_in_opacus_a_distributed_sampler_skips_empty_batches(monkeypatch):
    """Fifty steps are asked for, and none is taken: who counts them knows that nobody was in."""
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 1)
    monkeypatch.setattr(torch.distributed, "get_rank", lambda: 0)
    generator = torch.Generator().manual_seed(1)

    sampler = DistributedUniformWithReplacementSampler(
        total_size=5, sample_rate=0.01, steps=50, generator=generator
    )

    assert (len(sampler), len(list(sampler))) == (50, 0)


def test_here_an_empty_batch_is_a_step_like_any_other():
    """It is given out, noised and counted: fifty noisy steps of nobody are fifty steps."""
    words = RandomWords(Replayed())
    batches = [poisson_batch(words, 5, Fraction(1, 10**6)) for _ in range(50)]
    one = msgspec.structs.replace(ORDER, sampling_rate="0.000001")
    fifty = msgspec.structs.replace(one, steps=50)

    few, many = update_of([patient(1)], one), update_of([patient(1)], fifty)

    assert [batch.size for batch in batches] == [0] * 50
    # the noise of fifty steps has fifty times the variance of one
    assert 30 < many.var() / few.var() < 80


def test_in_opacus_secure_noise_cannot_be_asked_for():
    """It needs a package that has not been built for current PyTorch since 2021."""
    with pytest.raises(ImportError, match="torchcsprng"):
        PrivacyEngine(secure_mode=True)


def test_in_opacus_an_accountant_breaks_on_an_empty_history():
    """One of two answers to what nothing costs is an error; a caller must not read it as free."""
    with pytest.raises(ValueError, match="NaN"):
        PRVAccountant().get_epsilon(1e-5)

    assert RDPAccountant().get_epsilon(1e-5) == 0


def test_here_nothing_costs_nothing_and_what_has_no_cost_is_refused():
    """An accountant that cannot answer refuses; there is no value for 'unknown'."""
    orders = np.array(ORDERS)

    assert rdp_to_epsilon(orders, np.zeros_like(orders), 1e-5) == 0.0
    with pytest.raises(UnsafeParameters):
        rdp_to_epsilon(orders, np.full_like(orders, math.nan), 1e-5)
    assert math.isfinite(epsilon_of(SelfComposed(1, Gaussian("0.001")), 1e-5))
