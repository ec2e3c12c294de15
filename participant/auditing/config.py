"""An auditor's own file, `auditor.toml`: where things are, and what it accepts."""

from pathlib import Path

from participant.joining.member_config import MemberConfig, MemberPolicy, read_member


class AuditorPolicy(MemberPolicy, frozen=True, forbid_unknown_fields=True):
    """What this auditor signs for; no plan can override a line of it."""


class AuditorConfig(MemberConfig, frozen=True, forbid_unknown_fields=True):
    """All of an auditor's settings."""

    policy: AuditorPolicy


def read(path: Path) -> AuditorConfig:
    """Return the settings in the TOML file at `path`.

    Raises:
        ConfigError: the file cannot be read, a key is unknown or missing, or a
            value is not of its type; the message names it.
    """
    return read_member(path, AuditorConfig)
