"""Sessions of three seats: they meet, make keys, work, and part together, over letters.

`together` runs a piece of work in a thread at each of the three seats, with a link between
them. Where a seat starts again or letters are lost, the session is over and the work is begun
again in a new one, with new keys; where a seat says nothing for too long, it is named.

*What it guarantees.* What one seat sends another, that one gets: whole, in order, once, from
whom it says, for this round and stage and these candidates. The coordinator, which carries the
letters, learns who writes to whom, when and how much. It can lose them all, and change none.

    handshake   which session: three fresh nonces on which all agree
    peer        the secret of every two seats, and the keys that come from it
    frames      numbered, encrypted, cut to 1 MiB
    posting     letters in order, until the coordinator has them
    link        messages, for code that blocks
    attempt     one session, from its nonce to its end

A session lasts for one question. All three seats leave it together: who is done says so, and
waits for the others, since one that must begin again needs them.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, TypeVar

import structlog

from participant.wire.letters import Mailbox
from privacy.errors import ProtocolError, Unavailable
from privacy.schemes.shares.layout import SEATS

from .attempt import ALIVE_SECONDS, HELLO, Attempt, Ears, said
from .handshake import BrokenOff, Meeting, check_hello
from .link import Session
from .party import Party

log = structlog.get_logger()

ALIVE_TOPIC: Final = "seat/alive"

_Result = TypeVar("_Result")


async def together(
    party: Party, meeting: Meeting, silence_seconds: float, work: Callable[[Session], _Result]
) -> _Result:
    """Return what `work` returns at this seat, once all three seats have done theirs.

    It runs in a thread, and from its beginning again in each new session. Between long steps
    it asks `session.link.check`, so that it does not outlast its session.

    Args:
        silence_seconds: how long a seat may say nothing. Time in which this seat has no
            connection itself does not count.

    Raises:
        PeerUnreachable: a seat is silent; names it.
        WrongContext: another seat was shown other candidates, or another cohort.
        VeilsumError: what `work` raises.
    """
    names = {seat: member.participant for seat, member in party.others(meeting).items()}
    ears = Ears(party.mailbox, names, silence_seconds)
    known: Sequence[str] = ("",) * SEATS
    with party.mailbox.waiting(meeting.topic, tuple(names.values())) as waiter:
        while True:
            attempt: Attempt[_Result] = Attempt(party, meeting, waiter, ears, known)
            try:
                return await attempt.run(work)
            except BrokenOff as broken:
                known = attempt.known
                log.warning("seats_begin_again", **said(meeting), reason=str(broken))


async def say_alive(mailbox: Mailbox, others: Sequence[str]) -> None:
    """Tell other seats every second that this one lives, for ever.

    For a seat that works on a round and is in no session yet: the others wait for it.
    """
    while True:
        for name in others:
            with suppress(Unavailable):
                await mailbox.post(name, ALIVE_TOPIC, b"")
        await asyncio.sleep(ALIVE_SECONDS)


async def knock(party: Party, meeting: Meeting) -> str:
    """Return the name of another seat as soon as it wants to meet; wait for that.

    For a seat that has answered: another one that has started again asks once more, and
    cannot be answered by two.
    """
    others = {member.participant: (seat, member) for seat, member in party.others(meeting).items()}
    with party.mailbox.waiting(meeting.topic + HELLO, tuple(others)) as waiter:
        while True:
            letter = await waiter.next()
            with suppress(ProtocolError):
                check_hello(meeting, *others[letter.sender], letter.body)
                return letter.sender
