"""What an auditor asks the two holders of a disputed component, and how long it waits for each.

Both are asked at the same time, so that neither knows what the other shows. Letters get lost: a
question is asked again until its answer is there. A holder that says nothing for as long as the
plan waits for a sign of life, or only that it is at work for half as long as a round may stand
still, withholds what it was asked. A time in which the coordinator cannot be reached is nobody's
silence.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

import structlog

from participant.keys import SiteKeys
from participant.wire.disputing import ASK, SHOWN, WORKING, Case, Shows, Wanted, ask, read_shown
from participant.wire.letters import Letter, Mailbox, Waiter
from participant.wire.patience import Patience
from privacy.errors import NotYet, ProtocolError, RootMismatch, Unavailable
from privacy.plan import DeadlinePolicy
from privacy.roster import Member
from privacy.schemes.shares.dispute import Dispute, Evidence, Ruling, judge
from privacy.schemes.shares.evidence import (
    ChunkRoots,
    LeafHashes,
    Place,
    ShownLeaf,
    first_difference,
)

log = structlog.get_logger()

ASK_AGAIN_SECONDS: Final = 2.0

Answers = Mapping[str | None, Shows]
"""What a holder shows: of each site, and under None of its own sum."""

_Kind = TypeVar("_Kind", ChunkRoots, LeafHashes, ShownLeaf)


class Limits:
    """How long one holder may be silent, and how long it may take in all.

    By a clock that stands still while the coordinator is away.
    """

    def __init__(self, deadline: DeadlinePolicy, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._longest = float(deadline.abandon_seconds) / 2
        self._silence = min(float(deadline.progress_seconds), self._longest)
        self._began = self._heard = clock()

    def hear(self) -> None:
        """Take note of a sign of life."""
        self._heard = self._clock()

    def passed(self) -> bool:
        """Return whether the holder has used up its time."""
        now = self._clock()
        return now - self._heard >= self._silence or now - self._began >= self._longest

    def away_since(self, when: float) -> None:
        """Count nothing since `when`: nobody could have been heard."""
        lost = self._clock() - when
        self._began, self._heard = self._began + lost, self._heard + lost

    def now(self) -> float:
        """Return the time, in seconds."""
        return self._clock()


@dataclass(frozen=True)
class Holder:
    """One of the two seats, as it is asked."""

    case: Case
    member: Member
    keys: SiteKeys = field(repr=False)
    mailbox: Mailbox
    waiter: Waiter
    patience: Patience
    limits: Limits

    async def ask(self, wanted: Wanted, whose: Sequence[str | None]) -> Answers:
        """Return what the holder shows of `whose`, as much as comes within its time."""
        found: dict[str | None, Shows] = {}
        self.limits.hear()  # it has not been silent before it was asked
        letter: Letter | None = None
        while len(found) < len(whose) and not self.limits.passed():
            if letter is None:
                await self._post(wanted)
            letter = await self._next()
            if letter is not None:
                self._hear(letter, wanted, whose, found)
        return found

    async def _post(self, wanted: Wanted) -> None:
        body = ask(self.case, wanted, self.keys.signing)
        while True:
            began = self.limits.now()
            try:
                await self.mailbox.post(self.case.seat, ASK, body)
            except Unavailable as error:
                await self.patience.wait(error)
                self.limits.away_since(began)
            else:
                return self.patience.reset()

    async def _next(self) -> Letter | None:
        """Return the next letter of the holder, None if none comes for a while."""
        began = self.limits.now()
        try:
            return await asyncio.wait_for(self.waiter.next(), ASK_AGAIN_SECONDS)
        except TimeoutError:
            if self.mailbox.cut_off:
                self.limits.away_since(began)
            return None

    def _hear(
        self,
        letter: Letter,
        wanted: Wanted,
        whose: Sequence[str | None],
        found: dict[str | None, Shows],
    ) -> None:
        if letter.topic == WORKING:
            return self.limits.hear()
        if letter.topic != SHOWN:
            return None
        try:
            answered, site, shows = read_shown(
                letter.body, self.case, self.keys.sealing, self.member
            )
        except ProtocolError as error:
            log.warning("shown_in_vain", seat=self.case.seat, reason=str(error))
            return None
        # What came before is no sign of life: a holder could go on with it for ever.
        if answered == wanted and site in whose and site not in found:
            self.limits.hear()
            found[site] = shows
        return None


@dataclass(frozen=True, slots=True)
class Found:
    """What came of an inquiry: where the two differ, and which of them lied or withheld."""

    place: Place | None
    liars: tuple[int, ...]
    withheld: tuple[int, ...]


@dataclass(frozen=True)
class Inquiry:
    """One dispute, and its two holders."""

    dispute: Dispute
    holders: Mapping[int, Holder]

    async def rule(self) -> Found:
        """Return who is wrong; raises nothing that a holder or the coordinator could cause."""
        roots = await self._roots()
        if len(roots) < len(self.holders):
            return self._withheld(roots)
        chunk = _differ(*(each.roots for each in roots.values()))
        hashes = await self._hashes(chunk, roots)
        if len(hashes) < len(self.holders):
            return self._withheld(hashes)
        leaf = _differ(*(each.hashes for each in hashes.values()))
        place = self.dispute.place(chunk, leaf)
        return self._judged(place, await self._evidence(place))

    async def _roots(self) -> dict[int, ChunkRoots]:
        """Return the roots of each holder that shows those of what it has signed."""
        found = {}
        for seat, answers in (await self._ask_all(Wanted(), (None,))).items():
            roots = _of(answers, None, ChunkRoots)
            if roots and _holds(seat, self.dispute.check_roots, seat, roots):
                found[seat] = roots
        return found

    async def _hashes(self, chunk: int, roots: Mapping[int, ChunkRoots]) -> dict[int, LeafHashes]:
        """Return the hashes of each holder that shows those of one chunk under its roots."""
        found = {}
        for seat, answers in (await self._ask_all(Wanted(chunk), (None,))).items():
            hashes = _of(answers, None, LeafHashes)
            check = self.dispute.check_hashes
            if hashes and _holds(seat, check, seat, chunk, roots[seat], hashes):
                found[seat] = hashes
        return found

    async def _evidence(self, place: Place) -> dict[int, Evidence]:
        """Return what each holder shows of one leaf; `judge` checks it."""
        sites = tuple(self.dispute.sites)
        asked = await self._ask_all(Wanted(place.chunk, place.leaf), (None, *sites))
        return {
            seat: Evidence(
                _of(answers, None, ShownLeaf),
                {site: leaf for site in sites if (leaf := _of(answers, site, ShownLeaf))},
            )
            for seat, answers in asked.items()
        }

    async def _ask_all(self, wanted: Wanted, whose: Sequence[str | None]) -> dict[int, Answers]:
        asked = (holder.ask(wanted, whose) for holder in self.holders.values())
        return dict(zip(self.holders, await asyncio.gather(*asked), strict=True))

    def _judged(self, place: Place, shown: Mapping[int, Evidence]) -> Found:
        try:
            ruling: Ruling = judge(self.dispute, place, shown)
        except NotYet as error:
            # A holder that had shown all it must would have been enough.
            log.warning("cannot_be_judged", reason=str(error))
            return Found(place, (), tuple(self.holders))
        return Found(place, ruling.liars, ruling.withheld)

    def _withheld(self, shown: Mapping[int, object]) -> Found:
        return Found(None, (), tuple(seat for seat in self.holders if seat not in shown))


def _of(answers: Answers, whose: str | None, kind: type[_Kind]) -> _Kind | None:
    found = answers.get(whose)
    return found if isinstance(found, kind) else None


def _holds(seat: int, check: Callable[..., None], *shown: object) -> bool:
    """Return whether what a seat shows passes a check; if not, it is as if it showed nothing."""
    try:
        check(*shown)
    except RootMismatch as error:
        log.warning("shown_in_vain", seat=seat, reason=str(error))
        return False
    return True


def _differ(one: Sequence[bytes], other: Sequence[bytes]) -> int:
    place = first_difference(one, other)
    assert place is not None  # they lead to two different roots, and have been held against them
    return place
