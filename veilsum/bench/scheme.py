"""`veilsum bench scheme`: what one scheme costs beside the reference, in one run."""

import time
from importlib.util import find_spec
from typing import Final

import msgspec

from privacy.errors import ConfigError, MissingDependency

from .machine import this_machine
from .report import Report, ratio

SCHEMES: Final = ("ckks",)


def run(*, scheme: str, parameters: int, participants: int, value_bits: int) -> Report:
    """Measure the scheme and the reference on the same vectors.

    Args:
        scheme: one of `SCHEMES`.
        parameters: length of each vector.
        participants: contributions in the sum.
        value_bits: bits of a signed grid integer.

    Raises:
        ConfigError: no such scheme.
        MissingDependency: the scheme's library is not installed.
        UnsafeParameters: no parameters of the scheme fit, with the numbers.
    """
    if scheme not in SCHEMES:
        raise ConfigError(f"scheme {scheme!r} cannot be measured; one of: {', '.join(SCHEMES)}")
    if find_spec("tenseal") is None:
        raise MissingDependency("CKKS needs TenSEAL: pip install 'veilsum[ckks]'")
    return _run_ckks(parameters, participants, value_bits)


def _run_ckks(dimension: int, participants: int, value_bits: int) -> Report:
    from .ckks import (  # noqa: PLC0415 - loads TenSEAL
        measure_ours,
        measure_reference,
        parameters_for,
        workload_for,
    )

    started, machine = time.monotonic(), this_machine()
    fitting = parameters_for(participants, value_bits)
    workload = workload_for(fitting, dimension)
    ours, theirs = measure_ours(fitting, workload), measure_reference(workload)
    return Report(
        **msgspec.structs.asdict(ours),
        scheme="ckks",
        value_bits=value_bits,
        arithmetic=(
            f"degree {fitting.degree}, prime of {fitting.modulus.bit_length()} bits, "
            f"scale 2^{fitting.scale_log2}, {fitting.values_per_ciphertext} values a ciphertext"
        ),
        reference=theirs,
        ratio=ratio(ours, theirs),
        machine=machine,
        seconds=round(time.monotonic() - started, 1),
    )
