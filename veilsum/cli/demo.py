"""`veilsum demo`: a whole federation on one machine."""

from pathlib import Path
from typing import Annotated

import typer

from veilsum.process import exit_status


def demo(
    *,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object instead of the screen.")
    ] = False,
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
) -> None:
    """Run it all on one machine: a coordinator, an auditor, four hospitals, rounds, a chain."""
    from veilsum.demo.run import main as run_demo  # noqa: PLC0415

    with exit_status():
        status = run_demo(as_json=as_json, rpc=rpc, state=state, scheme=scheme, mechanism=mechanism)
        raise SystemExit(status)
