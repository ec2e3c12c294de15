"""How long things are kept: what a round leaves behind, and when that goes.

Two things stay for ever: documents (plans, headers, cohorts, manifests, releases, with their
signatures and every digest in them) and the rounds themselves. All else goes once nothing needs
it. What must go is read from the state of the rounds, never from a list of what was done before,
so it makes no difference where a process died: the next look finds what is left, and so it finds
what a crash, or a process that should have stopped, has written into a round that is over.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from coordinator import object_names as names
from coordinator.config import Retention as Periods
from coordinator.opening.models import Models
from coordinator.ports import ObjectStore, Store
from coordinator.rounds.standing import Rounds
from coordinator.rounds.state import Phase, Round
from coordinator.seats.seat_sums import SeatSums
from privacy.errors import NotYet

log = structlog.get_logger()

Demands = Callable[[int], bool]
"""Returns whether somebody demands to see what a round's result was made from."""


def nobody_demands(_: int) -> bool:
    """Return that no demand is open: a round's own disputes end before it does."""
    return False


@dataclass
class Retention:
    """Erases what a round that is over leaves, as soon as nothing may need it any more."""

    periods: Periods
    rounds: Rounds
    store: Store
    objects: ObjectStore
    sums: SeatSums
    models: Models
    now: Callable[[], float]
    open_demands: Demands = nobody_demands
    _looked_at: set[int] = field(default_factory=set, repr=False)

    def erase(self, number: int) -> None:
        """Erase of a round that is over what may go now; the rest is found by `sweep`.

        Raises:
            StoreUnavailable: some of it may be left; do it again.
        """
        current = self.rounds.get(number)
        # The cohort key lives for one round: nobody can ask for its secret again.
        self.objects.delete_prefix(names.keys(number))
        self.models.erase_unreleased(number)
        self._note_end(current)
        if self.is_disputable(number):
            self._erase_secrets(number)
        else:
            self.objects.delete_prefix(names.contributions(number))
            # Nobody opens it any more: who has the key has a model, or was too late.
            self.objects.delete_prefix(names.sums(number))
            self.store.forget_sum(number)
            self.sums.erase(number)
        self._let_go_of_older()

    def is_disputable(self, number: int) -> bool:
        """Return whether what a round's result was made from must stay."""
        if self.open_demands(number):
            return True
        # Under `shares` disputes end with their round: what shows who is right are the parts.
        if self.rounds.get(number).rules.seats:
            return False
        ended = self._ended(number)
        return ended is not None and self.now() < ended + self.periods.challenge_seconds

    def keeps_model(self, number: int) -> bool:
        """Return whether the sealed model that a round has released must stay."""
        return number in self._newest_released() or self.open_demands(number)

    def sweep(self, number: int) -> int:
        """Erase what a round that is over still has and should not; return how many objects.

        Raises:
            StoreUnavailable: some of it may be left.
        """
        found, may_stay = self.objects.names(names.of_round(number)), self._may_stay(number)
        left_over = [
            name
            for name in found
            if names.is_secret_of(number, name)
            or not any(_is_below(name, each) for each in may_stay)
        ]
        if left_over:
            self.erase(number)
            if not self.keeps_model(number):
                self.objects.delete_prefix(names.models(number))
            log.info("round_swept", round=number, objects=len(left_over))
        return len(left_over)

    def forget_rows(self) -> None:
        """Forget the rows of chunks of rounds that ended long ago; their headers stay."""
        over = [number for number, each in self.rounds.all().items() if each.is_over()]
        live = [number for number, each in self.rounds.all().items() if not each.is_over()]
        newest = sorted(over)[-self.periods.rounds :]
        if len(newest) == len(over):
            return
        kept = [number for number in over if self.is_disputable(number)]
        self.store.forget_chunks(min([*newest, *live], default=0), kept)

    def due(self) -> list[int]:
        """Return the rounds that a look at what is left must look at: all once, then the newest.

        What may still be disputed is looked at until it is not.
        """
        over = sorted(number for number, each in self.rounds.all().items() if each.is_over())
        newest = set(over[-self.periods.rounds :])
        return [number for number in over if number in newest or number not in self._looked_at]

    def looked_at(self, number: int) -> None:
        """Note that nothing is left of a round, and nothing of it waits to go."""
        if not self.is_disputable(number) and not self.keeps_model(number):
            self._looked_at.add(number)

    def _erase_secrets(self, number: int) -> None:
        # Who adds ciphertexts again needs no mask, and no part: those open single updates.
        found = self.objects.names(names.contributions(number))
        secrets = [name for name in found if names.is_secret_of(number, name)]
        for folder in sorted({name.rsplit("/", 1)[0] for name in secrets}):
            self.objects.delete_prefix(folder)

    def _may_stay(self, number: int) -> list[str]:
        """Return the folders of a round that is over in which nothing must go."""
        current, folders = self.rounds.get(number), []
        if current.phase is Phase.DONE and self.keeps_model(number):
            folders.append(names.model(number, current.sealed_model))
        if self.is_disputable(number):
            made_from = (names.contributions, names.sums, names.seat_sums)
            folders.extend(each(number) for each in made_from)
        return folders

    def _newest_released(self) -> list[int]:
        return self._released()[-self.periods.models :]

    def _released(self) -> list[int]:
        rounds = self.rounds.all().items()
        return sorted(number for number, each in rounds if each.phase is Phase.DONE)

    def _let_go_of_older(self) -> None:
        """Erase the model and the rows that the end of a round has made too old.

        What this does not find, because a process died here or more was too old, `sweep` does.
        """
        superseded = self._released()[: -self.periods.models]
        if superseded and not self.open_demands(superseded[-1]):
            self.objects.delete_prefix(names.models(superseded[-1]))
        if self.periods.challenge_seconds == 0:  # else each old round would be asked when it ended
            self.forget_rows()

    def _note_end(self, current: Round) -> None:
        # What was sent for a round that was aborted was counted nowhere: nobody disputes it.
        if self.periods.challenge_seconds == 0 or current.phase is not Phase.DONE:
            return
        if self._ended(current.number) is None:
            body = str(int(self.now())).encode()
            self.store.put_document("ended", f"{current.number:06d}", body)

    def _ended(self, number: int) -> float | None:
        if self.periods.challenge_seconds == 0:
            return None
        try:
            return float(self.store.document("ended", f"{number:06d}"))
        except NotYet:
            return None


def _is_below(name: str, folder: str) -> bool:
    return name.startswith(f"{folder}/")
