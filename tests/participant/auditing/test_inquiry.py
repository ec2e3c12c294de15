"""How long a holder is waited for: silence ends it, and nobody's silence counts."""

import os

import pytest

from participant.auditing import inquiry
from participant.auditing.inquiry import Holder, Limits
from participant.wire.disputing import SHOWN, WORKING, Case, Wanted, show
from participant.wire.letters import Letter, Mailbox, Waiter
from participant.wire.patience import Patience
from privacy.errors import Unavailable
from privacy.plan import DeadlinePolicy
from privacy.records import digest_of
from privacy.schemes.shares.evidence import ChunkRoots
from tests.participant import at_dispute as at
from tests.participant import shared_round as shared
from tests.participant import signed_round as made

CASE = Case(
    federation=made.FEDERATION,
    round=1,
    plan=at.plan().digest(),
    cohort=digest_of(at.lied_about(1).cohort),
    component=1,
    seat=at.ELM,
    auditor=made.WATCH,
)
ROOTS = ChunkRoots((b"r" * 32,))


class Clock:
    """A clock that a test moves."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def limits(clock):
    return Limits(DeadlinePolicy("3", "20"), clock)


def test_silence_ends_it_and_a_sign_of_life_goes_on(clock, limits):
    """As long as the plan waits for one."""
    clock.now += 2.9
    limits.hear()
    clock.now += 2.9
    assert not limits.passed()

    clock.now += 0.1
    assert limits.passed()


def test_a_seat_that_is_only_at_work_ends_as_well(clock, limits):
    """Else one that lied could hold the round until the coordinator gives it up."""
    for _ in range(9):
        clock.now += 1.0
        limits.hear()
    assert not limits.passed()

    clock.now += 1.0
    limits.hear()
    assert limits.passed()


def test_while_the_coordinator_is_away_no_time_passes(clock, limits):
    """Nobody can be heard then."""
    clock.now += 2.0
    began = limits.now()
    clock.now += 50.0
    limits.away_since(began)

    assert not limits.passed()
    clock.now += 1.0
    assert limits.passed()


class Scripted:
    """A mailbox whose every question moves the clock, and is answered as a test says."""

    def __init__(self, clock, waiter, answers):
        self.clock, self.waiter, self.answers = clock, waiter, list(answers)
        self.posted = 0
        self.cut_off = False

    async def post(self, recipient, topic, body):
        self.posted += 1
        self.clock.now += 1.0
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, Exception):
            self.clock.now += 100.0
            raise answer
        if answer is not None:
            self.waiter.offer(answer)


def holder(clock, limits, answers):
    waiter = Waiter(None)
    box = Scripted(clock, waiter, answers)
    member = shared.roster().member(at.ELM)
    patience = Patience(os.urandom)
    return Holder(CASE, member, made.keys(made.WATCH), box, waiter, patience, limits), box


def answer(wanted=None, shows=ROOTS, key=at.ELM):
    auditor = shared.roster().member(made.WATCH)
    body = show(CASE, wanted or Wanted(), None, shows, auditor, made.keys(key).signing)
    return Letter(1, at.ELM, SHOWN, body)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(inquiry, "ASK_AGAIN_SECONDS", 0.01)
    monkeypatch.setattr("participant.wire.patience.SHORTEST_SECONDS", 0.001)


async def test_a_question_is_asked_until_it_is_answered(clock, limits):
    asked, box = holder(clock, limits, [None, None, answer()])

    assert await asked.ask(Wanted(), (None,)) == {None: ROOTS}
    assert box.posted == 3


async def test_an_outage_of_the_coordinator_is_not_a_seats_silence(clock, limits):
    """However long it lasts: an honest seat is not named for it."""
    asked, _ = holder(clock, limits, [Unavailable("away"), Unavailable("away"), None, answer()])

    assert await asked.ask(Wanted(), (None,)) == {None: ROOTS}


async def test_what_is_not_signed_by_the_seat_is_no_sign_of_life(clock, limits):
    """Nor what answers another question: it is silent all the same."""
    vain = [answer(key=at.FERN), answer(Wanted(2)), Letter(1, at.ELM, SHOWN, b"?"), answer()]
    asked, box = holder(clock, limits, vain)

    assert await asked.ask(Wanted(), (None,)) == {}
    assert box.posted == 3


async def test_who_says_that_it_is_at_work_is_waited_for(clock, limits):
    """It opens parts, which can last."""
    working = Letter(1, at.ELM, WORKING, b"")
    asked, _ = holder(clock, limits, [working, None, working, None, answer()])

    assert await asked.ask(Wanted(), (None,)) == {None: ROOTS}


def test_a_mailbox_is_what_the_scripted_one_stands_for():
    """The names that a holder uses of it."""
    assert {"post", "waiting"} <= set(dir(Mailbox))
