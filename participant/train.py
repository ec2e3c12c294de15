"""DP-SGD on the site's own data: the one door to Opacus.

Opacus gives the gradient of each record, the clipped sum and the order of the steps. Three things
are ours: who is in a batch (`sampling`), the noise (`noise`) and every number that
they depend on, which comes from the plan. Its PrivacyEngine is not used: it replaces the
sampler, derives rate and divisor from how many records there are, draws noise from
torch's generator and forgets what was spent.

Source: Abadi et al. (2016), "Deep learning with differential privacy", algorithm 1.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from opacus import GradSampleModule  # type: ignore[import-untyped]
from opacus.optimizers import DPOptimizer  # type: ignore[import-untyped]
from opacus.validators import ModuleValidator  # type: ignore[import-untyped]
from torch import Tensor, nn

from privacy.errors import ConfigError, UnsafeParameters
from privacy.local_training import LocalTraining
from privacy.vectors import Shapes, flatten, unflatten

from .noise import standard_normal
from .random_words import Entropy, RandomWords
from .sampling import poisson_batch
from .site import Site, Unit

Loss = Callable[[Tensor, Tensor], Tensor]

_VALUES_AT_ONCE = 1 << 24
# What rounding may leave above the bound here; Opacus then clips once more, to below it.
_ROUNDING = 2.0**-20


def train(
    site: Site,
    shapes: Shapes,
    vector: NDArray[np.float64],
    order: LocalTraining,
    entropy: Entropy,
) -> NDArray[np.float64]:
    """Return the update (new model less old, shape (d,), float64) of `order.steps` noisy steps.

    Only the update is private: no loss, count or norm comes out beside it. Batches may be
    empty, and are noised and counted like any other.

    Args:
        site: its data, model and loss.
        shapes: the agreed parameters; the model must have exactly these.
        vector: the global model to start from, shape (d,).
        order: the plan's numbers.
        entropy: `os.urandom`; two keys are drawn from it, one for batches, one for noise.

    Raises:
        ConfigError: the site's model or data is not of the agreed form.
        UnsafeParameters: the model or the loss mixes records, or cannot be trained privately.
    """
    with one_thread():
        model = _model(site, shapes, vector)
        private = _per_record(model)
        units = [_checked(unit) for unit in site.records()]
        _require_independence(private, units, site.loss, float(order.clip))
        optimizer = _NoisyOptimizer(model, order, RandomWords(entropy))
        batches = RandomWords(entropy)
        for _ in range(order.steps):
            chosen = poisson_batch(batches, len(units), order.rate)
            _step(private, optimizer, [units[index] for index in chosen], site.loss)
        return _values(model, shapes) - vector


class _NoisyOptimizer(DPOptimizer):  # type: ignore[misc]
    """Opacus's optimizer with each unit's gradient bounded for certain and our own noise."""

    def __init__(self, model: nn.Module, order: LocalTraining, words: RandomWords) -> None:
        super().__init__(
            torch.optim.SGD(model.parameters(), lr=float(order.learning_rate)),
            noise_multiplier=float(order.noise_multiplier),
            max_grad_norm=float(order.clip),
            # The plan's number, and never the batch's size nor the site's.
            expected_batch_size=order.divisor,
        )
        self._words = words

    def clip_and_accumulate(self) -> None:
        """Add the bounded gradients of the units at hand to the batch's sum."""
        gradients = [parameter.grad_sample for parameter in self.params]
        for parameter, bounded in zip(
            self.params, _bounded(gradients, self.max_grad_norm), strict=True
        ):
            parameter.grad_sample = bounded
        super().clip_and_accumulate()

    def add_noise(self) -> None:
        """Put the batch's sum and fresh noise of the operating system's entropy in `grad`."""
        deviation = self.noise_multiplier * self.max_grad_norm
        for parameter in self.params:
            noise = torch.from_numpy(standard_normal(self._words, parameter.numel()))
            parameter.grad = parameter.summed_grad + deviation * noise.view_as(parameter)


