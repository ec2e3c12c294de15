"""A finding: what was looked at, what was found there, and who mends it how."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

import msgspec

from privacy.errors import VeilsumError
from veilsum.catalogue import entry_of

SITE: Final = "whoever administers this machine"
NETWORK: Final = "this site's network team"
OPERATOR: Final = "the coordinator's operator"


class Level(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


class Finding(msgspec.Struct, frozen=True):
    """What one check found; whatever is not well comes with its fix, and with who acts.

    Attributes:
        check: a name that stays the same, for programs.
        looked_at: an address, a path, a setting: public names only.
    """

    check: str
    looked_at: str
    found: str
    level: Level = Level.OK
    fix: str = ""
    who_acts: str = ""

    def __post_init__(self) -> None:
        # A complaint that nobody can act on is a bug of the check that made it.
        assert self.level is Level.OK or (self.fix and self.who_acts), self.check


def warning(check: str, looked_at: str, found: str, fix: str, who_acts: str) -> Finding:
    """Return a finding that does not stop this process, today."""
    return Finding(check, looked_at, found, Level.WARNING, fix, who_acts)


def problem(check: str, looked_at: str, found: str, fix: str, who_acts: str) -> Finding:
    """Return a finding that stops this process, or a round."""
    return Finding(check, looked_at, found, Level.PROBLEM, fix, who_acts)


def is_well(findings: Iterable[Finding]) -> bool:
    """Return whether nothing is to be done."""
    return all(finding.level is Level.OK for finding in findings)


def refused(check: str, looked_at: str, error: VeilsumError) -> Finding:
    """Return an error of ours as a finding: what the catalogue says of its code is the fix."""
    fix = f"{entry_of(error.code).fix} (`veilsum explain {error.code}`)"
    return problem(check, looked_at, str(error), fix, error.who_acts)
