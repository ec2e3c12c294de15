"""What may be under way at once: memory each way, streams of each caller, threads for chunks.

Chunks are carried on threads of their own and hold credits, each for a message of 1 MiB. Calls
that carry none wait for neither, so that a hundred uploads do not keep a site from saying that
it is at work.

Who has fewest credits is served first, so that nobody's many streams stand before another's one.
A stream that has a credit and stands still, or comes too slowly, or is one of too many of its
caller, gives way to who waits; its peer goes on where it was.
"""

import asyncio
import os
import time
from collections import Counter, OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Final, ParamSpec, TypeVar

from privacy.errors import MalformedMessage, PeerUnreachable, Unavailable

STREAMS_OF_A_CALLER: Final = 16
"""Uploads and downloads that one member may have open: a seat fetches several at once."""

MOST_SENDING_SECONDS: Final = 30.0
"""So long an upload may stand still with a credit that another waits for."""

MOST_FETCHING_SECONDS: Final = 150.0
"""The same for a download: a chunk of 1 MiB takes that long at 56 kbit/s."""

SLOWEST_CHUNK_SECONDS: Final = 300.0
"""For one chunk of 1 MiB while others wait: 28 kbit/s, as slow as a site may be that is waited
for. It counts new bytes: what comes again, or a byte now and then, keeps no credit."""

LARGEST_SHARE: Final = 4
"""While others wait, nobody has more than one in so many of all credits for long."""

MOST_HELD_SECONDS: Final = 600.0
"""So long any stream may stand still, whether or not another waits."""

GAVE_WAY: Final = "a stream stood still and gave way to others; go on where it was"
"""With what the task of such a stream is cancelled: its peer is told."""

LARGEST_CHUNK: Final = 1 << 20

_Args = ParamSpec("_Args")
_Answer = TypeVar("_Answer")


@dataclass(eq=False)
class Credit:
    """Room for one message, while somebody holds it; `new` counts the bytes that came under it."""

    task: asyncio.Task[object]
    caller: str = ""
    taken: float = 0.0
    moved: float = 0.0
    new: int = 0
    timer: asyncio.TimerHandle | None = None


