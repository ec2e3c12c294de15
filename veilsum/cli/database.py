"""`veilsum coordinator database`: its schema, moved by hand while no coordinator runs."""

from typing import Annotated

import typer

from veilsum.process import exit_status

from .config_file import ConfigFile

database_app = typer.Typer(no_args_is_help=True, help="Move the database's schema.")


@database_app.command("upgrade")
def database_upgrade(
    config: ConfigFile,
    to: Annotated[str, typer.Option(help="Revision; the newest, if left out.")] = "",
) -> None:
    """Move the schema up; `serve` does so by itself."""
    from coordinator.adapters.sql.database import upgrade  # noqa: PLC0415
    from coordinator.config import read  # noqa: PLC0415
    from veilsum.files import hold  # noqa: PLC0415

    with exit_status():
        settings = read(config)
        hold(settings.state)
        where = (settings.database, settings.database_password)
        before, after = upgrade(*where, to=to) if to else upgrade(*where)
        typer.echo(f"schema {before or 'none'} -> {after}")


@database_app.command("downgrade")
def database_downgrade(
    config: ConfigFile,
    to: Annotated[str, typer.Option(help="Revision that the older version knows.")],
) -> None:
    """Move the schema down, for an older version; what that has no place for is forgotten."""
    from coordinator.adapters.sql.database import downgrade  # noqa: PLC0415
    from coordinator.config import read  # noqa: PLC0415
    from veilsum.files import hold  # noqa: PLC0415

    with exit_status():
        settings = read(config)
        hold(settings.state)
        before, after = downgrade(settings.database, settings.database_password, to=to)
        typer.echo(f"schema {before} -> {after}")
