"""Gas for people: a table by number of participants, and what does not depend on it."""

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table

from .screen import WIDTH, measured_on
from .settlement_report import Gas, SettlementReport

ONCE = {
    "open": "open a programme",
    "fund": "fund it",
    "bond": "bond",
    "thaw": "thaw a bond",
    "withdraw": "withdraw it",
    "seal": "seal before a challenge",
    "collect": "collect the reward",
    "expire": "have silence slashed",
    "register": "register a model",
}


def show(report: SettlementReport, console: Console | None = None) -> None:
    """Print the report as two tables."""
    out = console or Console(width=WIDTH, highlight=False)
    out.print(_table(title(report), headings(report), rows(report)))
    out.print(_table("once", ("operation", "gas"), once_rows(report)))
    out.print(f"{measured_on(report.machine)}; {report.seconds:.0f} s", markup=False)


def title(report: SettlementReport) -> str:
    """Return what the figures are of, in words."""
    return (
        f"gas by participants, under {report.rules}'s prices; leaves of {report.leaf_words} words, "
        f"{report.tree_depth} levels over them"
    )


def headings(report: SettlementReport) -> tuple[str, ...]:
    """Return the table's first row."""
    return ("operation", *(f"{size:,}" for size in report.participants()))


def rows(report: SettlementReport) -> list[tuple[str, ...]]:
    """Return what depends on the number of participants, or is shown not to."""
    by_size = (
        ("commit a round", report.commit_gas),
        ("claim, the first", report.claim_gas_first),
        ("claim, later", report.claim_gas_later),
        ("challenge a wrong sum", report.challenge_gas),
        ("the same, bytes of proof", report.challenge_bytes),
        ("challenge a wrong leaf", report.challenge_leaf_gas),
        ("demand a node", report.demand_gas),
        ("answer a demand", report.answer_gas),
    )
    return [(name, *_figures(report, figures)) for name, figures in by_size]


def once_rows(report: SettlementReport) -> list[tuple[str, str]]:
    """Return what does not depend on it."""
    deployed = [(f"deploy {name}", f"{gas:,}") for name, gas in report.deploy_gas.items()]
    once = [(words, f"{report.once_gas[name]:,}") for name, words in ONCE.items()]
    return [*deployed, *once]


def _figures(report: SettlementReport, figures: Gas) -> list[str]:
    return [f"{figures[size]:,}" for size in report.participants()]


def _table(title: str, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    table = Table(title=title, title_justify="left")
    for at, name in enumerate(headings):
        table.add_column(name, justify="right" if at else "left")
    for row in rows:
        table.add_row(*row)
    return table
