"""The file of a member that trains nothing and opens nothing: an auditor's, or a seat's.

It says where things are, and what that member accepts; it names no data and no ledger.
"""

from pathlib import Path
from typing import Annotated, ClassVar, TypeVar

import msgspec

from participant.config import CoordinatorAddress, ProgrammeAccess
from privacy.configuration import NOTHING, Over, decode
from privacy.identifiers import Digest, FederationId, ParticipantId
from veilsum.files import read_text
from veilsum.metrics.settings import MetricsAddress
from veilsum.traces.settings import Telemetry

Config = TypeVar("Config", bound="MemberConfig")


class MemberPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What such a member works on and signs for; no plan can override a line of it."""

    FILE: ClassVar[str]
    TABLE: ClassVar[str] = "policy"

    roster: Digest
    schemes: tuple[str, ...]
    smallest_cohort: Annotated[int, msgspec.Meta(ge=2)]


class MemberConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All of such a member's settings."""

    federation: FederationId
    participant: ParticipantId
    state: Path
    coordinator: CoordinatorAddress
    policy: MemberPolicy
    metrics: MetricsAddress | None = None
    telemetry: Telemetry | None = None
    settlement: ProgrammeAccess | None = None


def read_member(path: Path, kind: type[Config], over: Over = NOTHING) -> Config:
    """Return the settings in the TOML file at `path`, and what goes over it.

    Raises:
        ConfigError: the file cannot be read, a key is unknown or missing, or a
            value is not of its type; the message names it.
    """
    return decode(read_text(path), kind, str(path), over)
