"""Which round comes next: the programme, as a pure function of its rounds.

A programme wants so many released models. One round is open at a time, and the
key of the next is made while it is, where its scheme has a key.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from .state import Phase, Round


class Order(msgspec.Struct, frozen=True):
    """What the service must do to keep the programme going."""


class StartKeying(Order, frozen=True):
    """Create the round, so that its key is made; without one, it is ready for its plan."""

    round: int


class PublishPlan(Order, frozen=True):
    """Sign the round's plan; its key is ready and the model it starts from is known."""

    round: int


class Abandon(Order, frozen=True):
    """End a round that nobody needs."""

    round: int


# As many failures in a row have one cause that waiting does not mend.
ABORTS_BEFORE_HALT: Final = 5


def orders(rounds: Mapping[int, Round], wanted: int, since: int = 0) -> tuple[Order, ...]:
    """Return what is to be done now; nothing, if the programme waits, is over or is halted.

    Args:
        since: the last round when this process started; older failures do not halt.
    """
    if halted(rounds, since):
        return ()
    if is_over(rounds, wanted):
        unused = (each for each in rounds.values() if each.phase in (Phase.KEYING, Phase.KEYED))
        return tuple(Abandon(each.number) for each in unused)
    newest = rounds.get(max(rounds, default=0))
    if newest is None:
        return (StartKeying(1),)
    if newest.phase is Phase.KEYED and _before_is_over(rounds, newest):
        return (PublishPlan(newest.number),)
    ahead = newest.plan and not newest.rules.seats
    if newest.is_over() or (ahead and released(rounds) + 1 < wanted):
        return (StartKeying(newest.number + 1),)
    return ()


def is_over(rounds: Mapping[int, Round], wanted: int) -> bool:
    """Return whether every wanted model is released."""
    return released(rounds) >= wanted


def halted(rounds: Mapping[int, Round], since: int = 0) -> bool:
    """Return whether so many rounds in a row were aborted that the operator must look.

    Only rounds after `since` count, so that a restart is the operator's word to go on.
    """
    ended = [rounds[number] for number in sorted(rounds) if rounds[number].is_over()]
    last = [each for each in ended if each.number > since][-ABORTS_BEFORE_HALT:]
    return len(last) == ABORTS_BEFORE_HALT and all(r.phase is Phase.ABORTED for r in last)


def released(rounds: Mapping[int, Round]) -> int:
    """Return how many rounds have released a model."""
    return sum(each.phase is Phase.DONE for each in rounds.values())


def last_released(rounds: Mapping[int, Round]) -> int:
    """Return the number of the newest round that has released a model, or 0."""
    return max((n for n, each in rounds.items() if each.phase is Phase.DONE), default=0)


def _before_is_over(rounds: Mapping[int, Round], current: Round) -> bool:
    before = rounds.get(current.number - 1)
    return before is None or before.is_over()
