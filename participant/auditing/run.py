"""Run an auditor until it is stopped, or look at one round and say what is found."""

import asyncio
import os
import signal
import time
from pathlib import Path

import msgspec
import structlog

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
from veilsum.metrics.book import Book
from veilsum.metrics.door import expiry_of, metrics_door
from veilsum.traces.door import traces

from .agent import DISPUTES, AuditorAgent
from .auditor import Auditor, refusal
from .config import AuditorConfig
from .memory import AuditMemory
from .report import DisputeReports, Reports, SignedDispute, SignedReport

log = structlog.get_logger()


class Finding(msgspec.Struct, frozen=True):
    """A signed report, and whether it was made just now or is the one kept from before."""

    stored: bool
    report: AuditReport | DisputeReport
    signature: bytes


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


async def audit_sum(config: AuditorConfig, number: int) -> Finding:
    """Return what there is to say of a round's sum: of now, or the stored report.

    Of a round whose seats disputed, the stored report of that.

    Raises:
        PolicyRefusal: the caller trains, or is no auditor for another reason; nothing
            of the round is asked for.
        IllegalEvent, Unavailable: the contributions, or the coordinator, are not there, and
            neither is a report.
    """
    keys = load_keys(config.state / "keys")
    coordinator = connect(config.coordinator, keys)
    try:
        return await look(config, keys, coordinator, number)
    finally:
        await coordinator.close()


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
    me = config.participant
    kept = Kept(config.state / FOLDER)
    *_, roster = await admitted_versions(coordinator, keys, me, config.policy.roster, kept)
    policies.check_auditor(me, roster, line(config.policy, "roster"))
    patience = Patience(os.urandom)
    auditor = Auditor(config, keys.signing, coordinator, roster, reports, patience, time.monotonic)
    memory = AuditMemory(config.state)
    try:
        report = await auditor.check(number, memory.ledgers_seen())
    finally:
        memory.close()
    return _finding(reports.signed(report), stored=False)


def text_of(finding: Finding) -> str:
    """Return a finding as a line for people."""
    report = finding.report
    when = "found before" if finding.stored else "found now"
    if report.code or isinstance(report, DisputeReport):
        return f"round {report.round}: {report.code}, {when}\n  {report.reason}"
    return (
        f"round {report.round}: the sum is that of its contributions, {when}\n"
        f"  {report.contributions} contributions, {report.chunks} chunks, {report.length} bytes "
        f"in {report.seconds} s\n  root {report.found}"
    )


def error_in(finding: Finding) -> VeilsumError | None:
    """Return the error that a finding stands for, if something is wrong with the round."""
    return refusal(finding.report) if finding.report.code else None


def _finding(signed: SignedReport | SignedDispute, *, stored: bool) -> Finding:
    return Finding(stored, signed.report, signed.signature)


def _shown(config: AuditorConfig) -> Path:
    return shown_file(config.coordinator.certificate, config.state / "keys")
