"""A round whose updates are shared between three seats: what happens between OPEN and OPENING.

    OPEN ──closed──▶ JUDGING ──Judged by all, or by two and the third is away──▶ CERTIFYING
                                                                                     │
          three seats, or two and more than two thirds of trainers, have signed it   ▼
    OPENING ◀──Aggregated── AGGREGATING ◀──Summed by all, or by two── SUMMING ◀──────┘
                                                                      │   ▲
                                          two state different sums    ▼   │ LiarNamed
                                                                    DISPUTED

Pure, like `round.py`, which takes these transitions into its own. Who is away is not waited
for where two seats are enough, and is named where they are not.
"""

from collections.abc import Callable, Mapping
from itertools import combinations
from typing import Any, Final

from msgspec.structs import replace

from privacy.certificate import is_complete
from privacy.errors import ConflictingContribution, IllegalEvent, WrongIdentity
from privacy.schemes.shares.layout import shared_by

from .state import (
    Abandoned,
    CohortRefused,
    Disagreement,
    Effect,
    Event,
    Judgement,
    LeftOut,
    Phase,
    Quiet,
    Round,
    Stated,
    Step,
    abandon,
    abort,
    with_name,
)

ENOUGH: Final = 2
"""Seats that hold all three components between them."""


class Nominated(Event, frozen=True):
    """The candidates are signed."""

    candidates: str


class Judged(Event, frozen=True):
    """A seat has held the candidates against their signed roots, and their norms to the bound."""

    judgement: Judgement
    candidates: str
    left_out: tuple[LeftOut, ...]


class Frozen(Event, frozen=True):
    """The cohort is signed by the coordinator; seats and trainers may certify it."""

    cohort: str


class CohortSigned(Event, frozen=True):
    """A seat or a trainer has signed the cohort, the one it will ever sign of this round."""

    signer: str
    cohort: str


class Summed(Event, frozen=True):
    """A seat has stated its sums, and what it sealed of them is durable."""

    stated: Stated


class LiarNamed(Event, frozen=True):
    """The auditor has found which seats' sums are not what sites signed; none if it cannot."""

    auditor: str
    seats: tuple[str, ...]


class Nominate(Effect, frozen=True):
    """Sign the candidates."""

    round: int


class Freeze(Effect, frozen=True):
    """Sign the cohort: the candidates less those that seats left out."""

    round: int


class Manifest(Effect, frozen=True):
    """Sign the manifest of the sum that the seats' statements agree on."""

    round: int


def judge(current: Round) -> Step:
    """Return a round that has closed: its seats are to judge the contributions there are."""
    return replace(current, phase=Phase.JUDGING), (Nominate(current.number),)


def certificate_is_complete(current: Round) -> bool:
    """Return whether enough have signed the cohort that no second one can be certified."""
    return is_complete(current.certified, current.rules.seats, current.rules.trainers)


def disagreement(stated: tuple[Stated, ...], seats: tuple[str, ...]) -> Disagreement | None:
    """Return the first two seats that state different roots of the component they share."""
    for one, other in combinations(sorted(stated, key=lambda each: seats.index(each.seat)), 2):
        component = shared_by(seats.index(one.seat), seats.index(other.seat))
        if one.roots[component] != other.roots[component]:
            return Disagreement((one.seat, other.seat), component)
    return None


def honest(current: Round) -> tuple[Stated, ...]:
    """Return what seats have stated, without those whose sums were found to be false."""
    return tuple(each for each in current.stated if each.seat not in current.liars)


# -- judging -----------------------------------------------------------------------


def _nominate(current: Round, event: Nominated) -> Step:
    if current.candidates not in ("", event.candidates):
        raise IllegalEvent(f"round {current.number} has other candidates already")
    return replace(current, candidates=event.candidates), ()


