"""Letters to one seat, in their order: each is handed in until the coordinator has it."""

import asyncio
from collections import deque
from typing import Final

from participant.wire.letters import Mailbox
from privacy.errors import Unavailable

from .handshake import BrokenOff

_WAIT_SECONDS: Final = 0.25


class Posting:
    """What one seat still has to send to another in one session."""

    def __init__(self, mailbox: Mailbox, recipient: str) -> None:
        self._mailbox, self._recipient = mailbox, recipient
        self._waiting: deque[tuple[str, bytes, asyncio.Future[None]]] = deque()
        self._some = asyncio.Event()
        self._over = False

    @property
    def idle(self) -> bool:
        """Whether all that was put here is with the coordinator."""
        return not self._waiting

    def put(self, topic: str, body: bytes) -> asyncio.Future[None]:
        """Take a letter; the result says when the coordinator has it.

        Raises:
            BrokenOff: the session is over.
        """
        if self._over:
            raise BrokenOff("the session is over")
        taken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((topic, body, taken))
        self._some.set()
        return taken

    async def run(self) -> None:
        """Hand in what is put here, for ever."""
        while True:
            await self._some.wait()
            topic, body, taken = self._waiting[0]
            await self._hand_in(topic, body)
            # Only now: what is under way is not idle.
            self._waiting.popleft()
            if not self._waiting:
                self._some.clear()
            if not taken.done():
                taken.set_result(None)

    def end(self) -> None:
        """Take nothing more, and let nobody wait for what was taken."""
        self._over = True
        for _, _, taken in self._waiting:
            taken.cancel()

    async def _hand_in(self, topic: str, body: bytes) -> None:
        while True:
            try:
                await self._mailbox.post(self._recipient, topic, body)
            except Unavailable:
                # A letter that comes twice does no harm; one that is left out ends the session.
                await asyncio.sleep(_WAIT_SECONDS)
            else:
                return
