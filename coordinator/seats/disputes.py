"""Disputes between seats: the auditor says whose sums are false."""

from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from coordinator.rounds.seated import LiarNamed
from coordinator.rounds.standing import Rounds

log = structlog.get_logger()


@dataclass(frozen=True)
class Disputes:
    """Takes the auditor's word on rounds whose seats disagree."""

    rounds: Rounds

    def name_liar(self, caller: str, number: int, seats: Sequence[str]) -> None:
        """Take the auditor's word on which seats' sums are false; none if it cannot be told.

        Raises:
            WrongIdentity: the caller is not the auditor of the round.
            IllegalEvent: there is no dispute, or not with these seats.
        """
        with self.rounds.lock:
            current = self.rounds.get(number)
            again = caller == current.rules.auditor and {*seats} <= {*current.liars}
            if seats and again:
                return  # a retry: the answer to the first was lost
            self.rounds.apply(number, LiarNamed(caller, tuple(sorted({*seats}))))
        log.warning("seats_judged", round=number, auditor=caller, liars=sorted({*seats}))
