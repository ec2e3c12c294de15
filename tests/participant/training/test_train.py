"""DP-SGD: what leaves depends on each unit by at most the clip, and the noise is ours."""

import dataclasses
import hashlib
from fractions import Fraction
from itertools import count

import msgspec
import numpy as np
import pytest
import structlog
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, mse_loss

from participant.site import initial_vector, model_shapes
from participant.training import train as module
from participant.training.train import train
from privacy.errors import ConfigError, UnsafeParameters
from privacy.local_training import LocalTraining

ORDER = LocalTraining(
    sampling_rate="1",
    noise_multiplier="1",
    steps=1,
    clip="1",
    learning_rate="1",
    divisor=1,
)
QUIET = msgspec.structs.replace(ORDER, noise_multiplier="0.001")


def network():
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))


def squared(output, target):
    return mse_loss(output, target, reduction="none").squeeze(1)


@dataclasses.dataclass
class Clinic:
    units: list
    build: object = network
    per_row: object = squared

    def model(self):
        return self.build()

    def records(self):
        return self.units

    def loss(self, output, target):
        return self.per_row(output, target)


def unit(seed, rows=1, target=1.0):
    features = np.frombuffer(hashlib.shake_256(b"%d" % seed).digest(rows * 3), np.int8) / 64.0
    return torch.tensor(features).reshape(rows, 3), torch.full((rows, 1), target).double()


def keys(text="keys"):
    """A source of entropy with a new, known key at each call."""
    calls = count()
    return lambda size: hashlib.shake_256(f"{text} {next(calls)}".encode()).digest(size)


def update_of(units, order=ORDER, text="keys", **parts):
    site = Clinic(units, **parts)
    return train(site, model_shapes(site), initial_vector(site, "start"), order, keys(text))


def length(vector):
    return float(np.sqrt(np.sum(vector**2)))


def test_neighbours_differ_by_at_most_the_clip():
    """The sensitivity that the accountant is told, measured with identical randomness."""
    units = [unit(seed, target=100.0) for seed in range(6)]

    whole = update_of(units)
    distances = [length(whole - update_of(units[:i] + units[i + 1 :])) for i in range(6)]

    assert max(distances) <= 1.0 + 1e-12
    assert min(distances) > 0.99


def test_a_patient_with_many_rows_is_one_unit():
    """Fifty rows of one patient move the model no further than one row of another."""
    units = [unit(seed) for seed in range(4)]

    with_patient = update_of([*units, unit(9, rows=50, target=100.0)])

    assert length(with_patient - update_of(units)) <= 1.0 + 1e-12


def test_a_patients_gradient_is_the_mean_of_its_rows():
    """The same row fifty times is the same patient."""
    features, target = unit(3)
    repeated = (features.repeat(50, 1), target.repeat(50, 1))
    wide = msgspec.structs.replace(QUIET, clip="1000")

    once, often = update_of([unit(3)], wide), update_of([repeated], wide)

    assert np.allclose(once, often, atol=1e-12)


def test_the_update_is_the_clipped_mean_gradient():
    """Against autograd, one patient at a time; Opacus has had wrong norms before."""
    units = [unit(seed, target=0.1 * seed) for seed in range(5)]
    site = Clinic(units)
    start = initial_vector(site, "start")
    expected = np.zeros_like(start)
    for features, target in units:
        model = module._model(site, model_shapes(site), start)
        squared(model(features), target).sum().backward()
        gradient = np.concatenate([p.grad.numpy().ravel() for p in model.parameters()])
        expected -= gradient * min(1.0, 0.5 / length(gradient)) / 4

    order = LocalTraining("1", "0.001", 1, "0.5", "1", 4)
    noise = update_of([], order)
    update = update_of(units, order)

    assert np.allclose(update - noise, expected, atol=1e-6)


def test_the_noise_has_the_ordered_deviation():
    """Rate, clip, multiplier and divisor are the plan's; nothing of the data scales the noise."""
    order = LocalTraining("0.5", "3", 1, "2", "0.25", 10)
    wide = lambda: nn.Linear(3, 4000)  # noqa: E731

    update = update_of([], order, build=wide)

    expected = 0.25 * 3 * 2 / 10
    assert abs(update.std() / expected - 1) < 4 / (2 * len(update)) ** 0.5
    assert abs(update.mean()) < 4 * expected / len(update) ** 0.5


