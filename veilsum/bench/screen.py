"""The report of a measurement for people: one table, readable without colour."""

import msgspec
from rich.console import Console
from rich.table import Table

from .report import Costs, Report

WIDTH = 100

_ROWS = (
    ("bytes per parameter, up", "bytes_per_parameter_up", "bytes_up"),
    ("bytes per parameter, down", "bytes_per_parameter_down", ""),
    ("protect, µs per parameter", "protect_us_per_parameter", "protect"),
    ("fold one contribution, µs per parameter", "fold_us_per_parameter", "fold"),
    ("check and hash it, µs per parameter", "hash_us_per_parameter", ""),
    ("write the sum, µs per parameter, once", "finish_us_per_parameter", ""),
    ("open, µs per parameter", "open_us_per_parameter", "open"),
)


def show(report: Report, console: Console | None = None) -> None:
    """Print the report as a table, with what it was measured on."""
    out = console or Console(width=WIDTH, highlight=False)
    out.print(_table(report))
    symmetric = report.reference.symmetric
    out.print(
        f"reference: {report.reference.name}; with a symmetric key: "
        f"{symmetric.bytes_per_parameter_up:.2f} bytes up, "
        f"{symmetric.protect_us_per_parameter:.3f} µs to protect",
        markup=False,
    )
    out.print(f"ours: {report.arithmetic}", markup=False)
    machine = report.machine
    out.print(
        f"{machine.cpu}, {machine.cores} cores, {machine.system}, load {machine.load}; Python "
        f"{machine.python}, NumPy {machine.numpy}, TenSEAL {machine.tenseal}; "
        f"{report.seconds:.0f} s",
        markup=False,
    )


def _table(report: Report) -> Table:
    table = Table(
        title=f"{report.scheme}, values of {report.value_bits} bits", title_justify="left"
    )
    for name in ("", "Veilsum", "reference", "ratio"):
        table.add_column(name, justify="right" if name else "left")
    table.add_row("parameters", f"{report.parameters:,}", f"{report.reference.parameters:,}", "")
    table.add_row("contributions (made)", _made(report), _made(report.reference), "")
    for label, key, over in _ROWS:
        times = f"{getattr(report.ratio, over):.1f}" if over else ""
        table.add_row(label, _figure(report, key), _figure(report.reference, key), times)
    for role in msgspec.structs.fields(report.peak_rss_mib):
        ours, theirs = (
            getattr(costs.peak_rss_mib, role.name) for costs in (report, report.reference)
        )
        label = f"peak memory, {role.name.replace('_', ' ')}, MiB"
        table.add_row(label, f"{ours:.0f}", f"{theirs:.0f}", "")
    table.add_row("exact", _yes(report), _yes(report.reference), "")
    return table


def _made(costs: Costs) -> str:
    return f"{costs.participants} ({costs.distinct_participants})"


def _figure(costs: Costs, key: str) -> str:
    figure = getattr(costs, key)
    return f"{figure:.2f}" if key.startswith("bytes") else f"{figure:.4f}"


def _yes(costs: Costs) -> str:
    return "yes" if costs.exact else "NO"
