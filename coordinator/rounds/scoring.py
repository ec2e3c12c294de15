"""Scores of a round that has released its model: the part of its state machine after the end. Pure.

    NONE ──DONE, where the plan asks──▶ STATING ──all sites have stated, or too late──▶ JUDGING
                                                                                          │
                        OVER ◀── enough openers have signed the same, or too late ────────┘

The round is over all the while: the next one waits for nothing of it.
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
    """An opener has signed the scores of that digest."""

    opener: str
    scores: str


class ForgetProducts(Effect, frozen=True):
    """Delete the products that sites have stated; the scores are over."""

    round: int


MOST_SCORED: Final = 4
"""Rounds whose scores are waited for at once; of older ones, openers judge what has come."""


def begin(current: Round) -> Round:
    """Return a round that is done, and waits for products if they are asked for."""
    return replace(current, scoring=Scoring.STATING) if current.rules.products else current


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
    if event.opener not in current.rules.openers:
        raise WrongIdentity(f"{event.opener} is no opener of round {current.number}")
    said = Scored(event.opener, event.scores)
    if said in current.scored:
        return current, ()
    if any(each.opener == event.opener for each in current.scored):
        raise ConflictingContribution(f"{event.opener}: a second, different signature on scores")
    # Who signs what counts already comes late, and is welcome: it is evidence.
    if current.scoring is not Scoring.JUDGING and not current.scores:
        raise _too_late(current, "signature")
    signed = replace(current, scored=(*current.scored, said))
    alike = sum(each.scores == event.scores for each in signed.scored)
    if current.scores or alike < current.rules.agreement:
        return signed, ()
    return _end(replace(signed, scores=event.scores))


def _wait(current: Round, event: Quiet) -> Step:
    if not current.is_scored() or event.still_seconds < current.rules.abandon_seconds:
        return current, ()
    if current.scoring is Scoring.STATING:
        return _judge(current), ()
    return _end(current)


def _end(current: Round) -> Step:
    return replace(current, scoring=Scoring.OVER), (ForgetProducts(current.number),)


def _judge(current: Round) -> Round:
    return replace(current, scoring=Scoring.JUDGING)


def _too_late(current: Round, what: str) -> IllegalEvent:
    return IllegalEvent(
        f"round {current.number}: no {what} is taken, its scores are {current.scoring}"
    )


TRANSITIONS: Final[Mapping[tuple[Phase, type[Event]], Callable[[Round, Any], Step]]] = {
    (Phase.DONE, ProductStated): _state,
    (Phase.DONE, ScoresSigned): _sign,
    (Phase.DONE, Quiet): _wait,
}
