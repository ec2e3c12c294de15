"""Letters between members, kept in memory until they are collected.

Whoever has one outbound connection can still write to others: the coordinator carries, and
sees who writes to whom and how much. What is secret is sealed by who writes. Nothing is
promised: a restart, a few minutes or a full box loses letters, and writers send again.

Memory is bounded whoever floods: a letter counts `LETTER_BYTES` and its body, and one sender
has at most `SENDER_BYTES` waiting, so that all of it is at most that times the members. In
one box there are at most `BOX_BYTES`, and of one sender `LANE_BYTES`: a quarter, so that no
sender takes the room of others; and half of what it may have waiting, so that who does not
collect stops no letters to others.
"""

import asyncio
import os
import re
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from privacy.errors import MalformedMessage, Unavailable
from privacy.sealing import Entropy

LONGEST_BODY: Final = 1 << 20
LETTER_BYTES: Final = 1 << 10
"""What a letter counts besides its body: more than its names and Python's objects take."""

LANE_BYTES: Final = 8 << 20
SENDER_BYTES: Final = 16 << 20
BOX_BYTES: Final = 32 << 20
KEPT_SECONDS: Final = 300.0
MOST_AT_ONCE: Final = 1 << 20
"""Bytes that are collected in one answer, or one letter."""

_TOPIC: Final = re.compile(r"[a-z0-9/-]{1,128}")
_NUMBER_BITS: Final = 32


@dataclass(frozen=True, slots=True)
class Letter:
    """A letter in a box: its number there, who handed it in, what about, and when."""

    number: int
    sender: str
    topic: str
    body: bytes = field(repr=False)
    at: float

    def cost(self) -> int:
        """Return the bytes it counts."""
        return LETTER_BYTES + len(self.body)


class Box:
    """The letters that wait for one member, oldest first."""

    def __init__(self, before_first: int) -> None:
        self.letters: deque[Letter] = deque()
        self.lanes: Counter[str] = Counter()
        self.arrived = asyncio.Event()
        self._last = before_first

    def add(self, sender: str, topic: str, body: bytes, at: float) -> Letter:
        """Put a letter behind the others, and wake who waits for one."""
        self._last += 1
        letter = Letter(self._last, sender, topic, body, at)
        self.letters.append(letter)
        self.lanes[sender] += letter.cost()
        self.arrived.set()
        # Who waited holds the old event; who comes now waits for the next letter.
        self.arrived = asyncio.Event()
        return letter

    def take_oldest(self) -> Letter:
        """Remove the oldest letter and return it."""
        letter = self.letters.popleft()
        self.lanes[letter.sender] -= letter.cost()
        if not self.lanes[letter.sender]:
            del self.lanes[letter.sender]
        return letter

    def first(self) -> list[Letter]:
        """Return the oldest letters that fit into one answer."""
        found: list[Letter] = []
        room = MOST_AT_ONCE
        for letter in self.letters:
            room -= letter.cost()
            if found and room < 0:
                break
            found.append(letter)
        return found


@dataclass
class Relay:
    """Every member's box. Not for threads: all of it runs on the loop, and waits there only.

    `epoch` is drawn at each start. It stands in the upper half of every number, so that a
    number from before a restart acknowledges no letter of this one.
    """

    monotonic: Callable[[], float] = time.monotonic
    entropy: Entropy = field(default=os.urandom, repr=False)

    def __post_init__(self) -> None:
        self.epoch = int.from_bytes(self.entropy(4), "big") >> 1 or 1
        self._boxes: dict[str, Box] = {}
        self._waiting: Counter[str] = Counter()
        self._ended = False

    def end(self) -> None:
        """Let nobody wait for a letter any more: this process is about to stop."""
        self._ended = True
        for box in self._boxes.values():
            box.arrived.set()

    def post(self, sender: str, recipient: str, topic: str, body: bytes) -> None:
        """Take a letter for another member.

        Args:
            sender: whom the certificate names.
            recipient: a member of the roster.

        Raises:
            MalformedMessage: a topic or a body that no letter has.
            Unavailable: too much waits for the recipient, or of the sender; try again.
        """
        if _TOPIC.fullmatch(topic) is None:
            raise MalformedMessage(f"{topic[:40]!r} is no topic: at most 128 of a-z, 0-9, - and /")
        if len(body) > LONGEST_BODY:
            raise MalformedMessage(f"a letter of {len(body)} bytes, more than {LONGEST_BODY}")
        self._expire()
        box = self._box(recipient)
        self._require_room(box, sender, recipient, LETTER_BYTES + len(body))
        letter = box.add(sender, topic, body, self.monotonic())
        self._waiting[sender] += letter.cost()

    async def collect(self, recipient: str, after: int, seconds: float) -> list[Letter]:
        """Return the oldest letters that wait for a member; wait for one as long as it says.

        Args:
            after: number of the last letter that it has; those up to it are dropped.
            seconds: anything but a positive number is no wait.
        """
        box = self._box(recipient)
        self._drop_to(box, after)
        self._expire()
        try:
            # Written so that a NaN, whose comparisons are all false, is no wait either.
            async with asyncio.timeout(seconds if seconds > 0 else 0.0):
                while not box.letters and not self._ended:
                    await box.arrived.wait()
        except TimeoutError:
            return []
        return box.first()

    def waiting_bytes(self) -> int:
        """Return what all letters count that wait."""
        return self._waiting.total()

    def _box(self, recipient: str) -> Box:
        # Members only, so there are no more boxes than members.
        if recipient not in self._boxes:
            self._boxes[recipient] = Box(self.epoch << _NUMBER_BITS)
        return self._boxes[recipient]

    def _require_room(self, box: Box, sender: str, recipient: str, cost: int) -> None:
        for waiting, most, where in (
            (box.lanes[sender], LANE_BYTES, f"of {sender} for {recipient}"),
            (box.lanes.total(), BOX_BYTES, f"for {recipient}"),
            (self._waiting[sender], SENDER_BYTES, f"of {sender}"),
        ):
            if waiting + cost > most:
                raise Unavailable(f"letters {where}: {waiting} bytes wait, at most {most} may")

    def _drop_to(self, box: Box, after: int) -> None:
        if after >> _NUMBER_BITS != self.epoch:
            return
        while box.letters and box.letters[0].number <= after:
            self._forget(box)

    def _expire(self) -> None:
        until = self.monotonic() - KEPT_SECONDS
        for box in self._boxes.values():
            while box.letters and box.letters[0].at <= until:
                self._forget(box)

    def _forget(self, box: Box) -> None:
        letter = box.take_oldest()
        self._waiting[letter.sender] -= letter.cost()
        if not self._waiting[letter.sender]:
            del self._waiting[letter.sender]
