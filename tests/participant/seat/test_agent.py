"""Seats at work: from the first contribution to the last signature, and through restarts."""

import asyncio
import os
from contextlib import nullcontext, suppress
from types import SimpleNamespace

import pytest
from structlog.testing import capture_logs

from participant.seat import agent as module
from participant.seat import recall
from participant.seat.agent import AggregatorAgent
from participant.seat.memory import SeatMemory
from participant.view import View
from participant.wire.letters import Mailbox
from participant.wire.patience import Patience
from privacy import canonical
from privacy.errors import FolderHeld, IllegalEvent, NotYet, PolicyRefusal
from privacy.failpoints import Failpoints
from privacy.plan import SharesTerms
from privacy.records import SeatSum
from tests.participant import signed_round as made
from tests.participant.seat import seated as work

PLAN = work.plan()


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.01)


async def test_what_it_sends_and_fetches_is_counted(tmp_path, monkeypatch):
    """Its metrics read the line that its coordinator takes from."""
    shown = SimpleNamespace(channel=None)

    async def nothing(*_):
        return None

    monkeypatch.setattr(module, "connected", lambda *_: nullcontext(shown))
    monkeypatch.setattr(module, "Letters", lambda _: None)
    monkeypatch.setattr(module, "SeatCalls", lambda _: None)
    monkeypatch.setattr(AggregatorAgent, "serve", nothing)
    settings = work.config(tmp_path, work.NAMES[0])
    at_work = AggregatorAgent(settings, made.keys(work.NAMES[0]), os.urandom, Failpoints())

    await at_work.run()

    assert shown.tempo is at_work.line


class Federation:
    """Three seats and the trainers' part of a recall, in one process."""

    def __init__(self, folder, desk, questions=None):
        self.folder, self.desk, self.boxes = folder, desk, {}
        self.lines = {name: work.Shown(desk, name) for name in work.NAMES}
        self.questions = questions or {name: work.NoQuestions() for name in work.NAMES}

    def mailbox(self, name):
        return Mailbox(work.Letterbox(name, self.boxes), Patience(os.urandom))

    def agent(self, name, failpoints=None, **policy):
        settings = work.config(self.folder, name, **policy)

        def asking(party, memory):
            return self.questions[name]

        agent = AggregatorAgent(
            settings, made.keys(name), os.urandom, failpoints or Failpoints(), asking
        )
        # It has told the coordinator before the round was planned.
        agent._start = dict(zip(work.NAMES, work.STARTS, strict=True)).get(name, agent._start)
        return agent

    async def serve(self, name, **more):
        await self.serving(name, self.agent(name, **more))

    async def serving(self, name, at_work):
        line = self.lines[name]
        try:
            await at_work.serve(line, line, self.mailbox(name))
        finally:
            os.close(at_work._held)
            at_work._memory.close()

    async def remember(self, name, newest=0):
        mailbox = self.mailbox(name)
        serving = recall.serve(mailbox, work.roster, name, made.keys(name).signing, lambda: newest)
        await asyncio.gather(mailbox.run(), serving)

    async def run(self, *seats):
        trainers = [asyncio.create_task(self.remember(name)) for name in work.SITES]
        try:
            async with asyncio.timeout(20):
                await asyncio.gather(*(seats or map(self.serve, work.NAMES)))
        finally:
            for each in trainers:
                each.cancel()


def roots(desk):
    """What each seat states, by component."""
    found = {}
    for name in work.NAMES:
        statement = canonical.decode(desk.sums[name][0].body, SeatSum)
        for each in statement.sums:
            found.setdefault(each.component, set()).add(each.root)
    return found


async def test_three_seats_bring_a_round_to_its_sums(tmp_path):
    """Each does its part as the round comes to it, and nothing is left on a disk."""
    federation = Federation(tmp_path, work.Desk.of(PLAN))

    await federation.run()

    assert work.refused_by(federation.desk) == {name: [] for name in work.NAMES}
    assert {component: len(each) for component, each in roots(federation.desk).items()} == {
        0: 1,
        1: 1,
        2: 1,
    }
    for name in work.NAMES:
        assert (1,) in federation.lines[name].watched
        assert list((tmp_path / name / "parts").iterdir()) == []
        assert list((tmp_path / name / "outbox").iterdir()) == []


