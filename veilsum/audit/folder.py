"""Whose settings a command is about: a file that is named, or the one in a state folder."""

from pathlib import Path

from coordinator.config import Settings
from coordinator.config import read as read_coordinator
from participant.config import SiteConfig, ledger_of
from participant.config import read as read_site
from participant.memory import recall_ledger
from privacy.configuration import NOTHING, Over
from privacy.errors import ConfigError

_SITE, _COORDINATOR = "site.toml", "coordinator.toml"


def site_of(state: Path | None, config: Path | None, over: Over = NOTHING) -> SiteConfig:
    """Return a site's settings.

    Raises:
        ConfigError: none is named, or it is not a site's.
    """
    return read_site(_named(state, config, _SITE), over)


def member_of(
    state: Path | None, config: Path | None, over: Over = NOTHING
) -> SiteConfig | Settings:
    """Return a site's settings, or a coordinator's.

    Raises:
        ConfigError: none is named, or it is neither.
    """
    path = _named(state, config, _SITE, _COORDINATOR)
    if path.name == _COORDINATOR:
        return read_coordinator(path, over)
    try:
        return read_site(path, over)
    except ConfigError as error:
        if path.name == _SITE:
            raise
        return _coordinator(path, over, error)


def require_ledger(site: SiteConfig) -> None:
    """Return if a site has a ledger: what is asked or written must not begin one.

    Raises:
        ConfigError: it has none yet, or none any more.
    """
    path = ledger_of(site)
    if path.exists():
        return
    begun, _ = recall_ledger(site.state)
    if begun:
        raise ConfigError(
            f"{path}: this site has a privacy ledger, and it is not there; restore it, or what "
            "was spent is forgotten"
        )
    raise ConfigError(f"{path}: there is no privacy ledger; this site has not run yet")


def _coordinator(path: Path, over: Over, instead: ConfigError) -> Settings:
    try:
        return read_coordinator(path, over)
    except ConfigError as error:
        raise ConfigError(f"neither a site's nor a coordinator's: {instead}; {error}") from None


def _named(state: Path | None, config: Path | None, *names: str) -> Path:
    if config is not None:
        return config
    if state is None:
        raise ConfigError("name a state folder with --state, or its settings with --config")
    for name in names:
        if (state / name).is_file():
            return state / name
    raise ConfigError(f"{state}: no {' and no '.join(names)} in it; name it with --config")
