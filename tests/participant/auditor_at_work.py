"""An auditor with its real memory and reports, before a coordinator that a test scripts."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from participant.auditing.auditor import Auditor
from participant.auditing.config import AuditorConfig, AuditorPolicy
from participant.auditing.memory import AuditMemory
from participant.auditing.report import Reports
from participant.config import CoordinatorAddress
from participant.view import KeyState, RoundView, View
from participant.wire.patience import Patience
from privacy import canonical
from privacy.documents import Signed
from privacy.errors import NotYet, PeerUnreachable
from privacy.failpoints import Failpoints
from privacy.records import Sum
from privacy.roster import SignedRoster
from privacy.signing import Purpose, sign
from tests.participant import signed_round as made
from tests.participant.agent_at_work import Showing

Chunks = Callable[[str], tuple[bytes, ...]]


class Audited(Showing):
    """A coordinator that streams contributions as it is told to, and keeps countersignatures."""

    def __init__(self) -> None:
        super().__init__()
        self.payloads: dict[int, Chunks] = {}
        self.countersigned: dict[int, bytes] = {}
        self.streams: list[tuple[int, int]] = []
        self.breaks: list[int] = []
        self.ends: list[int] = []
        self.history = [SignedRoster(made.roster(), _founders())]
        self.view = View()
        self.watched: list[tuple[int, ...]] = []

    def audits(self, of: "made.Round", payloads: Chunks | None = None) -> None:
        """Show a frozen round, and stream its contributions, or these."""
        self.shows(of)
        number = of.plan.terms.round
        self.payloads[number] = payloads or of.payloads
        self.view = View(1, (RoundView(number, "auditing", "", (), "", (), (), "", (), "watch"),))

    @asynccontextmanager
    async def sum(
        self, number: int, from_chunk: int = 0
    ) -> AsyncIterator[tuple[Signed, AsyncIterator[bytes]]]:
        async with super().sum(number, from_chunk) as (manifest, chunks):
            signatures = dict(manifest.signatures)
            if number in self.countersigned:
                signatures["watch"] = self.countersigned[number]
            yield Signed(manifest.body, signatures), chunks

    @asynccontextmanager
    async def contributions(
        self, number: int, from_chunk: int = 0
    ) -> AsyncIterator[AsyncIterator[tuple[int, str, bytes]]]:
        if number not in self.payloads:
            raise NotYet(f"the contributions of round {number} are erased")
        self.streams.append((number, from_chunk))
        yield self._contributions(number, from_chunk)

    async def _contributions(
        self, number: int, from_chunk: int
    ) -> AsyncIterator[tuple[int, str, bytes]]:
        names = [each.participant for each in _cohort(self, number).entries]
        breaks = self.breaks.pop(0) if self.breaks else None
        ends = self.ends.pop(0) if self.ends else None
        count = 0
        for chunk in range(from_chunk, 2):
            for name in names:
                if count == breaks:
                    raise PeerUnreachable("the stream broke")
                if count == ends:
                    return
                yield chunk, name, self.payloads[number](name)[chunk]
                count += 1

    async def countersign(self, number: int, signature: bytes) -> None:
        if "countersign" in self.fails:
            raise self.fails["countersign"]
        self.countersigned[number] = signature

    async def roster(self, fingerprint: str | None = None) -> list[SignedRoster]:
        return self.history

    async def watch(self, seen: int, working_on: Any, wait_seconds: float) -> View:
        self.watched.append(tuple(working_on))
        await asyncio.sleep(0.01)
        number = next(iter(self.payloads), 0)
        over = number in self.countersigned or number in dict(self.refused)
        return View(2, (), finished=True) if over else self.view


def _cohort(shown: Showing, number: int) -> made.Cohort:
    return canonical.decode(shown.cohorts[number][0].body, made.Cohort)


def _founders() -> dict[str, bytes]:
    body = canonical.encode(made.roster())
    names = [member.participant for member in made.roster().members]
    return {name: sign(made.keys(name).signing, Purpose.ROSTER, body) for name in names}


def config(folder: Path, name: str = "watch", **policy: Any) -> AuditorConfig:
    """An auditor's settings, whose coordinator is nowhere."""
    nowhere = CoordinatorAddress("127.0.0.1:1", Path("none"), Path("none"))
    accepted = {"roster": made.roster().digest(), "schemes": (made.CKKS,), "smallest_cohort": 3}
    return AuditorConfig(
        made.FEDERATION, name, folder, nowhere, AuditorPolicy(**(accepted | policy))
    )


class NoPatience(Patience):
    """Waits for nothing, and notes what it would have waited for."""

    def __init__(self) -> None:
        super().__init__(os.urandom)
        self.waited: list[str] = []

    async def wait(self, error: Exception) -> None:
        self.waited.append(str(error))


def auditor(
    folder: Path, shown: Audited, failpoints: Failpoints | None = None, **policy: Any
) -> tuple[Auditor, AuditMemory]:
    """An auditor, and its memory, as they are when its process has just started."""
    key = made.keys("watch").signing
    at_work = Auditor(
        config(folder, **policy),
        key,
        shown,  # type: ignore[arg-type]
        made.roster(),
        Reports(folder / "reports", key),
        NoPatience(),
        time.monotonic,
        failpoints or Failpoints(),
    )
    return at_work, AuditMemory(folder)


def with_sum(of: "made.Round", chunks: tuple[bytes, ...], **other: Any) -> Signed:
    """The manifest of a sum that a coordinator makes up for a round's cohort."""
    said = {"root": made.root_of(chunks), "length": sum(map(len, chunks))}
    return made.by_coordinator(msgspec.structs.replace(of.sum, **(said | other)))


def manifest_of(shown: Audited, number: int) -> Sum:
    """What the coordinator says the sum of a round is."""
    return canonical.decode(shown.sums[number][0].body, Sum)


def key_state(number: int, record: Signed | None = None) -> KeyState:
    """The key of a round as an auditor gets it: nothing is sealed to it."""
    record = record or made.signed_by(made.key_record(number), "amber", "birch")
    return KeyState(b"", record, made.cohort_key().public, b"")
