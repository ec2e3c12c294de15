"""The state of a round as values: its phase, its rules, what has come of it so far."""

from enum import StrEnum

import msgspec
from msgspec.structs import replace

from privacy.records import Entry


class Phase(StrEnum):
    """Where a round stands."""

    KEYING = "keying"
    KEYED = "keyed"
    OPEN = "open"
    AGGREGATING = "aggregating"
    AUDITING = "auditing"
    OPENING = "opening"
    JUDGING = "judging"
    CERTIFYING = "certifying"
    SUMMING = "summing"
    DISPUTED = "disputed"
    DONE = "done"
    ABORTED = "aborted"


class Rules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a round is held to, from the operator's settings and the roster.

    `auditor` must countersign the sum before anybody opens it, or settles what two seats
    dispute; empty for nobody. `seats` are those of a round under `shares`; `unchecked` says
    whether its cohort may be frozen without the norm bound where one of them is away. `products`
    says whether sites state theirs after the release, so that openers find out scores; `scores`
    whether the three seats sign some.
    """

    openers: tuple[str, ...]
    trainers: tuple[str, ...]
    quorum: int
    agreement: int
    progress_seconds: float
    abandon_seconds: float
    auditor: str = ""
    seats: tuple[str, ...] = ()
    unchecked: bool = False
    products: bool = False
    scores: bool = False


class LeftOut(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A contribution that a seat left out of the cohort, and why: an error's code and words."""

    participant: str
    seat: str
    code: str
    reason: str


class Straggler(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A trainer for whom a round did not wait any longer, and what was seen of its upload."""

    participant: str
    reason: str


class Judgement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """That a seat has judged the candidates; `unasked` says why it could not ask for norms."""

    seat: str
    verdict: str
    unasked: str = ""


class Stated(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a seat states: digest of its statement, and the roots of components 0, 1 and 2.

    The root of the component that it does not hold is empty.
    """

    seat: str
    statement: str
    roots: tuple[str, str, str]


class Disagreement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Two seats that state different sums of one component."""

    seats: tuple[str, str]
    component: int


class Scoring(StrEnum):
    """How far the scores are that openers find out, or seats sign, of a round that is released."""

    NONE = "none"
    """None are asked for, or the round has released nothing yet."""
    STATING = "stating"
    """The sites of the cohort state their products."""
    JUDGING = "judging"
    """No more are taken; openers judge those that came. Seats that have not signed may."""
    OVER = "over"
    """Enough have signed the same scores, or none will any more."""


class Scored(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """That an opener, or a seat, has signed scores: their digest."""

    # Stored under the name that it had when openers alone signed any.
    signer: str = msgspec.field(name="opener")
    scores: str


class Round(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole state of one round; a value, never mutated."""

    number: int
    rules: Rules
    phase: Phase = Phase.KEYING
    turn: int = 0
    key_record: str = ""
    key_signers: tuple[str, ...] = ()
    plan: str = ""
    committed: tuple[Entry, ...] = ()
    cohort: str = ""
    sum: str = ""
    sealed_model: str = ""
    release: str = ""
    agreed: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    refusals: int = 0
    sealings: int = 0
    reason: str = ""
    candidates: str = ""
    judged: tuple[Judgement, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    certified: tuple[str, ...] = ()
    stated: tuple[Stated, ...] = ()
    disputed: Disagreement | None = None
    liars: tuple[str, ...] = ()
    stragglers: tuple[Straggler, ...] = ()
    scoring: Scoring = Scoring.NONE
    products: tuple[str, ...] = ()
    scored: tuple[Scored, ...] = ()
    scores: str = ""

    def whose_turn(self) -> str:
        """Return the opener who makes the key, or seals the model, now."""
        return self.rules.openers[self.turn % len(self.rules.openers)]

    def waits_for(self) -> frozenset[str]:
        """Return whose work keeps the round from being quiet."""
        if self.phase is Phase.OPEN:
            done = {entry.participant for entry in self.committed}
            return frozenset(self.rules.trainers) - done
        if self.phase in (Phase.AUDITING, Phase.DISPUTED):
            return frozenset({self.rules.auditor})
        if self.phase in (Phase.JUDGING, Phase.CERTIFYING, Phase.SUMMING):
            return frozenset(self.rules.seats) - self._heard()
        if self.phase is Phase.OPENING and self.sealed_model:
            return frozenset(self.rules.openers) - {*self.agreed, *self.failed}
        return frozenset({self.whose_turn()})

    def _heard(self) -> set[str]:
        if self.phase is Phase.JUDGING:
            return {each.seat for each in self.judged}
        if self.phase is Phase.CERTIFYING:
            return {*self.certified}
        return {each.seat for each in self.stated} | {*self.liars}

    def is_over(self) -> bool:
        """Return whether nothing more will come of the round, but scores, where they are asked."""
        return self.phase in (Phase.DONE, Phase.ABORTED)

    def is_scored(self) -> bool:
        """Return whether scores are still found out of the round's release."""
        return self.scoring in (Scoring.STATING, Scoring.JUDGING)


class Event(msgspec.Struct, frozen=True):
    """Something that happened."""


class CohortRefused(Event, frozen=True):
    """There is no sum to take: too few organisations, or a stored contribution is damaged."""

    reason: str


class Aggregated(Event, frozen=True):
    """The cohort's protected sum is stored."""

    cohort: str
    sum: str


class Quiet(Event, frozen=True):
    """Nobody has worked for `seconds`; nothing has come of it for `still_seconds`.

    `heard` are those of whom the round waits for who have said lately that they are at work;
    `stragglers` are, while a round is open, those that are missing.
    """

    seconds: float
    still_seconds: float
    heard: tuple[str, ...] = ()
    stragglers: tuple[Straggler, ...] = ()


class Abandoned(Event, frozen=True):
    """The programme does not need the round, or the coordinator cannot read its plan."""

    reason: str


class Effect(msgspec.Struct, frozen=True, tag=True):
    """Work to be done, as often as needed, with the same result."""


class Aggregate(Effect, frozen=True):
    """Freeze the cohort and add up its contributions."""

    round: int


class Erase(Effect, frozen=True):
    """Delete the contributions and the sealed secrets; the round is over."""

    round: int


Step = tuple[Round, tuple[Effect, ...]]


def abandon(current: Round, event: Abandoned | CohortRefused) -> Step:
    """End a round for the reason that came with an event."""
    return abort(current, event.reason)


def abort(current: Round, reason: str) -> Step:
    """End a round without a model, and erase what was sent for it."""
    return replace(current, phase=Phase.ABORTED, reason=reason), (Erase(current.number),)


def with_name(names: tuple[str, ...], name: str) -> tuple[str, ...]:
    """Return names with one more, in order, each once."""
    return tuple(sorted({*names, name}))
