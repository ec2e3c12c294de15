"""After installation: whose settings a file holds, and what is found with them."""

import tomllib
from pathlib import Path

from coordinator.config import read, read_driver
from privacy.configuration import NOTHING, Over
from privacy.errors import ConfigError
from veilsum.files import read_file

from .edges import Edges
from .finding import Finding
from .host import examine_coordinator
from .machine import check_secret
from .member import examine_member
from .packages import check_packages


def examine(path: Path, edges: Edges, seconds: float, over: Over = NOTHING) -> list[Finding]:
    """Return all findings about the process whose settings are in a file.

    Args:
        seconds: how long one step of a connection may take.
        over: what goes over the file.

    Raises:
        ConfigError: the file cannot be read, or is nobody's settings.
    """
    document = _document(path)
    if "listen" in document:
        return examine_coordinator(read(path, over), edges, seconds)
    if "coordinator" in document:
        return examine_member(path, edges, seconds, over)
    if "socket" in document:
        driver = read_driver(path, over)
        keys = [driver.token, *([driver.tls.key] if driver.tls else [])]
        return [check_packages(), *map(check_secret, keys)]
    raise ConfigError(
        f"{path}: neither a coordinator's settings (no table listen), nor a member's (no table "
        "coordinator), nor a driver's (no socket)"
    )


def _document(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(read_file(path).decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from None
