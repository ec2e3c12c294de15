"""The demo's last screen: what a hospital would show to its board. Readable without colour."""

import shutil
import time
from collections.abc import Mapping
from typing import Final, TextIO

from rich.console import Console
from rich.table import Table

from .report import Report, RoundReport
from .seated_screen import notes, scores_table, seats_table

WIDTH = 100
NARROW = 80
_FLOAT32_BYTES = 4
_WHO_CAN_OPEN: Final[Mapping[str, str]] = {
    "ckks": "the coordinator and the auditor, nothing. An opener, the sum; an opener together "
    "with one of those two, one site's update while its round's key lives.",
    "shares": "the coordinator, the auditor and any one seat, nothing. An opener, the sum; two "
    "seats together, every update of a round that is not over.",
}


class Progress:
    """Says what the demo does now, one plain line a step."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._started = time.monotonic()

    def step(self, words: str) -> None:
        """Write one line with the seconds since the start."""
        self._out.write(f"{time.monotonic() - self._started:6.1f} s  {words}\n")
        self._out.flush()


def show(report: Report, console: Console | None = None) -> None:
    """Print the report's screen."""
    out = console or Console(width=_width(), highlight=False)
    out.rule("Veilsum: four hospitals, one model, no shared data")
    out.print(_rounds(report))
    _show_seats(report, out)
    out.print(_sites(report))
    for line in _facts(report):
        out.print(line)
    out.rule("Checks")
    for claim, held in report.checks().items():
        out.print(f"  [{'green' if held else 'red'}]{'yes' if held else 'NO '}[/]  {claim}")
    out.print(
        f"\nWho can open what: {_WHO_CAN_OPEN[report.scheme]} See docs/threat-model.md.",
        style="dim",
    )


def _show_seats(report: Report, out: Console) -> None:
    if report.scheme == "ckks":
        return
    if any(each.seated is not None for each in report.rounds):
        out.print(seats_table(report))
        out.print(scores_table(report))
        for line in notes(report):
            out.print(line)


def _width() -> int:
    """Return the width of the terminal, within what the tables are made for."""
    return min(WIDTH, max(NARROW, shutil.get_terminal_size((WIDTH, 0)).columns))


def _rounds(report: Report) -> Table:
    table = Table(title="Rounds", title_justify="left")
    table.add_column("round", justify="right")
    for site in report.epsilon:
        # Folded, not cut off: at 80 columns the names differ in their last letter only.
        table.add_column(site, overflow="fold")
    table.add_column("cohort", justify="right")
    table.add_column("sum − plaintext sum", justify="right", overflow="fold")
    table.add_column("agreed by")
    killed: set[str] = set()
    for each in report.rounds:
        agreed = ", ".join(name.removeprefix("hospital-") for name in each.agreed)
        difference = "?" if each.difference is None else str(each.difference)
        table.add_row(
            str(each.number), *_did(each, killed), str(len(each.cohort)), difference, agreed
        )
    return table


def _did(each: RoundReport, killed: set[str]) -> list[str]:
    """Say what each site did, and note in `killed` who has been."""
    done = []
    for site in each.sites:
        if site.killed_at:
            killed.add(site.participant)
            done.append(f"KILLED, {site.killed_at}")
        elif site.contributed:
            back = "came back, " if site.participant in killed else ""
            done.append(f"{back}in the sum")
        else:
            done.append("—")
    return done


def _audit(report: Report) -> list[str]:
    """Say who countersigned which rounds' sums, and what was added again for it."""
    rounds: dict[str, list[str]] = {}
    for each in report.rounds:
        signers = ", ".join(each.countersigned) or "NOBODY"
        rounds.setdefault(signers, []).append(str(each.number))
    lines = [
        f"sums of rounds {', '.join(numbers)} countersigned by {signers}"
        for signers, numbers in rounds.items()
    ]
    audited = [each.audited for each in report.rounds if each.audited is not None]
    contributions, size = sum(a.contributions for a in audited), sum(a.bytes for a in audited)
    seconds = sum(each.seconds for each in audited)
    lines.append(f"{contributions} contributions added again, {size:,} bytes in {seconds:.2f} s")
    return [f"{'' if at else 'Audit':13}{line}" for at, line in enumerate(lines)]


def _sites(report: Report) -> Table:
    table = Table(title="Sites", title_justify="left")
    table.add_column("site")
    table.add_column("epsilon spent", justify="right")
    table.add_column("left", justify="right")
    table.add_column("own model alone", justify="right")
    table.add_column("paid", justify="right")
    for site, spent in report.epsilon.items():
        table.add_row(
            site,
            f"{spent:.3f}",
            f"{report.epsilon_left[site]:.3f}",
            f"{report.accuracy_alone[site]:.3f}",
            f"{int(report.payouts[site]):,}",
        )
    return table


def _facts(report: Report) -> list[str]:
    up = report.bytes_per_parameter_up
    return [
        f"Accuracy     global model {report.accuracy:.3f}; pooled and not private "
        f"{report.accuracy_pooled:.3f}  (held-out patients)",
        f"Privacy      unit: patient, add or remove one, delta {report.delta}; "
        f"limit for life epsilon {report.epsilon_limit:g}",
        *(_audit(report) if report.scheme == "ckks" else ()),
        f"Upload       {up:.2f} bytes a parameter, all messages counted; plain float32 takes "
        f"{_FLOAT32_BYTES}",
        f"Model        {report.model_digest}",
        f"             held by {', '.join(report.holders)}",
        f"Settlement   {report.transaction}",
        f"Files        {report.state_dir}",
        f"Time         {report.seconds:.1f} s",
    ]
