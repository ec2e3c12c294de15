"""What `veilsum bench scheme` found: one value, printed as JSON or as a table."""

import msgspec

from .machine import Machine


class PeakMemory(msgspec.Struct, frozen=True):
    """Most memory each role's process had resident, in MiB, interpreter and libraries included."""

    key_maker: float
    participant: float
    coordinator: float
    opener: float


class Costs(msgspec.Struct, frozen=True, kw_only=True):
    """What one path costs for each parameter of the vector.

    Attributes:
        parameters: length of the vector.
        participants: contributions in the sum.
        distinct_participants: how many of them were made; the others are repetitions.
        bytes_per_parameter_up: of one contribution's chunks, headers and padding included.
        bytes_per_parameter_down: of the sum's chunks.
        fold_us_per_parameter: to deserialise one contribution and add it.
        hash_us_per_parameter: to check and hash one contribution when it comes in.
        finish_us_per_parameter: to serialise the sum, once for all contributions.
        exact: True if the opened sum is the plaintext one to the last bit.
    """

    parameters: int
    participants: int
    distinct_participants: int
    bytes_per_parameter_up: float
    bytes_per_parameter_down: float
    protect_us_per_parameter: float
    fold_us_per_parameter: float
    hash_us_per_parameter: float
    finish_us_per_parameter: float
    open_us_per_parameter: float
    peak_rss_mib: PeakMemory
    exact: bool


class Symmetric(msgspec.Struct, frozen=True):
    """The reference where every site holds the secret, as some frameworks have it."""

    bytes_per_parameter_up: float
    protect_us_per_parameter: float


class Reference(Costs, frozen=True, kw_only=True):
    """The same for the reference, and its name."""

    name: str
    symmetric: Symmetric


class Arithmetic(msgspec.Struct, frozen=True):
    """The scheme's parameters.

    Attributes:
        values_per_half: values side by side in each half of a slot.
        guard_log2_probability: log2 of the bound on the probability that any value of a round
            of 2^30 is so far off the grid that its opener refuses it.
    """

    degree: int
    modulus_bits: int
    scale_log2: int
    values_per_half: int
    values_per_ciphertext: int
    guard_log2_probability: float


class Ratio(msgspec.Struct, frozen=True):
    """Reference over Veilsum: above 1 where Veilsum needs less."""

    bytes_up: float
    protect: float
    fold: float
    open: float


class Report(Costs, frozen=True, kw_only=True):
    """Veilsum's costs, those of the reference, and where both were measured."""

    scheme: str
    value_bits: int
    arithmetic: Arithmetic
    reference: Reference
    ratio: Ratio
    machine: Machine
    seconds: float


def ratio(ours: Costs, theirs: Costs) -> Ratio:
    """Return what the reference costs over what ours does."""
    return Ratio(
        bytes_up=theirs.bytes_per_parameter_up / ours.bytes_per_parameter_up,
        protect=theirs.protect_us_per_parameter / ours.protect_us_per_parameter,
        fold=theirs.fold_us_per_parameter / ours.fold_us_per_parameter,
        open=theirs.open_us_per_parameter / ours.open_us_per_parameter,
    )
