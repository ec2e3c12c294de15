"""Scores of a round that has released its model: the part of its state machine after the end. Pure.

    NONE ──DONE, where the plan asks──▶ STATING ──all sites have stated, or too late──▶ JUDGING
                                                                                          │
                        OVER ◀── enough openers have signed the same, or too late ────────┘

    NONE ──DONE under `shares`, a seat has not signed──▶ JUDGING ──all have, or too late──▶ OVER

Seats sign as soon as their cohort is certified, and are waited for from the release on. The round
is over all the while: the next one waits for nothing of it.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from msgspec.structs import replace

from privacy.errors import ConflictingContribution, IllegalEvent, WrongIdentity

from .state import Effect, Event, Phase, Quiet, Round, Scored, Scoring, Step, with_name


class ProductStated(Event, frozen=True):
    """A site has stated the product of its update with the released step."""

    participant: str


class ScoresSigned(Event, frozen=True):
    """An opener, or a seat, has signed the scores of that digest."""

    signer: str
    scores: str


class ForgetProducts(Effect, frozen=True):
    """Delete the products that sites have stated; the scores are over."""

    round: int


MOST_SCORED: Final = 4
"""Rounds whose scores are waited for at once; of older ones, openers judge what has come."""


def begin(current: Round) -> Round:
    """Return a round that is done, and waits for products or signatures if they are asked for."""
    if current.rules.products:
        return replace(current, scoring=Scoring.STATING)
    if current.rules.scores:
        return replace(current, scoring=Scoring.OVER if _have_all(current) else Scoring.JUDGING)
    return current


def _state(current: Round, event: ProductStated) -> Step:
    sites = {entry.participant for entry in current.committed}
    if event.participant not in sites:
        raise WrongIdentity(f"{event.participant} is not in the cohort of round {current.number}")
    if event.participant in current.products:
        return current, ()
    if current.scoring is not Scoring.STATING:
        raise _too_late(current, "product")
    stated = replace(current, products=with_name(current.products, event.participant))
    return (_judge(stated) if {*stated.products} == sites else stated), ()


def _sign(current: Round, event: ScoresSigned) -> Step:
    _check_signer(current, event.signer)
    said = Scored(event.signer, event.scores)
    if said in current.scored:
        return current, ()
    if any(each.signer == event.signer for each in current.scored):
        raise ConflictingContribution(f"{event.signer}: a second, different signature on scores")
    if not _are_taken(current):
        raise _too_late(current, f"signature of {event.signer}")
    signed = replace(current, scored=(*current.scored, said))
    return _count_seats(signed) if signed.rules.seats else _count_openers(signed, event.scores)


def _check_signer(current: Round, signer: str) -> None:
    rules = current.rules
    if signer not in (rules.seats or rules.openers):
        what = "seat" if rules.seats else "opener"
        raise WrongIdentity(f"{signer} is no {what} of round {current.number}")


def _are_taken(current: Round) -> bool:
    if current.rules.seats:
        return current.scoring is not Scoring.OVER
    # Who signs what counts already comes late, and is welcome: it is evidence.
    return current.scoring is Scoring.JUDGING or bool(current.scores)


def _count_openers(signed: Round, scores: str) -> Step:
    alike = sum(each.scores == scores for each in signed.scored)
    if signed.scores or alike < signed.rules.agreement:
        return signed, ()
    return _end(replace(signed, scores=scores))


def _count_seats(signed: Round) -> Step:
    if not _have_all(signed):
        return signed, ()
    # Two of three are not enough: with that, any two seats could state what they like.
    alike = {each.scores for each in signed.scored}
    counted = replace(signed, scores=alike.pop() if len(alike) == 1 else "")
    return _end(counted) if counted.is_scored() else (counted, ())


def _have_all(current: Round) -> bool:
    return {each.signer for each in current.scored} >= {*current.rules.seats}


def _wait(current: Round, event: Quiet) -> Step:
    if not current.is_scored() or event.still_seconds < current.rules.abandon_seconds:
        return current, ()
    if current.scoring is Scoring.STATING:
        return _judge(current), ()
    return _end(current)


def _end(current: Round) -> Step:
    forget = (ForgetProducts(current.number),) if current.rules.products else ()
    return replace(current, scoring=Scoring.OVER), forget


def _judge(current: Round) -> Round:
    return replace(current, scoring=Scoring.JUDGING)


def _too_late(current: Round, what: str) -> IllegalEvent:
    return IllegalEvent(
        f"round {current.number}: no {what} is taken, its scores are {current.scoring}"
    )


TRANSITIONS: Final[Mapping[tuple[Phase, type[Event]], Callable[[Round, Any], Step]]] = {
    # Of seats; of openers none is taken so early.
    (Phase.SUMMING, ScoresSigned): _sign,
    (Phase.DISPUTED, ScoresSigned): _sign,
    (Phase.AGGREGATING, ScoresSigned): _sign,
    (Phase.OPENING, ScoresSigned): _sign,
    (Phase.DONE, ProductStated): _state,
    (Phase.DONE, ScoresSigned): _sign,
    (Phase.DONE, Quiet): _wait,
}
