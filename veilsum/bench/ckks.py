"""Veilsum's CKKS and the reference, as roles that can be measured."""

import os
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path

import msgspec

from privacy.schemes.base import Geometry
from privacy.schemes.ckks import CkksProtector, CkksRevealer, CohortKey, make_cohort_key
from privacy.schemes.ckks_parameters import (
    CkksParameters,
    fitting,
    guard_log2_probability,
)
from privacy.schemes.ckks_sum import CkksCombiner
from privacy.schemes.masks import MASK_SECRET_BYTES, Mask
from veilsum.progress import SILENT, Meter

from . import reference
from .measure import measure
from .own_process import in_own_process
from .report import Arithmetic, Costs, Reference, Symmetric
from .stages import Roles, protect
from .workload import Workload

# More than this many sites' encryptions add time and disk, and tell nothing new.
_MOST_DISTINCT = 8
_REFERENCE_PARAMETERS = 1_000_000
_REFERENCE_PARTICIPANTS = 2
_CIPHERTEXTS_PER_CHUNK = 17
_CONTEXT = b"veilsum bench"


def parameters_for(participants: int, value_bits: int) -> CkksParameters:
    """Return the parameters a round of that cohort and those values would have.

    Raises:
        UnsafeParameters: none fit them.
    """
    return fitting(
        value_bits=value_bits,
        cohort_max=participants,
        ciphertexts_per_chunk=_CIPHERTEXTS_PER_CHUNK,
    )


def arithmetic_of(parameters: CkksParameters) -> Arithmetic:
    """Return what a report says of the parameters."""
    return Arithmetic(
        degree=parameters.degree,
        modulus_bits=parameters.modulus.bit_length(),
        scale_log2=parameters.scale_log2,
        values_per_half=parameters.values_per_half,
        values_per_ciphertext=parameters.values_per_ciphertext,
        guard_log2_probability=guard_log2_probability(parameters),
    )


STEPS = 10
"""Processes that a measurement runs, one after another: four of ours, six of the reference."""


def workload_for(parameters: CkksParameters, dimension: int) -> Workload:
    """Return a full cohort's vectors of `dimension` values."""
    cohort = parameters.cohort_max
    return Workload(
        parameters.geometry(dimension),
        cohort,
        parameters.largest_value,
        min(cohort, _MOST_DISTINCT),
    )


def roles_under(parameters: CkksParameters, dimension: int, key: CohortKey) -> Roles:
    """Return the roles under one cohort key; each is given only what it may hold.

    All contributions have one mask, which an opener takes off once for each all the same.
    """
    mask = os.urandom(MASK_SECRET_BYTES)
    return Roles(
        partial(_protector, parameters, dimension, key.public, mask),
        partial(CkksCombiner, parameters, dimension),
        partial(_revealer, parameters, dimension, key.secret, mask),
    )


def _protector(
    parameters: CkksParameters, dimension: int, public: bytes, secret: bytes
) -> CkksProtector:
    return CkksProtector(parameters, dimension, public, Mask(parameters, secret, _CONTEXT))


def _revealer(
    parameters: CkksParameters, dimension: int, secret: bytes, mask: bytes
) -> CkksRevealer:
    masks = [Mask(parameters, mask, _CONTEXT)] * parameters.cohort_max
    return CkksRevealer(parameters, dimension, secret, masks)


def measure_ours(parameters: CkksParameters, workload: Workload, watcher: Meter = SILENT) -> Costs:
    """Measure Veilsum's path."""
    key, peak = in_own_process(make_cohort_key, parameters)
    watcher.step()
    roles = roles_under(parameters, workload.geometry.dimension, key)
    return measure(workload, roles, peak, watcher)


def measure_reference(workload: Workload, watcher: Meter = SILENT) -> Reference:
    """Measure the reference on the same vectors, at most 1e6 parameters and two participants."""
    smaller = _smaller(workload)
    keys, peak = in_own_process(reference.make_keys)
    watcher.step()
    roles = Roles(
        partial(reference.ReferenceProtector, keys.public),
        partial(reference.ReferenceCombiner, keys.public),
        partial(reference.ReferenceRevealer, keys.secret),
    )
    costs = measure(smaller, roles, peak, watcher)
    return Reference(
        **msgspec.structs.asdict(costs), name=reference.NAME, symmetric=_symmetric(smaller, watcher)
    )


def _symmetric(workload: Workload, watcher: Meter) -> Symmetric:
    keys, _ = in_own_process(partial(reference.make_keys, symmetric=True))
    watcher.step()
    make = partial(reference.ReferenceProtector, keys.secret)
    with tempfile.TemporaryDirectory(prefix="veilsum-bench-") as folder:
        protected, _ = in_own_process(protect, make, workload, Path(folder))
        watcher.step()
    return Symmetric(protected.bytes_per_parameter, protected.us_per_parameter)


def _smaller(workload: Workload) -> Workload:
    geometry = workload.geometry
    dimension = min(geometry.dimension, _REFERENCE_PARAMETERS)
    participants = min(workload.participants, _REFERENCE_PARTICIPANTS)
    return replace(
        workload,
        geometry=Geometry(dimension, geometry.values_per_chunk),
        participants=participants,
        distinct=min(workload.distinct, participants),
    )
