"""A seat's scores: after its sums, recorded before they are sent, and answered again if asked."""

import asyncio

import pytest
from msgspec.structs import replace

from participant.seat.answering import answer_norms, answer_scores
from participant.seat.judging import judge
from participant.seat.scoring import score
from participant.seat.stating import state
from privacy.errors import NotYet, PeerUnreachable, WrongContext
from privacy.plan import SharesTerms
from privacy.records import digest_of
from tests.participant.seat import seated as work

SCORED = work.plan(scheme=SharesTerms(1, 2, 4, work.STARTS, 1 << 10, score_step_log2=10))
BOUNDED = work.plan(scheme=SharesTerms(1, 2, 4, work.STARTS, norm_bound=3000))


class AskedTwice(work.NoQuestions):
    """Other seats of which one asks once more."""

    def __init__(self):
        super().__init__()
        self.left, self.answered = 1, asyncio.Event()

    async def knocked(self, plan, stage, context):
        self.asked.append((stage, context))
        if not self.left:
            self.answered.set()
            await asyncio.Event().wait()
        self.left -= 1
        return "south"


async def stated(tmp_path, desk, **more):
    """A seat that has stated its sums, and the round it sits in."""
    at_work = work.seat(tmp_path, desk, **more)
    sits = await work.sitting(at_work)
    await state(at_work, sits)
    return at_work, sits


@pytest.fixture
def desk():
    found = work.Desk.of(SCORED)
    found.certify(*work.NAMES)
    return found


async def test_scores_are_of_the_certified_cohort(tmp_path, desk):
    """In its order, whole."""
    questions = work.NoQuestions()
    at_work, sits = await stated(tmp_path, desk, questions=questions)

    await score(at_work, sits)
    at_work.memory.close()

    [(cohort, held)] = questions.asked
    assert cohort == digest_of(desk.cohort_record())
    assert held.participants == work.SITES
    assert set(desk.scored) == {"north"}


async def test_a_seat_takes_part_in_scores_of_what_it_has_checked(tmp_path, desk):
    """Its own verdict says so; others' word is not enough."""
    at_work = work.seat(tmp_path, desk)
    sits = await work.sitting(at_work)
    await judge(at_work, sits)
    await state(at_work, sits)

    await score(at_work, sits)
    at_work.memory.close()

    assert at_work.questions.checked == [True]


async def test_a_seat_that_has_not_judged_says_so(tmp_path, desk):
    """It was away when norms were checked, and takes part in no product."""
    at_work, sits = await stated(tmp_path, desk)

    await score(at_work, sits)
    at_work.memory.close()

    assert at_work.questions.checked == [False]


async def test_a_seat_whose_norms_were_not_asked_about_says_so(tmp_path):
    """A plan may freeze a cohort unchecked; such a cohort has no scores."""
    desk = work.Desk.of(work.plan(scheme=replace(SCORED.questions(), unchecked=True)))
    desk.certify(*work.NAMES)
    silent = work.NoQuestions(error=PeerUnreachable("seat east has said nothing"))
    at_work = work.seat(tmp_path, desk, questions=silent)
    sits = await work.sitting(at_work)
    await judge(at_work, sits)
    await state(at_work, sits)

    await score(at_work, sits)
    at_work.memory.close()

    assert silent.checked == [False]


async def test_a_member_of_the_cohort_that_was_not_asked_about_is_enough(tmp_path, desk):
    """Its product with the sum would open the words of all others."""
    questions = work.NoQuestions(unheld=("birch",))
    at_work = work.seat(tmp_path, desk, questions=questions)
    sits = await work.sitting(at_work)
    await judge(at_work, sits)
    desk.verdicts.clear()  # two others have let it in
    await state(at_work, sits)

    await score(at_work, sits)
    at_work.memory.close()

    assert questions.checked == [False]


async def test_there_are_no_scores_before_the_sums(tmp_path, desk):
    """The model waits for those."""
    at_work = work.seat(tmp_path, desk)

    with pytest.raises(NotYet, match="scores follow sums"):
        await score(at_work, await work.sitting(at_work))
    at_work.memory.close()
    assert desk.scored == {}


async def test_a_plan_that_asks_for_none_has_none(tmp_path):
    """Nothing is opened about an update."""
    desk = work.Desk.of()
    questions = work.NoQuestions()
    at_work = work.seat(tmp_path, desk, questions=questions)

    await score(at_work, await work.sitting(at_work))
    at_work.memory.close()

    assert (questions.asked, desk.scored) == ([], {})


async def test_killed_before_scores_are_recorded_nothing_has_left(tmp_path, desk):
    """They are asked for again, and those are sent."""
    at_work, sits = await stated(tmp_path, desk, failpoints=work.killed_at("seat.before_scores"))
    with pytest.raises(work.Killed):
        await score(at_work, sits)
    at_work.memory.close()
    assert desk.scored == {}

    again, sits = await stated(tmp_path, desk)
    await score(again, sits)
    first = desk.scored.pop("north")
    questions = again.questions.asked
    await score(again, sits)
    again.memory.close()

    assert desk.scored["north"] == first
    assert len(questions) == 1


async def test_a_seat_that_has_judged_takes_part_once_more(tmp_path):
    """Its verdict stays; the seat that asks has lost its answer."""
    desk, questions = work.Desk.of(BOUNDED), AskedTwice()
    at_work = work.seat(tmp_path, desk, questions=questions)
    sits = await work.sitting(at_work)
    await judge(at_work, sits)
    before = desk.verdicts["north"]
    questions.asked.clear()

    answering = asyncio.create_task(answer_norms(at_work, sits))
    await asyncio.wait_for(questions.answered.wait(), 5)
    answering.cancel()
    at_work.memory.close()

    candidates = digest_of(desk.candidate_record())
    (stage, _), (asked, held), _ = questions.asked
    assert (stage, asked, held.participants) == ("norms", candidates, work.SITES)
    assert desk.verdicts["north"] == before


async def test_a_seat_is_not_asked_again_about_other_candidates(tmp_path, monkeypatch):
    """A coordinator that shows another list gets no second answer."""
    desk, questions = work.Desk.of(BOUNDED), AskedTwice()
    at_work = work.seat(tmp_path, desk, questions=questions)
    sits = await work.sitting(at_work)
    await judge(at_work, sits)
    questions.asked.clear()
    del desk.parts["delta"]

    with pytest.raises(WrongContext, match="two lists of candidates"):
        await asyncio.wait_for(answer_norms(at_work, sits), 5)
    at_work.memory.close()

    assert [stage for stage, _ in questions.asked] == ["norms"]


async def test_a_seat_that_has_scored_takes_part_once_more(tmp_path, desk):
    """What it has signed stays."""
    questions = AskedTwice()
    at_work, sits = await stated(tmp_path, desk, questions=questions)
    await score(at_work, sits)
    before = desk.scored["north"]
    questions.asked.clear()

    answering = asyncio.create_task(answer_scores(at_work, sits))
    await asyncio.wait_for(questions.answered.wait(), 5)
    answering.cancel()
    at_work.memory.close()

    (stage, _), (asked, _), _ = questions.asked
    assert (stage, asked) == ("scores", digest_of(desk.cohort_record()))
    assert desk.scored["north"] == before
