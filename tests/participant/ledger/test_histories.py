"""Any history of jobs, retries, crashes and restarts: what is released was committed before."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from participant.ledger.site_ledger import SiteLedger
from privacy.budget import NO_COSTS, Costs, costs_of
from privacy.errors import BudgetExhausted, ConflictingContribution, IllegalEvent
from privacy.events import Events, Gaussian
from privacy.failpoints import Failpoints
from privacy.ledger import Checkpoint, Released, Result
from tests.participant.kept_ledger import DELTA, HEARTS, LIMITS, OVER, PLAN, opened

REFUSALS = (BudgetExhausted, ConflictingContribution, IllegalEvent)
JOBS = st.sampled_from(["j-1", "j-2", "j-3"])
ROUNDS = st.integers(1, 4)
SIGMAS = st.sampled_from([("20", "6"), ("40", "9"), ("12", "12")])
OUTS = st.sampled_from(["a" * 64, "b" * 64])
PROCESSES = st.integers(0, 1)


class Crash(BaseException):
    """The end of a process, in the middle of a write."""


def _dies(place: str) -> None:
    raise Crash(place)


class Histories(RuleBasedStateMachine):
    """Two processes on one ledger; a model beside it knows what left, and nothing else."""

    @initialize()
    def begin(self) -> None:
        """A new ledger."""
        self.folder = Path(tempfile.mkdtemp())
        self.path = self.folder / "ledger.sqlite"
        self.processes = [self.start(), self.start()]
        self.processes[0].register(HEARTS)
        self.held: dict[str, str] = {}
        self.sent: dict[tuple[str, int, str], Events] = {}
        self.committed = NO_COSTS
        self.seen: Checkpoint | None = None

    def start(self, failpoints: Failpoints | None = None) -> SiteLedger:
        """A process that has just started."""
        return opened(self.path, failpoints=failpoints)

    def tries(self, process: int, act: str, *arguments: Any) -> Any:
        """What a process answers; a refusal changes nothing."""
        ledger = self.processes[process]
        before = ledger.state()
        try:
            return getattr(ledger, act)(*arguments)
        except REFUSALS:
            assert ledger.state() == before
            return None

    @rule(process=PROCESSES, job=JOBS, rounds=ROUNDS, sigmas=SIGMAS)
    def reserve(self, process: int, job: str, rounds: int, sigmas: tuple[str, str]) -> None:
        """A programme plans its rounds, the same as before or others."""
        events = Events(*map(Gaussian, sigmas))
        name = self.tries(process, "reserve", "hearts", job, events, "1", rounds, PLAN)
        if name is not None:
            self.held[job] = name

    @precondition(lambda self: self.held)
    @rule(process=PROCESSES, job=JOBS, number=ROUNDS, out=OUTS)
    def release(self, process: int, job: str, number: int, out: str) -> None:
        """A site commits and sends; again with the same bytes, or with others."""
        name = self.held.get(job, "r-99")
        ledger = self.processes[process]
        try:
            ledger.commit(name, number, out)
        except REFUSALS:
            return
        # the bytes leave only behind a commit that has returned
        self.sent[job, number, out] = ledger.reservation(
            ledger.committed("hearts", job, number).reservation  # type: ignore[union-attr]
        ).events
        ledger.sent(name, number)

    @precondition(lambda self: self.held)
    @rule(job=JOBS, number=ROUNDS, out=OUTS, place=st.sampled_from(["before", "after"]))
    def crash_in_a_commit(self, job: str, number: int, out: str, place: str) -> None:
        """A process dies with the row in its transaction, or just on disk; nothing left."""
        dying = self.start(Failpoints({(f"ledger.{place}_write", 1): _dies}))
        try:
            dying.commit(self.held.get(job, "r-99"), number, out)
        except (Crash, *REFUSALS):
            pass
        finally:
            dying.close()

    @rule(process=PROCESSES, job=JOBS)
    def retire(self, process: int, job: str) -> None:
        """A programme is over."""
        self.tries(process, "retire", self.held.get(job, "r-99"), OVER)

    @rule(process=PROCESSES, job=JOBS, number=ROUNDS)
    def end(self, process: int, job: str, number: int) -> None:
        """A round is told to its end, if it was paid for."""
        result = Result(PLAN, "c" * 64, 3, 1)
        self.tries(process, "result", "hearts", job, number, result)
        released = Released("1" * 64, "2" * 64)
        self.tries(process, "released", "hearts", job, number, released)

    @rule(process=PROCESSES, sigmas=SIGMAS)
    def look(self, process: int, sigmas: tuple[str, str]) -> None:
        """The data is used outside of rounds."""
        self.tries(process, "preprocess", "hearts", Events(*map(Gaussian, sigmas)), "a look")

    @rule(process=PROCESSES)
    def restart(self, process: int) -> None:
        """A process stops and starts; it verifies the whole chain."""
        self.processes[process].close()
        self.processes[process] = self.start()

    @invariant()
    def what_left_is_never_more_than_what_was_committed(self) -> None:
        """At every order, in both views."""
        if not hasattr(self, "processes"):
            return
        released = sum((costs_of(events) for events in self.sent.values()), start=Costs())
        committed = self.processes[0].state().committed.get("hearts", NO_COSTS)
        assert committed.covers(released)

    @invariant()
    def committed_never_falls_and_charged_stays_within_the_limits(self) -> None:
        """Whoever asks, both processes say the same."""
        if not hasattr(self, "processes"):
            return
        one, two = (process.state() for process in self.processes)
        assert one == two
        committed = one.committed.get("hearts", NO_COSTS)
        assert committed.covers(self.committed)
        self.committed = committed
        budgets = one.budgets("hearts", LIMITS)
        assert budgets.sums.charged().epsilon(DELTA) <= 3.0
        assert budgets.vector.charged().epsilon(DELTA) <= 3.0

    @invariant()
    def a_round_has_one_output(self) -> None:
        """Whichever bytes were committed first."""
        if hasattr(self, "processes"):
            assert len({(job, number) for job, number, _ in self.sent}) == len(self.sent)

    @invariant()
    def the_ledger_only_grows(self) -> None:
        """Each head that was ever seen is the head of a beginning of it."""
        if hasattr(self, "processes"):
            if self.seen is not None:
                self.processes[1].require_extends(self.seen)
            self.seen = self.processes[1].checkpoint()

    def teardown(self) -> None:
        """Every row, at the end."""
        if hasattr(self, "processes"):
            self.processes[0].verify_chain()
            for process in self.processes:
                process.close()
            shutil.rmtree(self.folder)


Histories.TestCase.settings = settings(
    deadline=None,
    max_examples=15,
    stateful_step_count=20,
    suppress_health_check=[HealthCheck.too_slow],
)
TestHistories = Histories.TestCase
