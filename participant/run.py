"""Run a site: keys loaded, agent started."""

import os

from privacy.failpoints import Failpoints

from .agent import Agent
from .config import SiteConfig
from .keys import load_keys
from .worker import Main, serve


async def run(config: SiteConfig, failpoints: Failpoints, worker_main: Main = serve) -> None:
    """Take part in rounds until the programme is over.

    Args:
        worker_main: what the worker process runs.

    Raises:
        ConfigError, InsecureKeyFile: this site's files are not what they must be.
        ProtocolError, PrivacyError: this site cannot take part.
    """
    keys = load_keys(config.state / "keys")
    await Agent(config, keys, os.urandom, failpoints, worker_main).run()
