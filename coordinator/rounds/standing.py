"""The rounds as they stand: loaded once, stepped one at a time, saved before anybody sees it.

One lock makes each step a unit. A round's new state and the effects it orders are saved in one
transaction, so a crash at any point is a resume.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import structlog

from coordinator.ports import Store
from privacy.errors import NotYet, StoreUnavailable, WrongIdentity
from privacy.failpoints import Failpoints

from . import round as machine
from .invariants import Alarm, check_step
from .progress import Progress
from .state import Phase, Round

log = structlog.get_logger()


@dataclass
class Rounds:
    """Every round of the programme.

    `lock` is for who must look at a round and step it without another step in between;
    `revision` counts what there was to see since the process started. `alarm` sounds at a step
    that breaks an invariant: it is not saved, and no other is taken.
    """

    store: Store
    progress: Progress
    failpoints: Failpoints

    def __post_init__(self) -> None:
        self.lock = threading.RLock()
        self.revision = 1
        self.alarm = Alarm()
        stored = self.store.load_rounds()
        self._rounds = {number: machine.decode(each.state) for number, each in stored.items()}
        self._revisions = {number: each.revision for number, each in stored.items()}
        self._listeners: list[Callable[[], None]] = []
        self._unsure: set[int] = set()

    def all(self) -> Mapping[int, Round]:
        """Return every round, by number, as of the last one saved; waits for nothing."""
        return self._rounds

    def get(self, number: int) -> Round:
        """Return one round.

        Raises:
            NotYet: there is none of that number.
        """
        with self.lock:
            self._look_again(number)
            if number not in self._rounds:
                raise NotYet(f"there is no round {number} yet")
            return self._rounds[number]

    def named_plan(self, number: int) -> str:
        """Return the digest of the plan that a round names; nothing if it names none."""
        current = self.all().get(number)
        return current.plan if current is not None else ""

    def of_seat(self, caller: str, number: int) -> Round:
        """Return one round, to a seat of it.

        Raises:
            WrongIdentity: the caller is no seat of the round.
            NotYet: as for `get`.
        """
        current = self.get(number)
        if caller not in current.rules.seats:
            raise WrongIdentity(f"{caller} is no seat of round {number}")
        return current

    def begin(self, new: Round) -> None:
        """Save a round that there was not."""
        with self.lock, self.alarm.listening():
            self._look_again(new.number)
            if new.number not in self._rounds:  # the one that was saved unseen is this one
                self._save(new, ())
        self.progress.came_of_it(new.number)

    def apply(self, number: int, event: machine.Event) -> Round:
        """Step a round and save it with its effects, in one transaction.

        Raises:
            IllegalEvent, ConflictingContribution, WrongIdentity: as for `round.step`.
            InvariantBroken: a bug of ours; nothing is saved.
        """
        with self.lock, self.alarm.listening():
            before = self.get(number)
            after, effects = machine.step(before, event)
            if after == before and not effects:
                return after
            check_step(before, event, after, effects)
            self._save(after, effects)
            if isinstance(event, machine.Quiet) and after.phase is Phase.OPENING:
                self.progress.worked(number)  # a turn that passes is time for the next, no more
            else:
                self.progress.came_of_it(number)
            what = type(event).__name__
            log.info("round_stepped", round=number, what=what, phase=after.phase)
            return after

    def worked(self, participant: str, number: int) -> None:
        """Note that a member works for a round, if the round waits for it."""
        current = self.all().get(number)
        if current is not None and participant in current.waits_for():
            self.progress.worked(number, participant)

    def look_again(self) -> None:
        """Load every round whose last save was not answered: it may have been saved."""
        with self.lock:
            for number in sorted(self._unsure):
                self._look_again(number)

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call `listener`, from any thread, whenever a round has changed."""
        self._listeners.append(listener)

    def announce(self) -> None:
        """Tell those who watch that there is something new to see."""
        self.revision += 1
        for listener in self._listeners:
            listener()

    def _look_again(self, number: int) -> None:
        if number not in self._unsure:
            return
        before = self._revisions.get(number)
        if number in self.store.round_numbers():
            self._load(number)
        self._unsure.discard(number)
        if self._revisions.get(number) != before:
            self.announce()

    def _load(self, number: int) -> None:
        stored = self.store.load_round(number)
        assert stored is not None  # the number came from the store itself
        self._rounds = {**self._rounds, number: machine.decode(stored.state)}
        self._revisions[number] = stored.revision

    def _save(self, after: Round, effects: tuple[machine.Effect, ...]) -> None:
        bodies = [machine.encode_effect(effect) for effect in effects]
        self.failpoints.hit("service.before_save")
        known, state = self._revisions.get(after.number), machine.encode(after)
        try:
            self._revisions[after.number] = self.store.save_step(after.number, known, state, bodies)
        except StoreUnavailable:
            self._unsure.add(after.number)  # kept, perhaps, and the answer lost
            raise
        self.failpoints.hit("service.after_save")
        # A new mapping each time, so that who reads one needs no lock.
        self._rounds = {**self._rounds, after.number: after}
        self.announce()
