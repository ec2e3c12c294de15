"""Join the federation, as a member that trains nothing: an auditor, or a seat."""

from collections.abc import Callable

import structlog

from participant.keys import SiteKeys
from participant.wire.coordinator import Coordinator
from participant.wire.patience import Patience
from privacy.errors import Unavailable
from privacy.roster import Roster

from .found import found
from .member_config import MemberConfig

log = structlog.get_logger()

Check = Callable[[str, Roster], None]
"""Raises if a member is not, in a roster, what its part in the federation needs."""


async def join(
    coordinator: Coordinator, keys: SiteKeys, config: MemberConfig, check: Check, patience: Patience
) -> Roster:
    """Return the roster that every founding member has signed, once the coordinator is there.

    Raises:
        WrongContext: as for `found`.
        PolicyRefusal, WrongIdentity: `check` finds that this member has no such part.
    """
    me = config.participant
    roster = await _found(coordinator, keys, config, patience)
    check(me, roster)
    log.info("joined", participant=me, roster=roster.digest())
    return roster


async def _found(
    coordinator: Coordinator, keys: SiteKeys, config: MemberConfig, patience: Patience
) -> Roster:
    while True:
        try:
            roster = await found(coordinator, keys, config.participant, config.policy.roster)
        except Unavailable as error:
            await patience.wait(error)
        else:
            patience.reset()
            return roster
