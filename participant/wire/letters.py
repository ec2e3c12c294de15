"""Letters between members, over the coordinator's channel, and the box they are collected in.

Every member has one connection, outwards. What a member writes to another waits at the
coordinator until it is collected; it is in memory there, and lost when the coordinator
starts again. Who needs more than that says it again until it is answered.

The coordinator says who wrote a letter, and could say anything: whoever reads one checks a
signature or a tag before it believes a word.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from privacy.errors import Unavailable
from veilsum.v1 import seat_pb2, seat_pb2_grpc

from .coordinator import CALL_SECONDS, Coordinator
from .patience import Patience

log = structlog.get_logger()

LONGEST_BODY = 1 << 20
COLLECT_SECONDS = 10.0
"""How long a collection may wait for a letter; the relay allows no longer."""

MOST_BYTES_WAITING = 64 << 20
"""What one waiter lets lie before letters for it are dropped."""


@dataclass(frozen=True, slots=True)
class Letter:
    """One letter, and who handed it in, as the coordinator says."""

    number: int
    sender: str
    topic: str
    body: bytes = field(repr=False)


class Post(Protocol):
    """Carries letters: each at most once, those of one sender to one recipient in order."""

    async def post(self, recipient: str, topic: str, body: bytes) -> None:
        """Hand in a letter.

        Raises:
            Unavailable: too much waits for its recipient, or no connection; try again.
        """
        ...

    async def collect(self, after: int, wait_seconds: float) -> tuple[int, list[Letter]]:
        """Return which start of the coordinator numbers letters, and those after `after`."""
        ...


class Letters:
    """The coordinator's relay, as one member talks to it."""

    def __init__(self, coordinator: Coordinator) -> None:
        self._coordinator = coordinator
        self._relay = seat_pb2_grpc.RelayServiceStub(coordinator.channel)

    async def post(self, recipient: str, topic: str, body: bytes) -> None:
        """Hand in a letter of at most 1 MiB.

        Raises:
            Unavailable: too much waits for its recipient, or no connection; try again.
        """
        request = seat_pb2.PostLetterRequest(recipient=recipient, topic=topic, body=body)
        self._coordinator.tempo.up.count(request.ByteSize())
        await self._coordinator.call(self._relay.PostLetter(request))

    async def collect(self, after: int, wait_seconds: float) -> tuple[int, list[Letter]]:
        """Return the coordinator's epoch and the letters after number `after`, oldest first.

        Those up to `after` are dropped there. Waits for the first one, `wait_seconds` at most.
        """
        request = seat_pb2.CollectLettersRequest(after=after, wait_seconds=wait_seconds)
        call = self._relay.CollectLetters(request, timeout=CALL_SECONDS + wait_seconds)
        answer = await self._coordinator.call(call)
        self._coordinator.tempo.down.count(answer.ByteSize())
        return answer.epoch, [
            Letter(each.number, each.sender, each.topic, each.body) for each in answer.letters
        ]


class Waiter:
    """Letters for whoever waits for a topic, from when it began to wait."""

    def __init__(self, senders: Collection[str] | None) -> None:
        self._senders = senders
        self._letters: deque[Letter] = deque()
        self._bytes = 0
        self._some = asyncio.Event()

    async def next(self) -> Letter:
        """Return the oldest letter; wait for one."""
        await self._some.wait()
        letter = self._letters.popleft()
        self._bytes -= len(letter.body)
        if not self._letters:
            self._some.clear()
        return letter

    def offer(self, letter: Letter) -> None:
        """Take a letter, if it is from one whom this waiter hears and there is room."""
        if self._senders is not None and letter.sender not in self._senders:
            return
        if self._bytes + len(letter.body) > MOST_BYTES_WAITING:
            log.warning("letter_dropped", sender=letter.sender, topic=letter.topic)
            return
        self._letters.append(letter)
        self._bytes += len(letter.body)
        self._some.set()


class Mailbox:
    """Collects a member's letters, in one task, and hands them to whoever waits for their topic.

    A letter for which nobody waits is dropped. Letters that a coordinator lost when it started
    again are not noticed here; who needs them in order numbers them.
    """

    def __init__(
        self, post: Post, patience: Patience, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._post, self._patience, self._clock = post, patience, clock
        self._waiters: list[tuple[str, Waiter]] = []
        self._heard: dict[str, float] = {}
        self.cut_off = False
        """True while letters cannot be collected: nobody can be heard then."""

    async def run(self) -> None:
        """Collect letters, for ever; one task of the process runs it."""
        after, epoch = 0, None
        while True:
            try:
                found, letters = await self._post.collect(after, COLLECT_SECONDS)
            except Unavailable as error:
                self.cut_off = True
                await self._patience.wait(error)
                continue
            self.cut_off = False
            self._patience.reset()
            if found != epoch:
                # Another start of the coordinator counts from its own beginning.
                after, epoch = 0, found
            for letter in letters:
                after = max(after, letter.number)
                self._hand_out(letter)

    async def post(self, recipient: str, topic: str, body: bytes) -> None:
        """Hand in a letter of at most 1 MiB; once.

        Raises:
            Unavailable: too much waits for its recipient, or no connection; try again.
        """
        await self._post.post(recipient, topic, body)

    @contextmanager
    def waiting(self, prefix: str, senders: Collection[str] | None = None) -> Iterator[Waiter]:
        """Give a waiter for letters whose topic begins with `prefix`.

        Args:
            senders: from whom it takes them; from anyone by default.
        """
        waiter = Waiter(senders)
        entry = (prefix, waiter)
        self._waiters.append(entry)
        try:
            yield waiter
        finally:
            self._waiters.remove(entry)

    def heard(self, sender: str) -> float | None:
        """Return when a letter came last from `sender`, by this mailbox's clock; or None."""
        return self._heard.get(sender)

    def now(self) -> float:
        """Return the time by this mailbox's clock, in seconds."""
        return self._clock()

    def _hand_out(self, letter: Letter) -> None:
        self._heard[letter.sender] = self._clock()
        for prefix, waiter in self._waiters:
            if letter.topic.startswith(prefix):
                waiter.offer(letter)
