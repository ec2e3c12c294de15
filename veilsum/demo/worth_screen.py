"""What contributions were worth, measured beside exactly, for the demo's last screen."""

from typing import Final

from rich.table import Table

from .report import Report

_MOST_ROUNDS: Final = 5
"""With more, a round has no column: then every one is paid by participation."""


def worth_table(report: Report) -> Table:
    """Return a table of each site's part of the scores, of what it is worth, and of the pay."""
    rounds = [each.number for each in report.rounds]
    shown = rounds if len(rounds) <= _MOST_ROUNDS else []
    noiseless = any(each.unnoised is not None for each in report.worths.values())
    table = Table(title=f"Contributions, paid by {report.method}", title_justify="left")
    table.add_column("site")
    for number in shown:
        table.add_column(f"round {number}", justify="right")
    if noiseless:
        table.add_column("without noise", justify="right")
    table.add_column("exact Shapley", justify="right")
    table.add_column("paid", justify="right")
    for site, each in report.worths.items():
        measured = [_part(part) for part in each.measured] if shown else []
        quiet = [_part(each.unnoised)] if noiseless else []
        paid = f"{int(report.payouts[site]):,}"
        table.add_row(site, *measured, *quiet, _part(each.exact), paid)
    return table


def notes(report: Report) -> list[str]:
    """Return what explains the table: what noise does to it, who was not paid, and what is left."""
    paid = sum(map(int, report.payouts.values()))
    left = report.escrow - paid
    lines = [f"{paid:,} of {report.escrow:,} token units paid; {left:,} stay in the escrow"]
    unpaid = _unpaid(report)
    if unpaid:
        lines.append(f"nobody earns in round {', '.join(map(str, unpaid))}: it has no scores")
    if report.own_noise is not None:
        lines.append(
            f"{min(report.own_noise, 1):.1%} of a mean score is the hospital's own noise; what "
            "differs is little more than chance"
        )
        lines.append("under this privacy: docs/contribution.md, What scores show")
    return lines


def _unpaid(report: Report) -> list[int]:
    def nobody(at: int) -> bool:
        return all(each.measured[at] is None for each in report.worths.values())

    return [each.number for at, each in enumerate(report.rounds) if nobody(at)]


def _part(part: float | None) -> str:
    return "—" if part is None else f"{part:.1%}"
