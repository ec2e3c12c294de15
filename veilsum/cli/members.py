"""`veilsum coordinator`, `participant`, `auditor`, `aggregator`: what members run."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .approving import approve_plan
from .backup import coordinator_backup, coordinator_restore, participant_rounds
from .config_file import ConfigFile
from .database import database_app
from .joining import add_joining
from .operate import add_operating
from .surface import Answer, Sets, command, over

if TYPE_CHECKING:
    from collections.abc import Iterable

coordinator_app = typer.Typer(no_args_is_help=True, help="Run the coordinator.")
coordinator_app.add_typer(database_app, name="database")
add_operating(coordinator_app)
command(coordinator_app, "backup")(coordinator_backup)
command(coordinator_app, "restore")(coordinator_restore)
participant_app = typer.Typer(no_args_is_help=True, help="Run a site.")
command(participant_app, "rounds")(participant_rounds)
command(participant_app, "approve-plan")(approve_plan)
auditor_app = typer.Typer(no_args_is_help=True, help="Run an auditor.")
aggregator_app = typer.Typer(no_args_is_help=True, help="Run a seat.")
operator_app = typer.Typer(
    no_args_is_help=True, help="Become an operator; what one does is `veilsum coordinator`."
)
add_joining(participant_app, "participant")
add_joining(auditor_app, "auditor")
add_joining(aggregator_app, "aggregator")
add_joining(operator_app, "operator")


@command(coordinator_app, "serve")
def coordinator_serve(
    config: ConfigFile,
    sets: Sets = None,
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
    asyncio.run(serve(read(config, over(sets)), failpoints(), announce))


@command(coordinator_app, "driver")
def coordinator_driver(config: ConfigFile, sets: Sets = None) -> None:
    """Hand what a coordinator adds to a Ray cluster, under the cluster's account."""
    from coordinator.adapters.engines.cluster_driver import serve_driver  # noqa: PLC0415
    from coordinator.config import read_driver  # noqa: PLC0415
    from veilsum.process import start_log  # noqa: PLC0415

    start_log()
    serve_driver(read_driver(config, over(sets)))


@command(participant_app, "init")
def participant_init(
    state: Annotated[Path, typer.Option(help="The site's state folder, made if need be.")],
    federation: Annotated[str, typer.Option(help="The federation's name.")],
    participant: Annotated[str, typer.Option(help="This site's name.")],
    organisation: Annotated[str, typer.Option(help="The organisation that runs it.")],
    *,
    chain: Annotated[
        bool, typer.Option(help="Also make a payout key and a key that pays for gas.")
    ] = False,
) -> Answer:
    """Make this site's keys, here; write its roster entry and its certificate request."""
    from participant.joining.init import init  # noqa: PLC0415

    return _files(init(state, federation, participant, organisation, chain=chain))


@command(participant_app, "run")
def participant_run(
    config: ConfigFile,
    site: Annotated[
        str, typer.Option(help="package.module:Class that brings data and model.")
    ] = "",
    sets: Sets = None,
) -> None:
    """Take part in rounds until the programme is over."""
    import asyncio  # noqa: PLC0415

    from participant.config import read, with_site  # noqa: PLC0415
    from participant.run import run  # noqa: PLC0415
    from veilsum.process import failpoints, start_log  # noqa: PLC0415

    start_log()
    asyncio.run(run(with_site(read(config, over(sets)), site), failpoints()))


@command(participant_app, "wrap")
def participant_wrap(
    config: ConfigFile,
    number: Annotated[int, typer.Option("--round", help="The round whose model it is.")],
    names: Annotated[
        list[str] | None,
        typer.Option("--for", help="A trainer; repeat it. By default all who have no wrap."),
    ] = None,
    sets: Sets = None,
) -> Answer:
    """Seal the key of a released model to trainers who joined later; the site may run meanwhile."""
    import asyncio  # noqa: PLC0415

    from participant.config import read  # noqa: PLC0415
    from participant.model.wrap import wrap  # noqa: PLC0415
    from veilsum.process import start_log  # noqa: PLC0415

    start_log()
    made = asyncio.run(wrap(read(config, over(sets)), number, names or ()))
    notes = () if made else ("nobody is without a wrap",)
    return Answer({"wrapped_for": made}, "\n".join(made), notes=notes)


@command(auditor_app, "init")
def auditor_init(
    state: Annotated[Path, typer.Option(help="The auditor's state folder, made if need be.")],
    federation: Annotated[str, typer.Option(help="The federation's name.")],
    participant: Annotated[str, typer.Option(help="This auditor's name.")],
    organisation: Annotated[str, typer.Option(help="The organisation that runs it.")],
) -> Answer:
    """Make this auditor's keys, here; write its roster entry and its certificate request."""
    from participant.joining.init import init  # noqa: PLC0415
    from privacy.roster import Role  # noqa: PLC0415

    return _files(init(state, federation, participant, organisation, role=Role.AUDITOR))


@command(auditor_app, "serve")
def auditor_serve(config: ConfigFile, sets: Sets = None) -> None:
    """Add the sums of rounds again and sign them, until SIGTERM or the programme is over."""
    import asyncio  # noqa: PLC0415

    from participant.auditing.config import read  # noqa: PLC0415
    from participant.auditing.run import serve  # noqa: PLC0415
    from veilsum.process import failpoints, start_log  # noqa: PLC0415

    start_log()
    asyncio.run(serve(read(config, over(sets)), failpoints()))


@command(aggregator_app, "init")
def aggregator_init(
    state: Annotated[Path, typer.Option(help="The seat's state folder, made if need be.")],
    federation: Annotated[str, typer.Option(help="The federation's name.")],
    participant: Annotated[str, typer.Option(help="This seat's name.")],
    organisation: Annotated[str, typer.Option(help="The organisation that runs it.")],
) -> Answer:
    """Make this seat's keys, here; write its roster entry and its certificate request."""
    from participant.joining.init import init  # noqa: PLC0415
    from privacy.roster import Role  # noqa: PLC0415

    return _files(init(state, federation, participant, organisation, role=Role.AGGREGATOR))


@command(aggregator_app, "serve")
def aggregator_serve(config: ConfigFile, sets: Sets = None) -> None:
    """Check, judge and add shares of updates, until SIGTERM or the programme is over."""
    import asyncio  # noqa: PLC0415

    from participant.seat.config import read  # noqa: PLC0415
    from participant.seat.run import serve  # noqa: PLC0415
    from veilsum.process import failpoints, start_log  # noqa: PLC0415

    start_log()
    asyncio.run(serve(read(config, over(sets)), failpoints()))


def _files(paths: "Iterable[Path]") -> Answer:
    made = [str(path) for path in paths]
    return Answer({"files": made}, "\n".join(made))
