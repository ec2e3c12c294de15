"""A door to fake nodes, with a clock that only waiting moves."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from eth_account import Account
from eth_account.signers.local import LocalAccount

from tests.chain.fake_node import GWEI, TOKEN, FakeNode
from veilsum.chain.compiled import load
from veilsum.chain.endpoint import Call, Endpoint, Receipt, connect
from veilsum.chain.journal import Entry, FolderJournal

KEY: LocalAccount = Account.from_key(b"\x07" * 32)
CEILING = 100 * GWEI


@dataclass
class Time:
    """Waiting takes no time, and may make something happen."""

    seconds: float = 0.0
    then: list[Callable[[], None]] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        if self.then:
            self.then.pop(0)()

    def now(self) -> float:
        return self.seconds


@dataclass
class Door:
    """One key that sends to fake nodes from one journal."""

    folder: Path
    urls: tuple[str, ...]
    nodes: tuple[FakeNode, ...]
    time: Time = field(default_factory=Time)
    steps: list[str] = field(default_factory=list)

    @property
    def node(self) -> FakeNode:
        return self.nodes[0]

    @property
    def journal(self) -> FolderJournal:
        return FolderJournal(self.folder, lock_seconds=0.2)

    def endpoint(self, **other: object) -> Endpoint:
        second = self.urls[1] if len(self.urls) > 1 else None
        given = {
            "second": second, "patience_seconds": 30.0, "ceiling": CEILING,
            "sleep": self.time.sleep, "clock": self.time.now, "step": self.steps.append,
        }  # fmt: skip
        return connect(self.urls[0], **{**given, **other})

    def send(self, purpose: str = "pay", units: int = 1, **other: object) -> Receipt:
        endpoint = self.endpoint(**other)
        return endpoint.send(KEY, self.journal, purpose, transfer(endpoint, units))

    def post(self, purpose: str, units: int = 1, **other: object) -> None:
        endpoint = self.endpoint(**other)
        endpoint.post(KEY, self.journal, purpose, transfer(endpoint, units))

    def tend(self, **other: object):
        return self.endpoint(**other).tend(KEY, self.journal)

    def open(self) -> tuple[Entry, ...]:
        return self.journal.open(self.endpoint().chain, KEY.address)


def transfer(endpoint: Endpoint, units: int) -> Call:
    token = endpoint.at(load("DemoToken"), TOKEN)
    return token.functions.transfer(KEY.address, units)
