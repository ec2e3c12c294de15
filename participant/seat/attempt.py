"""One session of three seats: from a fresh nonce until the work is done, or it breaks off."""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Generic, TypeVar

import structlog

from participant.wire.letters import Letter, Mailbox, Waiter
from privacy.errors import PeerUnreachable, ProtocolError, WrongContext
from privacy.schemes.keystream import SECRET_BYTES
from privacy.schemes.shares.layout import held_by, shared_by
from privacy.schemes.shares.replicated import PairSecrets

from .frames import Kind, cut
from .handshake import Handshake, Hello, Meeting, check_hello
from .link import SeatLink, Session
from .party import Party
from .peer import MOST_EARLY, Peer
from .posting import Posting

log = structlog.get_logger()

ALIVE_SECONDS: Final = 1.0
"""How often a seat says that it lives."""

HELLO: Final = "hello"
_PAIR: Final = "pair"
_FRAME: Final = "frame"
_NAME_DIGITS: Final = 32

_Result = TypeVar("_Result")


class Ears:
    """When each other seat was heard last, over all sessions of one question."""

    def __init__(self, mailbox: Mailbox, names: Mapping[int, str], silence_seconds: float) -> None:
        self._mailbox, self._names, self._silence = mailbox, names, silence_seconds
        self._last = dict.fromkeys(names, mailbox.now())

    def heard(self, seat: int) -> None:
        """Note a sign of life that was checked."""
        self._last[seat] = self._mailbox.now()

    def listen(self, *, unchecked: bool) -> None:
        """Return if no seat has been silent for too long.

        Args:
            unchecked: whether any letter counts; as long as there is no session, it does.

        Raises:
            PeerUnreachable: one has; names it.
        """
        now = self._mailbox.now()
        if self._mailbox.cut_off:
            # Who has no connection hears nobody; that is not the others' silence.
            self._last = dict.fromkeys(self._last, now)
        for seat, name in self._names.items():
            letter = self._mailbox.heard(name) if unchecked else None
            if now - max(self._last[seat], letter or 0.0) > self._silence:
                raise PeerUnreachable(f"seat {name} has said nothing for {self._silence:g} seconds")


