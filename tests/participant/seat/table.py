"""Three seats at one relay in memory, each with its own keys; a test may touch their letters."""

import asyncio
import hashlib
import os
from collections import defaultdict
from collections.abc import Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import cache

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from participant.joining.found import entry
from participant.keys import SiteKeys
from participant.seat.handshake import Meeting
from participant.seat.party import Party
from participant.wire.letters import Letter, Mailbox
from participant.wire.patience import Patience
from privacy.errors import Unavailable
from privacy.roster import Roster
from privacy.sealing import HpkeKeyPair
from privacy.signing import public_bytes

FEDERATION = "oncology"
SEATS = ("north", "south", "west")
TRAINERS = ("amber", "birch", "cedar", "delta")
COORDINATOR_KEY = Ed25519PrivateKey.from_private_bytes(b"c" * 32)
MEETING = Meeting(FEDERATION, 3, "norms", "ab" * 32, SEATS)

Carry = Callable[[str, str, str, bytes], list[bytes]]
"""From sender, recipient, topic and body of a letter to the bodies that arrive."""


@cache
def keys(name: str) -> SiteKeys:
    """The keys of one member, the same in every process of a test."""
    seed = hashlib.sha256(name.encode()).digest()
    signing = Ed25519PrivateKey.from_private_bytes(seed)
    return SiteKeys(generate_private_key(SECP256R1()), signing, HpkeKeyPair(seed))


@cache
def roster() -> Roster:
    """Three seats and four trainers, each of its own organisation."""
    roles = {**dict.fromkeys(SEATS, "aggregator"), **dict.fromkeys(TRAINERS, "trainer")}
    members = tuple(
        entry(keys(name), name, f"{name} office", "", (role,))
        for name, role in sorted(roles.items())
    )
    return Roster(FEDERATION, 0, public_bytes(COORDINATOR_KEY), members)


def as_they_are(sender: str, recipient: str, topic: str, body: bytes) -> list[bytes]:
    """Carry a letter."""
    return [body]


@dataclass
class Relay:
    """A relay as the coordinator's: boxes in memory, numbered, and lost when it starts again."""

    carry: Carry = as_they_are
    epoch: int = 1
    posted: list[tuple[str, str, str, bytes]] = field(default_factory=list)
    down: bool = False

    def __post_init__(self) -> None:
        self._boxes: defaultdict[str, list[Letter]] = defaultdict(list)
        self._some = asyncio.Event()
        self._number = 0

    async def post(self, sender: str, recipient: str, topic: str, body: bytes) -> None:
        self._require_up()
        assert len(body) <= 1 << 20
        self.posted.append((sender, recipient, topic, body))
        for arriving in self.carry(sender, recipient, topic, body):
            self._number += 1
            self._boxes[recipient].append(Letter(self._number, sender, topic, arriving))
        self._some.set()
        self._some = asyncio.Event()

    async def collect(self, caller: str, after: int, wait: float) -> tuple[int, list[Letter]]:
        self._require_up()
        waiting = [each for each in self._boxes[caller] if each.number > after]
        self._boxes[caller] = waiting
        if not waiting:
            with suppress(TimeoutError):
                async with asyncio.timeout(min(wait, 0.2)):
                    await self._some.wait()
        self._require_up()
        return self.epoch, [each for each in self._boxes[caller] if each.number > after]

    def start_again(self) -> None:
        """Lose all letters, as a coordinator that starts again does."""
        self._boxes.clear()
        self.epoch += 1
        self._number = 0

    def _require_up(self) -> None:
        if self.down:
            raise Unavailable("the relay is down")


@dataclass
class Desk:
    """One member's access to the relay."""

    relay: Relay
    me: str

    async def post(self, recipient: str, topic: str, body: bytes) -> None:
        await self.relay.post(self.me, recipient, topic, body)

    async def collect(self, after: int, wait_seconds: float) -> tuple[int, list[Letter]]:
        return await self.relay.collect(self.me, after, wait_seconds)


@asynccontextmanager
async def mailbox(relay: Relay, name: str):
    """A member's mailbox, collecting."""
    box = Mailbox(Desk(relay, name), Patience(os.urandom))
    collecting = asyncio.create_task(box.run())
    try:
        yield box
    finally:
        collecting.cancel()


def party(box: Mailbox, name: str) -> Party:
    """One seat as it meets others."""
    return Party(box, roster, name, keys(name).signing, keys(name).sealing, os.urandom)


@asynccontextmanager
async def three_parties(relay: Relay):
    """The three seats, each with a mailbox that collects."""
    async with (
        mailbox(relay, SEATS[0]) as a,
        mailbox(relay, SEATS[1]) as b,
        mailbox(relay, SEATS[2]) as c,
    ):
        yield [party(box, name) for box, name in zip((a, b, c), SEATS, strict=True)]
