"""A seat's own file, `aggregator.toml`: where things are, and what it accepts.

It names no data and no ledger: a seat trains nothing and opens nothing.
"""

from pathlib import Path
from typing import Annotated

import msgspec

from participant.config import CoordinatorAddress
from privacy.configuration import decode
from privacy.errors import ConfigError
from privacy.identifiers import Digest, FederationId, ParticipantId
from privacy.plan import SHARES
from veilsum.files import read_file


class AggregatorPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What this seat adds and signs for; no plan can override a line of it."""

    roster: Digest
    schemes: tuple[str, ...]
    smallest_cohort: Annotated[int, msgspec.Meta(ge=2)]


class AggregatorConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All of a seat's settings."""

    federation: FederationId
    participant: ParticipantId
    state: Path
    coordinator: CoordinatorAddress
    policy: AggregatorPolicy


def read(path: Path) -> AggregatorConfig:
    """Return the settings in the TOML file at `path`.

    Raises:
        ConfigError: the file cannot be read, a key is unknown or missing, or a
            value is not of its type; or the policy accepts no scheme that has seats. The
            message names it.
    """
    try:
        text = read_file(path).decode()
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: {error.reason} at byte {error.start}") from None
    config = decode(text, AggregatorConfig, str(path))
    if SHARES not in config.policy.schemes:
        raise ConfigError(
            f"{path}: policy.schemes: {SHARES} is not in it, the one scheme that has seats; this "
            "seat would take part in nothing"
        )
    return config
