"""An auditor's own file, `auditor.toml`: where things are, and what it accepts."""

from pathlib import Path
from typing import ClassVar

from participant.config import ProgrammeAccess
from participant.joining.member_config import MemberConfig, MemberPolicy, read_member
from privacy.configuration import NOTHING, Over
from privacy.contribution.scores import Method


class AuditorPolicy(MemberPolicy, frozen=True, forbid_unknown_fields=True):
    """What this auditor signs for; no plan can override a line of it."""

    FILE: ClassVar[str] = "auditor.toml"


class AuditedProgramme(ProgrammeAccess, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How an auditor reaches the programme whose commits it looks at.

    Attributes:
        method: by which its sites have agreed to be paid; may be left out where plans open no
            scores, and are paid by participation alone.
    """

    method: Method | None = None


class AuditorConfig(MemberConfig, frozen=True, forbid_unknown_fields=True):
    """All of an auditor's settings."""

    policy: AuditorPolicy
    settlement: AuditedProgramme | None = None


def read(path: Path, over: Over = NOTHING) -> AuditorConfig:
    """Return the settings in the TOML file at `path`, and what goes over it.

    Raises:
        ConfigError: the file cannot be read, a key is unknown or missing, or a
            value is not of its type; the message names it.
    """
    return read_member(path, AuditorConfig, over)