@dataclass(eq=False)
class Credits:
    """Room for `count` messages at once, given to who has least, then in the order of asking.

    `patience_seconds` is how long a holder may stand still while another waits, and how long it
    keeps a credit beyond its share. `reclaim` frees
    what nobody is using just now, if there is any, and says whether it did.
    """

    count: int
    patience_seconds: float
    monotonic: Callable[[], float] = time.monotonic
    reclaim: Callable[[], bool] = lambda: False

    def __post_init__(self) -> None:
        self.free = self.count
        self._held: set[Credit] = set()
        self._of: Counter[str] = Counter()
        self._waiting: dict[asyncio.Future[None], str] = {}

    @asynccontextmanager
    async def one(self, caller: str = "") -> AsyncIterator[Credit]:
        """Give a caller a credit, once there is one; it is given back in the end."""
        await self._take(caller)
        with self.holding(caller) as credit:
            yield credit

    @contextmanager
    def holding(self, caller: str = "") -> Iterator[Credit]:
        """Hold a credit that was taken already."""
        task = asyncio.current_task()
        assert task is not None  # the loop runs this in a task
        credit = Credit(task, caller, self.monotonic())
        self._held.add(credit)
        self._of[caller] += 1
        self.move(credit)
        try:
            yield credit
        finally:
            self._held.discard(credit)
            _forget_one(self._of, caller)
            if credit.timer is not None:
                credit.timer.cancel()
            self.give_back()

    def move(self, credit: Credit, new: int = 0) -> None:
        """Note that something moves under a credit: so many bytes that were not here before."""
        credit.moved = self.monotonic()
        credit.new = min(credit.new + new, LARGEST_CHUNK)
        if credit.timer is not None:
            credit.timer.cancel()
        loop = asyncio.get_running_loop()
        credit.timer = loop.call_later(MOST_HELD_SECONDS, credit.task.cancel, GAVE_WAY)

    def give_back(self) -> None:
        """Give a credit to who has fewest, of these to who has waited longest; or keep it."""
        self.free += 1
        while self._waiting and self.free:
            # The first of the fewest: a dict is in the order of asking.
            waiter = min(self._waiting, key=lambda each: self._of[self._waiting[each]])
            del self._waiting[waiter]
            if not waiter.done():
                self.free -= 1
                waiter.set_result(None)

    async def _take(self, caller: str = "") -> None:
        if self.free == 0:
            self.reclaim()
        if self.free and not self._waiting:
            self.free -= 1
            return
        waiter = asyncio.get_running_loop().create_future()
        self._waiting[waiter] = caller
        try:
            while not waiter.done():
                await asyncio.wait({waiter}, timeout=self._seconds_to_wait())
                if not waiter.done():
                    self._interrupt()
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self.give_back()
            self._waiting.pop(waiter, None)
            waiter.cancel()
            raise

    def _seconds_to_wait(self) -> float:
        until, _ = self._first_to_end()
        return min(max(until - self.monotonic(), 0.05), self.patience_seconds)

    def _interrupt(self) -> None:
        """End the stream that should have given its credit back first, if it is time."""
        until, first = self._first_to_end()
        if first is not None and until <= self.monotonic():
            self._held.discard(first)  # once is enough: its end gives the credit back
            first.task.cancel(GAVE_WAY)

    def _first_to_end(self) -> tuple[float, Credit | None]:
        """Return whose credit another may have first, and from when on."""
        share = max(1, self.count // LARGEST_SHARE)
        if all(self._of[each] >= share for each in self._waiting.values()):
            share = self.count  # nobody waits who has less
        found = ((self._until(each, share), each) for each in self._held)
        return min(found, key=lambda each: each[0], default=(0.0, None))

    def _until(self, credit: Credit, share: int) -> float:
        """Return until when a credit may be kept while another waits for one."""
        if self._of[credit.caller] > share:
            return credit.taken + self.patience_seconds
        seconds = SLOWEST_CHUNK_SECONDS * credit.new / LARGEST_CHUNK
        return min(credit.moved, credit.taken + seconds) + self.patience_seconds


@dataclass(eq=False)
class Partial:
    """What is here of one chunk of one caller's upload; in memory only."""

    place: tuple[int, int, int]
    length: int
    most: int = 0
    body: bytearray = field(default_factory=bytearray, repr=False)


class Transfers:
    """The data plane: every upload and download goes through here, and nothing else does."""

    def __init__(
        self, in_flight_mebibytes: int, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        each_way = in_flight_mebibytes // 2
        self.downloads = Credits(each_way, MOST_FETCHING_SECONDS, monotonic)
        self.uploads = Credits(each_way, MOST_SENDING_SECONDS, monotonic, self._forget_oldest)
        # More threads than processors: most of the time they wait for the disk.
        workers = min(16, 2 * (os.cpu_count() or 1) + 2)
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="chunks")
        self._streams: Counter[str] = Counter()
        self._sending: Counter[str] = Counter()
        self._partials: dict[str, Partial] = {}
        # Each of these has a credit: nobody sends it just now, and its sender may come back.
        self._idle: OrderedDict[str, None] = OrderedDict()

    async def run(
        self, work: Callable[_Args, _Answer], *args: _Args.args, **kwargs: _Args.kwargs
    ) -> _Answer:
        """Return what `work` gives, done on a thread for chunks."""
        assert not kwargs  # executors take none
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, work, *args)

    @contextmanager
    def stream(self, caller: str) -> Iterator[None]:
        """Count one stream of a caller while it is open.

        Raises:
            Unavailable: the caller has too many; one of them must end first.
        """
        if self._streams[caller] >= STREAMS_OF_A_CALLER:
            raise Unavailable(f"{caller}: {STREAMS_OF_A_CALLER} streams are open, no more may be")
        self._streams[caller] += 1
        try:
            yield
        finally:
            _forget_one(self._streams, caller)

    @asynccontextmanager
    async def sending(self, caller: str) -> AsyncIterator[Credit]:
        """Give the credit for one chunk of a caller's upload: the one of what is here of it."""
        if caller in self._idle:
            del self._idle[caller]
        else:
            await self.uploads._take(caller)
        self._sending[caller] += 1
        try:
            with self.uploads.holding(caller) as credit:
                yield credit
        finally:
            _forget_one(self._sending, caller)
            self._keep_idle(caller)

    async def arriving(
        self, caller: str, requests: AsyncIterator[_Answer]
    ) -> AsyncGenerator[_Answer, None]:
        """Yield the messages of a caller's stream, each read only when there is a credit for it."""
        while True:
            async with self.uploads.one(caller):
                part = await anext(requests, None)
                if part is None:
                    return
                yield part

    def held(self, caller: str, number: int, chunks: Sequence[int]) -> int:
        """Return the bytes that are here, of a round's upload, of the chunk that is next.

        Args:
            chunks: how many chunks of each piece are durable.
        """
        partial = self._partials.get(caller)
        if partial is None or partial.place not in [(number, *each) for each in enumerate(chunks)]:
            return 0
        return len(partial.body)

    def add(
        self,
        caller: str,
        place: tuple[int, int, int],
        offset: int,
        length: int,
        part: bytes,
        credit: Credit | None = None,
    ) -> bytes | None:
        """Put a part of a chunk behind what is here; return the chunk once it is whole.

        Args:
            place: round, piece and chunk.
            offset: bytes of the chunk before this part.
            length: bytes of the whole chunk.
            credit: under which it came; only bytes that were not here before keep it.

        Raises:
            PeerUnreachable: what was before it is not here, or not any more; begin again.
            MalformedMessage: no chunk has such a part.
        """
        partial = self._partials.get(caller)
        if partial is None or (partial.place, partial.length) != (place, length):
            partial = Partial(place, length)
        elif offset == 0:
            partial = Partial(place, length, partial.most)
        end, here = offset + len(part), len(partial.body)
        if not part or not end <= length <= LARGEST_CHUNK:
            raise MalformedMessage(f"{caller}: bytes {offset} to {end} of a chunk of {length}")
        if offset != here:
            # Memory of what is here ends with a process, or goes to who needs it more.
            raise PeerUnreachable(
                f"{caller}: bytes {offset} to {end} of a chunk of which {here} are here; "
                "ask again where to go on"
            )
        partial.body += part
        if credit is not None and end > partial.most:
            self.uploads.move(credit, end - partial.most)
        partial.most = max(partial.most, end)
        if end < length:
            self._partials[caller] = partial
            return None
        self._partials.pop(caller, None)
        return bytes(partial.body)

    def close(self) -> None:
        """End the threads, once what they do is done."""
        self._threads.shutdown(wait=False)

    def _keep_idle(self, caller: str) -> None:
        # What is left of a cut upload stays until somebody needs its room.
        if caller in self._partials and not self._sending[caller] and self.uploads.free:
            self.uploads.free -= 1
            self._idle[caller] = None
        elif not self._sending[caller]:
            self._partials.pop(caller, None)

    def _forget_oldest(self) -> bool:
        if not self._idle:
            return False
        caller, _ = self._idle.popitem(last=False)
        self._partials.pop(caller, None)
        self.uploads.give_back()
        return True


def _forget_one(counter: Counter[str], caller: str) -> None:
    counter[caller] -= 1
    if not counter[caller]:
        del counter[caller]
