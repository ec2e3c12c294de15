"""What is said of findings: lines for people, one object for programs."""

import textwrap
from collections.abc import Sequence
from typing import Final

import msgspec

from veilsum.release import RELEASE

from .finding import Finding, Level, is_well

_MARKS: Final = {Level.OK: "ok", Level.WARNING: "WARN", Level.PROBLEM: "FAIL"}
_COLUMN: Final = 22
_WIDTH: Final = 100


class Report(msgspec.Struct, frozen=True):
    """All findings of one run.

    Attributes:
        about: an address, or the file of settings.
        well: whether nothing is to be done.
    """

    about: str
    well: bool
    findings: tuple[Finding, ...]
    release: str = RELEASE


def report_of(about: str, findings: Sequence[Finding]) -> Report:
    """Return the report of what was found."""
    return Report(about, is_well(findings), tuple(findings))


def status_of(report: Report) -> int:
    """Return the exit status: 0 if nothing is to be done, 10 if it can wait, and 1."""
    levels = {each.level for each in report.findings}
    if Level.PROBLEM in levels:
        return 1
    return 10 if Level.WARNING in levels else 0


def lines(report: Report) -> str:
    """Return a report for people: each finding, and below it what to do about it."""
    rows = [row for finding in report.findings for row in _rows(finding)]
    return "\n".join([*rows, _last(report)])


def _rows(finding: Finding) -> list[str]:
    head = f"{_MARKS[finding.level]:<5}{finding.check:<{_COLUMN - 6}} "
    first = _folded(f"{finding.looked_at}: {finding.found}", head, " " * _COLUMN)
    if finding.level is Level.OK:
        return first
    margin = " " * _COLUMN
    fix = _folded(f"{finding.fix}", f"{margin}fix: ", f"{margin}     ")
    return [*first, *fix, f"{margin}who acts: {finding.who_acts}"]


def _folded(text: str, first: str, others: str) -> list[str]:
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=first,
        subsequent_indent=others,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _last(report: Report) -> str:
    problems = sum(finding.level is Level.PROBLEM for finding in report.findings)
    warnings = sum(finding.level is Level.WARNING for finding in report.findings)
    if report.well:
        return f"all {len(report.findings)} findings are well"
    return f"{problems} to mend, {warnings} to look at, of {len(report.findings)} findings"
