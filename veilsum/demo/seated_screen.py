"""What seats did, round by round, for the demo's last screen."""

from rich.table import Table

from .report import Report, RoundReport
from .seated import Seated, SeatRound


def seats_table(report: Report) -> Table:
    """Return a table of what each seat did in each round."""
    table = Table(title="Seats", title_justify="left")
    table.add_column("round", justify="right")
    for seat in _first(report).seats:
        table.add_column(seat.participant.removeprefix("seat-"), overflow="fold")
    table.add_column("cohort signed by", overflow="fold")
    table.add_column("within the norm bound", overflow="fold")
    for each, seated in _seated(report):
        signers = f"{sum(seat.certified for seat in seated.seats)} seats, {_short(seated.trainers)}"
        within = ", ".join((_short(seated.checked), *seated.left_out)) or "not asked"
        table.add_row(str(each.number), *map(_did, seated.seats), signers, within)
    return table


def scores_table(report: Report) -> Table:
    """Return a table of what seats opened about each update."""
    table = Table(title="Squared norm, and product with the sum; rounded", title_justify="left")
    table.add_column("round", justify="right")
    for site in report.epsilon:
        table.add_column(site, overflow="fold")
    for each, seated in _seated(report):
        found = {score.participant: score for score in seated.scores}
        cells = [
            f"{found[site].squared_norm:.0f}, {found[site].alignment:.0f}" if site in found else "—"
            for site in report.epsilon
        ]
        table.add_row(str(each.number), *cells)
    return table


def notes(report: Report) -> list[str]:
    """Return the reasons for which rounds have no scores."""
    return [
        f"round {each.number} has no scores: {seated.void}"
        for each, seated in _seated(report)
        if seated.void
    ]


def _did(seat: SeatRound) -> str:
    if seat.killed_at:
        return f"KILLED, {seat.killed_at}"
    did = (("judged", seat.judged), ("signed", seat.certified), ("summed", seat.stated))
    return ", ".join(word for word, done in did if done) or "—"


def _short(names: tuple[str, ...]) -> str:
    return ", ".join(name.removeprefix("hospital-") for name in names)


def _seated(report: Report) -> list[tuple[RoundReport, Seated]]:
    return [(each, each.seated) for each in report.rounds if each.seated is not None]


def _first(report: Report) -> Seated:
    (_, seated), *_ = _seated(report)
    return seated
