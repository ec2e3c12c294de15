"""What must hold of every step of a round, asserted in production: the last door before a save.

The numbers are those of "Invariants of a round" in docs/threat-model.md, which simulations
check from outside. Here stands what one step, or one signature, shows by itself. A breach is a
bug of ours: nothing is saved, nothing is answered, and the process stops.
"""

import os
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, NoReturn

import structlog

from coordinator.ports import SumChunk
from privacy.certificate import is_complete
from privacy.errors import InvariantBroken
from privacy.records import Cohort, Entry, Sum, digest_of

from . import seated
from .round import Countersigned
from .state import Effect, Erase, Event, Phase, Round

log = structlog.get_logger()

EXIT_STATUS: Final = 70
"""What the process ends with: EX_SOFTWARE of sysexits.h. Nothing should start it again."""

FOLLOWS: Final[Mapping[Phase, frozenset[Phase]]] = {
    Phase.KEYING: frozenset({Phase.KEYED, Phase.ABORTED}),
    Phase.KEYED: frozenset({Phase.OPEN, Phase.ABORTED}),
    Phase.OPEN: frozenset({Phase.AGGREGATING, Phase.JUDGING, Phase.ABORTED}),
    Phase.JUDGING: frozenset({Phase.CERTIFYING, Phase.ABORTED}),
    Phase.CERTIFYING: frozenset({Phase.SUMMING, Phase.ABORTED}),
    Phase.SUMMING: frozenset({Phase.DISPUTED, Phase.AGGREGATING, Phase.ABORTED}),
    # Back to SUMMING with one seat fewer: who is named as a liar is not waited for again.
    Phase.DISPUTED: frozenset({Phase.SUMMING, Phase.AGGREGATING, Phase.ABORTED}),
    Phase.AGGREGATING: frozenset({Phase.AUDITING, Phase.OPENING, Phase.ABORTED}),
    Phase.AUDITING: frozenset({Phase.OPENING, Phase.ABORTED}),
    Phase.OPENING: frozenset({Phase.DONE, Phase.ABORTED}),
    Phase.DONE: frozenset(),
    Phase.ABORTED: frozenset(),
}
"""Which phases may follow which; no transition leads anywhere else."""

WRITTEN_ONCE: Final = ("plan", "candidates", "cohort", "sum", "scores")
APPENDED: Final = ("judged", "left_out", "stated", "scored")
GROWING: Final = ("committed", "certified", "liars", "products")


@dataclass
class Alarm:
    """What happens when an invariant is broken; after that no step is taken any more.

    `ring` is what the process does about it, in the thread that found out. A process that
    serves sets it to `stop_process`.
    """

    ring: Callable[[InvariantBroken], object] = lambda _: None
    broken: InvariantBroken | None = None

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Let a block run unless an invariant has been broken, and sound if it breaks one.

        Raises:
            InvariantBroken: this block, or one before it, has broken one.
        """
        if self.broken is not None:
            raise self.broken
        try:
            yield
        except InvariantBroken as error:
            self._sound(error)
            raise

    def _sound(self, error: InvariantBroken) -> None:
        if self.broken is not None:
            return
        self.broken = error
        log.critical(
            "invariant_broken",
            reason=str(error),
            who_acts=error.who_acts,
            action="keep the database and the objects as they are; report this line",
        )
        self.ring(error)


def stop_process(_: InvariantBroken) -> NoReturn:
    """End the process at once, whatever else it does: no call of any thread is answered."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(EXIT_STATUS)


# -- one step ------------------------------------------------------------------------


def check_step(before: Round, event: Event, after: Round, effects: Collection[Effect]) -> None:
    """Return if `after`, with the effects it orders, may follow `before` for that event.

    Raises:
        InvariantBroken: the number of the invariant, the round and what is wrong.
    """
    _check_counted_once(before, after)
    _check_forward(before, after)
    if after.phase is not before.phase:
        _check_left(before, event, after)
        _check_entered(after, effects)


def _check_counted_once(before: Round, after: Round) -> None:
    if after.committed is before.committed:
        return
    members = [entry.participant for entry in after.committed]
    _require(2, after, _ordered(members), f"counts {members}")
    _require(2, after, {*members} <= {*after.rules.trainers}, "counts one that is no trainer")
    _require(5, after, before.phase is Phase.OPEN, "counts a contribution after it has closed")


def _check_forward(before: Round, after: Round) -> None:
    _require(5, after, (before.number, before.rules) == (after.number, after.rules), "other rules")
    same = after.phase is before.phase
    _require(5, after, same or after.phase in FOLLOWS[before.phase], f"after {before.phase}")
    _require(5, after, before.phase is not Phase.ABORTED, "is over, and takes a step")
    for name in WRITTEN_ONCE:
        _require(5, after, getattr(before, name) in ("", getattr(after, name)), f"another {name}")
    for name in APPENDED:
        said, says = getattr(before, name), getattr(after, name)
        _require(5, after, says[: len(said)] == said, f"takes back what was {name}")
    for name in GROWING:
        said, says = getattr(before, name), getattr(after, name)
        _require(5, after, said is says or {*said} <= {*says}, f"takes back of {name}")
    _check_key(before, after)
    _check_model(before, after)


