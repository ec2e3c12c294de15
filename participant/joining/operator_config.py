"""An operator's own file, `operator.toml`: who it is, and where its coordinator is."""

from pathlib import Path

import msgspec

from participant.config import CoordinatorAddress
from privacy.configuration import NOTHING, Over, decode
from privacy.identifiers import FederationId, ParticipantId
from veilsum.files import read_text


class OperatorConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All of an operator's settings."""

    federation: FederationId
    participant: ParticipantId
    state: Path
    coordinator: CoordinatorAddress


def read(path: Path, over: Over = NOTHING) -> OperatorConfig:
    """Return the settings in the TOML file at `path`, and what goes over it.

    Raises:
        ConfigError: the file cannot be read, a key is unknown or missing, or a value is not of
            its type; the message names it.
    """
    return decode(read_text(path), OperatorConfig, str(path), over)
