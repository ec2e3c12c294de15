"""Audit one mechanism under one scheme, as shipped or with a defect that must be seen."""

import math
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from msgspec import to_builtins
from msgspec.structs import replace as changed

from participant.sending.random_words import Entropy
from privacy.distributed_sum import DistributedSum
from privacy.errors import UpdateOutOfRange
from privacy.mechanism import Training

from . import calibration
from .contribution import Contribute, contribute
from .judge import (
    CONFIDENCE,
    Finding,
    judge,
    of_batch_sizes,
    of_dependence,
    of_participation,
    violated,
)
from .result import PrivacyAudit, Test, Verdict, View
from .rounds import Observed, observe
from .setting import Setting
from .views import looks

AS_SHIPPED = "as shipped"

_QUIET = "0.1"
"""Noise multiplier of the run that looks at sampling, in which each participation shows."""

_SAMPLED = 600
_SAMPLED_ROUNDS = 20


def audit(
    setting: Setting,
    subject: str = AS_SHIPPED,
    make: Contribute = contribute,
    entropy: Entropy = os.urandom,
) -> PrivacyAudit:
    """Run the audit's rounds and return what they show.

    Args:
        setting: fixed before the run.
        subject: named in the result.
        make: what each site contributes.
        entropy: for coins, training and noise.
    """
    started = time.monotonic()
    try:
        shown = _shown(setting, make, entropy)
    except UpdateOutOfRange as refusal:
        shown = _Shown((violated(f"a record without numbers stops the round: {refusal}"),))
    return PrivacyAudit(
        subject=subject,
        mechanism=setting.mechanism.value,
        scheme=setting.scheme,
        training=to_builtins(setting.training),
        claimed=setting.claims()[0],
        delta=setting.delta,
        confidence=CONFIDENCE,
        rounds=setting.rounds,
        canaries=setting.canaries,
        held_out=setting.held_out,
        views=shown.views,
        dependence=shown.dependence,
        participation=shown.sampling.participation,
        batch_sizes=shown.sampling.batch_sizes,
        findings=tuple(finding.words for finding in shown.findings),
        verdict=_verdict(shown.findings),
        seconds=round(time.monotonic() - started, 2),
    )


@dataclass(frozen=True, slots=True)
class _Sampling:
    participation: Test | None = None
    batch_sizes: Test | None = None


@dataclass(frozen=True, slots=True)
class _Shown:
    findings: tuple[Finding, ...]
    views: tuple[View, ...] = ()
    dependence: Test | None = None
    sampling: _Sampling = _Sampling()


def _shown(setting: Setting, make: Contribute, entropy: Entropy) -> _Shown:
    observed = observe(setting, make, entropy)
    judged = [judge(setting, look) for look in looks(setting, observed)]
    dependence = _dependence(observed)
    sampling = _sampling(setting, make, entropy)
    findings = [finding for _, found in judged for finding in found]
    findings += of_dependence(dependence)
    findings += of_participation(sampling.participation) if sampling.participation else ()
    findings += of_batch_sizes(sampling.batch_sizes) if sampling.batch_sizes else ()
    return _Shown(tuple(findings), tuple(view for view, _ in judged), dependence, sampling)


def _dependence(observed: Observed) -> Test:
    free = observed.included.size
    return calibration.dependence(observed.sums[:, free:], observed.known[:, free:])


def _sampling(setting: Setting, make: Contribute, entropy: Entropy) -> _Sampling:
    """Look at sampling in a run of its own, in which the noise is too little to hide it."""
    rate, noise = float(setting.training.rate), float(_QUIET)
    if rate == 1.0:
        return _Sampling()
    quiet = _quiet(setting)
    observed = observe(quiet, make, entropy)
    values = observed.sums[:, : quiet.canaries][:, observed.included]
    in_all, each = values.shape[1], quiet.steps // quiet.rounds
    return _Sampling(
        calibration.participation(values.sum(axis=0), quiet.steps, rate, noise),
        calibration.batch_sizes(values.sum(axis=1), in_all, each, rate, noise),
    )


def _quiet(setting: Setting) -> Setting:
    """Return a small run, at least one epoch of whoever shuffles in each of its rounds."""
    order, epoch = setting.training, math.ceil(1 / float(setting.training.rate))
    small = replace(setting, canaries=_SAMPLED, held_out=_SAMPLED, rounds=_SAMPLED_ROUNDS)
    if isinstance(order, DistributedSum):
        training: Training = changed(order, noise_multiplier=_QUIET)
        return replace(small, training=training, rounds=max(_SAMPLED_ROUNDS, 2 * epoch))
    return replace(small, training=changed(order, noise_multiplier=_QUIET, steps=epoch))


def _verdict(findings: Sequence[Finding]) -> Verdict:
    """Return the gravest; a defect that is seen is one, however weak the audit is otherwise."""
    found = {finding.verdict for finding in findings}
    if Verdict.VIOLATED in found:
        return Verdict.VIOLATED
    return Verdict.TOO_WEAK if found else Verdict.PASSED