async def test_what_was_done_is_said_once_and_what_was_not_asked_for_never(tmp_path):
    """The plan asks no scores; a sum that is sent again was stated before."""
    federation = Federation(tmp_path, work.Desk.of(PLAN))

    with capture_logs() as logs:
        await federation.run()

    done = [each["task"] for each in logs if each["event"] == "done"]
    assert "Score" not in done
    for task in ("Judge", "Certify", "State"):
        assert done.count(task) == len(work.NAMES)


async def test_scores_follow_the_sums(tmp_path):
    """Where the plan asks for them; signed, and of the whole cohort."""
    scheme = SharesTerms(1, 2, 4, work.STARTS, norm_bound=1 << 10, score_step_log2=10)
    asking = work.plan(scheme=scheme)
    federation = Federation(tmp_path, work.Desk.of(asking))

    await federation.run()

    assert set(federation.desk.scored) == set(work.NAMES)
    for name in work.NAMES:
        [(_, held), *_] = federation.questions[name].asked
        assert held.participants == work.SITES
        assert held.seat == work.NAMES.index(name)


async def test_scores_that_were_begun_are_ended_after_the_model_is_released(tmp_path):
    """Nothing waits for them; a seat ends what it has begun, and only then forgets the round."""
    scheme = SharesTerms(1, 2, 4, work.STARTS, norm_bound=1 << 10, score_step_log2=10)
    asking = work.plan(scheme=scheme)
    released, begun = asyncio.Event(), set()

    class Slow(work.NoQuestions):
        async def scores(self, cohort, held, *, checked):
            begun.add(held.seat)
            await released.wait()
            await asyncio.sleep(0.05)
            return await super().scores(cohort, held, checked=checked)

    class Hasty(work.Shown):
        async def watch(self, seen, working_on, wait_seconds, start=""):
            if len(begun) < len(work.NAMES):
                return await super().watch(seen, working_on, wait_seconds, start)
            released.set()
            await asyncio.sleep(0.005)
            return View(2, (), released=asking.terms.round, finished=True)

    desk = work.Desk.of(asking)
    federation = Federation(tmp_path, desk, {name: Slow() for name in work.NAMES})
    federation.lines = {name: Hasty(desk, name) for name in work.NAMES}

    await federation.run()

    assert set(desk.scored) == set(work.NAMES)
    assert not [*tmp_path.glob("*/parts/*"), *tmp_path.glob("*/outbox/*")]


class Late(work.Shown):
    """A line on which one seat dies with its scores in hand; then the programme is over."""

    released = 0
    refusal = None

    async def watch(self, seen, working_on, wait_seconds, start=""):
        if not self.released:
            return await super().watch(seen, working_on, wait_seconds, start)
        await asyncio.sleep(0.005)
        self.watched.append(tuple(working_on))
        return View(2, (), released=self.released, finished=True)

    async def put_scores(self, scores):
        if not self.released:
            raise work.Killed("before scores are sent")
        if self.refusal is not None:
            raise self.refusal
        await super().put_scores(scores)


async def killed_with_scores(folder):
    """A federation whose seat has died between recording its scores and sending them."""
    scheme = SharesTerms(1, 2, 4, work.STARTS, norm_bound=1 << 10, score_step_log2=10)
    desk = work.Desk.of(work.plan(scheme=scheme))
    federation = Federation(folder, desk)
    late = federation.lines["north"] = Late(desk, "north")

    async def dies():
        with suppress(work.Killed):
            await federation.serve("north")
        # For the two others this one is gone for good.
        desk.scored["north"] = None

    await federation.run(federation.serve("east"), dies(), federation.serve("south"))
    del desk.scored["north"]
    late.released = desk.plan.terms.round
    late.watched.clear()
    return federation


async def test_scores_that_were_signed_are_handed_in_after_the_release(tmp_path):
    """A seat that was killed with them in hand would leave everybody unpaid."""
    federation = await killed_with_scores(tmp_path)
    signed = memory_of(tmp_path, "north", lambda memory: memory.scored(1))

    await federation.run(federation.serve("north"))

    assert signed is not None
    assert federation.desk.scored["north"] == signed
    assert set(federation.lines["north"].watched) == {()}  # no round waits for them
    assert memory_of(tmp_path, "north", lambda memory: memory.unsent()) == frozenset()


