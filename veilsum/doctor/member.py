"""A member's machine after installation: a site's, an auditor's, a seat's, an operator's."""

import asyncio
import tomllib
from dataclasses import dataclass
from pathlib import Path

from participant import config as site_config
from participant.config import CoordinatorAddress, SiteConfig, ledger_of
from participant.joining import operator_config
from participant.joining.member_config import MemberConfig, read_member
from participant.joining.place import Place, read_place
from participant.keys import RENEWED, SEALING, SIGNING, TLS, SiteKeys, load_keys, shown_file
from participant.wire.connect import connect
from participant.wire.coordinator import Coordinator
from participant.wire.planned import planned
from privacy.configuration import NOTHING, Over
from privacy.errors import ConfigError, NotYet, VeilsumError
from privacy.plan import Plan
from privacy.roster import SignedRoster, is_founded
from veilsum.audit.standing import open_reading
from veilsum.files import read_file

from .asking import Answered, ask_member
from .chain import check_chains
from .clock import check_clock
from .edges import Edges
from .finding import OPERATOR, SITE, Finding, Level, problem, refused, warning
from .line import check_uplink
from .machine import check_certificate, check_disk, check_secret
from .needs import Needs, needs_of_plan
from .packages import check_packages
from .preflight import Trust, check_line, check_peer
from .tls import http_server
from .way import Way, parse_address, parse_proxy

_RENEW = "run the member, which renews it; more than 7 days after its end, join again"
_RECERTIFY = (
    "run any command of this operator, which renews it; more than 7 days after its end, run "
    "`veilsum coordinator recertify` on the coordinator's machine"
)


@dataclass(frozen=True)
class Heard:
    """What the coordinator told this member.

    Attributes:
        plan: of the newest round; None if there is none, or none for such a member.
    """

    answered: Answered
    history: tuple[SignedRoster, ...]
    plan: Plan | None


def examine_member(path: Path, edges: Edges, seconds: float, over: Over = NOTHING) -> list[Finding]:
    """Return what keeps a member from its work.

    Args:
        path: of its settings; policy may be incomplete, as before `confirm`.
        seconds: how long one step of a connection may take.

    Raises:
        ConfigError: the file does not even say who this is, and where the coordinator is.
    """
    place, (config, settings) = read_place(path), _settings(path, over)
    if config is not None:
        place = Place(config.federation, config.participant, config.state, config.coordinator)
    keys, kept = _keys(place.state / "keys")
    is_operator = config is None and settings.level is Level.OK  # nobody else has no policy
    certificate = _certificate(place, keys, edges, _RECERTIFY if is_operator else _RENEW)
    findings = [settings, check_packages(), *kept, certificate]
    where = place.coordinator
    on_the_way, is_reached = _ways(where, edges, seconds)
    findings += on_the_way
    heard, said = _listen(place, keys, config, edges) if is_reached else (None, [])
    findings += said
    needs = None if heard is None or heard.plan is None else needs_of_plan(heard.plan)
    findings.append(check_disk(place.state, edges, None if needs is None else needs.site_bytes))
    if heard is not None:
        findings += _heard(
            _way(place.coordinator, place.coordinator.address, seconds), heard, needs
        )
    return [*findings, *_of_a_site(config, seconds)]


