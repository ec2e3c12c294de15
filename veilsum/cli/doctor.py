"""`veilsum doctor`: what keeps a process from its work, and who mends it how."""

from pathlib import Path
from typing import Annotated

import typer

from .surface import Answer, Sets, over

VERDICTS = {
    0: "Nothing is to be done.",
    1: "Something is to be mended: a process does not work, or will not; each finding has its fix.",
    10: "Something is to be looked at, and all works today; each finding has its fix.",
}


def doctor(
    config: Annotated[
        Path | None,
        typer.Option(help="Of a process that is installed: the TOML file with all settings."),
    ] = None,
    preflight: Annotated[
        str,
        typer.Option(
            metavar="HOST:PORT|LINK", help="Before anything is installed: the way to a coordinator."
        ),
    ] = "",
    proxy: Annotated[
        str, typer.Option(metavar="URL", help="Go through this proxy: http://host:port.")
    ] = "",
    authority: Annotated[
        Path | None, typer.Option(help="The authority's certificate; a link names it by itself.")
    ] = None,
    ticket: Annotated[
        Path | None, typer.Option(help="Write what to ask of the network team to this file.")
    ] = None,
    bundle: Annotated[
        Path | None, typer.Option(help="Write all of it, without secrets, to this file (tar).")
    ] = None,
    log: Annotated[
        Path | None, typer.Option(help="A log whose last lines go into the bundle.")
    ] = None,
    seconds: Annotated[
        float, typer.Option(min=0.1, max=60, help="How long one step may take.")
    ] = 5.0,
    sets: Sets = None,
) -> Answer:
    """Look at everything that a process needs; say what is wrong, who mends it, and how."""
    from veilsum.doctor.bundle import write_bundle  # noqa: PLC0415
    from veilsum.doctor.edges import Edges  # noqa: PLC0415
    from veilsum.doctor.report import lines, status_of  # noqa: PLC0415
    from veilsum.doctor.run import look_after, look_before, target_of  # noqa: PLC0415

    if config is not None and not (preflight or proxy or authority):
        report = look_after(config, Edges(), seconds, ticket, over(sets))
    elif preflight and config is None:
        report = look_before(target_of(preflight, proxy, authority, seconds), Edges(), ticket)
    else:
        raise typer.BadParameter("name --config FILE alone, or --preflight HOST:PORT")
    if bundle is not None:
        write_bundle(bundle, report, config, log)
    written = tuple(str(path) for path in (ticket, bundle) if path is not None)
    return Answer(report, lines(report), status=status_of(report), notes=written)