def test_every_step_is_noised_even_when_nobody_is_sampled():
    """Four empty steps leave the noise of four steps, so that empty looks like any other."""
    wide = lambda: nn.Linear(3, 4000)  # noqa: E731
    order = msgspec.structs.replace(ORDER, sampling_rate="0.000001", steps=4)

    update = update_of([unit(1)], order, build=wide, per_row=lambda o, t: o.sum(1))

    assert abs(update.std() / 2.0 - 1) < 0.03


def test_the_divisor_does_not_follow_the_data():
    """Twice the patients, twice the sum: a mean over them would tell how many there are."""
    order = msgspec.structs.replace(QUIET, divisor=7)
    noise = update_of([], order)

    one, two = update_of([unit(1)], order) - noise, update_of([unit(1)] * 2, order) - noise

    assert np.allclose(two, 2 * one, atol=1e-9)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e200, 1e308])
def test_a_broken_record_counts_as_nobody(value):
    """In Opacus alone, one such row makes every weight non-finite: it tells that it is there."""
    units = [unit(seed) for seed in range(4)]
    broken = torch.tensor([[value, 0.0, 1.0]], dtype=torch.float64)

    update = update_of([*units, (broken, torch.tensor([[value]], dtype=torch.float64))])

    assert np.isfinite(update).all()
    assert np.allclose(update, update_of(units), atol=1e-12)


def test_torch_draws_nothing(monkeypatch):
    """Its generator has a 32-bit seed on CPU; noise from it can be subtracted by trying."""
    site = Clinic([unit(seed) for seed in range(4)])
    shapes, start = model_shapes(site), initial_vector(site, "start")
    built = network()
    site.build = lambda: built

    def refuse(*arguments, **named):
        raise AssertionError("torch's generator was used")

    for name in ("normal", "randn", "randn_like", "rand", "rand_like", "bernoulli", "randperm"):
        monkeypatch.setattr(torch, name, refuse)
    for name in ("normal_", "uniform_", "bernoulli_"):
        monkeypatch.setattr(torch.Tensor, name, refuse)
    before = torch.get_rng_state()

    update = train(site, shapes, start, ORDER, keys())

    assert np.isfinite(update).all()
    assert torch.equal(torch.get_rng_state(), before)


def test_torch_seed_changes_nothing_and_the_key_everything():
    """Sites that are started with one seed must still have independent noise."""
    torch.manual_seed(7)
    first = update_of([unit(1)], text="site a")
    torch.manual_seed(7)
    again = update_of([unit(1)], text="site a")
    torch.manual_seed(7)
    other = update_of([unit(1)], text="site b")

    assert first.tolist() == again.tolist()
    assert length(first - other) > 1.0


def test_batches_and_noise_have_keys_of_their_own():
    """One stream for both would tie the noise to who was sampled."""
    asked = []

    def entropy(size):
        asked.append(size)
        return hashlib.shake_256(bytes(asked)).digest(size)

    site = Clinic([unit(1)])
    train(site, model_shapes(site), initial_vector(site, "start"), ORDER, entropy)

    assert asked == [32, 32]


def test_a_batch_too_large_for_memory_gives_the_same_update(monkeypatch):
    """Gradients are made in parts; the noise is still added once."""
    units = [unit(seed) for seed in range(7)]
    whole = update_of(units)

    monkeypatch.setattr(module, "_VALUES_AT_ONCE", 2 * 21)
    in_parts = update_of(units)

    assert np.allclose(whole, in_parts, atol=1e-12)


def test_sampling_is_at_the_public_rate(monkeypatch):
    """The rate that is accounted is the rate that is used, exactly, at every step."""
    seen = []

    def spy(words, units, rate):
        seen.append((units, rate))
        return np.array([], np.int64)

    monkeypatch.setattr(module, "poisson_batch", spy)
    update_of([unit(1)] * 3, msgspec.structs.replace(ORDER, sampling_rate="0.1", steps=5))

    assert seen == [(3, Fraction(1, 10))] * 5


