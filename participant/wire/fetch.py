"""Fetch what is too long for one message: a round's sum onto disk, a sealed model opened."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import structlog

from participant.model.later_wraps import accepted, keys_for
from participant.opening.agree import Into, Unsealing
from participant.opening.frozen import Frozen
from participant.opening.spool import ModelSpool, Spool, model_spool, sum_spool
from participant.pace import Pace, say_in_log
from privacy.documents import Signed
from privacy.errors import (
    MalformedMessage,
    NotYet,
    PeerUnreachable,
    ProtocolError,
    WrongContext,
)
from privacy.failpoints import Step, pass_by
from privacy.plan import Plan
from privacy.records import SealedModel
from privacy.roster import Roster
from privacy.sealing import HpkeKeyPair

from .coordinator import Coordinator

log = structlog.get_logger()

RESUME_SECONDS = 0.5


async def fetch_sum(
    coordinator: Coordinator,
    plan: Plan,
    check: Callable[[Signed], Frozen],
    place: Path,
    step: Step = pass_by,
) -> tuple[Frozen, Spool]:
    """Return what a round's sum is of, and its chunks, on disk and all checked.

    Args:
        check: refuses a manifest that is not of the round's one sum.
        place: the folder of all sums.

    Raises:
        PeerUnreachable: the connection was cut; fetch again, it goes on where it stopped.
        RootMismatch, MalformedMessage: the chunks are not those of the manifest.
    """
    number = plan.terms.round
    async with coordinator.sum(number) as (manifest, chunks):
        frozen = check(manifest)
        spool = sum_spool(place, plan, frozen.sum, step)
        have = await asyncio.to_thread(spool.resume)
        if not have:
            await fill(spool, chunks)
    if 0 < have < frozen.sum.chunks:
        async with coordinator.sum(number, have) as (again, chunks):
            if again.body != manifest.body:
                raise WrongContext(f"round {number}: two sums were shown, one after the other")
            await fill(spool, chunks)
    await asyncio.to_thread(spool.check)
    return frozen, spool


async def fetch_model(
    coordinator: Coordinator,
    number: int,
    check: Callable[[Signed], SealedModel],
    participant: str,
    pair: HpkeKeyPair,
    into: Into,
    wraps: Roster | None = None,
    place: Path | None = None,
) -> SealedModel:
    """Open the sealed model of a round into `into`, and return its envelope.

    A stream that is cut goes on where it stopped, as long as each try brings something.

    Args:
        check: refuses an envelope that is not the one to be opened.
        wraps: whose trainers may have made wraps later; None if only the envelope's count.
        place: the folder of all sums, where its chunks are kept as they come, still sealed:
            another process goes on from there. None if a restart may begin again.

    Raises:
        PeerUnreachable: the connection was cut before anything came.
        NotYet: another model was sealed meanwhile.
        MalformedMessage: it is not the model that its envelope names.
    """
    opened: Unsealing | None = None
    spool: ModelSpool | None = None
    while opened is None or opened.taken < opened.envelope.chunks:
        before = opened.taken if opened else 0
        try:
            async with coordinator.model(number, before) as sealed:
                envelope = check(sealed.envelope)
                if opened is None:
                    made = accepted(sealed.wraps, envelope, wraps) if wraps else ()
                    later = keys_for(participant, made)
                    opened = Unsealing(envelope, participant, pair, into, later)
                    spool = model_spool(place, envelope) if place else None
                    await asyncio.to_thread(_from_disk, opened, spool)
                if opened.envelope != envelope:
                    raise NotYet(f"round {number} has another sealed model by now")
                if opened.taken != before:
                    continue  # so much was here; the rest is asked for
                await _unseal(opened, sealed.chunks, spool)
        except PeerUnreachable as error:
            if opened is None or opened.taken == before:
                raise
            log.info("resuming", round=number, chunks=opened.taken, reason=str(error))
            await asyncio.sleep(RESUME_SECONDS)
        else:
            break
    try:
        opened.finish()
    except ProtocolError:
        if spool is not None:
            spool.erase()
        raise
    return opened.envelope


async def fill(spool: Spool, chunks: AsyncIterator[bytes]) -> None:
    """Keep chunks as they come, each checked.

    Raises:
        MalformedMessage, StoreUnavailable: as `Spool.put`.
    """
    say = say_in_log("fetching_sum", spool.number)
    pace = Pace(spool.count, say, len(spool))
    async for chunk in chunks:
        await asyncio.to_thread(spool.put, chunk)
        pace.step(len(chunk))


def _from_disk(opened: Unsealing, spool: ModelSpool | None) -> None:
    """Open what came to an earlier process, up to the first chunk that is not as it came."""
    for chunk in spool.resume() if spool is not None else ():
        try:
            opened.take(chunk)
        except MalformedMessage:
            return


def _take(opened: Unsealing, chunk: bytes, spool: ModelSpool | None) -> None:
    index = opened.taken
    opened.take(chunk)
    # Not before it has opened: what is kept is what the sealer sealed at this place.
    if spool is not None:
        spool.put(index, chunk)


async def _unseal(
    opened: Unsealing, chunks: AsyncIterator[bytes], spool: ModelSpool | None
) -> None:
    say = say_in_log("fetching_model", opened.envelope.round)
    pace = Pace(opened.envelope.chunks, say, opened.taken)
    async for chunk in chunks:
        await asyncio.to_thread(_take, opened, chunk, spool)
        pace.step(len(chunk))
