"""The last screen of a demo whose coordinator cheats. Readable without colour."""

from rich.console import Console
from rich.table import Table

from .caught import Caught
from .screen import screen, show_checks


def show(caught: Caught, console: Console | None = None) -> None:
    """Print what came of it."""
    out = console or screen()
    out.rule("Veilsum: a coordinator that alters one word of one sum")
    out.print(_acts(caught))
    for line in _facts(caught):
        out.print(line)
    show_checks(caught.checks(), out)


def _acts(caught: Caught) -> Table:
    table = Table(title="What the audit office typed", title_justify="left")
    table.add_column("command", overflow="fold")
    table.add_column("ended with", justify="right")
    for act in caught.acts:
        table.add_row(act.command, str(act.status))
    return table


def _facts(caught: Caught) -> list[str]:
    gas = ", ".join(f"{name} {used:,}" for name, used in caught.gas.items()) or "none"
    stands = f"up to {caught.head}, claimed once they mature" if caught.head else "none"
    return [
        f"Found        round {caught.round}: {caught.reason}",
        f"Proof        {caught.proof or 'NONE'}, by {caught.challenger or 'NOBODY'}",
        f"Challenge    {caught.transaction or 'NONE'}",
        f"Slashed      {caught.slashed:,} of {caught.bond:,} token units: {caught.rewarded:,} to "
        f"the challenger, {caught.burned:,} burned",
        f"Gas paid     {gas}",
        f"Rounds       void from {caught.void_from or 'none'} on; these stand: {stands}",
        f"Files        {caught.state_dir}",
        f"Time         {caught.seconds:.1f} s",
    ]