def _step(
    private: GradSampleModule, optimizer: _NoisyOptimizer, batch: Sequence[Unit], loss: Loss
) -> None:
    """Take one step over the batch: gradients in parts that fit in memory, noise once."""
    size = max(1, _VALUES_AT_ONCE // sum(parameter.numel() for parameter in optimizer.params))
    parts = [batch[start : start + size] for start in range(0, len(batch), size)] or [[]]
    for part in parts:
        optimizer.zero_grad()
        gradients = _unit_gradients(private, part, loss)
        for parameter, gradient in zip(optimizer.params, gradients, strict=True):
            parameter.grad_sample = gradient
        optimizer.signal_skip_step(do_skip=part is not parts[-1])
        optimizer.step()


def _unit_gradients(private: GradSampleModule, units: Sequence[Unit], loss: Loss) -> list[Tensor]:
    """Return each parameter's gradients, one per unit: the mean over the unit's rows."""
    parameters = list(private.parameters())
    if not units:
        # An empty batch does not go through the model, which need not take it.
        return [parameter.new_zeros((0, *parameter.shape)) for parameter in parameters]
    rows = torch.tensor([len(target) for _, target in units])
    private.zero_grad()
    features, target = (torch.cat(part) for part in zip(*units, strict=True))
    losses = loss(private(features), target)
    if losses.shape != (len(target),):
        raise UnsafeParameters(
            f"the loss has shape {tuple(losses.shape)} for {len(target)} rows: one per row is "
            "needed, or no record's part in it can be bounded"
        )
    losses.sum().backward()  # type: ignore[no-untyped-call]
    owner = torch.repeat_interleave(torch.arange(len(units)), rows)
    return [_mean_by_owner(_of_rows(parameter), owner, rows) for parameter in parameters]


def _of_rows(parameter: nn.Parameter) -> Tensor:
    gradient = getattr(parameter, "grad_sample", None)
    if not isinstance(gradient, Tensor):
        raise UnsafeParameters(
            f"a parameter of shape {tuple(parameter.shape)} gets no gradient, or several, from "
            "one pass: unused and shared parameters cannot be trained privately"
        )
    return gradient


def _mean_by_owner(gradient: Tensor, owner: Tensor, rows: Tensor) -> Tensor:
    total = gradient.new_zeros((len(rows), *gradient.shape[1:])).index_add(0, owner, gradient)
    return total / rows.view(-1, *[1] * (total.dim() - 1))


def _bounded(gradients: Sequence[Tensor], clip: float) -> list[Tensor]:
    """Return the gradients with each unit's norm, over all parameters together, at most `clip`.

    A unit whose norm is not finite counts as zero: one broken record would otherwise
    make the whole model non-finite, which tells that it is there.
    """
    norms = _norms(gradients)
    factor = (clip / norms).clamp(max=1.0).where(norms.isfinite(), 0.0)
    bounded = [
        gradient.where(_beside(norms.isfinite(), gradient), 0.0) * _beside(factor, gradient)
        for gradient in gradients
    ]
    # Sensitivity is what the noise was chosen for; it is measured, not believed.
    assert bool((_norms(bounded) <= clip * (1 + _ROUNDING)).all())
    return bounded


def _norms(gradients: Sequence[Tensor]) -> Tensor:
    squares = [gradient.double().square().flatten(1).sum(1) for gradient in gradients]
    return torch.stack(squares).sum(0).sqrt()


def _beside(values: Tensor, gradient: Tensor) -> Tensor:
    return values.view(-1, *[1] * (gradient.dim() - 1))


def _model(site: Site, shapes: Shapes, vector: NDArray[np.float64]) -> nn.Module:
    """Return the site's model in float64 with the values of `vector`, ready to train."""
    model = site.model().double().train()
    _refuse_unsafe(model)
    found = tuple((name, tuple(tensor.shape)) for name, tensor in model.named_parameters())
    if found != shapes:
        raise ConfigError(f"the site's model has parameters {found}, agreed are {shapes}")
    tensors = unflatten(vector, shapes)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(torch.from_numpy(tensors[name]))
    return model


def _values(model: nn.Module, shapes: Shapes) -> NDArray[np.float64]:
    tensors = {name: value.detach().numpy() for name, value in model.named_parameters()}
    return flatten(tensors, shapes)


def _refuse_unsafe(model: nn.Module) -> None:
    """Refuse what per-record clipping does not bound, by its kind.

    Raises:
        UnsafeParameters: with the layer and the reason.
    """
    for name, layer in model.named_modules():
        for kind, reason in _UNSAFE_LAYERS.items():
            if isinstance(layer, kind):
                raise UnsafeParameters(f"layer {name!r} ({type(layer).__name__}) {reason}")
    for name, _ in model.named_buffers():
        raise UnsafeParameters(f"buffer {name!r} would change with the data, without noise")
    _refuse_unsafe_parameters(model)
    errors = ModuleValidator.validate(model, strict=False)
    if errors:
        raise UnsafeParameters(f"Opacus cannot bound this model: {errors[0]}")


_UNSAFE_LAYERS: dict[type[nn.Module], str] = {
    nn.modules.batchnorm._BatchNorm: (
        "mixes the records of a batch: one patient changes the gradients of the others; "
        "use GroupNorm or LayerNorm"
    ),
    nn.modules.dropout._DropoutNd: (
        "draws from torch's generator, and hides from the check whether records mix; leave it out"
    ),
}


def _refuse_unsafe_parameters(model: nn.Module) -> None:
    names = [name for name, _ in model.named_parameters(remove_duplicate=False)]
    if not names or len(names) != len(list(model.parameters())):
        raise UnsafeParameters(f"{len(names)} parameters: none, or one under two names")
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            raise UnsafeParameters(f"parameter {name!r} is frozen; all are trained and noised")


def _per_record(model: nn.Module) -> GradSampleModule:
    return GradSampleModule(model, loss_reduction="sum", strict=True)


def _checked(unit: Unit) -> Unit:
    features, target = unit
    if features.dim() == 0 or target.dim() == 0 or not 0 < len(features) == len(target):
        raise ConfigError(
            "a unit's features and targets need the same number of rows, at least one"
        )
    return _wide(features), _wide(target)


def _wide(tensor: Tensor) -> Tensor:
    return tensor.double() if tensor.is_floating_point() else tensor


def _require_independence(
    private: GradSampleModule, units: Sequence[Unit], loss: Loss, clip: float
) -> None:
    """Compare the bounded gradient of each of a few units alone and inside a batch.

    Raises:
        UnsafeParameters: they differ, so that leaving a unit out would change more than
            its own gradient (BatchNorm, contrastive losses, risk sets).
    """
    if not units:
        return
    few = [units[index % len(units)] for index in range(3)]
    together = _bounded(_unit_gradients(private, few, loss), clip)
    for index, unit in enumerate(few):
        alone = _bounded(_unit_gradients(private, [unit], loss), clip)
        apart = [whole[index : index + 1] - own for whole, own in zip(together, alone, strict=True)]
        if float(_norms(apart)) > clip * _ROUNDING:
            raise UnsafeParameters(
                "a record's gradient depends on the other records of its batch: the model or the "
                "loss mixes them, and clipping each record bounds nothing"
            )


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch use one thread inside the block, and spare the reader a warning of Opacus's."""
    # Sites of one machine share its cores, and small models lose more to threads than they gain.
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with warnings.catch_warnings():
            # Opacus hooks the gradients of a layer's output on purpose, where torch warns.
            warnings.filterwarnings("ignore", "Full backward hook is firing", UserWarning)
            yield
    finally:
        torch.set_num_threads(before)
