"""`veilsum demo`: a whole federation on one machine."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .surface import Answer

if TYPE_CHECKING:
    from veilsum.demo.caught import Caught
    from veilsum.demo.report import Report

VERDICTS = {1: "A check did not hold; the screen says which."}


def demo(
    *,
    rpc: Annotated[
        str, typer.Option(help="Settle on this chain's JSON-RPC URL, not on an embedded one.")
    ] = "",
    state: Annotated[
        Path | None, typer.Option(help="Keep all files here; a temporary folder by default.")
    ] = None,
    scheme: Annotated[str, typer.Option(help="The protection scheme: ckks or shares.")] = "ckks",
    mechanism: Annotated[
        str, typer.Option(help="Where noise comes from: local (DP-SGD) or distributed (shared).")
    ] = "local",
    cheat: Annotated[
        bool,
        typer.Option("--cheat", help="Have the coordinator alter one word of one sum; be caught."),
    ] = False,
) -> Answer:
    """Run it all on one machine: a coordinator, an auditor, four hospitals, rounds, a chain."""
    from veilsum.demo import run  # noqa: PLC0415
    from veilsum.demo.caught_screen import show as show_caught  # noqa: PLC0415
    from veilsum.demo.screen import show  # noqa: PLC0415

    if cheat:
        caught = run.run_cheat(rpc=rpc, state=state, scheme=scheme, mechanism=mechanism)
        return _answer(caught, lambda: show_caught(caught))
    report = run.run(rpc=rpc, state=state, scheme=scheme, mechanism=mechanism)
    return _answer(report, lambda: show(report))


def _answer(found: "Report | Caught", show: Callable[[], None]) -> Answer:
    return Answer(found.to_json(), show, 0 if all(found.checks().values()) else 1)
