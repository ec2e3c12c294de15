"""What a seat that has started asks of others: the newest round that it may have signed for.

A seat's disk may be an old copy of itself: a backup that was put back has forgotten what it
signed since. Others have not. So a seat that starts signs nothing until the two other seats
and more than two thirds of the trainers have told it the newest round for which they have
signed a certificate; up to that round it signs only what its own disk remembers. Any
certificate that it had a part in was signed by both other seats, or by more than two thirds of
the trainers, of whom more than a third are among those that answer.

A round whose certificate others have not signed yet, nobody remembers: there it is the start
in the plan that says whether this process may sign (`certifying.py`).
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from participant.wire.letters import Letter, Mailbox
from privacy.canonical import decode, encode
from privacy.documents import Signed, check_signer, pack, unpack
from privacy.errors import MalformedMessage, ProtocolError, Unavailable, WrongContext
from privacy.records import Recollection
from privacy.roster import Roster
from privacy.sealing import Entropy
from privacy.signing import Purpose, sign

log = structlog.get_logger()

ASK: Final = "recall/ask"
ANSWER: Final = "recall/answer"
ASK_AGAIN_SECONDS: Final = 2.0
_NONCE_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Asked:
    """Whom a seat must hear before it signs: other seats, and more than two thirds of trainers."""

    roster: Roster
    me: str
    seats: tuple[str, ...]
    found: dict[str, int] = field(default_factory=dict)

    def missing(self) -> tuple[str, ...]:
        """Return who has not answered; empty as soon as enough have."""
        seats = [seat for seat in self.seats if seat != self.me and seat not in self.found]
        silent = [name for name in self._trainers() if name not in self.found]
        enough = 3 * (len(self._trainers()) - len(silent)) > 2 * len(self._trainers())
        return tuple(dict.fromkeys((*seats, *([] if enough else silent))))

    def hear(self, letter: Letter, nonce: str) -> None:
        """Take one answer.

        Raises:
            WrongIdentity, InvalidSignature: it is not signed by the member that sent it.
            WrongContext: it answers another question, or is another's answer.
            MalformedMessage: it is no answer.
        """
        signed = unpack(letter.body)
        check_signer(
            signed,
            Purpose.RECOLLECTION,
            letter.sender,
            self.roster.member(letter.sender).signing_key,
        )
        answer = decode(signed.body, Recollection)
        told = answer.federation, answer.asker, answer.nonce, answer.signer
        if told != (self.roster.federation, self.me, nonce, letter.sender):
            raise WrongContext(f"{letter.sender} answers what {self.me} has not asked")
        self.found[letter.sender] = answer.newest

    def everyone(self) -> Iterator[str]:
        """Yield each seat and trainer but this one, once."""
        yield from dict.fromkeys(
            name for name in (*self.seats, *self._trainers()) if name != self.me
        )

    def _trainers(self) -> list[str]:
        return [member.participant for member in self.roster.trainers()]


async def floor(
    mailbox: Mailbox,
    roster: Roster,
    me: str,
    seats: Sequence[str],
    entropy: Entropy,
    is_awaited: Callable[[], bool] = lambda: False,
) -> int:
    """Return the newest round for which anyone asked has signed a certificate; 0 if for none.

    Waits until both other seats and more than two thirds of the trainers have answered, and says
    in the log who has not. Asks again those that have not; an answer counts once, and only to
    this question.

    Args:
        me: the seat that asks.
        seats: the three seats, this one among them.
        is_awaited: whether a round waits for this seat's signature now; a warning then.
    """
    asked = Asked(roster, me, tuple(seats))
    nonce = entropy(_NONCE_BYTES).hex()
    with mailbox.waiting(ANSWER, tuple(asked.everyone())) as waiter:
        said: tuple[tuple[str, ...], bool] = (), False
        while missing := asked.missing():
            found = missing, is_awaited()
            if found != said:
                (log.warning if found[1] else log.info)("recalling", waits_for=", ".join(missing))
            said = found
            await _ask(mailbox, nonce, [name for name in missing if name not in asked.found])
            try:
                async with asyncio.timeout(ASK_AGAIN_SECONDS):
                    while asked.missing():
                        _hear(asked, await waiter.next(), nonce)
            except TimeoutError:
                continue
    newest = max(asked.found.values(), default=0)
    log.info("recalled", newest=newest)
    return newest


async def answer(
    mailbox: Mailbox, letter: Letter, roster: Roster, me: str, key: Ed25519PrivateKey, newest: int
) -> None:
    """Tell the seat that asked the newest round for which this member has signed.

    Args:
        letter: on the topic `ASK`.
        newest: 0 if for none.

    Raises:
        MalformedMessage: the letter is no question.
        Unavailable: the answer could not be handed in; the seat asks again.
    """
    try:
        statement = Recollection(
            federation=roster.federation,
            asker=letter.sender,
            nonce=letter.body.decode("ascii"),
            signer=me,
            newest=newest,
        )
        body = encode(statement)
        decode(body, Recollection)
    except UnicodeDecodeError:
        raise MalformedMessage(f"{letter.sender} asks with what is no nonce") from None
    signed = Signed(body, {me: sign(key, Purpose.RECOLLECTION, body)})
    await mailbox.post(letter.sender, ANSWER, pack(signed))


async def serve(
    mailbox: Mailbox,
    roster: Callable[[], Roster],
    me: str,
    key: Ed25519PrivateKey,
    newest: Callable[[], int],
) -> None:
    """Answer every seat that asks, at once, for ever; one task of the process runs it."""
    with mailbox.waiting(ASK) as waiter:
        while True:
            letter = await waiter.next()
            try:
                await answer(mailbox, letter, roster(), me, key, newest())
            except (ProtocolError, Unavailable) as error:
                log.warning("recollection_not_given", asker=letter.sender, reason=str(error))


async def _ask(mailbox: Mailbox, nonce: str, names: Sequence[str]) -> None:
    for name in names:
        try:
            await mailbox.post(name, ASK, nonce.encode("ascii"))
        except Unavailable as error:
            log.warning("recall_not_asked", member=name, reason=str(error))


def _hear(asked: Asked, letter: Letter, nonce: str) -> None:
    try:
        asked.hear(letter, nonce)
    except ProtocolError as error:
        log.warning("recollection_refused", member=letter.sender, reason=str(error))