def _settings(path: Path, over: Over) -> tuple[SiteConfig | MemberConfig | None, Finding]:
    """Return the settings, if they are whole, and what is to be said of them."""
    try:
        document = tomllib.loads(read_file(path).decode())
        if "dataset" in document:
            return site_config.read(path, over), Finding("settings", str(path), "whole")
        if "policy" not in document:
            operator_config.read(path, over)  # nobody else's file is without a policy
            return None, Finding("settings", str(path), "whole")
        return read_member(path, MemberConfig, over), Finding("settings", str(path), "whole")
    except (ConfigError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        fix = "correct that line; `veilsum config show --origin` says where each value comes from"
        return None, problem("settings", str(path), str(error), fix, SITE)


def _keys(folder: Path) -> tuple[SiteKeys | None, list[Finding]]:
    files = [folder, *(folder / name for name in (TLS, SIGNING, SEALING))]
    if (folder / RENEWED).exists():
        files.append(folder / RENEWED)
    findings = [check_secret(path) for path in files]
    try:
        return load_keys(folder), findings
    except VeilsumError as error:
        if all(finding.level is Level.OK for finding in findings):
            findings.append(refused("keys", str(folder), error))
        return None, findings


def _certificate(place: Place, keys: SiteKeys | None, edges: Edges, renew: str) -> Finding:
    """Return until when the newest certificate counts; older ones are history."""
    path = place.coordinator.certificate
    if keys is not None and path.exists():
        path = shown_file(path, place.state / "keys")
    return check_certificate(path, edges, renew=renew, renews_itself=True)


def _ways(where: CoordinatorAddress, edges: Edges, seconds: float) -> tuple[list[Finding], bool]:
    """Return what is on the way to each address, and whether one of them is the coordinator's."""
    try:
        trust = Trust(read_file(where.authority))
    except ConfigError as error:
        return [refused("authority", str(where.authority), error)], False
    findings: list[Finding] = []
    is_reached = False
    for address in dict.fromkeys((where.address, *where.alternatives)):
        way = _way(where, address, seconds)
        found, shown = check_line(way, edges)
        if shown is not None:
            found += check_peer(way, shown, trust, http_server(way))
        is_reached |= all(each.level is not Level.PROBLEM for each in found)
        findings += [each for each in found if each not in findings]
    return findings, is_reached


def _way(where: CoordinatorAddress, address: str, seconds: float) -> Way:
    proxy = None if where.proxy is None else parse_proxy(where.proxy)
    return Way(parse_address(address), proxy, seconds)


def _listen(
    place: Place,
    keys: SiteKeys | None,
    config: SiteConfig | MemberConfig | None,
    edges: Edges,
) -> tuple[Heard | None, list[Finding]]:
    """Return what the coordinator says to this member, or why it says nothing."""
    if keys is None or not place.coordinator.certificate.exists():
        return None, []
    try:
        return asyncio.run(_hear(place, keys, config, edges)), []
    except VeilsumError as error:
        return None, [refused("member", place.coordinator.address, error)]


async def _hear(
    place: Place, keys: SiteKeys, config: SiteConfig | MemberConfig | None, edges: Edges
) -> Heard:
    coordinator = connect(place.coordinator, keys)
    try:
        answered = await ask_member(coordinator, edges)
        history = tuple(await coordinator.roster())
        plan = None
        if isinstance(config, SiteConfig) and history and is_founded(history[0]):
            plan = await _plan(coordinator, history)
        return Heard(answered, history, plan)
    finally:
        await coordinator.close()


async def _plan(coordinator: Coordinator, history: tuple[SignedRoster, ...]) -> Plan | None:
    view = await coordinator.watch(0, (), 0.0)
    numbers = {each.number for each in view.rounds} | {view.released}
    for number in sorted(numbers - {0}, reverse=True):
        try:
            return await planned(coordinator, history[0].roster, number)
        except NotYet:
            continue  # its key is still being made
        except VeilsumError:
            return None  # one that this release does not read: the site's own process says so
    return None


def _heard(way: Way, heard: Heard, needs: Needs | None) -> list[Finding]:
    answered = heard.answered
    upload, waits = (needs.upload_bytes, needs.progress_seconds) if needs else (None, None)
    return [
        check_clock(way, answered.clock, proven=True),
        check_uplink(way, answered.uplink, upload, waits),
        check_founded(heard.history),
    ]


def check_founded(history: tuple[SignedRoster, ...]) -> Finding:
    """Return whether the founding members have signed the roster, or who has not."""
    if not history:
        fix = "when all founding members are enrolled, run `veilsum coordinator found`"
        return warning("roster", "version 0", "founding is not closed yet", fix, OPERATOR)
    first = history[0]
    missing = sorted({each.participant for each in first.roster.members} - set(first.signatures))
    if not is_founded(first):
        fix = "each of them runs `veilsum participant confirm`, and starts its process"
        found = f"not signed yet by {', '.join(missing)}"
        return warning("roster", "version 0", found, fix, "the founding members it names")
    newest = history[-1].roster
    found = f"founded; version {newest.version}, {len(newest.members)} members"
    return Finding("roster", f"version {newest.version}", found)


def _of_a_site(config: SiteConfig | MemberConfig | None, seconds: float) -> list[Finding]:
    if not isinstance(config, SiteConfig):
        return []
    findings = [check_ledger(config)]
    if config.settlement is not None:
        chain = config.settlement
        findings += map(check_secret, chain.secrets())
        findings += check_chains(chain, chain.contract, seconds)
    return findings


def check_ledger(config: SiteConfig) -> Finding:
    """Return whether the privacy ledger is whole, row by row; it is not written."""
    path = ledger_of(config)
    if not path.exists() and not (config.state / "memory.sqlite").exists():
        return Finding("ledger", str(path), "none yet: the first run begins it")
    try:
        open_reading(config).close()
    except VeilsumError as error:
        return refused("ledger", str(path), error)
    return Finding("ledger", str(path), "whole: every row is signed, and follows the one before")
