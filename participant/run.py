"""Run a site: keys loaded, agent started, stopped by SIGTERM."""

import asyncio
import os
import signal

import structlog

from privacy.failpoints import Failpoints
from veilsum.metrics.book import Book
from veilsum.metrics.door import metrics_door
from veilsum.traces.door import traces

from .agent import Agent
from .config import SiteConfig
from .keys import load_keys
from .training.worker import Main, serve

log = structlog.get_logger()


async def run(config: SiteConfig, failpoints: Failpoints, worker_main: Main = serve) -> None:
    """Take part in rounds until the programme is over, or until SIGTERM or SIGINT.

    Stopping loses nothing: what was committed is sent when the site starts again.

    Args:
        worker_main: what the worker process runs.

    Raises:
        ConfigError, InsecureKeyFile: this site's files are not what they must be.
        ProtocolError, PrivacyError: this site cannot take part.
    """
    keys, book = load_keys(config.state / "keys"), Book()
    with metrics_door(book, config.metrics), traces(config.telemetry, "participant") as tracer:
        agent = Agent(config, keys, os.urandom, failpoints, worker_main, book=book, tracer=tracer)
        await _until_stopped(agent)


async def _until_stopped(agent: Agent) -> None:
    working = asyncio.ensure_future(agent.run())
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, working.cancel)
    try:
        await working
    except asyncio.CancelledError:
        log.info("stopped", participant=agent.config.participant)
