"""`veilsum coordinator backup` and `restore`: all that a coordinator knows, in one file."""

from pathlib import Path
from typing import Annotated

import typer

from veilsum.process import exit_status

from .config_file import ConfigFile


def coordinator_backup(
    config: ConfigFile,
    out: Annotated[Path, typer.Option(help="The new file.")],
) -> None:
    """Write what this coordinator knows to one file; it may serve meanwhile."""
    import time  # noqa: PLC0415

    from coordinator.config import read  # noqa: PLC0415
    from coordinator.upkeep.backup import back_up, keep_also  # noqa: PLC0415

    with exit_status():
        settings = read(config)
        made = back_up(settings, out, time.time)
        typer.echo(f"{out}: {made.rounds} rounds, {made.objects} objects")
        for name in made.missing:
            typer.echo(f"not in it, because it was damaged or gone: {name}", err=True)
        if made.live:
            numbers = ", ".join(map(str, made.live))
            typer.echo(
                f"rounds under way: {numbers}; their contributions are in this file, so delete it "
                "when they are over and a newer backup is made",
                err=True,
            )
        typer.echo("no key, password or certificate is in it; keep beside it, where only you read:")
        for path in (config, *keep_also(settings)):
            typer.echo(f"  {path}")


def coordinator_restore(
    config: ConfigFile,
    source: Annotated[Path, typer.Option("--from", help="The backup.")],
    rounds: Annotated[
        list[Path] | None,
        typer.Option(
            help="What a site remembers of rounds, by `participant rounds`; repeat it for each."
        ),
    ] = None,
) -> None:
    """Put a backup into an empty database and object store, all of it or nothing."""
    from coordinator.config import read  # noqa: PLC0415
    from coordinator.upkeep.backup import restore  # noqa: PLC0415

    with exit_status():
        made = restore(read(config), source, rounds or ())
        typer.echo(f"as of {made.made}: {made.rounds} rounds, {made.objects} objects")
        for name in made.missing:
            typer.echo(f"not there, because it was damaged or gone: {name}", err=True)
        for number in made.relearnt.released:
            typer.echo(f"round {number} is released, as sites remember it")
        for number in made.relearnt.forgotten:
            typer.echo(f"round {number} is over without a model")
        if not rounds:
            typer.echo(
                "if sites have gone on since then, restore again with --rounds, or they refuse "
                "what this coordinator begins",
                err=True,
            )


def participant_rounds(
    config: ConfigFile,
    out: Annotated[Path, typer.Option(help="The new file.")],
) -> None:
    """Write what this site remembers of rounds, for a coordinator that was restored."""
    from participant.config import read  # noqa: PLC0415
    from participant.kept import FOLDER, Kept  # noqa: PLC0415
    from privacy.remembered import pack  # noqa: PLC0415
    from veilsum.files import write_new  # noqa: PLC0415

    with exit_status():
        settings = read(config)
        kept = Kept(settings.state / FOLDER)
        body = pack(settings.federation, settings.participant, kept.all())
        if not write_new(out, body):
            from privacy.errors import ConfigError  # noqa: PLC0415

            raise ConfigError(f"{out} exists; name another file")
        typer.echo(out)
