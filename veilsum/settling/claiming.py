"""Claim by hand what a site has earned: by the coordinator's newest offer, or by the kept one."""

import asyncio
from typing import Final

import structlog

from participant.config import SiteConfig
from participant.keys import load_keys
from participant.settling.own_rounds import OwnRounds
from participant.settling.payout import Paid, Payouts, Waits
from participant.view import Payout
from participant.wire.connect import connect
from privacy.errors import NotYet, Unavailable

log = structlog.get_logger()

ANSWER_SECONDS: Final = 10.0
"""How long a coordinator has to answer; without it there is still what was kept."""


def claim(config: SiteConfig, *, offline: bool = False) -> Paid:
    """Claim what a site has earned, and return what was paid; uploads past dispute are erased.

    A coordinator that does not answer holds up nothing that it has offered before.

    Args:
        offline: whether not to ask the coordinator.

    Raises:
        NotYet: the round has not matured, or there is nothing to claim yet.
        ConfigError: this site has no way to a chain, or has nothing kept that it could claim.
        ProtocolError: the offer is not what the chain holds, or false.
        ChainUnavailable: no answer, or what was sent is not final yet; run it again.
    """
    payouts = Payouts(config)
    payout = None if offline else asyncio.run(_asked(config))
    if payout is None:
        found = payouts.claim_kept()
    elif not payout.entitlement:
        raise NotYet("this site has earned nothing yet; there is nothing to claim")
    else:
        found = payouts.claim(payout)
    OwnRounds(config, payouts).sweep()
    if isinstance(found, Waits):
        raise NotYet(
            f"{found.cumulative} token units in all, under round {found.round}, can be claimed "
            f"from {found.when()} on; until then the round can be challenged. Run this again then"
        )
    return found


async def _asked(config: SiteConfig) -> Payout | None:
    """Return what the coordinator offers; None if it does not answer."""
    coordinator = connect(config.coordinator, load_keys(config.state / "keys"))
    try:
        return await asyncio.wait_for(coordinator.payout(), ANSWER_SECONDS)
    except NotYet:
        raise
    except (Unavailable, TimeoutError) as error:
        log.info("coordinator_not_asked", reason=str(error) or "no answer")
        return None
    finally:
        await coordinator.close()