class _Centring(nn.Module):
    """Batch-coupled, without telling so by its type."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(3, 1)

    def forward(self, features):
        output = self.inner(features)
        return output - output.mean(0)


class _Counting(nn.Linear):
    def __init__(self):
        super().__init__(3, 1)
        self.register_buffer("seen", torch.zeros(1))


class _Unused(nn.Module):
    def __init__(self):
        super().__init__()
        self.used, self.unused = nn.Linear(3, 1), nn.Linear(3, 1)

    def forward(self, features):
        return self.used(features)


class _Shared(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(3, 3), nn.Linear(3, 3)
        self.second.weight = self.first.weight

    def forward(self, features):
        return self.second(self.first(features))[:, :1]


def _frozen():
    model = network()
    model[0].weight.requires_grad_(False)
    return model


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (lambda: nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1)), "mixes"),
        (lambda: nn.Sequential(nn.Linear(3, 4), nn.Dropout(), nn.Linear(4, 1)), "generator"),
        (_Centring, "depends on the other records"),
        (_Counting, "buffer 'seen'"),
        (_Unused, "gets no gradient"),
        (_Shared, "two names"),
        (_frozen, "frozen"),
        (nn.Tanh, "none"),
        (lambda: nn.LSTM(3, 1), "Opacus cannot"),
    ],
)
def test_a_model_that_clipping_does_not_bound_is_refused(build, reason):
    """Its epsilon would be a number without a meaning."""
    with pytest.raises(UnsafeParameters, match=reason):
        update_of([unit(1), unit(2)], build=build)


def _contrastive(output, target):
    return (output - output.flip(0)).square().squeeze(1) + 0 * target.squeeze(1)


def _risk_set(output, target):
    """Cox's partial likelihood: each patient's loss sums over all who are still at risk."""
    return torch.logcumsumexp(output.squeeze(1), 0) - output.squeeze(1)


@pytest.mark.parametrize("per_row", [_contrastive, _risk_set])
def test_a_loss_that_mixes_records_is_refused(per_row):
    """Leaving one patient out changes the gradients of the others, which nothing bounds."""
    with pytest.raises(UnsafeParameters, match="depends on the other records"):
        update_of([unit(1), unit(2), unit(3)], per_row=per_row)


def _cox(output, target):
    """The negative partial log likelihood (Cox 1972), one term per patient with an event."""
    risk, (time, event) = output.squeeze(1), target.unbind(1)
    at_risk = (time[None, :] >= time[:, None]).double()
    return event * (torch.log(at_risk @ torch.exp(risk)) - risk)


def _survival(event_from):
    """Twenty patients with a time each; an event is known of those from one number on."""
    return [
        (unit(at)[0], torch.tensor([[(7 * at) % 20 + 1.0, float(at >= event_from)]]).double())
        for at in range(20)
    ]


@pytest.mark.parametrize("event_from", [0, 3, 12])
def test_coxs_partial_likelihood_is_refused(event_from):
    """Each event's term sums over all who are still at risk, also where the first are censored."""
    with pytest.raises(UnsafeParameters, match="depends on the other records"):
        update_of(_survival(event_from), per_row=_cox)


def test_a_separable_likelihood_of_the_same_data_is_accepted():
    """What to use in its place: exponential survival times, one term per patient."""

    def exponential(output, target):
        time, event = target.unbind(1)
        return torch.exp(output.squeeze(1)) * time - event * output.squeeze(1)

    assert np.isfinite(update_of(_survival(3), per_row=exponential)).all()


@pytest.mark.parametrize("steps", [1, 7, 93])
def test_as_many_steps_are_noised_as_are_accounted(monkeypatch, steps):
    """Counted in integers: one over a rate has lost a step at 93 before."""
    drawn = []
    real = module.standard_normal
    monkeypatch.setattr(
        module, "standard_normal", lambda words, size: drawn.append(size) or real(words, size)
    )
    order = msgspec.structs.replace(ORDER, steps=steps, sampling_rate="0.5")

    update_of([unit(1), unit(2)], order)

    assert sum(drawn) == steps * 21


@pytest.mark.parametrize("per_row", [mse_loss, lambda o, t: (o - t) ** 2])
def test_a_loss_that_is_not_per_row_is_refused(per_row):
    """A mean over the batch hides each record's part in it."""
    with pytest.raises(UnsafeParameters, match="one per row"):
        update_of([unit(1), unit(2)], per_row=per_row)


