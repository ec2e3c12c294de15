"""`veilsum bench scheme`: what one scheme costs beside the reference, in one run."""

import time
from typing import Final

import msgspec

from privacy.errors import ConfigError
from veilsum.progress import SILENT, Meter

from . import screen, shares_screen
from .machine import this_machine
from .report import Report, ratio
from .required import require
from .shares_report import SharesReport

SCHEMES: Final = ("ckks", "shares")


def run(
    *,
    scheme: str,
    parameters: int,
    participants: int,
    value_bits: int,
    watcher: Meter = SILENT,
) -> Report | SharesReport:
    """Measure the scheme and the reference on the same vectors.

    Args:
        scheme: one of `SCHEMES`.
        parameters: length of each vector.
        participants: contributions in the sum.
        value_bits: bits of a signed grid integer.
        watcher: is told of each process that has measured.

    Raises:
        ConfigError: no such scheme.
        MissingDependency: the scheme's library is not installed.
        UnsafeParameters: no parameters of the scheme fit, with the numbers.
    """
    if scheme not in SCHEMES:
        raise ConfigError(f"scheme {scheme!r} cannot be measured; one of: {', '.join(SCHEMES)}")
    if scheme == "shares":
        return _run_shares(parameters, participants, value_bits, watcher)
    require("ckks", "tenseal")
    return _run_ckks(parameters, participants, value_bits, watcher)


def show(report: Report | SharesReport) -> None:
    """Print a report as a table."""
    if isinstance(report, SharesReport):
        shares_screen.show(report)
    else:
        screen.show(report)


def _run_shares(dimension: int, participants: int, value_bits: int, watcher: Meter) -> SharesReport:
    from .shares import run as run_shares  # noqa: PLC0415 - loads what CKKS does not need

    require("shares", "crypten", "torch")
    return run_shares(
        parameters=dimension, participants=participants, value_bits=value_bits, watcher=watcher
    )


def _run_ckks(dimension: int, participants: int, value_bits: int, watcher: Meter) -> Report:
    from .ckks import (  # noqa: PLC0415 - loads TenSEAL
        STEPS,
        arithmetic_of,
        measure_ours,
        measure_reference,
        parameters_for,
        workload_for,
    )

    started, machine = time.monotonic(), this_machine()
    fitting = parameters_for(participants, value_bits)
    workload = workload_for(fitting, dimension)
    watcher.total(STEPS)
    ours = measure_ours(fitting, workload, watcher)
    theirs = measure_reference(workload, watcher)
    return Report(
        **msgspec.structs.asdict(ours),
        scheme="ckks",
        value_bits=value_bits,
        arithmetic=arithmetic_of(fitting),
        reference=theirs,
        ratio=ratio(ours, theirs),
        machine=machine,
        seconds=round(time.monotonic() - started, 1),
    )
