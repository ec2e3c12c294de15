"""A seat's own file, `aggregator.toml`: where things are, and what it accepts."""

from pathlib import Path
from typing import ClassVar

from participant.joining.member_config import MemberConfig, MemberPolicy, read_member
from privacy.configuration import NOTHING, Over
from privacy.errors import ConfigError
from privacy.plan import SHARES


class AggregatorPolicy(MemberPolicy, frozen=True, forbid_unknown_fields=True):
    """What this seat adds and signs for; no plan can override a line of it."""

    FILE: ClassVar[str] = "aggregator.toml"


class AggregatorConfig(MemberConfig, frozen=True, forbid_unknown_fields=True):
    """All of a seat's settings."""

    policy: AggregatorPolicy


def read(path: Path, over: Over = NOTHING) -> AggregatorConfig:
    """Return the settings in the TOML file at `path`, and what goes over it.

    Raises:
        ConfigError: the file cannot be read, a key is unknown or missing, or a
            value is not of its type; or the policy accepts no scheme that has seats. The
            message names it.
    """
    config = read_member(path, AggregatorConfig, over)
    if SHARES not in config.policy.schemes:
        raise ConfigError(
            f"{path}: policy.schemes: {SHARES} is not in it, the one scheme that has seats; this "
            "seat would take part in nothing"
        )
    return config
