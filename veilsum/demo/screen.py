"""The demo's last screen: what a hospital would show to its board. Readable without colour."""

import shutil
import time
from collections.abc import Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Final, TextIO

from rich.console import Console
from rich.table import Table

from .report import Report, RoundReport
from .seated_screen import notes, scores_table, seats_table
from .worth_screen import notes as worth_notes
from .worth_screen import worth_table

WIDTH = 100
NARROW = 80
_FLOAT32_BYTES = 4
_WHO_CAN_OPEN: Final[Mapping[str, str]] = {
    "ckks": "the coordinator and the auditor, nothing. An opener, the sum; an opener together "
    "with one of those two, one site's update while its round's key lives.",
    "shares": "the coordinator, the auditor and any one seat, nothing. An opener, the sum; two "
    "seats together, every update of a round that is not over.",
}


_NOISE: Final[Mapping[str, str]] = {
    "local": "each hospital adds all of the noise, so an opened update costs no more than a sum",
    "distributed": "hospitals share the noise of a sum; who opens one update sees a part of it",
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
    out = console or screen()
    out.rule("Veilsum: four hospitals, one model, no shared data")
    out.print(_rounds(report))
    _show_seats(report, out)
    out.print(_sites(report))
    if report.worths:
        out.print(worth_table(report))
        for line in worth_notes(report):
            out.print(line)
    for line in _facts(report):
        out.print(line)
    show_checks(report.checks(), out)
    out.print(
        f"\nWho can open what: {_WHO_CAN_OPEN[report.scheme]} See docs/threat-model.md.",
        style="dim",
    )


def screen() -> Console:
    """Return the console that a last screen is printed on."""
    return Console(width=_width(), highlight=False)


def show_checks(checks: Mapping[str, bool], out: Console) -> None:
    """Print each claim, and whether it held."""
    out.rule("Checks")
    for claim, held in checks.items():
        out.print(f"  [{'green' if held else 'red'}]{'yes' if held else 'NO '}[/]  {claim}")


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
    rows = [(each, _row(each, killed)) for each in report.rounds]
    for alike, same in groupby(rows, key=itemgetter(1)):
        rounds = [each for each, _ in same]
        table.add_row(_ranges([each.number for each in rounds]), *alike, _agreed(rounds))
    return table


def _row(each: RoundReport, killed: set[str]) -> tuple[str, ...]:
    """Return what a round's line says between its number and who agreed."""
    difference = "?" if each.difference is None else str(each.difference)
    return (*_did(each, killed), str(len(each.cohort)), difference)


def _ranges(numbers: Sequence[int]) -> str:
    """Return rising numbers in words, neighbours as a range: `1, 3–20`."""
    words = []
    # Neighbours in a range are as far from their places as each other.
    for _, same in groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0]):
        together = [number for _, number in same]
        first, last = together[0], together[-1]
        words.append(str(first) if first == last else f"{first}–{last}")
    return ", ".join(words)


def _agreed(rounds: Sequence[RoundReport]) -> str:
    """Return who agreed, or the fewest and the most who did where rounds share a line."""
    if len(rounds) == 1:
        return ", ".join(name.removeprefix("hospital-") for name in rounds[0].agreed)
    counts = sorted({len(each.agreed) for each in rounds})
    return f"{' or '.join(map(str, counts))} openers"


def _did(each: RoundReport, killed: set[str]) -> list[str]:
    """Say what each site did, and note in `killed` who has been."""
    done = []
    for site in each.sites:
        if site.killed_at:
            killed.add(site.participant)
            done.append(f"KILLED, {site.killed_at}" + "; back, in the sum" * site.contributed)
        elif site.contributed:
            back = "came back, " if site.participant in killed else ""
            done.append(f"{back}in the sum")
        else:
            done.append("—")
    return done


def _audit(report: Report) -> list[str]:
    """Say who countersigned which rounds' sums, and what was added again for it."""
    rounds: dict[str, list[int]] = {}
    for each in report.rounds:
        signers = ", ".join(each.countersigned) or "NOBODY"
        rounds.setdefault(signers, []).append(each.number)
    lines = [
        f"sums of rounds {_ranges(numbers)} countersigned by {signers}"
        for signers, numbers in rounds.items()
    ]
    audited = [each.audited for each in report.rounds if each.audited is not None]
    contributions, size = sum(a.contributions for a in audited), sum(a.bytes for a in audited)
    seconds = sum(each.seconds for each in audited)
    lines.append(f"{contributions} contributions added again, {size:,} bytes in {seconds:.2f} s")
    return [f"{'' if at else 'Audit':13}{line}" for at, line in enumerate(lines)]


def _evidence(report: Report) -> list[str]:
    """Say what an officer's own check of each hospital's bundle ends with, and where they lie."""
    found = report.evidence
    if found is None:
        return ["Evidence     NONE"]
    words = ", ".join(f"{name} {word}" for name, word in found.verdicts.items())
    return [
        f"Evidence     audit verify: {words}",
        f"             in {found.folder}",
        f"             {', '.join(found.report)}",
        f"             again: {found.command}",
    ]


def _sites(report: Report) -> Table:
    table = Table(title="Sites", title_justify="left")
    table.add_column("site")
    table.add_column("epsilon: sums", justify="right")
    table.add_column("left", justify="right")
    table.add_column("one update opened", justify="right")
    table.add_column("own model alone", justify="right")
    for site, spent in report.epsilon.items():
        table.add_row(
            site,
            f"{spent:.3f}",
            f"{report.epsilon_left[site]:.3f}",
            f"{report.vector_epsilon[site]:.3f}",
            f"{report.accuracy_alone[site]:.3f}",
        )
    return table


def _facts(report: Report) -> list[str]:
    up = report.bytes_per_parameter_up
    return [
        f"Accuracy     global model {report.accuracy:.3f}; pooled and not private "
        f"{report.accuracy_pooled:.3f}  (held-out patients)",
        f"Privacy      unit: patient, add or remove one, delta {report.delta}; "
        f"limit for life epsilon {report.epsilon_limit:g}",
        f"             {_NOISE[report.mechanism]}",
        *(_audit(report) if report.scheme == "ckks" else ()),
        f"Upload       {up:.2f} bytes a parameter, {report.bytes_up:,} with all messages; "
        f"plain float32 takes {_FLOAT32_BYTES}",
        f"Model        {report.model_digest}",
        f"             held by {', '.join(report.holders)}",
        f"Settlement   {report.transaction}",
        *_evidence(report),
        f"Files        {report.state_dir}",
        f"Time         {report.seconds:.1f} s",
    ]
