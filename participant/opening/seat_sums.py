"""Fetch what two seats or three state of a round's sum, each component sealed by one of them.

    opening/000002/7be1…/2-1/00000000 …    component 2, as seat 1 sealed it

A statement is a seat's signature on the roots of its two components. Two that say the same of
the one they share name all three roots, and they must be those of the sum's manifest. Words
that do not lead to their seat's own root are that seat's lie: the other holder is asked.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

import structlog

from participant.wire.fetch import fill
from participant.wire.seat_calls import SeatCalls
from privacy import canonical
from privacy.documents import Signed, check_signer
from privacy.errors import (
    MalformedMessage,
    NotYet,
    RootMismatch,
    SeatLied,
    SeatsDisagree,
    Unavailable,
    VeilsumError,
    WrongContext,
    WrongIdentity,
)
from privacy.failpoints import Step, pass_by
from privacy.identifiers import Digest
from privacy.plan import Plan
from privacy.records import SealedWords, SeatSum, digest_of
from privacy.roster import Roster
from privacy.schemes.shares.layout import COMPONENTS, held_by
from privacy.schemes.shares.opening import sum_root
from privacy.sealing import HpkeKeyPair, open_sealed
from privacy.signing import Purpose

from .frozen import Frozen
from .reveal_shares import ComponentOpener, SealedSum
from .sealed_words import key_context
from .spool import Spool, folder_of

log = structlog.get_logger()

ENOUGH = 2
"""Seats that hold all three components between them."""


def check_statement(signed: Signed, plan: Plan, cohort: Digest, roster: Roster) -> SeatSum:
    """Return what a seat of the plan states of a certified cohort's sums.

    Raises:
        WrongIdentity: the plan has no such seat.
        InvalidSignature: the seat has not signed it.
        WrongContext: of another round, plan, cohort or roster, or wrapped for others than
            exactly the roster's trainers.
        MalformedMessage: other components than the seat holds, or another number of chunks.
    """
    stated, terms = canonical.decode(signed.body, SeatSum), plan.terms
    if stated.seat not in terms.seats:
        raise WrongIdentity(f"round {terms.round}: {stated.seat} is no seat of the plan")
    key = roster.member(stated.seat).signing_key
    check_signer(signed, Purpose.SEAT_SUM, stated.seat, key)
    place = (stated.federation, stated.round, stated.plan, stated.cohort, stated.roster)
    if place != (terms.federation, terms.round, plan.digest(), cohort, roster.digest()):
        raise WrongContext(f"round {terms.round}: {stated.seat} states a sum of something else")
    if [wrap.participant for wrap in stated.wraps] != [
        trainer.participant for trainer in roster.trainers()
    ]:
        raise WrongContext(
            f"round {terms.round}: {stated.seat} has not sealed its sum to exactly the trainers"
        )
    held = held_by(terms.seats.index(stated.seat))
    given = tuple(words.component for words in stated.sums)
    if given != held or stated.chunks != plan.arithmetic.chunks:
        raise MalformedMessage(f"round {terms.round}: {stated.seat} states other sums than its own")
    return stated


def agreeing(
    plan: Plan, frozen: Frozen, statements: Sequence[Signed], roster: Roster
) -> tuple[SeatSum, ...]:
    """Return the statements, two or three, whose roots are those of the sum's manifest.

    Raises:
        NotYet: fewer than two seats have stated their sums.
        SeatsDisagree: no two say the same that the manifest says; names two that differ.
        RootMismatch: the manifest is of another sum than the seats'.
        MalformedMessage: two statements of one seat. As `check_statement`, where that leaves
            fewer than two.
    """
    stated = _checked(plan, digest_of(frozen.cohort), statements, roster)
    if len({each.seat for each in stated}) != len(stated):
        raise MalformedMessage(f"round {plan.terms.round}: two statements of one seat")
    for one, other in combinations(stated, ENOUGH):
        roots = {**_roots(one), **_roots(other)}
        if not _same(one, other) or _manifest_root(roots) != frozen.sum.root:
            continue
        found = tuple(each for each in stated if _roots(each).items() <= roots.items())
        for liar in (each.seat for each in stated if each not in found):
            log.warning("seat_disagrees", round=plan.terms.round, seat=liar)
        return found
    raise _disagreement(plan, stated)


def _checked(
    plan: Plan, cohort: Digest, statements: Sequence[Signed], roster: Roster
) -> list[SeatSum]:
    # One seat that states nonsense must not keep two others from being opened.
    found: list[SeatSum] = []
    refused: VeilsumError | None = None
    for signed in statements:
        try:
            found.append(check_statement(signed, plan, cohort, roster))
        except VeilsumError as error:
            log.error("statement_refused", round=plan.terms.round, reason=str(error))
            refused = error
    if len(found) < ENOUGH:
        number = plan.terms.round
        raise refused or NotYet(f"round {number}: {len(found)} seats have stated their sums")
    return found


def _roots(stated: SeatSum) -> dict[int, Digest]:
    return {words.component: words.root for words in stated.sums}


def _same(one: SeatSum, other: SeatSum) -> bool:
    mine, theirs = _roots(one), _roots(other)
    return all(mine[component] == theirs[component] for component in mine.keys() & theirs.keys())


def _manifest_root(roots: dict[int, Digest]) -> Digest:
    return sum_root([bytes.fromhex(roots[component]) for component in range(COMPONENTS)]).hex()


def _disagreement(plan: Plan, stated: Sequence[SeatSum]) -> VeilsumError:
    number = plan.terms.round
    for one, other in combinations(stated, ENOUGH):
        if not _same(one, other):
            (component,) = _roots(one).keys() & _roots(other).keys()
            return SeatsDisagree(
                f"round {number}: seats {one.seat} and {other.seat} disagree on component "
                f"{component}; one of them is wrong"
            )
    return RootMismatch(f"round {number}: the sum's manifest is not of what its seats state")


@dataclass(frozen=True)
class SeatSums:
    """The sums of a round's seats on their way to the disk of one trainer.

    Attributes:
        place: the folder of all sums.
    """

    calls: SeatCalls
    plan: Plan
    frozen: Frozen
    participant: str
    pair: HpkeKeyPair = field(repr=False)
    place: Path
    step: Step = pass_by

    async def fetch(self, stated: Sequence[SeatSum]) -> tuple[SealedSum, SealedSum, SealedSum]:
        """Return the sealed sum of each component, on disk and led to its stated root.

        Args:
            stated: what `agreeing` returned.

        Raises:
            PeerUnreachable: the connection was cut; fetch again, it goes on where it stopped.
            SeatLied, MalformedMessage, RootMismatch: no holder of a component gives its words.
        """
        first, second, third = [
            await self._component(component, stated) for component in range(COMPONENTS)
        ]
        return first, second, third

    async def _component(self, component: int, stated: Sequence[SeatSum]) -> SealedSum:
        refused: VeilsumError | None = None
        for statement in stated:
            for words in statement.sums:
                if words.component != component:
                    continue
                try:
                    return await self._from_seat(statement, words)
                except Unavailable:
                    raise  # it goes on where it stopped
                except VeilsumError as error:
                    where = {"round": self.plan.terms.round, "seat": statement.seat}
                    log.error("seat_sum_refused", **where, code=error.code, reason=str(error))
                    refused = error
        assert refused is not None  # two seats hold all three components between them
        raise refused

    async def _from_seat(self, statement: SeatSum, words: SealedWords) -> SealedSum:
        cohort, number = digest_of(self.frozen.cohort), statement.round
        key, folder = self._key(statement), self._folder(statement, words)
        sealed = SealedSum(statement.seat, words.component, key, str(folder))
        opener = ComponentOpener(self.plan, cohort, sealed)
        spool = Spool(folder, number, statement.chunks, words.root, opener.check, self.step)
        try:
            await self._fill(spool, statement, statement.sums.index(words))
            await asyncio.to_thread(spool.check)
        except RootMismatch:
            # Only who holds the content key could seal it, and the seat has made that.
            raise SeatLied(
                f"round {number}: what {statement.seat} sealed of component {words.component} is "
                "not what it has signed"
            ) from None
        return sealed

    async def _fill(self, spool: Spool, statement: SeatSum, position: int) -> None:
        number, seat = statement.round, statement.seat
        have = await asyncio.to_thread(spool.resume)
        if have < statement.chunks:
            async with self.calls.words(number, seat, position, have) as chunks:
                await fill(spool, chunks)
        if len(spool) < statement.chunks:
            raise MalformedMessage(
                f"round {number}: the coordinator gives {len(spool)} of {statement.chunks} chunks "
                f"that {seat} has sealed"
            )

    def _key(self, statement: SeatSum) -> bytes:
        (wrap,) = (each for each in statement.wraps if each.participant == self.participant)
        cohort = digest_of(self.frozen.cohort)
        info = key_context(self.plan, cohort, statement.seat, self.participant)
        try:
            return open_sealed(self.pair, info, wrap.sealed_key)
        except MalformedMessage:
            raise MalformedMessage(
                f"round {statement.round}: the key that {statement.seat} wrapped for "
                f"{self.participant} does not open with this site's key"
            ) from None

    def _folder(self, statement: SeatSum, words: SealedWords) -> Path:
        seat = self.plan.terms.seats.index(statement.seat)
        return folder_of(self.place, self.frozen.sum) / f"{words.component}-{seat}"