def test_layers_that_keep_records_apart_are_accepted():
    """The refusals must not be so wide that nothing can be trained."""
    build = lambda: nn.Sequential(  # noqa: E731
        nn.Linear(3, 4), nn.LayerNorm(4), nn.ReLU(), nn.GroupNorm(2, 4), nn.Linear(4, 1)
    )
    loss = lambda o, t: binary_cross_entropy_with_logits(o, t, reduction="none")[:, 0]  # noqa: E731

    update = update_of([unit(seed) for seed in range(3)], build=build, per_row=loss)

    assert np.isfinite(update).all()


def test_another_model_than_the_agreed_one_is_refused():
    """Its update would be added to the wrong weights."""
    site = Clinic([unit(1)])
    shapes = model_shapes(site)
    site.build = lambda: nn.Linear(3, 7)

    with pytest.raises(ConfigError, match="agreed are"):
        train(site, shapes, np.zeros(21), ORDER, keys())


def _labelled(output, target):
    return cross_entropy(output, target, reduction="none")


def _three_classes():
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 3))


def _patient(seed, label):
    return unit(seed)[0], torch.tensor([label])


UNUSABLE = {
    "label out of range": (torch.ones(1, 3).double(), torch.tensor([7])),
    "other features": (torch.ones(1, 5).double(), torch.tensor([1])),
    "other targets": (torch.ones(1, 3).double(), torch.ones(1, 2, 2).double()),
    "rows do not match": (torch.ones(2, 3).double(), torch.tensor([1])),
    "no rows": (torch.ones(0, 3).double(), torch.zeros(0, dtype=torch.long)),
    "no axis of rows": (torch.ones(1, 3).double(), torch.tensor(1)),
    "no tensor": (None, torch.tensor([1])),
    "no pair": None,
}
CLASSES = {"build": _three_classes, "per_row": _labelled}


@pytest.mark.parametrize("wrong", UNUSABLE.values(), ids=UNUSABLE)
@pytest.mark.parametrize("at", [0, 2, 4])
def test_a_unit_that_cannot_be_taken_counts_as_nobody(wrong, at):
    """A refusal is seen by everybody: one record would stop the site, and so tell of itself.

    Those behind it count: a pass that failed half-way leaves nothing for the next.
    """
    units = [_patient(seed, seed % 3) for seed in range(4)]

    update = update_of([*units[:at], wrong, *units[at:]], **CLASSES)

    assert update.tolist() == update_of(units, **CLASSES).tolist()


def test_only_the_sites_own_log_says_how_many_did_not_count():
    """A number of passes, with nothing of a record; where all count, nothing at all."""
    units = [_patient(seed, seed % 3) for seed in range(4)]
    wrong = [UNUSABLE["label out of range"], UNUSABLE["no pair"]]

    with structlog.testing.capture_logs() as logs:
        update_of(units, **CLASSES)
        update_of([*units, *wrong], msgspec.structs.replace(ORDER, steps=3), **CLASSES)

    assert logs == [{"event": "units_counted_as_zero", "log_level": "warning", "passes": 6}]


def test_a_record_of_another_form_does_not_decide_for_the_others():
    """The form that most have is tried first, and one that passes is enough."""
    few = [_patient(1, 1), _patient(2, 2)]
    others = [UNUSABLE["other features"]] * 5

    assert update_of([*others, *few], **CLASSES).tolist() == update_of(few, **CLASSES).tolist()


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ("other features", r"rows of \(5,\) torch.float64 features and \(\) torch.int64 targets"),
        ("rows do not match", "same number of rows"),
        ("no pair", "same number of rows"),
    ],
)
def test_a_site_none_of_whose_data_can_be_taken_is_refused(wrong, reason):
    """That is a mistake in its own code, which its operator must repair."""
    with pytest.raises(ConfigError, match=reason):
        update_of([UNUSABLE[wrong]] * 3, **CLASSES)


def test_a_loss_that_always_fails_is_refused_on_made_up_rows():
    """Nobody's record decides about it, and the message has no value in it."""

    def broken(output, target):
        raise KeyError(float(target.sum()))

    with pytest.raises(ConfigError, match=r"targets: KeyError$"):
        update_of([unit(1), unit(2)], per_row=broken)


def test_a_site_without_records_sends_noise():
    """That it has nobody is itself not told."""
    assert length(update_of([])) > 1.0
