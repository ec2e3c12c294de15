"""A measured round for people: its stages, its memory, readable without colour."""

import msgspec
from rich.console import Console
from rich.table import Table

from .round_report import RoundReport
from .screen import WIDTH, measured_on
from .timeline import Spread

HEADINGS = ("stage", "begins, s", "takes, s", "at each member, s", "at each, MiB/s")


def show(report: RoundReport, console: Console | None = None) -> None:
    """Print the report as a table, with what it was measured on."""
    out = console or Console(width=WIDTH, highlight=False)
    out.print(_table(report))
    out.print(summary(report), markup=False)
    out.print(measured_on(report.machine), markup=False)


def title(report: RoundReport) -> str:
    """Return the round's size in words."""
    beside = "with an auditor" if report.auditor else "without an auditor"
    if report.scheme == "shares":
        beside = "with three seats that ask for the norm bound"
    return (
        f"a round of {report.participants} sites under {report.scheme}, {report.parameters:,} "
        f"values of {report.value_bits} bits, {beside}"
    )


def summary(report: RoundReport) -> str:
    """Return what holds for the whole round: time, bytes, exactness, memory."""
    memory = ", ".join(f"{kind} {mib:.0f}" for kind, mib in report.peak_rss_mib.items())
    return (
        f"{report.seconds:.1f} s; {report.bytes_per_parameter_up:.2f} bytes up for each "
        f"parameter; exact: {'yes' if report.exact else 'NO'}; peak memory, MiB: {memory}"
    )


def rows(report: RoundReport) -> list[tuple[str, str, str, str, str]]:
    """Return the stages in the order they began: name, begin, time, each member's, speed."""
    stages = [(n, s) for n, s in msgspec.structs.asdict(report.stages).items() if s]
    return [
        (
            name,
            f"{stage.begins:.1f}",
            f"{stage.seconds:.1f}",
            _spread(stage.each),
            _spread(stage.mib_per_second),
        )
        for name, stage in sorted(stages, key=lambda each: each[1].begins)
    ]


def _table(report: RoundReport) -> Table:
    table = Table(title=title(report), title_justify="left")
    for name in HEADINGS:
        table.add_column(name, justify="left" if name == "stage" else "right")
    for row in rows(report):
        table.add_row(*row)
    return table


def _spread(figures: Spread | None) -> str:
    if figures is None:
        return ""
    return f"{figures.min:.1f} … {figures.median:.1f} … {figures.max:.1f}"
