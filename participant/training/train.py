"""DP-SGD, and gradients of single units, on the site's own data: the one door to Opacus.

Opacus gives the gradient of each record, the clipped sum and the order of the steps. Three things
are ours: who is in a batch (`sampling`), the noise (`noise`) and every number that
they depend on, which comes from the plan. Its PrivacyEngine is not used: it replaces the
sampler, derives rate and divisor from how many records there are, draws noise from
torch's generator and forgets what was spent.

Source: Abadi et al. (2016), "Deep learning with differential privacy", algorithm 1.
"""

from __future__ import annotations

import hashlib
import math
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import structlog
import torch
from numpy.typing import NDArray
from opacus import GradSampleModule  # type: ignore[import-untyped]
from opacus.optimizers import DPOptimizer  # type: ignore[import-untyped]
from opacus.validators import ModuleValidator  # type: ignore[import-untyped]
from torch import Tensor, nn

from participant.sending.random_words import Entropy, RandomWords
from participant.site import Site, Unit
from privacy.distributed_sum import EXCESS, DistributedSum
from privacy.errors import ConfigError, UnsafeParameters, VeilsumError
from privacy.local_training import LocalTraining
from privacy.vectors import Shapes, flatten, unflatten

from .noise import standard_normal
from .sampling import poisson_batch

log = structlog.get_logger()

Loss = Callable[[Tensor, Tensor], Tensor]

_VALUES_AT_ONCE = 1 << 24
_COMPARED = 32  # units, alone and together; some milliseconds
_NAMES = b"features to compare", b"targets to compare"
# What rounding may leave above the bound here; Opacus then clips once more, to below it.
_ROUNDING = float(EXCESS)


def train(
    site: Site,
    shapes: Shapes,
    vector: NDArray[np.float64],
    order: LocalTraining,
    entropy: Entropy,
) -> NDArray[np.float64]:
    """Return the update (new model less old, shape (d,), float64) of `order.steps` noisy steps.

    Only the update is private: no loss, count or norm comes out beside it. Batches may be
    empty, and are noised and counted like any other. A unit whose pass fails, whatever the
    error, or whose gradient is not finite, counts as zero.

    Args:
        site: its data, model and loss.
        shapes: the agreed parameters; the model must have exactly these.
        vector: the global model to start from, shape (d,).
        order: the plan's numbers.
        entropy: `os.urandom`; two keys are drawn from it, one for batches, one for noise.

    Raises:
        ConfigError: the site's model is not of the agreed form, or can take none of its data.
        UnsafeParameters: the model or the loss mixes records, or cannot be trained privately.
    """
    with one_thread():
        model = _model(site, shapes, vector)
        units, passes = list(site.records()), _Passes(_per_record(model), site.loss)
        _require_sound(passes, units, float(order.clip))
        optimizer = _NoisyOptimizer(model, order, RandomWords(entropy))
        batches = RandomWords(entropy)
        for _ in range(order.steps):
            chosen = poisson_batch(batches, len(units), order.rate)
            _step(passes, optimizer, [units[index] for index in chosen])
        passes.log_failures()
        return _values(model, shapes) - vector


def unit_gradients(
    site: Site,
    shapes: Shapes,
    vector: NDArray[np.float64],
    order: DistributedSum,
    words: RandomWords,
) -> Iterator[NDArray[np.float64]]:
    """Yield the gradients of the units in a batch, some at a time: shape (k, d), float64.

    Each has a norm of at most the order's clip, but for a rounding of 2^-20 of it; one that is
    not finite, or whose pass failed, is zero. They are not noised: nothing but their sum with
    noise may leave.

    Args:
        words: where the chance of who is in the batch comes from.

    Raises:
        ConfigError: as for `train`; or there are more units than the order's cap.
        UnsafeParameters: as for `train`.
    """
    with one_thread():
        units = list(site.records())
        if len(units) > order.units_cap:
            raise ConfigError(
                f"the data has more units than the {order.units_cap} that a plan allows a site; "
                "correct dataset.records in the site's file, and its policy refuses such plans"
            )
        passes = _Passes(_per_record(_model(site, shapes, vector)), site.loss)
        clip = float(order.clip)
        _require_sound(passes, units, clip)
        chosen = [units[index] for index in poisson_batch(words, len(units), order.rate)]
        for part in _parts(chosen, passes.private):
            bounded = _bounded(passes.gradients(part), clip)
            yield torch.cat([each.flatten(1) for each in bounded], 1).numpy()
        passes.log_failures()


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


