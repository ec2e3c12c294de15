"""A seat takes contributions: it fetches each one's part and holds it against its signed roots.

Chunk by chunk, in a thread: memory does not depend on the model or on how many sites there
are. What was taken is on disk, so a fetch that was cut goes on where it stopped. The seat that
does not hold the component that travels expands two secrets, and fetches no payload.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import structlog

from participant.opening.frozen import check_header
from participant.pace import Pace, say_in_log
from participant.wire.seat_calls import SeatCalls
from privacy.documents import Signed
from privacy.errors import (
    IllegalEvent,
    MalformedMessage,
    PeerUnreachable,
    PrivacyError,
    ProtocolError,
    RootMismatch,
    StoreUnavailable,
    WrongContext,
)
from privacy.failpoints import Step, pass_by
from privacy.growth import check_grown, seen_in
from privacy.identifiers import sha256_hex
from privacy.merkle import GrowingTree
from privacy.plan import Plan
from privacy.records import Entry, Refused, SharedContribution
from privacy.roster import Roster
from privacy.schemes.keystream import UpdateContext
from privacy.schemes.shares.layout import held_by
from privacy.schemes.shares.seat_sum import takes_payload
from privacy.schemes.shares.sharing import open_as_seat
from privacy.sealing import HpkeKeyPair

from .holding import Held
from .memory import SeatMemory
from .parts import Part, Parts

log = structlog.get_logger()

RESUME_SECONDS = 0.5
LONGEST_REASON = 300


class Taking:
    """One update on its way in: each chunk's roots go into a tree for each component."""

    def __init__(self, held: Held, chunks: int) -> None:
        self.held = held
        self.chunk = 0
        self._chunks = chunks
        self._trees = (GrowingTree(), GrowingTree())

    @property
    def complete(self) -> bool:
        """True once every chunk is taken."""
        return self.chunk == self._chunks

    def take(self, payload: bytes | None) -> None:
        """Take the next chunk.

        Raises:
            MalformedMessage: there are too many, or it does not open at its place.
        """
        if self.complete:
            raise MalformedMessage(f"{self._name}: more chunks than the plan's {self._chunks}")
        roots = self.held.roots_of(self.chunk, payload)
        for tree, root in zip(self._trees, roots, strict=True):
            tree.add(root)
        self.chunk += 1

    def check(self) -> None:
        """Return if both components are those that the site has signed.

        Raises:
            RootMismatch: one is not.
        """
        for component, tree in zip(held_by(self.held.seat), self._trees, strict=True):
            if tree.root().hex() != self.held.header.roots[component]:
                raise RootMismatch(
                    f"component {component} of {self._name}, as this seat has it, does not lead "
                    "to the root that the site has signed"
                )

    @property
    def _name(self) -> str:
        return self.held.header.participant


