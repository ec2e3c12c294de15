"""An auditor's own file, `auditor.toml`: where things are, and what it accepts."""

from pathlib import Path
from typing import ClassVar

from participant.joining.member_config import MemberConfig, MemberPolicy, read_member
from privacy.configuration import NOTHING, Over


class AuditorPolicy(MemberPolicy, frozen=True, forbid_unknown_fields=True):
    """What this auditor signs for; no plan can override a line of it."""

    FILE: ClassVar[str] = "auditor.toml"


class AuditorConfig(MemberConfig, frozen=True, forbid_unknown_fields=True):
    """All of an auditor's settings."""

    policy: AuditorPolicy


def read(path: Path, over: Over = NOTHING) -> AuditorConfig:
    """Return the settings in the TOML file at `path`, and what goes over it.

    Raises:
        ConfigError: the file cannot be read, a key is unknown or missing, or a
            value is not of its type; the message names it.
    """
    return read_member(path, AuditorConfig, over)
