"""What a check of evidence has found, and the exit code that follows."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum

import msgspec

from privacy.errors import VeilsumError


class Outcome(IntEnum):
    """Exit codes; of several the first of `PRECEDENCE` counts."""

    OK = 0
    POLICY = 1
    TAMPERED = 2
    INCOMPLETE = 3
    ACCOUNTING = 4


PRECEDENCE = (Outcome.TAMPERED, Outcome.ACCOUNTING, Outcome.POLICY, Outcome.INCOMPLETE)


class Finding(msgspec.Struct, frozen=True):
    """One thing that is not as it must be.

    `entry` is the line of the bundle, from 1; 0 where it is about the file as a whole.
    """

    outcome: Outcome
    entry: int
    message: str

    def text(self) -> str:
        """Return the finding as one line of words."""
        where = f"entry {self.entry}: " if self.entry else ""
        return f"{self.outcome.name.lower()}: {where}{self.message}"


@dataclass(frozen=True, slots=True)
class Check:
    """A check of one entry: `run` returns, or raises what is wrong with it."""

    entry: int
    run: Callable[[], object]
    otherwise: Outcome = Outcome.TAMPERED

    def findings(self) -> Iterator[Finding]:
        """Yield what is wrong, if anything is."""
        try:
            self.run()
        except VeilsumError as error:
            yield Finding(self.otherwise, self.entry, str(error))


def outcome_of(findings: Sequence[Finding]) -> Outcome:
    """Return the exit code of all findings together."""
    there = {each.outcome for each in findings}
    return next((each for each in PRECEDENCE if each in there), Outcome.OK)
