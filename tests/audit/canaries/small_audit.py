"""A setting that is audited in about a second, and entropy that is the same in every run."""

from hashlib import shake_256
from itertools import count

from privacy.distributed_sum import DistributedSum
from privacy.local_training import LocalTraining
from privacy.plan import CKKS, SHARES, Mechanism
from veilsum.audit.canaries.setting import Setting

LOCAL = LocalTraining(
    sampling_rate="0.5",
    noise_multiplier="1",
    steps=2,
    clip="1",
    learning_rate="0.5",
    divisor=10,
)
DISTRIBUTED = DistributedSum(
    sampling_rate="1",
    noise_multiplier="1.2",
    clip="0.5",
    units_cap=4096,
    divisor=100,
    honest=2,
    colluders=1,
)
SETTINGS = {
    Mechanism.LOCAL: Setting(LOCAL, CKKS, 1e-5, 4, 600, 2500),
    Mechanism.DISTRIBUTED: Setting(DISTRIBUTED, SHARES, 1e-5, 4, 600, 2500),
}
"""Clips, rates and divisors that are not one, so that a factor left out shows."""


def keys(text="canaries"):
    """A source of entropy with a new, known key at each call."""
    calls = count()
    return lambda size: shake_256(f"{text} {next(calls)}".encode()).digest(size)