@pytest.mark.parametrize("refusal", [IllegalEvent("too late"), NotYet("no such round")])
async def test_scores_that_are_taken_no_more_keep_no_seat(tmp_path, refusal):
    """It has said them once more, and ends with its programme."""
    federation = await killed_with_scores(tmp_path)
    federation.lines["north"].refusal = refusal

    await federation.run(federation.serve("north"))

    assert "north" not in federation.desk.scored


def memory_of(folder, name, read):
    """What a seat that does not run remembers."""
    memory = SeatMemory(folder / name)
    try:
        return read(memory)
    finally:
        memory.close()


@pytest.mark.parametrize(
    "where",
    [
        "seat.before_verdict",
        "seat.before_certify_record",
        "seat.after_certify_record",
        "seat.before_fold",
        "seat.before_statement",
        "seat.in_upload",
    ],
)
async def test_a_seat_that_dies_anywhere_goes_on(tmp_path, where):
    """With what it remembers; the round ends as if nothing had happened.

    Where it has forgotten whether it signed the cohort, the trainers' signatures do for its own.
    """
    federation = Federation(tmp_path, work.Desk.of(PLAN))
    federation.desk.certify(*work.SITES)

    async def dies_once():
        with suppress(work.Killed):
            await federation.serve("north", failpoints=killed(where))
        await federation.serve("north")

    await federation.run(federation.serve("east"), dies_once(), federation.serve("south"))

    assert {len(each) for each in roots(federation.desk).values()} == {1}


def killed(where):
    """As `work.killed_at`, with an error that a task of an event loop can end with."""

    def kill(at):
        raise work.Killed(at)

    return Failpoints({(where, 1): kill})


async def test_a_coordinator_that_lies_about_phases_gets_nothing(tmp_path):
    """Without candidates, a cohort or a certificate that hold, there is nothing to sign or add."""
    desk = work.Desk.of(PLAN)
    federation = Federation(tmp_path, desk)
    line = federation.lines["north"]
    count = 0

    async def watch(seen, working_on, wait_seconds, start):
        nonlocal count
        await asyncio.sleep(0.005)
        count += 1
        over = work.View(2, (), finished=True)
        return over if count > 40 else work.View(1, (work.round_view(desk, "summing"),))

    line.watch = watch
    await federation.run(federation.serve("north"))

    assert desk.sums == {}
    assert desk.certificate == {}


async def test_each_process_says_what_it_drew_when_it_started(tmp_path):
    """With every look at the rounds; another process draws another."""
    desk, said = work.Desk.of(PLAN), []

    async def watch(seen, working_on, wait_seconds, start):
        await asyncio.sleep(0.005)
        said.append(start)
        return work.View(2, (), finished=len(said) % 3 == 0)

    for _ in range(2):
        federation = Federation(tmp_path, desk)
        federation.lines["north"].watch = watch
        settings = work.config(tmp_path, "north")
        agent = AggregatorAgent(
            settings, made.keys("north"), os.urandom, Failpoints(), lambda *_: work.NoQuestions()
        )
        await federation.run(federation.serving("north", agent))

    first, second = said[:3], said[3:6]
    assert len(set(first)) == len(set(second)) == 1
    assert {len(each) for each in said} == {64}
    assert first[0] != second[0]


async def test_two_processes_do_not_share_a_folder(tmp_path):
    """Each would sign one cohort."""
    federation = Federation(tmp_path, work.Desk.of(PLAN))
    first = federation.agent("north")

    with pytest.raises(FolderHeld, match="another process"):
        federation.agent("north")
    os.close(first._held)


@pytest.mark.parametrize("name", ["amber", "watch"])
async def test_who_is_not_an_aggregator_alone_takes_no_seat(tmp_path, name):
    """It may know, or open, what a seat must not."""
    federation = Federation(tmp_path, work.Desk.of(PLAN))
    federation.lines[name] = work.Shown(federation.desk, name)
    federation.questions[name] = work.NoQuestions()

    with pytest.raises(PolicyRefusal, match="no aggregator"):
        await federation.serve(name)
    assert federation.desk.streams == []
