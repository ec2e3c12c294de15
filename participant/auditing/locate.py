"""Where a false sum goes wrong: its first wrong chunk, and the first wrong word of that."""

from participant.wire.coordinator import Coordinator
from participant.wire.patience import Patience
from privacy.errors import NotYet, PrivacyError, ProtocolError, Unavailable
from privacy.records import Fault

from .audit import Audit

_TRIES = 5
"""How often the same chunk is asked for in vain, before what is known has to do."""


async def locate(coordinator: Coordinator, number: int, audit: Audit, patience: Patience) -> Fault:
    """Return where a round's sum is not that of the contributions that `audit` has added.

    As far as the coordinator shows it: a sum that is false stays so if it shows no more.
    """
    at = tries = 0
    known = Fault(participant="")
    while at < audit.chunks and tries < _TRIES:
        reached = at
        try:
            async with coordinator.sum(number, at) as (_, chunks):
                async for payload in chunks:
                    if audit.differs(at, payload):
                        known = Fault(participant="", chunk=at)
                        return await _word(coordinator, number, audit, at, payload)
                    at += 1
                    if at == audit.chunks:
                        break
                else:
                    return Fault(participant="", chunk=at)  # it ends too early
        except (NotYet, ProtocolError, PrivacyError):
            return known
        except Unavailable as error:
            tries = tries + 1 if at == reached else 1
            await patience.wait(error)
    # It shows no more; or its chunks are right, and what was signed is the root of others.
    return known


async def _word(
    coordinator: Coordinator, number: int, audit: Audit, chunk: int, payload: bytes
) -> Fault:
    addition = audit.again(chunk)
    try:
        async with coordinator.contributions(number, chunk) as payloads:
            async for at, _, contribution in payloads:
                if at != chunk:
                    break
                addition.add(contribution)
        return audit.first_difference(chunk, payload, addition)
    except (ProtocolError, PrivacyError):
        # What it shows the second time is something else; the chunk is wrong all the same.
        return Fault(participant="", chunk=chunk)
