"""What a seat has to do next, given what it sees. Pure.

The coordinator's view only says where to look: whatever follows from it is checked against
signatures when the task is carried out, so one that lies about phases gets nothing.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from participant.session import Task
from participant.view import RoundView, View


@dataclass(frozen=True, slots=True)
class Accept(Task):
    """Fetch and check the contributions that are there so far."""


@dataclass(frozen=True, slots=True)
class Judge(Task):
    """Say which of the candidates are refused."""


@dataclass(frozen=True, slots=True)
class AnswerNorms(Task):
    """Take part again in the check of norms, if a seat that has not judged must ask again."""


@dataclass(frozen=True, slots=True)
class Certify(Task):
    """Check the cohort, and sign it: the one cohort of the round that this seat ever signs."""


@dataclass(frozen=True, slots=True)
class State(Task):
    """Add this seat's components of the certified cohort, and state the sums."""


@dataclass(frozen=True, slots=True)
class Score(Task):
    """Compute with the other seats what the plan asks about the updates of the cohort."""


@dataclass(frozen=True, slots=True)
class AnswerScores(Task):
    """Take part again in the scores, if a seat that has none must ask again."""


@dataclass(frozen=True, slots=True)
class Show(Task):
    """Show the auditor what settles a dispute with this other holder of a component."""

    disputed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HandIn(Task):
    """Send the scores again that were signed of a round which has released its model since."""


ANSWERS = (AnswerNorms, AnswerScores)
"""What is done only if others ask."""

UNAWAITED = (*ANSWERS, HandIn)
"""What no round waits for."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What a seat has done already, as far as this process knows.

    Attributes:
        found: whose contributions it has taken or refused, by round.
        scored: rounds whose scores it has handed in, or that have none.
        unsent: rounds whose scores are signed, and may not have arrived.
        declined: tasks it will not do, because a check or its policy refused.
    """

    seat: str
    found: Mapping[int, frozenset[str]] = field(default_factory=dict)
    scored: frozenset[int] = frozenset()
    unsent: frozenset[int] = frozenset()
    declined: frozenset[Task] = frozenset()


def tasks(view: View, standing: Standing) -> tuple[Task, ...]:
    """Return what is to be done, the oldest round first; what nobody is shown any more, last."""
    mine = (each for each in view.rounds if standing.seat in each.seats)
    found = (
        task
        for each in sorted(mine, key=lambda each: each.number)
        for task in _of_round(each, standing)
    )
    # A round that is over shows no seat that its scores are still taken: whoever sends them sees.
    late = (HandIn(number) for number in sorted(standing.unsent) if number <= view.released)
    return tuple(task for task in (*found, *late) if task not in standing.declined)


def waiting(view: View, standing: Standing, number: int) -> tuple[str, ...]:
    """Return whose contributions to an open round have come, and are not taken yet."""
    found = standing.found.get(number, frozenset())
    return tuple(
        name
        for each in view.rounds
        if each.number == number
        for name in each.committed
        if name not in found
    )


def is_over(view: View, number: int) -> bool:
    """Return whether nothing of a round will be asked for any more.

    A round that is only not shown is not over: what is sent again must still be there.
    """
    if view.finished or number <= view.released:
        return True
    shown = {each.number: each.phase for each in view.rounds}
    newest = max(shown, default=0)
    return shown.get(number) in ("done", "aborted") or (number not in shown and number < newest)


def _of_round(each: RoundView, standing: Standing) -> list[Task]:
    find = _BY_PHASE.get(each.phase)
    return find(each, standing) if find is not None else []


def _of_open(each: RoundView, standing: Standing) -> list[Task]:
    behind = set(each.committed) - standing.found.get(each.number, frozenset())
    return [Accept(each.number)] if behind else []


def _of_judging(each: RoundView, standing: Standing) -> list[Task]:
    if not each.candidates:
        return []
    judged = standing.seat in each.judged
    return [AnswerNorms(each.number) if judged else Judge(each.number)]


def _of_certifying(each: RoundView, standing: Standing) -> list[Task]:
    wanted = each.cohort and standing.seat not in each.certified
    return [Certify(each.number)] if wanted else []


def _of_summing(each: RoundView, standing: Standing) -> list[Task]:
    # Sums first: whoever waits for the model does not wait for scores.
    return _of_summed(each, standing) if standing.seat in each.summed else [State(each.number)]


def _of_dispute(each: RoundView, standing: Standing) -> list[Task]:
    if standing.seat in each.disputed:
        return [Show(each.number, each.disputed)]
    return _of_summing(each, standing)


def _of_summed(each: RoundView, standing: Standing) -> list[Task]:
    if standing.seat not in each.summed:
        return []
    scored = each.number in standing.scored
    return [AnswerScores(each.number) if scored else Score(each.number)]


_BY_PHASE: Final[Mapping[str, Callable[[RoundView, Standing], list[Task]]]] = {
    "open": _of_open,
    "judging": _of_judging,
    "certifying": _of_certifying,
    "summing": _of_summing,
    "disputed": _of_dispute,
    "aggregating": _of_summed,
    "opening": _of_summed,
}
