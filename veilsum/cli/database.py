"""`veilsum coordinator database`: its schema, moved by hand while no coordinator runs."""

from typing import Annotated

import typer

from .config_file import ConfigFile
from .surface import Answer, Sets, command, over

database_app = typer.Typer(no_args_is_help=True, help="Move the database's schema.")


@command(database_app, "upgrade")
def database_upgrade(
    config: ConfigFile,
    to: Annotated[str, typer.Option(help="Revision; the newest, if left out.")] = "",
    sets: Sets = None,
) -> Answer:
    """Move the schema up; `serve` does so by itself."""
    from coordinator.adapters.sql.database import upgrade  # noqa: PLC0415
    from coordinator.config import read  # noqa: PLC0415
    from veilsum.files import hold  # noqa: PLC0415

    settings = read(config, over(sets))
    hold(settings.state)
    where = (settings.database, settings.database_password)
    before, after = upgrade(*where, to=to) if to else upgrade(*where)
    return Answer({"before": before, "after": after}, f"schema {before or 'none'} -> {after}")


@command(database_app, "downgrade")
def database_downgrade(
    config: ConfigFile,
    to: Annotated[str, typer.Option(help="Revision that the older version knows.")],
    sets: Sets = None,
) -> Answer:
    """Move the schema down, for an older version; what that has no place for is forgotten."""
    from coordinator.adapters.sql.database import downgrade  # noqa: PLC0415
    from coordinator.config import read  # noqa: PLC0415
    from veilsum.files import hold  # noqa: PLC0415

    settings = read(config, over(sets))
    hold(settings.state)
    before, after = downgrade(settings.database, settings.database_password, to=to)
    return Answer({"before": before, "after": after}, f"schema {before} -> {after}")
