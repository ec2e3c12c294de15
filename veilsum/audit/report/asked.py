"""The accountants' answers for one report: a question is asked once, however often it comes up."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from privacy.errors import AccountingMismatch
from privacy.events import DpEvent
from veilsum.audit.second_opinion import Opinions, check, kinds_of, opinions_of_all

_Question = tuple[frozenset[tuple[tuple[str, str], int]], float]


@dataclass
class Asked:
    """What accountants have said so far; an answer that does not stand is kept as the reason."""

    known: dict[_Question, Opinions | AccountingMismatch] = field(default_factory=dict)

    def agree(self, events: Iterable[DpEvent], delta: float) -> Opinions:
        """Return what the accountants say of all of `events` together.

        Raises:
            AccountingMismatch: they do not agree, or one has no answer.
        """
        together = tuple(events)
        question = (frozenset(kinds_of(together).items()), delta)
        if question not in self.known:
            self.known[question] = _answer(together, delta)
        answer = self.known[question]
        if isinstance(answer, AccountingMismatch):
            raise answer
        return answer

    def about(self, events: Iterable[DpEvent], delta: float) -> Opinions | None:
        """Return what the accountants say; None where they do not agree."""
        try:
            return self.agree(events, delta)
        except AccountingMismatch:
            return None

    def trouble(self) -> str:
        """Return why they do not agree; "" where they do."""
        reasons = {str(one) for one in self.known.values() if isinstance(one, AccountingMismatch)}
        return "; ".join(sorted(reasons))


def _answer(events: tuple[DpEvent, ...], delta: float) -> Opinions | AccountingMismatch:
    try:
        said = opinions_of_all(events, delta)
        check(said)
    except AccountingMismatch as error:
        return error
    return said
