"""Run a seat until it is stopped."""

import asyncio
import os
import signal
from pathlib import Path

import structlog

from participant.keys import load_keys, shown_file
from participant.wire.tempo import passed
from privacy.crypten_door import import_crypten
from privacy.failpoints import Failpoints
from veilsum.metrics.book import Book
from veilsum.metrics.door import expiry_of, metrics_door
from veilsum.traces.door import traces

from .agent import AggregatorAgent
from .config import AggregatorConfig
from .pledging import account_of

log = structlog.get_logger()


async def serve(config: AggregatorConfig, failpoints: Failpoints) -> None:
    """Take part in rounds until the programme is over, or until SIGTERM or SIGINT.

    Stopping loses nothing: what was signed is sent again as it is when the seat starts again.

    Raises:
        MissingDependency: CrypTen is not installed, or web3, where the seat has a bond.
        ConfigError, InsecureKeyFile: this seat's files are not what they must be.
        ProtocolError, PrivacyError: this seat cannot take part.
    """
    # Before others count on this seat: without it a norm is checked by nobody, and to load it
    # takes seconds in which nothing else of this process would go on.
    import_crypten()
    keys = load_keys(config.state / "keys")
    # Its keystore takes a second to open, and a wrong one is told before any round.
    account = None if config.settlement is None else account_of(config.settlement)
    agent, book = AggregatorAgent(config, keys, os.urandom, failpoints), Book()
    agent.account = account
    book.watch(lambda: expiry_of(_shown(config), config.participant))
    book.watch(lambda: passed(agent.line))
    with metrics_door(book, config.metrics), traces(config.telemetry, "aggregator") as tracer:
        agent.tracer = tracer
        await _until_stopped(agent)


async def _until_stopped(agent: AggregatorAgent) -> None:
    working = asyncio.ensure_future(agent.run())
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, working.cancel)
    try:
        await working
    except asyncio.CancelledError:
        log.info("stopped", participant=agent.config.participant)


def _shown(config: AggregatorConfig) -> Path:
    return shown_file(config.coordinator.certificate, config.state / "keys")
