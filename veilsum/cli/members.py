"""`veilsum coordinator`, `participant`, `auditor`, `aggregator`: what members run."""

from pathlib import Path
from typing import Annotated

import typer

from veilsum.process import exit_status

from .backup import coordinator_backup, coordinator_restore, participant_rounds
from .config_file import ConfigFile
from .database import database_app

coordinator_app = typer.Typer(no_args_is_help=True, help="Run the coordinator.")
coordinator_app.add_typer(database_app, name="database")
coordinator_app.command("backup")(coordinator_backup)
coordinator_app.command("restore")(coordinator_restore)
participant_app = typer.Typer(no_args_is_help=True, help="Run a site.")
participant_app.command("rounds")(participant_rounds)
auditor_app = typer.Typer(no_args_is_help=True, help="Run an auditor.")
aggregator_app = typer.Typer(no_args_is_help=True, help="Run a seat.")


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
    from veilsum.process import failpoints, give_memory_back, start_log  # noqa: PLC0415

    start_log()
    give_memory_back()
    with exit_status():
        asyncio.run(serve(read(config), failpoints(), announce))


@coordinator_app.command("driver")
def coordinator_driver(config: ConfigFile) -> None:
    """Hand what a coordinator adds to a Ray cluster, under the cluster's account."""
    from coordinator.adapters.engines.cluster_driver import serve_driver  # noqa: PLC0415
    from coordinator.config import read_driver  # noqa: PLC0415
    from veilsum.process import start_log  # noqa: PLC0415

    start_log()
    with exit_status():
        serve_driver(read_driver(config))


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
    from participant.joining.init import init  # noqa: PLC0415

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
    from veilsum.process import failpoints, start_log  # noqa: PLC0415

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
    from participant.model.wrap import wrap  # noqa: PLC0415
    from veilsum.process import start_log  # noqa: PLC0415

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
    from participant.joining.init import init  # noqa: PLC0415
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
    from veilsum.process import failpoints, start_log  # noqa: PLC0415

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
    from participant.joining.init import init  # noqa: PLC0415
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
    from veilsum.process import failpoints, start_log  # noqa: PLC0415

    start_log()
    with exit_status():
        asyncio.run(serve(read(config), failpoints()))
