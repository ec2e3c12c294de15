"""Put what a state folder holds of evidence into one bundle, signed by whose folder it is."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, distributions
from importlib.metadata import version as installed
from itertools import chain
from pathlib import Path

from coordinator.config import Settings
from coordinator.keys import load_signing_key
from participant.config import SiteConfig
from participant.keys import load_keys
from privacy import canonical
from privacy.configuration import NOTHING, Over
from privacy.errors import ConfigError
from privacy.evidence.bundle import EMPTY_ROOT, Document, Entry, Head, Paid, key_hex, seal
from privacy.identifiers import COORDINATOR, sha256_hex
from privacy.log_tree import log_of
from privacy.roster import Roster
from privacy.signing import Purpose

from . import mirror, site
from .folder import member_of

Clock = Callable[[], float]

INSTALLED = "installed"
"""Under which name a head states the digest of everything that was installed."""

_SOFTWARE = ("veilsum", "msgspec", "rfc8785", "cryptography", "numpy", "opacus", "torch")
_NOT_ONE_DASH = re.compile(r"[-_.]+")


def export(
    state: Path,
    clock: Clock,
    config: Path | None = None,
    ask: Callable[[SiteConfig], Paid] | None = None,
    over: Over = NOTHING,
) -> bytes:
    """Return the bundle of a site's or a coordinator's state folder.

    Args:
        clock: seconds since 1970, for the time in the head.
        config: the settings file, where it is not in the folder under its usual name.
        ask: asks a chain what it has paid to the site.
        over: what goes over that file.

    Raises:
        ConfigError: no settings, no keys or no ledger there.
        RootMismatch: the site's ledger is broken.
        StoreUnavailable: a database cannot be read.
    """
    found = member_of(state, config, over)
    if isinstance(found, Settings):
        return _export_run(found, clock)
    return _export_site(found, state, clock, ask)


def _export_site(
    config: SiteConfig, state: Path, clock: Clock, ask: Callable[[SiteConfig], Paid] | None
) -> bytes:
    _check_one_folder(config, state)
    keys = load_keys(state / "keys")
    documents = site.documents_of(state)
    head = Head(
        v=1,
        evidence="site",
        federation=config.federation,
        participant=config.participant,
        organisation=_organisation(documents, config.participant),
        key=key_hex(keys.signing),
        made=_timestamp(clock),
        software=_software(),
    )
    paid = () if ask is None else (ask(config),)
    rows = site.rows_of(config, keys, clock)
    log = log_of(row.body for row in rows)
    entries: Iterator[Entry] = chain((head, site.config_of(config)), rows, documents, paid)
    return seal(entries, log.size, log.root().hex(), keys.signing)


def _check_one_folder(config: SiteConfig, state: Path) -> None:
    # Keys and documents of one site beside the ledger of another would be called tampered.
    if config.state.resolve() != state.resolve():
        raise ConfigError(
            f"the settings say that their state folder is {config.state}, and --state names "
            f"{state}; for a copy of the folder, name with --config settings whose state is the "
            "copy"
        )


def _export_run(settings: Settings, clock: Clock) -> bytes:
    key = load_signing_key(settings.signing_key)
    head = Head(
        v=1,
        evidence="run",
        federation=settings.federation,
        participant=COORDINATOR,
        organisation="",
        key=key_hex(key),
        made=_timestamp(clock),
        software=_software(),
    )
    documents = mirror.documents_of(settings, key)
    return seal(chain((head,), documents), 0, EMPTY_ROOT, key)


def _organisation(documents: list[Document], participant: str) -> str:
    """Return what the newest roster calls the organisation; nothing where it is not kept."""
    rosters = [
        canonical.decode(each.body, Roster) for each in documents if each.purpose is Purpose.ROSTER
    ]
    newest = max(rosters, key=lambda each: each.version, default=None)
    return "" if newest is None else newest.member(participant).organisation[:200]


def _software() -> dict[str, str]:
    found = {}
    for name in _SOFTWARE:
        try:
            found[name] = installed(name)
        except PackageNotFoundError:
            continue
    found[INSTALLED] = _installed()
    return found


def _installed() -> str:
    """Return SHA-256 over name==version of every distribution here, sorted, a line each."""
    here = ((each.metadata["Name"], each.version) for each in distributions())
    lines = {f"{_NOT_ONE_DASH.sub('-', name).lower()}=={version}\n" for name, version in here}
    return sha256_hex("".join(sorted(lines)).encode())


def _timestamp(clock: Clock) -> str:
    return datetime.fromtimestamp(clock(), UTC).isoformat(timespec="seconds")
