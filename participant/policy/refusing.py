"""How a member's own policy refuses: each refusal names the line of its file that did. Pure.

This is the only place that makes a `PolicyRefusal`, so that none comes without its line.
"""

from typing import ClassVar, Protocol

from privacy.errors import CohortTooSmall, PolicyRefusal
from privacy.policy_line import PolicyLine, written


class HasFile(Protocol):
    """A table of settings that knows in which file it stands, and under which name."""

    FILE: ClassVar[str]
    TABLE: ClassVar[str]


def line(table: HasFile, key: str) -> PolicyLine:
    """Return the line of a table that sets `key`."""
    return PolicyLine(table.FILE, f"{table.TABLE}.{key}", written(getattr(table, key)))


def refusal(by: PolicyLine, reason: str) -> PolicyRefusal:
    """Return the refusal of one line, with what in the plan it refuses."""
    refused = PolicyRefusal(f"{by}: {reason}")
    refused.line = by
    return refused


def too_small(by: PolicyLine, reason: str) -> CohortTooSmall:
    """Return the refusal of a cohort by one line."""
    refused = CohortTooSmall(f"{by}: {reason}")
    refused.line = by
    return refused