class _Passes:
    """Passes of a model, each over one unit alone, and how many of them failed.

    In one pass for all, rounding would depend on who else is there; where the terms of a
    record cancel, the last bit decides the whole direction, and a neighbour more or less
    would turn every such gradient round. And one that cannot be taken would stop them all.
    """

    def __init__(self, private: GradSampleModule, loss: Loss) -> None:
        self.private, self.loss = private, loss
        self._failed = 0

    def gradients(self, units: Sequence[Unit]) -> list[Tensor]:
        """Return each parameter's gradients, one per unit; zero for a unit whose pass fails."""
        # An empty batch does not go through the model, which need not take it.
        each = [self._zeros(0), *map(self._of, units)]
        return [torch.cat(found) for found in zip(*each, strict=True)]

    def log_failures(self) -> None:
        """Tell the site's own log, and nobody else, how many passes failed."""
        if self._failed:
            log.warning("units_counted_as_zero", passes=self._failed)

    def _of(self, unit: Unit) -> list[Tensor]:
        try:
            return _mean_of_rows(self.private, [_checked(unit)], self.loss)
        except Exception:
            # A refusal, or an error's words, would tell that the unit is there.
            self._failed += 1
            return self._zeros(1)

    def _zeros(self, count: int) -> list[Tensor]:
        return [each.new_zeros((count, *each.shape)) for each in self.private.parameters()]


def _step(passes: _Passes, optimizer: _NoisyOptimizer, batch: Sequence[Unit]) -> None:
    """Take one step over the batch: gradients in parts that fit in memory, noise once."""
    parts = _parts(batch, passes.private) or [[]]
    for part in parts:
        optimizer.zero_grad()
        gradients = passes.gradients(part)
        for parameter, gradient in zip(optimizer.params, gradients, strict=True):
            parameter.grad_sample = gradient
        optimizer.signal_skip_step(do_skip=part is not parts[-1])
        optimizer.step()


def _parts(batch: Sequence[Unit], private: GradSampleModule) -> list[Sequence[Unit]]:
    """Return the batch in parts whose gradients fit in memory together; none if it is empty."""
    size = _at_once(private)
    return [batch[start : start + size] for start in range(0, len(batch), size)]