class Attempt(Generic[_Result]):
    """One session, at one seat."""

    def __init__(
        self, party: Party, meeting: Meeting, waiter: Waiter, ears: Ears, known: Sequence[str]
    ) -> None:
        self._party, self._meeting = party, meeting
        self._waiter, self._ears = waiter, ears
        self._seat = meeting.seats.index(party.me)
        nonce = party.entropy(SECRET_BYTES).hex()
        self._handshake = Handshake(meeting, self._seat, nonce, known)
        self._peers = {
            seat: Peer(party, meeting, seat, member)
            for seat, member in party.others(meeting).items()
        }
        self._posting = {
            seat: Posting(party.mailbox, peer.member.participant)
            for seat, peer in self._peers.items()
        }
        self._name = b""
        self._early: deque[Letter] = deque(maxlen=MOST_EARLY)
        self._ready, self._parted = asyncio.Event(), asyncio.Event()
        self._link = SeatLink(tuple(self._peers), self._send, asyncio.get_running_loop())
        self._thread: asyncio.Task[_Result] | None = None

    @property
    def known(self) -> tuple[str, ...]:
        """The newest nonce of each seat, to begin the next session with."""
        return self._handshake.nonces

    # -- the course of it -----------------------------------------------------------

    async def run(self, work: Callable[[Session], _Result]) -> _Result:
        """Return what the work returns at this seat, once all three have done theirs.

        Raises:
            BrokenOff: the session is over before that; it takes another one.
            PeerUnreachable: a seat is silent; names it.
            WrongContext: a seat was shown something else than this one.
        """
        working = asyncio.create_task(self._work(work))
        posting = (each.run() for each in self._posting.values())
        serving = [asyncio.create_task(each) for each in (self._read(), self._beat(), *posting)]
        try:
            await asyncio.wait([working, *serving], return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                # Those that serve end with an error only.
                await next(task for task in serving if task.done())
            return await working
        finally:
            await self._end([working, *serving])

    async def _end(self, tasks: "Sequence[asyncio.Task[_Result] | asyncio.Task[None]]") -> None:
        self._link.close("the session is over")
        for each in self._posting.values():
            each.end()
        for task in tasks:
            task.cancel()
        # A thread cannot be stopped; it ends at its next word with the link.
        ending = [*tasks, self._thread] if self._thread else [*tasks]
        await asyncio.wait(ending)
        for task in ending:
            if not task.cancelled():
                task.exception()  # was raised already, or only says that the session is over

    async def _work(self, work: Callable[[Session], _Result]) -> _Result:
        await self._ready.wait()
        log.info("seats_in_session", **said(self._meeting), session=self._name.hex()[:16])
        session = Session(self._seat, self._name, self._link, self._pairs())
        self._thread = asyncio.create_task(asyncio.to_thread(work, session))
        result = await asyncio.shield(self._thread)
        await self._part()
        return result

    async def _part(self) -> None:
        # A seat that left at once could not help one that must begin again.
        await asyncio.gather(*(self._put_frame(peer, Kind.DONE) for peer in self._peers.values()))
        await self._parted.wait()

    def _pairs(self) -> PairSecrets:
        secrets = {
            shared_by(self._seat, seat): peer.pair_secret for seat, peer in self._peers.items()
        }
        first, second = held_by(self._seat)
        return PairSecrets(self._seat, (secrets[first], secrets[second]))

    async def _beat(self) -> None:
        while True:
            self._listen()
            for peer in self._peers.values():
                if not self._all_confirmed():
                    self._say_hello(peer)
                if peer.keyed and self._posting[peer.seat].idle:
                    self._put_frame(peer, Kind.ALIVE)
            await asyncio.sleep(ALIVE_SECONDS)

    def _listen(self) -> None:
        try:
            self._ears.listen(unchecked=not self._all_confirmed())
        except PeerUnreachable:
            if self._thread is None or not self._thread.done():
                raise
            # Who is silent now is done or gone; this seat has its answer.
            self._parted.set()

    def _all_confirmed(self) -> bool:
        return all(peer.confirmed for peer in self._peers.values())

    # -- what goes out --------------------------------------------------------------

    def _say_hello(self, peer: Peer) -> None:
        self._put(peer, HELLO, self._handshake.hello(self._party.signing_key))
        offer = peer.offer()
        if offer is not None:
            self._put(peer, self._topic(_PAIR), offer)

    def _put_frame(self, peer: Peer, kind: Kind, body: bytes = b"") -> "asyncio.Future[None]":
        return self._put(peer, self._topic(_FRAME), peer.seal(kind, body))

    def _put(self, peer: Peer, topic: str, body: bytes) -> "asyncio.Future[None]":
        return self._posting[peer.seat].put(self._meeting.topic + topic, body)

    async def _send(self, seat: int, message: bytes) -> None:
        for kind, body in cut(message):
            await self._put_frame(self._peers[seat], kind, body)

    def _topic(self, what: str) -> str:
        # Others may have agreed, and write, before this seat has heard that they did.
        name = self._name or self._handshake.session()
        return f"{what}/{name.hex()[:_NAME_DIGITS]}"

    # -- what comes in --------------------------------------------------------------

    async def _read(self) -> None:
        while True:
            self._take(await self._waiter.next())

    def _take(self, letter: Letter) -> None:
        peer = self._peers[self._meeting.seats.index(letter.sender)]
        try:
            self._understand(peer, letter)
        except WrongContext:
            raise
        except ProtocolError as error:
            fields = said(self._meeting)
            log.warning("letter_refused", **fields, seat=letter.sender, reason=str(error))

    def _understand(self, peer: Peer, letter: Letter) -> None:
        topic = letter.topic.removeprefix(self._meeting.topic)
        if topic == HELLO:
            self._hear(peer, check_hello(self._meeting, peer.seat, peer.member, letter.body))
        elif topic not in (self._topic(_PAIR), self._topic(_FRAME)):
            return  # of a session that is over
        elif not self._name:
            self._early.append(letter)
        elif topic == self._topic(_PAIR):
            peer.take_secret(letter.body)
            self._go_on(peer)
        else:
            peer.early.append(letter.body)
            self._go_on(peer)

    def _hear(self, peer: Peer, hello: Hello) -> None:
        before = self._handshake.nonces
        self._ears.heard(peer.seat)
        self._handshake.hear(peer.seat, hello)
        if self._handshake.nonces != before:
            for each in self._peers.values():
                self._say_hello(each)
        if self._handshake.agreed and not self._name:
            self._make_keys()

    def _make_keys(self) -> None:
        self._handshake.spend()
        self._name = self._handshake.session()
        for peer in self._peers.values():
            peer.begin(self._name)
            self._say_hello(peer)
        while self._early:
            self._take(self._early.popleft())

    def _go_on(self, peer: Peer) -> None:
        """Read the frames of a seat as soon as there are keys, and work once all are there."""
        if all(each.keyed for each in self._peers.values()):
            self._ready.set()
        while peer.keyed and peer.early:
            message = peer.take_frame(peer.early.popleft())
            self._ears.heard(peer.seat)
            if message is not None:
                self._link.deliver(peer.seat, message)
        if all(each.done for each in self._peers.values()):
            self._parted.set()


def said(meeting: Meeting) -> dict[str, str | int]:
    """Return what the log says of a meeting."""
    return {"round": meeting.round, "stage": meeting.stage}
