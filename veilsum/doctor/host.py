"""A coordinator's machine after installation."""

import socket
from pathlib import Path
from typing import Final

from coordinator.adapters.authority_files import ROOT_KEY
from coordinator.adapters.sql.database import open_as_it_is
from coordinator.adapters.sql.store import SqlStore
from coordinator.config import Settings
from coordinator.members.rosters import versions_in
from privacy.errors import VeilsumError

from .chain import check_chains
from .edges import Edges
from .finding import OPERATOR, SITE, Finding, Level, refused, warning
from .machine import check_certificate, check_disk, check_secret
from .member import check_founded
from .needs import needs_of_settings
from .packages import check_packages
from .stores import check_database, check_objects
from .way import parse_address

_RENEW: Final = "run `veilsum coordinator recertify --server`, and start the coordinator again"
_AUTHORITY: Final = "make a new authority while the old one still counts; members join again"
_AWAY: Final = "move it to a medium that no network reaches, and delete it here"
_ANYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  asked about, not listened on


def examine_coordinator(settings: Settings, edges: Edges, seconds: float) -> list[Finding]:
    """Return what keeps a coordinator from its work; it may run meanwhile, or not.

    Args:
        seconds: how long one step of a connection may take.
    """
    findings = [check_packages(), *map(check_secret, _secrets(settings))]
    findings += _certificates(settings, edges)
    findings += _root_keys(settings)
    findings += _disks(settings, edges)
    database = check_database(settings)
    findings += [database, check_objects(settings)]
    if database.level is Level.OK:
        findings.append(_roster(settings))
    findings += [check_port(name, address, seconds) for name, address in _ports(settings)]
    if settings.settlement is not None:
        chain = settings.settlement
        findings += check_chains(chain, chain.contract, seconds)
    return findings


def _secrets(settings: Settings) -> list[Path]:
    """Return every file that only the coordinator may read, of those that the settings name."""
    paths: list[Path | None] = [settings.signing_key, settings.listen.key]
    paths.append(settings.database_password)
    if settings.s3 is not None:
        paths += [settings.s3.access_key, settings.s3.secret_key]
    if settings.enrolment is not None:
        paths += [settings.enrolment.authority_key, settings.enrolment.passphrase]
    if settings.settlement is not None:
        paths += settings.settlement.secrets()
    return [path for path in paths if path is not None]


def _root_keys(settings: Settings) -> list[Finding]:
    if settings.enrolment is None:
        return []
    return check_root_key(settings.enrolment.authority_key.parent / ROOT_KEY)


def check_root_key(path: Path) -> list[Finding]:
    """Return a warning if the root's key still lies where `init` has made it."""
    if not path.exists():
        return []
    found = "the root's key is on the coordinator's machine, and nothing here needs it"
    return [warning("authority", str(path), found, _AWAY, OPERATOR)]


def _certificates(settings: Settings, edges: Edges) -> list[Finding]:
    listen = settings.listen
    findings = [check_certificate(listen.certificate, edges, renew=_RENEW, renews_itself=False)]
    authority = settings.enrolment.authority if settings.enrolment else listen.authority
    return [
        *findings,
        check_certificate(authority, edges, renew=_AUTHORITY, renews_itself=False),
    ]


def _disks(settings: Settings, edges: Edges) -> list[Finding]:
    try:
        needs = needs_of_settings(settings)
    except VeilsumError as error:
        return [refused("plan", "scheme", error), check_disk(settings.state, edges)]
    needed = needs.coordinator_bytes(settings.scheme.cohort_max, settings.retention.models)
    address = settings.objects or str(settings.state)
    if address.startswith("s3://"):
        return [check_disk(settings.state, edges)]
    return [check_disk(Path(address), edges, needed)]


def _roster(settings: Settings) -> Finding:
    try:
        engine = open_as_it_is(settings.database, settings.database_password)
        try:
            return check_founded(tuple(versions_in(SqlStore(engine))))
        finally:
            engine.dispose()
    except VeilsumError as error:
        return refused("roster", "database", error)


def _ports(settings: Settings) -> list[tuple[str, str]]:
    listen = settings.listen
    named = [("address", listen.address), ("joining", listen.joining), ("health", listen.health)]
    if listen.metrics is not None:
        named.append(("metrics", str(listen.metrics)))
    return [(f"listen.{name}", address) for name, address in named if address]


def check_port(name: str, address: str, seconds: float) -> Finding:
    """Return whether somebody listens where a setting says that this coordinator does."""
    looked_at = f"{name} {address}"
    try:
        to = parse_address(address)
        host = _ANYWHERE.get(to.host, to.host)
        with socket.create_connection((host, to.port), seconds):
            return Finding("port", looked_at, "somebody listens")
    except VeilsumError:
        return Finding("port", looked_at, "chosen when the coordinator starts")
    except OSError as error:
        found = f"nobody listens ({error.strerror or type(error).__name__})"
        fix = "start the coordinator; if it runs, its log says why it does not listen there"
        return warning("port", looked_at, found, fix, SITE)