def _check_key(before: Round, after: Round) -> None:
    if (before.key_record, before.key_signers) == (after.key_record, after.key_signers):
        return
    if before.key_record and before.key_record != after.key_record:
        passed = before.phase is Phase.KEYING and after.turn > before.turn
        _require(5, after, passed, "another key of the same turn")
    else:
        signed = {*before.key_signers} <= {*after.key_signers}
        _require(5, after, signed, "takes back a signature of its key")


def _check_model(before: Round, after: Round) -> None:
    made, now = (before.sealed_model, before.release), (after.sealed_model, after.release)
    if made[0] and now != made:
        passed = not before.is_over() and after.turn > before.turn
        _require(5, after, passed, "another model of the same turn")
    elif made[0]:
        _require(5, after, {*before.agreed} <= {*after.agreed}, "takes back a signature")
    rises = before.sealings <= after.sealings <= len(after.rules.openers)
    _require(5, after, rises and before.refusals <= after.refusals, "counts backwards")
    restarts = before.phase is Phase.AGGREGATING and after.turn == 0
    _require(5, after, after.turn >= before.turn or restarts, f"turn {after.turn} again")


def _check_left(before: Round, event: Event, after: Round) -> None:
    rules, left, entered = after.rules, before.phase, after.phase
    if entered is Phase.ABORTED:
        return
    if left is Phase.OPEN:
        enough = len(after.committed) >= rules.quorum
        _require(3, after, enough, f"closes with {len(after.committed)} of {rules.quorum}")
    if left in (Phase.SUMMING, Phase.DISPUTED) and entered is Phase.AGGREGATING:
        _check_agreement(after)
    if left is Phase.AGGREGATING and entered is Phase.OPENING:
        asked = bool(rules.seats) or not rules.auditor
        _require(9, after, asked, "is opened before its auditor was asked")
    if left is Phase.AUDITING:
        signed = isinstance(event, Countersigned) and event.sum == after.sum
        _require(9, after, signed, "is opened without its auditor's signature")


def _check_entered(after: Round, effects: Collection[Effect]) -> None:
    rules = after.rules
    if after.phase is Phase.SUMMING:
        certified = is_complete(after.certified, rules.seats, rules.trainers)
        _require(13, after, certified, "is added up without its cohort's certificate")
    if after.phase in (Phase.AUDITING, Phase.OPENING):
        _require(1, after, bool(after.cohort and after.sum), "is opened without a sum")
    if after.phase is Phase.DONE:
        agreed = {*after.agreed} & {*rules.openers}
        enough = bool(after.release) and len(agreed) >= rules.agreement
        _require(4, after, enough, f"is released by {len(agreed)} of {rules.agreement}")
    if after.is_over():
        _require(11, after, Erase(after.number) in effects, "ends, and nothing is erased")


def _check_agreement(current: Round) -> None:
    honest = seated.honest(current)
    enough = len({each.seat for each in honest}) >= seated.ENOUGH
    _require(12, current, enough, f"takes the sums of {len(honest)} seats")
    found = seated.disagreement(honest, current.rules.seats)
    _require(12, current, found is None, "takes sums that two seats do not agree on")


# -- what is signed ------------------------------------------------------------------


def check_rows(rows: Sequence[SumChunk], cohort: Cohort, chunks: int) -> None:
    """Return if a sum is that of the whole cohort in every chunk; asked before it is signed.

    Raises:
        InvariantBroken: a chunk has no row, or was made from more or fewer contributions than
            the cohort has.
    """
    number, size = cohort.round, len(cohort.entries)
    if [row.chunk for row in rows] != list(range(chunks)):
        raise InvariantBroken(
            f"I1, round {number}: {len(rows)} chunks of the sum are recorded, not each of "
            f"{chunks} once; nothing is signed"
        )
    for row in rows:
        if row.inputs != size:
            raise InvariantBroken(
                f"I1, round {number}: chunk {row.chunk} of the sum was made from {row.inputs} "
                f"contributions, the cohort has {size}; nothing is signed"
            )


def check_manifest(current: Round, cohort: Cohort, manifest: Sum) -> None:
    """Return if a sum's manifest speaks for exactly the contributions that the round counts.

    Raises:
        InvariantBroken: it does not; nothing may be signed.
    """
    expected = _counted(current)
    _require(2, current, cohort.entries == expected, "signs another cohort than it has counted")
    _require(3, current, len(expected) >= current.rules.quorum, f"signs {len(expected)}")
    frozen = current.cohort in ("", digest_of(cohort))
    _require(5, current, frozen, "signs another cohort than the one frozen")
    said = (manifest.round, manifest.plan, manifest.cohort, manifest.contributions)
    here = (current.number, current.plan, digest_of(cohort), len(expected))
    _require(1, current, said == here, "signs the sum of another cohort")
    if current.rules.seats:
        _check_agreement(current)


def _counted(current: Round) -> tuple[Entry, ...]:
    left_out = {each.participant for each in current.left_out}
    return tuple(each for each in current.committed if each.participant not in left_out)


def _ordered(members: Sequence[str]) -> bool:
    return all(one < other for one, other in pairwise(members))


def _require(number: int, current: Round, holds: bool, what: str) -> None:
    if not holds:
        raise InvariantBroken(f"I{number}, round {current.number}, {current.phase}: {what}")