def _judge(current: Round, event: Judged) -> Step:
    judgement = event.judgement
    _check_seat(current, judgement.seat)
    if not current.candidates or event.candidates != current.candidates:
        raise IllegalEvent(f"round {current.number}: {judgement.seat} judges other candidates")
    if judgement.unasked and not current.rules.unchecked:
        raise IllegalEvent(f"round {current.number}: no cohort is frozen without its norm bound")
    for known in current.judged:
        if known == judgement:
            return current, ()  # a retry, not a second verdict
        if known.seat == judgement.seat:
            raise ConflictingContribution(f"{judgement.seat}: a second, different verdict")
    judged = replace(
        current,
        judged=(*current.judged, judgement),
        left_out=(*current.left_out, *event.left_out),
    )
    whole = len(judged.judged) == len(current.rules.seats)
    return _freeze(judged) if whole else (judged, ())


def _wait_for_verdicts(current: Round, event: Quiet) -> Step:
    rules = current.rules
    still = event.still_seconds >= rules.abandon_seconds
    quiet = still or event.seconds >= rules.progress_seconds
    if quiet and len(current.judged) >= ENOUGH:
        return _freeze(current)
    if not still:
        return current, ()
    unasked = next((each.unasked for each in current.judged if each.unasked), "")
    reason = f"{_away(current, event)} did not judge the candidates"
    return abort(current, f"{reason}; {unasked}" if unasked else reason)


def _freeze(current: Round) -> Step:
    return replace(current, phase=Phase.CERTIFYING), (Freeze(current.number),)


# -- the certificate ---------------------------------------------------------------


def _frozen(current: Round, event: Frozen) -> Step:
    if current.cohort not in ("", event.cohort):
        raise IllegalEvent(f"round {current.number} has another cohort already")
    return replace(current, cohort=event.cohort), ()


def _sign_cohort(current: Round, event: CohortSigned) -> Step:
    if event.signer not in (*current.rules.seats, *current.rules.trainers):
        raise WrongIdentity(f"{event.signer} signs no cohort of round {current.number}")
    if not current.cohort or event.cohort != current.cohort:
        raise IllegalEvent(f"round {current.number}: {event.signer} signs another cohort")
    signed = replace(current, certified=with_name(current.certified, event.signer))
    if current.phase is Phase.CERTIFYING and certificate_is_complete(signed):
        return replace(signed, phase=Phase.SUMMING), ()
    return signed, ()


def _wait_for_signatures(current: Round, event: Quiet) -> Step:
    if event.still_seconds < current.rules.abandon_seconds:
        return current, ()
    signed = ", ".join(current.certified) or "nobody"
    reason = (
        f"the cohort is signed by {signed}: three seats are needed, or two and more than two "
        "thirds of the trainers"
    )
    return abort(current, "; ".join((reason, *_unsigned(current, event))))


def _unsigned(current: Round, event: Quiet) -> list[str]:
    """Return what there is to say of the seats that have not signed the cohort."""
    unsigned, heard = current.waits_for(), {*event.heard}
    said = [f"{name} is away" for name in sorted(unsigned - heard)]
    said += [
        f"{name} has not signed, and may be waiting for another: see `recalling` in its log"
        for name in sorted(unsigned & heard)
    ]
    return said


# -- sums --------------------------------------------------------------------------


def _sum(current: Round, event: Summed) -> Step:
    summed = _with_sum(current, event.stated)
    return (summed, ()) if summed == current or summed.waits_for() else _settle(summed)


def _sum_meanwhile(current: Round, event: Summed) -> Step:
    return _with_sum(current, event.stated), ()


def _with_sum(current: Round, stated: Stated) -> Round:
    _check_seat(current, stated.seat)
    for known in current.stated:
        if known == stated:
            return current  # a retry: the answer to the first was lost
        if known.seat == stated.seat:
            raise ConflictingContribution(f"{stated.seat}: a second, different sum")
    return replace(current, stated=(*current.stated, stated))