def _at_once(private: GradSampleModule) -> int:
    values: int = sum(parameter.numel() for parameter in private.parameters())
    return max(1, _VALUES_AT_ONCE // values)


def _mean_of_rows(private: GradSampleModule, units: Sequence[Unit], loss: Loss) -> list[Tensor]:
    """Return each parameter's gradients, one per unit, the mean over its rows, from one pass."""
    rows = torch.tensor([len(target) for _, target in units])
    _forget(private)
    features, target = (torch.cat(part) for part in zip(*units, strict=True))
    losses = loss(private(features), target)
    if losses.shape != (len(target),):
        raise UnsafeParameters(
            f"the loss has shape {tuple(losses.shape)} for {len(target)} rows: one per row is "
            "needed, or no record's part in it can be bounded"
        )
    losses.sum().backward()  # type: ignore[no-untyped-call]
    owner = torch.repeat_interleave(torch.arange(len(units)), rows)
    return [_mean_by_owner(_of_rows(parameter), owner, rows) for parameter in private.parameters()]


def _forget(private: GradSampleModule) -> None:
    """Drop what the pass before left in Opacus's hooks.

    One that failed half-way leaves them counting, and no later unit would get a gradient.
    """
    private.zero_grad()
    for module in private.modules():
        for name in ("activations", "max_batch_len"):
            vars(module).pop(name, None)
    for parameter in private.parameters():
        parameter._forward_counter = 0
        vars(parameter).pop("_current_grad_sample", None)


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


class _Form(NamedTuple):
    """What a unit's rows look like, and nothing of what is in them."""

    features: tuple[torch.Size, torch.dtype]
    target: tuple[torch.Size, torch.dtype]

    def words(self) -> str:
        """Return the form in words for an operator."""
        (features, kind), (target, other) = self
        return f"{tuple(features)} {kind} features and {tuple(target)} {other} targets"


def _require_sound(passes: _Passes, units: Sequence[Unit], clip: float) -> None:
    """Try model and loss on made-up units of the forms that the data has, commonest first.

    Made up, because a refusal is seen by everybody: model, loss and shapes may decide
    about it, and no record of anybody. One form that passes is enough, so that a record of
    another form decides nothing; it counts as zero where its own pass fails.

    Raises:
        ConfigError: no unit has rows, or they fail for every form.
        UnsafeParameters: as for `_require_independence`, for every form.
    """
    if not units:
        return
    refusals = []
    forms = Counter(form for form in map(_form, units) if form is not None)
    for form, _ in forms.most_common():
        refusal = _refusal(passes, form, clip)
        if refusal is None:
            return
        refusals.append(refusal)
    raise (
        refusals[0]
        if refusals
        else ConfigError(
            "no unit of the data has features and targets of the same number of rows, at least one"
        )
    )


def _form(unit: Unit) -> _Form | None:
    try:
        features, target = _checked(unit)
    except Exception:  # as in a pass
        return None
    return _Form((features.shape[1:], features.dtype), (target.shape[1:], target.dtype))


def _refusal(passes: _Passes, form: _Form, clip: float) -> VeilsumError | None:
    """Return why units of this form cannot be trained on, or None if they can."""
    try:
        _require_independence(passes, form, clip)
    except VeilsumError as refusal:
        return refusal
    except Exception as error:  # the site's own code, on rows that are made up
        return ConfigError(
            f"the site's model or loss fails on rows of {form.words()}: {type(error).__name__}"
        )
    return None


def _require_independence(passes: _Passes, form: _Form, clip: float) -> None:
    """Compare the bounded gradients of made-up units alone and inside a batch.

    Privacy does not rest on it, since each unit has a pass of its own: it refuses what would
    be trained to no purpose.

    Raises:
        UnsafeParameters: they differ (BatchNorm, contrastive losses, risk sets), or a loss or
            gradient is not one per row.
    """
    private, loss = passes.private, passes.loss
    few = _public_units(form, min(_COMPARED, max(3, _at_once(private))))
    together = _bounded(_mean_of_rows(private, few, loss), clip)
    each = [_mean_of_rows(private, [unit], loss) for unit in few]
    apart = _bounded([torch.cat(found) for found in zip(*each, strict=True)], clip)
    differences = [one - other for one, other in zip(together, apart, strict=True)]
    if float(_norms(differences).max()) > clip * _ROUNDING:
        raise UnsafeParameters(
            "a record's gradient depends on the other records of its batch: the model or the "
            "loss mixes them, and clipping each record bounds nothing"
        )


def _public_units(form: _Form, count: int) -> list[Unit]:
    """Return made-up units of one row each, in this form."""
    features, target = (
        _public_rows(part, count, name) for part, name in zip(form, _NAMES, strict=True)
    )
    return [(features[at : at + 1], target[at : at + 1]) for at in range(count)]


def _public_rows(like: tuple[torch.Size, torch.dtype], count: int, name: bytes) -> Tensor:
    """Return rows of numbers between 0 and 1 from a fixed hash; integers are 0 and 1."""
    row, kind = like
    shape = (count, *row)
    octets = hashlib.shake_256(name).digest(math.prod(shape))
    values = torch.from_numpy(np.frombuffer(octets, np.uint8).copy()).reshape(shape)
    return (values.double() + 0.5) / 256 if kind.is_floating_point else (values % 2).to(kind)


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
