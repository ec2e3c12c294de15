"""Say of a plan that this site takes part in it, or not, while its agent runs."""

import os
import pwd
from collections.abc import Callable
from pathlib import Path

from participant.config import SiteConfig
from privacy.errors import ConfigError

from .approvals import FOLDER, Approvals, Asked, Standing


def decide(
    config: SiteConfig,
    wanted: str,
    now: Callable[[], float],
    *,
    refuse: bool = False,
) -> Asked:
    """Record that a plan is approved, or refused for good; return the plan in words.

    Args:
        wanted: a round's number, or the plan's digest, or eight digits or more it begins with.

    Raises:
        ConfigError: there is no such plan, or several, or it is refused already, or this is
            another account than the agent's.
        StoreUnavailable: the disk refuses; nothing is recorded.
    """
    folder = _folder(config)
    approvals = Approvals(folder)
    asked = approvals.find(wanted)
    say = approvals.refuse if refuse else approvals.approve
    say(asked, pwd.getpwuid(os.getuid()).pw_name, now())
    return asked


def standing(config: SiteConfig) -> tuple[Standing, ...]:
    """Return every plan that this site was asked about, and what was said of it."""
    return tuple(Approvals(_folder(config)).all())


def _folder(config: SiteConfig) -> Path:
    folder = config.state / FOLDER
    # The agent could not read what another account writes here.
    if folder.exists() and folder.stat().st_uid != os.geteuid():
        owner = pwd.getpwuid(folder.stat().st_uid).pw_name
        raise ConfigError(f"{folder}: run this as {owner}, the account of this site's agent")
    return folder
