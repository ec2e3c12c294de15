"""The command `veilsum`. Each command imports what it needs when it runs."""

from pathlib import Path
from typing import Annotated

import typer

from .process import exit_status

app = typer.Typer(
    name="veilsum",
    help="Privacy-preserving secure aggregation for hospitals and banks.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
coordinator_app = typer.Typer(no_args_is_help=True, help="Run the coordinator.")
participant_app = typer.Typer(no_args_is_help=True, help="Run a site.")
bench_app = typer.Typer(no_args_is_help=True, help="Measure on this machine.")
app.add_typer(coordinator_app, name="coordinator")
app.add_typer(participant_app, name="participant")
app.add_typer(bench_app, name="bench")

ConfigFile = Annotated[Path, typer.Option("--config", help="The TOML file with all settings.")]


@app.command()
def version() -> None:
    """Print the version."""
    from importlib.metadata import version as installed  # noqa: PLC0415

    typer.echo(installed("veilsum"))


@app.command()
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
) -> None:
    """Run the main job on one machine: a coordinator, four hospitals, three rounds, a chain."""
    from .demo.run import main as run_demo  # noqa: PLC0415

    with exit_status():
        raise SystemExit(run_demo(as_json=as_json, rpc=rpc, state=state))


@coordinator_app.command("serve")
def coordinator_serve(
    config: ConfigFile,
    announce: Annotated[
        Path | None, typer.Option(help="Write the address to this file once it answers.")
    ] = None,
) -> None:
    """Answer sites and run rounds until SIGTERM."""
    import asyncio  # noqa: PLC0415

    from coordinator.config import read  # noqa: PLC0415
    from coordinator.server import serve  # noqa: PLC0415

    from .process import failpoints, start_log  # noqa: PLC0415

    start_log()
    with exit_status():
        asyncio.run(serve(read(config), failpoints(), announce))


@participant_app.command("init")
def participant_init(
    state: Annotated[Path, typer.Option(help="The site's state folder, made if need be.")],
    federation: Annotated[str, typer.Option(help="The federation's name.")],
    participant: Annotated[str, typer.Option(help="This site's name.")],
    organisation: Annotated[str, typer.Option(help="The organisation that runs it.")],
    *,
    chain: Annotated[
        bool, typer.Option(help="Also make a payout key and a key that pays for gas.")
    ] = False,
) -> None:
    """Make this site's keys, here; write its roster entry and its certificate request."""
    from participant.init import init  # noqa: PLC0415

    with exit_status():
        for path in init(state, federation, participant, organisation, chain=chain):
            typer.echo(path)


@participant_app.command("run")
def participant_run(
    config: ConfigFile,
    site: Annotated[
        str, typer.Option(help="package.module:Class that brings data and model.")
    ] = "",
) -> None:
    """Take part in rounds until the programme is over."""
    import asyncio  # noqa: PLC0415

    from participant.config import read, with_site  # noqa: PLC0415
    from participant.run import run  # noqa: PLC0415

    from .process import failpoints, start_log  # noqa: PLC0415

    start_log()
    with exit_status():
        asyncio.run(run(with_site(read(config), site), failpoints()))


@bench_app.command("scheme")
def bench_scheme(
    *,
    scheme: Annotated[str, typer.Option(help="The protection scheme: ckks.")] = "ckks",
    parameters: Annotated[int, typer.Option(help="Length of each site's vector.")] = 1_000_000,
    participants: Annotated[int, typer.Option(help="Contributions in the sum.")] = 8,
    value_bits: Annotated[int, typer.Option(help="Bits of a signed grid integer.")] = 16,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object instead of the table.")
    ] = False,
) -> None:
    """Measure a scheme beside TenSEAL's `ckks_vector`: bytes, time, memory, exactness."""
    import msgspec  # noqa: PLC0415

    from .bench.scheme import run  # noqa: PLC0415
    from .bench.screen import show  # noqa: PLC0415

    with exit_status():
        report = run(
            scheme=scheme, parameters=parameters, participants=participants, value_bits=value_bits
        )
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(report)))
    else:
        show(report)
    raise SystemExit(0 if report.exact else 1)


def main() -> None:
    """Run the command line."""
    app()
