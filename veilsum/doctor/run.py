"""One run: what was named on a command line, looked at, and said."""

from dataclasses import dataclass
from pathlib import Path

from participant.joining.link import parse
from participant.joining.place import read_place
from privacy.configuration import NOTHING, Over
from privacy.errors import ConfigError
from veilsum.files import read_file, write_new

from .edges import Edges
from .finding import Finding
from .installed import examine
from .preflight import Trust, preflight
from .report import Report, report_of
from .ticket import ticket
from .way import Way, parse_address, parse_proxy

_LINK = "veilsum://"


@dataclass(frozen=True)
class Target:
    """A coordinator to be reached, and by what it is known."""

    way: Way
    trust: Trust


def target_of(to: str, proxy: str, authority: Path | None, seconds: float) -> Target:
    """Return what a command line names.

    Args:
        to: host:port, or a join link, of which only address and fingerprint are used.
        proxy: http://host:port, or nothing.
        authority: a file with the authority's certificate, or None.

    Raises:
        ConfigError: it names nothing that can be reached.
    """
    known = b"" if authority is None else read_file(authority)
    through = parse_proxy(proxy) if proxy else None
    if to.strip().startswith(_LINK):
        link = parse(to)
        return Target(
            Way(parse_address(link.address), through, seconds), Trust(known, link.authority)
        )
    return Target(Way(parse_address(to), through, seconds), Trust(known))


def look_before(target: Target, edges: Edges, ticket_file: Path | None) -> Report:
    """Return the report on the way to a coordinator, and write the ticket if it is asked for."""
    findings = preflight(target.way, target.trust, edges)
    _write_ticket(ticket_file, target.way, findings, edges)
    return report_of(str(target.way.to), findings)


def look_after(
    config: Path, edges: Edges, seconds: float, ticket_file: Path | None, over: Over = NOTHING
) -> Report:
    """Return the report on an installed process, and write a member's ticket if asked for.

    Raises:
        ConfigError: the file is nobody's settings; or a ticket is asked for without a way to go.
    """
    findings = examine(config, edges, seconds, over)
    if ticket_file is not None:
        where = read_place(config).coordinator
        proxy = None if where.proxy is None else parse_proxy(where.proxy)
        _write_ticket(ticket_file, Way(parse_address(where.address), proxy), findings, edges)
    return report_of(str(config), findings)


def _write_ticket(path: Path | None, way: Way, findings: list[Finding], edges: Edges) -> None:
    if path is None:
        return
    if not write_new(path, ticket(way, findings, edges.now()).encode()):
        raise ConfigError(f"{path} exists; name another file, or delete that one")
