"""Join the federation, as a member that trains nothing: an auditor, or a seat."""

from collections.abc import Callable

import structlog

from participant import kept
from participant.kept import Kept
from participant.keys import SiteKeys
from participant.policy.refusing import line
from participant.wire.coordinator import Coordinator
from participant.wire.patience import Patience
from privacy.errors import Unavailable
from privacy.policy_line import PolicyLine
from privacy.roster import Roster

from .found import found
from .member_config import MemberConfig
from .versions import Versions, reading

log = structlog.get_logger()

Check = Callable[[str, Roster, PolicyLine], None]
"""Raises, by a line of its file, if a member is not in a roster what its part needs."""


async def join(
    coordinator: Coordinator, keys: SiteKeys, config: MemberConfig, check: Check, patience: Patience
) -> Versions:
    """Return the roster that every founding member has signed, once the coordinator is there.

    With every later version, as far as trainers have admitted it; each is kept on the disk.

    Raises:
        WrongContext: as for `found`.
        PolicyRefusal, WrongIdentity: `check` finds that this member has no such part.
    """
    me = config.participant
    versions = await _found(coordinator, keys, config, patience)
    check(me, versions.newest, line(config.policy, "roster"))
    log.info("joined", participant=me, roster=versions.newest.digest())
    return versions


async def _found(
    coordinator: Coordinator, keys: SiteKeys, config: MemberConfig, patience: Patience
) -> Versions:
    who = (keys, config.participant, config.policy.roster)
    read = reading(coordinator, *who, Kept(config.state / kept.FOLDER))
    while True:
        try:
            await found(coordinator, *who, config.state)
            history = await read()
        except Unavailable as error:
            await patience.wait(error)
        else:
            patience.reset()
            return Versions(tuple(each.roster for each in history), read)
