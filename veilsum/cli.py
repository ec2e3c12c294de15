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
auditor_app = typer.Typer(no_args_is_help=True, help="Run an auditor.")
aggregator_app = typer.Typer(no_args_is_help=True, help="Run a seat.")
audit_app = typer.Typer(no_args_is_help=True, help="Check a round, as its auditor.")
bench_app = typer.Typer(no_args_is_help=True, help="Measure on this machine.")
app.add_typer(coordinator_app, name="coordinator")
app.add_typer(participant_app, name="participant")
app.add_typer(auditor_app, name="auditor")
app.add_typer(aggregator_app, name="aggregator")
app.add_typer(audit_app, name="audit")
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
    scheme: Annotated[str, typer.Option(help="The protection scheme: ckks or shares.")] = "ckks",
) -> None:
    """Run it all on one machine: a coordinator, an auditor, four hospitals, rounds, a chain."""
    from .demo.run import main as run_demo  # noqa: PLC0415

    with exit_status():
        raise SystemExit(run_demo(as_json=as_json, rpc=rpc, state=state, scheme=scheme))


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


@participant_app.command("wrap")
def participant_wrap(
    config: ConfigFile,
    number: Annotated[int, typer.Option("--round", help="The round whose model it is.")],
    names: Annotated[
        list[str] | None,
        typer.Option("--for", help="A trainer; repeat it. By default all who have no wrap."),
    ] = None,
) -> None:
    """Seal the key of a released model to trainers who joined later; the site may run meanwhile."""
    import asyncio  # noqa: PLC0415

    from participant.config import read  # noqa: PLC0415
    from participant.wrap import wrap  # noqa: PLC0415

    from .process import start_log  # noqa: PLC0415

    start_log()
    with exit_status():
        made = asyncio.run(wrap(read(config), number, names or ()))
    for name in made:
        typer.echo(name)
    if not made:
        typer.echo("nobody is without a wrap", err=True)


@auditor_app.command("init")
def auditor_init(
    state: Annotated[Path, typer.Option(help="The auditor's state folder, made if need be.")],
    federation: Annotated[str, typer.Option(help="The federation's name.")],
    participant: Annotated[str, typer.Option(help="This auditor's name.")],
    organisation: Annotated[str, typer.Option(help="The organisation that runs it.")],
) -> None:
    """Make this auditor's keys, here; write its roster entry and its certificate request."""
    from participant.init import init  # noqa: PLC0415
    from privacy.roster import Role  # noqa: PLC0415

    with exit_status():
        for path in init(state, federation, participant, organisation, role=Role.AUDITOR):
            typer.echo(path)


@auditor_app.command("serve")
def auditor_serve(config: ConfigFile) -> None:
    """Add the sums of rounds again and sign them, until SIGTERM or the programme is over."""
    import asyncio  # noqa: PLC0415

    from participant.auditing.config import read  # noqa: PLC0415
    from participant.auditing.run import serve  # noqa: PLC0415

    from .process import failpoints, start_log  # noqa: PLC0415

    start_log()
    with exit_status():
        asyncio.run(serve(read(config), failpoints()))


@aggregator_app.command("init")
def aggregator_init(
    state: Annotated[Path, typer.Option(help="The seat's state folder, made if need be.")],
    federation: Annotated[str, typer.Option(help="The federation's name.")],
    participant: Annotated[str, typer.Option(help="This seat's name.")],
    organisation: Annotated[str, typer.Option(help="The organisation that runs it.")],
) -> None:
    """Make this seat's keys, here; write its roster entry and its certificate request."""
    from participant.init import init  # noqa: PLC0415
    from privacy.roster import Role  # noqa: PLC0415

    with exit_status():
        for path in init(state, federation, participant, organisation, role=Role.AGGREGATOR):
            typer.echo(path)


@aggregator_app.command("serve")
def aggregator_serve(config: ConfigFile) -> None:
    """Check, judge and add shares of updates, until SIGTERM or the programme is over."""
    import asyncio  # noqa: PLC0415

    from participant.seat.config import read  # noqa: PLC0415
    from participant.seat.run import serve  # noqa: PLC0415

    from .process import failpoints, start_log  # noqa: PLC0415

    start_log()
    with exit_status():
        asyncio.run(serve(read(config), failpoints()))


@audit_app.command("sum")
def audit_sum(
    *,
    config: ConfigFile,
    number: Annotated[int, typer.Option("--round", help="The round to audit.")],
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the signed report as one JSON object.")
    ] = False,
) -> None:
    """Add a round's contributions again now; if they are gone, show the report made before."""
    import asyncio  # noqa: PLC0415

    import msgspec  # noqa: PLC0415

    from participant.auditing.config import read  # noqa: PLC0415
    from participant.auditing.run import audit_sum as audit  # noqa: PLC0415
    from participant.auditing.run import error_in, text_of  # noqa: PLC0415

    from .process import start_log, status_of  # noqa: PLC0415

    start_log()
    with exit_status():
        finding = asyncio.run(audit(read(config), number))
    typer.echo(msgspec.json.encode(finding).decode() if as_json else text_of(finding))
    wrong = error_in(finding)
    raise SystemExit(0 if wrong is None else status_of(wrong))


@bench_app.command("scheme")
def bench_scheme(
    *,
    scheme: Annotated[str, typer.Option(help="The protection scheme: ckks or shares.")] = "ckks",
    parameters: Annotated[int, typer.Option(help="Length of each site's vector.")] = 1_000_000,
    participants: Annotated[int, typer.Option(help="Contributions in the sum.")] = 8,
    value_bits: Annotated[int, typer.Option(help="Bits of a signed grid integer.")] = 16,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object instead of the table.")
    ] = False,
) -> None:
    """Measure a scheme beside its library's own way: bytes, time, memory, exactness."""
    import msgspec  # noqa: PLC0415

    from .bench.scheme import run, show  # noqa: PLC0415

    with exit_status():
        report = run(
            scheme=scheme, parameters=parameters, participants=participants, value_bits=value_bits
        )
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(report)))
    else:
        show(report)
    raise SystemExit(0 if report.exact else 1)


@bench_app.command("round")
def bench_round(
    *,
    participants: Annotated[int, typer.Option(help="Sites, each in its own processes.")] = 8,
    parameters: Annotated[int, typer.Option(help="Length of each site's vector.")] = 11_700_000,
    value_bits: Annotated[int, typer.Option(help="Bits of a signed grid integer.")] = 16,
    auditor: Annotated[bool, typer.Option(help="An auditor adds the sum again and signs.")] = True,
    scheme: Annotated[str, typer.Option(help="The protection scheme: ckks or shares.")] = "ckks",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object instead of the table.")
    ] = False,
) -> None:
    """Measure a whole round in real processes over mutual TLS, without training."""
    import msgspec  # noqa: PLC0415

    from .bench.required import require  # noqa: PLC0415

    with exit_status():
        require("demo", "tenseal", "tomlkit")
        if scheme == "shares":
            require("shares", "crypten")
        from .bench.round import run  # noqa: PLC0415
        from .bench.round_screen import show  # noqa: PLC0415

        report = run(
            participants=participants,
            parameters=parameters,
            value_bits=value_bits,
            auditor=auditor,
            scheme=scheme,
        )
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(report)))
    else:
        show(report)
    raise SystemExit(0 if report.exact else 1)


def main() -> None:
    """Run the command line."""
    app()
