"""What others are shown of seats' sums: the signed statements, and to trainers the sealed words.

No seat reads another's statement before its own counts.
"""

from dataclasses import dataclass
from typing import Final

from coordinator import object_names as names
from coordinator.archive import Archive
from coordinator.ports import ObjectStore
from coordinator.rounds.moving import Moving
from coordinator.rounds.standing import Rounds
from coordinator.rounds.state import Phase, Round, Stated
from privacy.documents import Signed
from privacy.errors import IllegalEvent, MalformedMessage, NotYet, WrongIdentity

from .seat_sums import statement_name

SHOWN: Final = frozenset(
    {Phase.DISPUTED, Phase.AGGREGATING, Phase.OPENING, Phase.DONE, Phase.ABORTED}
)
"""Phases in which statements are given out: no seat reads another's before its own counts."""


@dataclass(frozen=True)
class SealedSums:
    """Shows a round's sums, to whom and when its rules let them be seen."""

    rounds: Rounds
    archive: Archive
    objects: ObjectStore
    moving: Moving

    def statements(self, caller: str, number: int) -> list[Signed]:
        """Return the signed statements of a round's seats, once they are compared.

        Raises:
            WrongIdentity: the caller is no seat, trainer or auditor of the round.
            NotYet: seats are still adding.
        """
        current = self.rounds.get(number)
        rules = current.rules
        if caller not in (*rules.trainers, *rules.seats, rules.auditor):
            raise WrongIdentity(f"{caller} has no part in round {number}")
        if current.phase not in SHOWN:
            raise NotYet(f"round {number} is {current.phase}: its seats' sums are not compared")
        stated = [statement_name(number, each.seat) for each in current.stated]
        return [self.archive.document("seat-sum", name) for name in stated]

    def chunks(self, caller: str, number: int, seat: str, position: int) -> int:
        """Return in how many chunks a seat has sealed the sum of one of its components.

        Raises:
            WrongIdentity: the caller is no trainer of the round.
            NotYet: the sums are not compared, or that seat has stated none that counts.
            IllegalEvent: the round was aborted, and its sums are erased.
        """
        self._opened(caller, number, seat, position)
        return self.archive.plan(number).geometry().chunks

    def words(self, caller: str, number: int, seat: str, position: int, chunk: int) -> bytes:
        """Return one chunk of a sealed sum, under the same conditions as `chunks`."""
        current, stated = self._opened(caller, number, seat, position)
        name = names.seat_sum_chunk(number, stated.statement, position, chunk)
        if current.phase is Phase.DONE and not self.objects.exists(name):
            raise IllegalEvent(f"round {number} is done: its sums are erased")
        payload = self.objects.get(name)
        # Others fetch them too, for as long as they like; only openers make a model of them.
        if caller in current.rules.openers:
            self.moving.given(number, caller, f"words {stated.statement} {position}", chunk)
        return payload

    def _opened(self, caller: str, number: int, seat: str, position: int) -> tuple[Round, Stated]:
        current = self.rounds.get(number)
        if caller not in current.rules.trainers:
            raise WrongIdentity(f"{caller} is no trainer of round {number}")
        if current.phase is Phase.ABORTED:
            raise IllegalEvent(f"round {number} is aborted: nobody opens its sum")
        if current.phase not in (Phase.OPENING, Phase.DONE):
            raise NotYet(f"round {number} is {current.phase}: its sums are not opened yet")
        if position not in (0, 1):
            raise MalformedMessage(f"a seat states two sums, there is no number {position}")
        for each in current.stated:
            if each.seat == seat and seat not in current.liars:
                return current, each
        raise NotYet(f"round {number}: {seat[:80]!r} has stated no sum that counts")