@dataclass
class Acceptance:
    """What one seat has taken, and refused, of one round.

    Promises who adds what it gives that both components of it are those whose roots its site
    has signed, for this round, and sealed to this seat; and that no site signed it with an older
    privacy ledger than this seat has seen of it.
    """

    plan: Plan
    roster: Roster
    seat: int
    pair: HpkeKeyPair = field(repr=False)
    calls: SeatCalls
    parts: Parts
    memory: SeatMemory
    step: Step = pass_by

    def __post_init__(self) -> None:
        self._found: dict[str, Held | Refused] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    @property
    def found(self) -> frozenset[str]:
        """Whose contributions are taken or refused."""
        return frozenset(self._found)

    async def accept(self, participant: str) -> Held | Refused:
        """Return a site's contribution, taken and checked, or why it is refused.

        Raises:
            IllegalEvent: the coordinator does not hand it out in this phase.
            Unavailable: not now; what has been taken stays.
        """
        async with self._locks.setdefault(participant, asyncio.Lock()):
            known = self._found.get(participant)
            if isinstance(known, Held) and known.lost:
                self._found.pop(participant)
                await asyncio.to_thread(known.part.erase)
            if participant not in self._found:
                self._found[participant] = await self._accept(participant)
            return self._found[participant]

    async def accept_entry(self, entry: Entry) -> Held | Refused:
        """Return the contribution that candidates or a cohort name; as `accept`."""
        found = await self.accept(entry.participant)
        if isinstance(found, Held) and found.digest != entry.contribution:
            found.lost = True
            found = await self.accept(entry.participant)
        if isinstance(found, Held) and found.digest != entry.contribution:
            reason = f"{entry.participant}: another contribution is handed out than is named"
            return Refused(entry.participant, WrongContext.code, reason)
        return found

    async def _accept(self, participant: str) -> Held | Refused:
        try:
            held = await self._take(participant)
        except IllegalEvent:
            raise
        except (ProtocolError, PrivacyError) as error:
            await asyncio.to_thread(self.parts.of(participant).erase)
            log.error(
                "part_refused",
                round=self.plan.terms.round,
                participant=participant,
                code=error.code,
                reason=str(error),
            )
            return Refused(participant, error.code, str(error)[:LONGEST_REASON])
        self.memory.sees_ledger(participant, seen_in(held.header))
        log.info("part_accepted", round=self.plan.terms.round, participant=participant)
        return held

    async def _take(self, participant: str) -> Held:
        part = self.parts.of(participant)
        taking = await self._from_disk(participant, part)
        while taking is None or not taking.complete:
            reached = -1 if taking is None else taking.chunk
            taking = await self._fetch(participant, part, taking)
            if not taking.complete and taking.chunk == reached:
                raise MalformedMessage(f"{participant}: no chunk {reached} among its chunks")
        taking.check()
        return taking.held

    # -- from this disk ------------------------------------------------------------

    async def _from_disk(self, participant: str, part: Part) -> Taking | None:
        """Return what an earlier process took, opened again, or None if there is nothing."""
        begun = await asyncio.to_thread(part.begun)
        if begun is None:
            return None
        try:
            taking = self._open(participant, part, *begun)
            for chunk in range(part.reached()):
                await asyncio.to_thread(_take_from, part, chunk, taking)
            if taking.complete:
                taking.check()
        except (ProtocolError, StoreUnavailable) as error:
            # This disk may be at fault, and not the site: all of it is fetched again.
            log.warning("part_damaged", participant=participant, reason=str(error))
            await asyncio.to_thread(part.erase)
            return None
        return taking

    def _open(self, participant: str, part: Part, header: Signed, sealed: bytes) -> Taking:
        checked = check_header(self.plan, participant, header, self.roster)
        assert isinstance(checked, SharedContribution)  # the plan is of that scheme
        check_grown(participant, seen_in(checked), self.memory.ledger_seen(participant))
        if sha256_hex(sealed) != checked.seals[self.seat].sealed:
            raise MalformedMessage(f"{participant}: not the sealed secrets that it has signed")
        terms = self.plan.terms
        context = UpdateContext(terms.federation, terms.round, participant)
        secrets = open_as_seat(self.pair, context, self.seat, sealed)
        return Taking(Held(self.plan, checked, secrets, part), self.plan.arithmetic.chunks)

    # -- from the coordinator ------------------------------------------------------

    async def _fetch(self, participant: str, part: Part, taking: Taking | None) -> Taking:
        """Fetch what is missing, as far as the stream goes.

        Raises:
            PeerUnreachable: the connection was cut before anything came.
        """
        if taking is None or takes_payload(self.seat):
            number, reached = self.plan.terms.round, 0 if taking is None else taking.chunk
            async with self.calls.part(number, participant, reached) as coming:
                if taking is None:
                    taking = self._open(participant, part, coming.header, coming.sealed)
                    await asyncio.to_thread(part.begin, coming.header, coming.sealed)
                if takes_payload(self.seat):
                    await self._fill(taking, part, coming.chunks)
        if not takes_payload(self.seat):
            while not taking.complete:
                await asyncio.to_thread(taking.take, None)
        return taking

    async def _fill(self, taking: Taking, part: Part, chunks: AsyncIterator[bytes]) -> None:
        say = say_in_log("fetching_part", self.plan.terms.round)
        pace = Pace(self.plan.arithmetic.chunks, say, taking.chunk)
        out = await asyncio.to_thread(part.append_from, taking.chunk)

        def take(payload: bytes) -> None:
            taking.take(payload)
            out.add(payload)

        reached = taking.chunk
        try:
            async for payload in chunks:
                await asyncio.to_thread(take, payload)
                self.step("seat.after_part_chunk")
                pace.step(len(payload))
        except PeerUnreachable as error:
            if taking.chunk == reached:
                raise
            log.info("resuming", round=self.plan.terms.round, reason=str(error))
            await asyncio.sleep(RESUME_SECONDS)
        finally:
            await asyncio.to_thread(out.close)


def _take_from(part: Part, chunk: int, taking: Taking) -> None:
    taking.take(part.payload(chunk) if takes_payload(taking.held.seat) else None)
