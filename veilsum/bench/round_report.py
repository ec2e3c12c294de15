"""What `veilsum bench round` found: one value, printed as JSON or as a table."""

import msgspec

from .machine import Machine
from .timeline import Stages


class RoundReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a round took, and where it was measured.

    Attributes:
        scheme: "ckks" or "shares".
        parameters: length of each vector.
        bytes_per_parameter_up: of one contribution, all messages and gRPC's frames counted.
        seconds: from the last founder's signature to the last site that holds the new model.
        peak_rss_mib: the most memory that a process of each kind had resident.
        exact: True if every site holds the model that the plaintext mean makes, to the last bit.
    """

    scheme: str
    parameters: int
    participants: int
    value_bits: int
    auditor: bool
    bytes_per_parameter_up: float
    seconds: float
    stages: Stages
    peak_rss_mib: dict[str, float]
    exact: bool
    machine: Machine
