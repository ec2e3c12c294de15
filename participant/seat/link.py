"""What a session gives to code that blocks: messages to and from the two other seats.

The code runs in a thread; letters move in the process's event loop. When the session ends,
whatever the thread waits for ends too, with the reason.
"""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any

from privacy.schemes.shares.replicated import PairSecrets

from .handshake import BrokenOff


class SeatLink:
    """The link of one seat in one session; `privacy.mpc.link.Link` for code in a thread."""

    def __init__(
        self,
        others: tuple[int, ...],
        post: Callable[[int, bytes], Coroutine[Any, Any, None]],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._post, self._loop = post, loop
        self._came: dict[int, SimpleQueue[bytes | None]] = {seat: SimpleQueue() for seat in others}
        self._over: BrokenOff | None = None

    def send(self, to_seat: int, body: bytes) -> None:
        """Send a message; returns when the coordinator has it, and does not wait for the seat.

        Raises:
            BrokenOff: the session is over.
        """
        self.check()
        try:
            asyncio.run_coroutine_threadsafe(self._post(to_seat, body), self._loop).result()
        except CancelledError:
            raise BrokenOff("the session is over") from None

    def receive(self, from_seat: int) -> bytes:
        """Return a seat's next message; wait as long as the session lasts.

        Raises:
            BrokenOff: the session is over.
        """
        body = self._came[from_seat].get()
        if body is None:
            self._came[from_seat].put(None)  # for whoever asks again
            self.check()
        assert body is not None, "only a session that is over puts nothing there"
        return body

    def check(self) -> None:
        """Return if the session lasts; long work asks now and then.

        Raises:
            BrokenOff: the session is over.
        """
        if self._over is not None:
            raise self._over

    # -- called from the event loop -------------------------------------------------

    def deliver(self, from_seat: int, body: bytes) -> None:
        """Hand over a message."""
        self._came[from_seat].put(body)

    def close(self, reason: str) -> None:
        """End the session for the thread."""
        self._over = self._over or BrokenOff(reason)
        for came in self._came.values():
            came.put(None)


@dataclass(frozen=True, slots=True)
class Session:
    """What work in a session has: who it is, whom it talks to, and secrets with each.

    Attributes:
        seat: this seat's number.
        name: of the session, 32 bytes; no two sessions have the same.
        pairs: fresh secrets, for this session only; secret c is that of component c's holders.
    """

    seat: int
    name: bytes
    link: SeatLink
    pairs: PairSecrets = field(repr=False)
