"""`veilsum demo`: a whole federation on one machine."""

from pathlib import Path
from typing import Annotated

import typer

from .surface import Answer

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
) -> Answer:
    """Run it all on one machine: a coordinator, an auditor, four hospitals, rounds, a chain."""
    from veilsum.demo.run import run  # noqa: PLC0415
    from veilsum.demo.screen import show  # noqa: PLC0415

    report = run(rpc=rpc, state=state, scheme=scheme, mechanism=mechanism)
    held = all(report.checks().values())
    return Answer(report.to_json(), lambda: show(report), 0 if held else 1)
