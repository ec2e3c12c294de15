"""How a database moves from one revision of the schema to another, and back.

Each revision is a file in `versions` that is never changed once it was released.
The files travel in the package, and no configuration file is needed. Alembic is
imported only here: a database that is up to date starts without it.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

HERE: Final = Path(__file__).parent


def upgrade(connection: Connection, revision: str, *, scripts: Path = HERE) -> None:
    """Move a database up to `revision`, within the transaction of `connection`.

    Args:
        scripts: the folder that holds the folder `versions`.

    Raises:
        SQLAlchemyError: the database refused; the transaction is to be rolled back.
    """
    directory = ScriptDirectory(scripts)
    _run(connection, directory, lambda current, _: directory._upgrade_revs(revision, current))


def downgrade(connection: Connection, revision: str, *, scripts: Path = HERE) -> None:
    """Move a database down to `revision`, or to "base", which is no table at all.

    Raises:
        SQLAlchemyError: the database refused; the transaction is to be rolled back.
    """
    directory = ScriptDirectory(scripts)
    _run(connection, directory, lambda current, _: directory._downgrade_revs(revision, current))


def _run(
    connection: Connection, directory: ScriptDirectory, steps: Callable[[Any, Any], Any]
) -> None:
    with EnvironmentContext(Config(), directory, fn=steps) as environment:
        environment.configure(connection=connection)
        environment.run_migrations()
