"""Run an auditor until it is stopped, or look at one round and say what is found."""

import asyncio
import os
import signal
import time
from pathlib import Path

import msgspec
import structlog
from msgspec.structs import replace

from participant.joining.versions import admitted_versions
from participant.kept import FOLDER, Kept
from participant.keys import SiteKeys, load_keys, shown_file
from participant.policy import plans as policies
from participant.policy.refusing import line
from participant.wire.connect import connect
from participant.wire.coordinator import Coordinator
from participant.wire.patience import Patience
from participant.wire.tempo import passed
from privacy.errors import IllegalEvent, Unavailable, VeilsumError
from privacy.failpoints import Failpoints
from privacy.records import AuditReport, DisputeReport
from privacy.roster import Roster
from veilsum.metrics.book import Book
from veilsum.metrics.door import expiry_of, metrics_door
from veilsum.traces.door import traces

from .agent import AuditorAgent
from .auditor import Auditor, refusal
from .committed import CommitFinding
from .config import AuditorConfig
from .disputing import Desk, programme_of, words_of
from .memory import AuditMemory
from .report import DISPUTES, DisputeReports, Reports, SignedDispute, SignedReport

log = structlog.get_logger()


class Finding(msgspec.Struct, frozen=True):
    """A signed report, and whether it was made just now or is the one kept from before.

    Attributes:
        report: None if there is none, and only the commit could be looked at.
        commit: what there is to say of the round's commit; None if settings name no chain.
    """

    stored: bool
    report: AuditReport | DisputeReport | None = None
    signature: bytes = b""
    commit: CommitFinding | None = None


async def serve(config: AuditorConfig, failpoints: Failpoints) -> None:
    """Audit rounds until the programme is over, or until SIGTERM or SIGINT.

    Stopping loses nothing: a sum that was signed stays the only one of its round.

    Raises:
        ConfigError, InsecureKeyFile: this auditor's files are not what they must be.
        ProtocolError, PrivacyError: this auditor cannot take part.
    """
    keys = load_keys(config.state / "keys")
    agent, book = AuditorAgent(config, keys, os.urandom, failpoints), Book()
    book.watch(lambda: expiry_of(_shown(config), config.participant))
    book.watch(lambda: passed(agent.line))
    with metrics_door(book, config.metrics), traces(config.telemetry, "auditor") as tracer:
        agent.tracer = tracer
        await _until_stopped(agent)


async def _until_stopped(agent: AuditorAgent) -> None:
    working = asyncio.ensure_future(agent.run())
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, working.cancel)
    try:
        await working
    except asyncio.CancelledError:
        log.info("stopped", participant=agent.config.participant)


async def audit_sum(config: AuditorConfig, number: int, out: Path | None = None) -> Finding:
    """Return what there is to say of a round's sum, and of its commit on the chain.

    Of the sum it is said of now, or by the stored report; of a round whose seats disputed, by the
    stored report of that. What proves the commit false is written.

    Args:
        out: where a proof is written; into the state folder, if None.

    Raises:
        PolicyRefusal: the caller trains, or is no auditor for another reason; nothing
            of the round is asked for.
        IllegalEvent, Unavailable: the contributions, or the coordinator, are not there, and
            neither is a report; or the chain is not there.
        ProtocolError: as for `Desk.look`.
    """
    keys = load_keys(config.state / "keys")
    coordinator = connect(config.coordinator, keys)
    try:
        return await look_at_both(config, keys, coordinator, number, out)
    finally:
        await coordinator.close()


async def look_at_both(
    config: AuditorConfig,
    keys: SiteKeys,
    coordinator: Coordinator,
    number: int,
    out: Path | None = None,
) -> Finding:
    """Return what there is to say of a round and its commit, over one connection."""
    if config.settlement is None:
        return await look(config, keys, coordinator, number)
    programme = await programme_of(config.settlement)
    rosters = await _admitted(config, keys, coordinator)
    try:
        found = await look(config, keys, coordinator, number)
    except (Unavailable, IllegalEvent):
        # Once a round is released its sum is not audited any more; its commit is.
        found = Finding(stored=False)
        if await asyncio.to_thread(programme.round, number) is None:
            raise
    desk = Desk(config, coordinator, rosters, Patience(os.urandom), programme, out)
    return replace(found, commit=await desk.look(number))


async def look(
    config: AuditorConfig, keys: SiteKeys, coordinator: Coordinator, number: int
) -> Finding:
    """Return what there is to say of a round, over one connection; as `audit_sum`."""
    disputes = DisputeReports(config.state / DISPUTES, keys.signing).of(number)
    if disputes:
        return _finding(disputes[0], stored=True)  # it was settled once, and is not again
    reports = Reports(config.state / "reports", keys.signing)
    try:
        return await _now(config, keys, coordinator, reports, number)
    except (Unavailable, IllegalEvent):
        # Who stands accused must not be able to hide the evidence by being away.
        stored = reports.of(number)
        if not stored:
            raise
    wrong = [each for each in stored if each.report.code]
    return _finding((wrong or stored)[0], stored=True)


async def _now(
    config: AuditorConfig, keys: SiteKeys, coordinator: Coordinator, reports: Reports, number: int
) -> Finding:
    *_, roster = await _admitted(config, keys, coordinator)
    patience = Patience(os.urandom)
    auditor = Auditor(config, keys.signing, coordinator, roster, reports, patience, time.monotonic)
    memory = AuditMemory(config.state)
    try:
        report = await auditor.check(number, memory.ledgers_seen())
    finally:
        memory.close()
    return _finding(reports.signed(report), stored=False)


async def _admitted(
    config: AuditorConfig, keys: SiteKeys, coordinator: Coordinator
) -> tuple[Roster, ...]:
    """Return the versions of the roster, the newest of which has this member as an auditor."""
    me, kept = config.participant, Kept(config.state / FOLDER)
    rosters = await admitted_versions(coordinator, keys, me, config.policy.roster, kept)
    policies.check_auditor(me, rosters[-1], line(config.policy, "roster"))
    return tuple(rosters)


def text_of(finding: Finding) -> str:
    """Return a finding as a line for people."""
    told = [] if finding.report is None else [_text_of(finding.report, stored=finding.stored)]
    return "\n".join((*told, *([] if finding.commit is None else [words_of(finding.commit)])))


def _text_of(report: AuditReport | DisputeReport, *, stored: bool) -> str:
    when = "found before" if stored else "found now"
    if report.code or isinstance(report, DisputeReport):
        return f"round {report.round}: {report.code}, {when}\n  {report.reason}"
    return (
        f"round {report.round}: the sum is that of its contributions, {when}\n"
        f"  {report.contributions} contributions, {report.chunks} chunks, {report.length} bytes "
        f"in {report.seconds} s\n  root {report.found}"
    )


def error_in(finding: Finding) -> VeilsumError | None:
    """Return the error that a report stands for, if something is wrong with the round."""
    report = finding.report
    return refusal(report) if report is not None and report.code else None


def _finding(signed: SignedReport | SignedDispute, *, stored: bool) -> Finding:
    return Finding(stored, signed.report, signed.signature)


def _shown(config: AuditorConfig) -> Path:
    return shown_file(config.coordinator.certificate, config.state / "keys")
