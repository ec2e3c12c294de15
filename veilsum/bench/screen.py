"""The report of a measurement for people: one table, readable without colour."""

import msgspec
from rich.console import Console
from rich.table import Table

from .machine import Machine
from .report import Arithmetic, Costs, Report
from .shares_report import SharesReport

WIDTH = 100
HEADINGS = ("", "Veilsum", "reference", "ratio")

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
    out.print(f"reference: {reference_in_words(report)}", markup=False)
    out.print(f"ours: {described(report.arithmetic)}", markup=False)
    out.print(f"{measured_on(report.machine)}; {report.seconds:.0f} s", markup=False)


def reference_in_words(report: Report) -> str:
    """Return what is compared with, and what it costs under a symmetric key."""
    symmetric = report.reference.symmetric
    return (
        f"{report.reference.name}; with a symmetric key: "
        f"{symmetric.bytes_per_parameter_up:.2f} bytes up, "
        f"{symmetric.protect_us_per_parameter:.3f} µs to protect"
    )


def described(arithmetic: Arithmetic) -> str:
    """Return the scheme's parameters in words."""
    return (
        f"degree {arithmetic.degree}, prime of {arithmetic.modulus_bits} bits, "
        f"scale 2^{arithmetic.scale_log2}, {arithmetic.values_per_half} in each half of a slot, "
        f"{arithmetic.values_per_ciphertext} values a ciphertext; a round beyond the "
        f"guard has probability 2^{arithmetic.guard_log2_probability:.0f} at most"
    )


def measured_on(machine: Machine) -> str:
    """Return the machine in words."""
    return (
        f"{machine.day}, {machine.cpu}, {machine.cores} cores, {machine.memory_gib} GiB, "
        f"{machine.system}, load {machine.load}; Python {machine.python}, NumPy {machine.numpy}, "
        f"TenSEAL {machine.tenseal}"
    )


def rows(report: Report | SharesReport) -> list[tuple[str, str, str, str]]:
    """Return what is compared, row by row: label, Veilsum, reference, ratio."""
    theirs = report.reference
    found = [
        ("parameters", f"{report.parameters:,}", f"{theirs.parameters:,}", ""),
        ("contributions (made)", _made(report), _made(theirs), ""),
    ]
    for label, key, over in _ROWS:
        times = f"{getattr(report.ratio, over):.1f}" if over else ""
        found.append((label, _figure(report, key), _figure(theirs, key), times))
    for role in msgspec.structs.fields(report.peak_rss_mib):
        ours, other = (getattr(costs.peak_rss_mib, role.name) for costs in (report, theirs))
        label = f"peak memory, {role.name.replace('_', ' ')}, MiB"
        found.append((label, f"{ours:.0f}", f"{other:.0f}", ""))
    return [*found, ("exact", _yes(report), _yes(theirs), "")]


def _table(report: Report) -> Table:
    table = Table(
        title=f"{report.scheme}, values of {report.value_bits} bits", title_justify="left"
    )
    for name in HEADINGS:
        table.add_column(name, justify="right" if name else "left")
    for row in rows(report):
        table.add_row(*row)
    return table


def _made(costs: Costs) -> str:
    return f"{costs.participants} ({costs.distinct_participants})"


def _figure(costs: Costs, key: str) -> str:
    figure = getattr(costs, key)
    return f"{figure:.2f}" if key.startswith("bytes") else f"{figure:.4f}"


def _yes(costs: Costs) -> str:
    return "yes" if costs.exact else "NO"