def _wait_for_sums(current: Round, event: Quiet) -> Step:
    rules = current.rules
    still = event.still_seconds >= rules.abandon_seconds
    quiet = still or event.seconds >= rules.progress_seconds
    if quiet and len(honest(current)) >= ENOUGH:
        return _settle(current)
    if still:
        away = _away(current, event)
        return abort(current, f"{away} did not state its sums; two seats are needed")
    return current, ()


def _settle(current: Round) -> Step:
    found = disagreement(honest(current), current.rules.seats)
    if found is None:
        return replace(current, phase=Phase.AGGREGATING), (Manifest(current.number),)
    if not current.rules.auditor:
        return abort(current, _words(found))
    return replace(current, phase=Phase.DISPUTED, disputed=found), ()


# -- a dispute ---------------------------------------------------------------------


def _name_liar(current: Round, event: LiarNamed) -> Step:
    rules, found = current.rules, current.disputed
    if event.auditor != rules.auditor:
        raise WrongIdentity(f"{event.auditor} is not the auditor of round {current.number}")
    assert found is not None  # there is one in this phase
    if not set(event.seats) <= set(found.seats):
        raise IllegalEvent(f"round {current.number}: the dispute is between {_pair(found)}")
    if not event.seats:
        return abort(current, f"{_words(found)}; the auditor cannot tell which is wrong")
    liars = tuple(sorted({*current.liars, *event.seats}))
    if len(rules.seats) - len(liars) < ENOUGH:
        named = replace(current, liars=liars)
        return abort(named, f"{', '.join(liars)} stated false sums; two seats are needed")
    struck = replace(current, phase=Phase.SUMMING, disputed=None, liars=liars)
    return _settle(struck) if len(honest(struck)) >= ENOUGH else (struck, ())


def _wait_for_judge(current: Round, event: Quiet) -> Step:
    assert current.disputed is not None  # there is one in this phase
    if event.still_seconds < current.rules.abandon_seconds:
        return current, ()
    return abort(
        current, f"{_words(current.disputed)}; the auditor {current.rules.auditor} did not answer"
    )


def _check_seat(current: Round, seat: str) -> None:
    if seat not in current.rules.seats:
        raise WrongIdentity(f"{seat} is no seat of round {current.number}")


def _away(current: Round, event: Quiet) -> str:
    # A seat that is there waits for one that is not, and is not to blame.
    silent = current.waits_for() - {*event.heard}
    return " and ".join(sorted(silent or current.waits_for()))


def _pair(found: Disagreement) -> str:
    return " and ".join(found.seats)


def _words(found: Disagreement) -> str:
    return f"seats {_pair(found)} disagree on component {found.component}"


TRANSITIONS: Final[Mapping[tuple[Phase, type[Event]], Callable[[Round, Any], Step]]] = {
    (Phase.JUDGING, Nominated): _nominate,
    (Phase.JUDGING, Judged): _judge,
    (Phase.JUDGING, CohortRefused): abandon,
    (Phase.JUDGING, Quiet): _wait_for_verdicts,
    (Phase.JUDGING, Abandoned): abandon,
    (Phase.CERTIFYING, Frozen): _frozen,
    (Phase.CERTIFYING, CohortRefused): abandon,
    (Phase.CERTIFYING, CohortSigned): _sign_cohort,
    (Phase.CERTIFYING, Quiet): _wait_for_signatures,
    (Phase.CERTIFYING, Abandoned): abandon,
    (Phase.SUMMING, CohortSigned): _sign_cohort,
    (Phase.SUMMING, Summed): _sum,
    (Phase.SUMMING, Quiet): _wait_for_sums,
    (Phase.SUMMING, Abandoned): abandon,
    (Phase.DISPUTED, Summed): _sum_meanwhile,
    (Phase.DISPUTED, LiarNamed): _name_liar,
    (Phase.DISPUTED, Quiet): _wait_for_judge,
    (Phase.DISPUTED, Abandoned): abandon,
}
