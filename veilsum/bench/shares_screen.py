"""The report of a measurement of shares for people: one table, readable without colour."""

from rich.console import Console
from rich.table import Table

from . import screen
from .shares_report import SharesReport


def show(report: SharesReport, console: Console | None = None) -> None:
    """Print the report as a table, with what it was measured on."""
    out = console or Console(width=screen.WIDTH, highlight=False)
    table = Table(title=f"shares, values of {report.value_bits} bits", title_justify="left")
    for name in screen.HEADINGS:
        table.add_column(name, justify="right" if name else "left")
    for row in rows(report):
        table.add_row(*row)
    out.print(table)
    out.print(f"reference: {report.reference.name}", markup=False)
    out.print(f"{screen.measured_on(report.machine)}; {report.seconds:.0f} s", markup=False)


def rows(report: SharesReport) -> list[tuple[str, str, str, str]]:
    """Return all rows: what CKKS's report has too, then what only shares have."""
    return [*screen.rows(report), *_further(report)]


def _further(report: SharesReport) -> list[tuple[str, str, str, str]]:
    questions, packed = report.questions, report.packed
    found = (
        ("AES-256-CTR alone, µs per parameter", f"{report.aes_ctr_us_per_parameter:.4f}"),
        ("protect beyond it", f"{report.protect_beyond_aes_ctr_us_per_parameter:.4f}"),
        ("fold at a seat, GB/s a core", f"{report.fold_gb_per_second:.2f}"),
        ("the same with both roots checked", f"{report.accept_gb_per_second:.2f}"),
        ("squared norm, ns per parameter and site", f"{questions.norm_ns:.2f}"),
        ("dot product with the sum", f"{questions.dot_ns:.2f}"),
        ("norm bound check, a component", f"{questions.bound_ns:.2f}"),
        ("norms and dot products exact", "yes" if questions.exact else "NO"),
        (f"{packed.values_per_word} in a word: bytes up", f"{packed.bytes_per_parameter_up:.2f}"),
        ("packed: protect, µs per parameter", f"{packed.protect_us_per_parameter:.4f}"),
        ("packed: exact", "yes" if packed.exact else "NO"),
    )
    return [(label, figure, "", "") for label, figure in found]
