"""Scores are found out after the end of a round: by all sites, in time, and by enough openers."""

import math

import pytest
from msgspec.structs import replace

from coordinator.rounds.round import Quiet, ReleaseSigned, decode, encode, step
from coordinator.rounds.scoring import ForgetProducts, ProductStated, ScoresSigned
from coordinator.rounds.state import Erase, Phase, Round, Rules, Scoring
from privacy.errors import ConflictingContribution, IllegalEvent, WrongIdentity
from privacy.records import Entry

SITES = ("amber", "birch", "cedar", "delta")
OPENERS = SITES[:3]
RULES = Rules(OPENERS, SITES, 3, 2, 3.0, 60.0, products=True)
ENTRIES = tuple(Entry(name, "aa" * 32, ("bb" * 32,)) for name in SITES[:3])
"""delta is a trainer, and not in the cohort."""
OPENING = Round(
    1, RULES, Phase.OPENING, committed=ENTRIES, sealed_model="m", release="r", agreed=OPENERS[:1]
)
LATE, EARLY = Quiet(60.0, 60.0), Quiet(60.0, 59.0)
SAME, OTHER = "11" * 32, "22" * 32


def after(*events, start=OPENING):
    current = start
    for event in events:
        current, _ = step(current, event)
    return current


DONE = after(ReleaseSigned("birch", "r"))
STATED = tuple(ProductStated(name) for name in SITES[:3])
JUDGING = after(*STATED, start=DONE)


def test_products_are_waited_for_once_the_release_counts():
    current, effects = step(OPENING, ReleaseSigned("birch", "r"))

    assert (current.phase, current.scoring) == (Phase.DONE, Scoring.STATING)
    assert effects == (Erase(1),)
    assert current.is_over()
    assert current.is_scored()


def test_a_round_whose_plan_asks_for_none_waits_for_none():
    plain = replace(OPENING, rules=replace(RULES, products=False))

    current = after(ReleaseSigned("birch", "r"), start=plain)

    assert current.scoring is Scoring.NONE
    assert not current.is_scored()
    for event in (ProductStated("amber"), ScoresSigned("amber", SAME)):
        with pytest.raises(IllegalEvent):
            step(current, event)
    assert step(current, LATE) == (current, ())


def test_openers_judge_once_every_site_of_the_cohort_has_stated():
    assert after(*STATED[:2], start=DONE).scoring is Scoring.STATING
    assert JUDGING.scoring is Scoring.JUDGING
    assert JUDGING.products == SITES[:3]


def test_a_product_counts_once_and_of_the_cohort_only():
    once = after(STATED[0], start=DONE)

    assert step(once, STATED[0]) == (once, ())
    for name in ("delta", "stranger"):
        with pytest.raises(WrongIdentity, match="not in the cohort"):
            step(DONE, ProductStated(name))


def test_openers_judge_what_has_come_when_time_is_over():
    """Not before: waiting costs nobody anything, since no round waits for scores."""
    waiting = after(STATED[0], start=DONE)

    assert step(waiting, EARLY) == (waiting, ())
    assert step(waiting, LATE)[0].scoring is Scoring.JUDGING


def test_a_product_that_comes_too_late_is_refused():
    """Openers may have been given the others by then, and must all judge the same."""
    late = after(STATED[0], LATE, start=DONE)

    with pytest.raises(IllegalEvent, match="judging"):
        step(late, STATED[1])
    assert step(late, STATED[0]) == (late, ())


def test_scores_count_when_enough_openers_have_signed_the_same():
    first = after(ScoresSigned("amber", SAME), start=JUDGING)
    assert first.scoring is Scoring.JUDGING

    current, effects = step(first, ScoresSigned("cedar", SAME))

    assert (current.scoring, current.scores) == (Scoring.OVER, SAME)
    assert effects == (ForgetProducts(1),)


def test_signatures_on_different_scores_do_not_add_up():
    differ = after(ScoresSigned("amber", SAME), ScoresSigned("birch", OTHER), start=JUDGING)
    assert differ.scoring is Scoring.JUDGING

    assert after(ScoresSigned("cedar", OTHER), start=differ).scores == OTHER


def test_scores_are_void_when_too_few_openers_sign_in_time():
    """A site that seals nonsense to one opener of two can bring that about, and earns nothing."""
    waiting = after(ScoresSigned("amber", SAME), start=JUDGING)
    assert step(waiting, EARLY) == (waiting, ())

    current, effects = step(waiting, LATE)

    assert (current.scoring, current.scores) == (Scoring.OVER, "")
    assert effects == (ForgetProducts(1),)
    with pytest.raises(IllegalEvent, match="over"):
        step(current, ScoresSigned("birch", SAME))
    assert step(current, Quiet(math.inf, math.inf)) == (current, ())


def test_an_opener_signs_once_and_may_be_late_for_what_counts_already():
    over = after(ScoresSigned("amber", SAME), ScoresSigned("birch", SAME), start=JUDGING)

    assert step(over, ScoresSigned("amber", SAME)) == (over, ())
    with pytest.raises(ConflictingContribution):
        step(over, ScoresSigned("amber", OTHER))
    late = after(ScoresSigned("cedar", OTHER), start=over)
    assert (late.scores, len(late.scored)) == (SAME, 3)


def test_nobody_else_signs_scores_and_nobody_before_products_are_judged():
    with pytest.raises(WrongIdentity, match="no opener"):
        step(JUDGING, ScoresSigned("delta", SAME))
    with pytest.raises(IllegalEvent, match="stating"):
        step(DONE, ScoresSigned("amber", SAME))


def test_a_round_of_a_version_without_products_is_read():
    """A coordinator that is upgraded resumes what it finds, and waits for nothing of it."""
    plain = replace(DONE, rules=replace(RULES, products=False), scoring=Scoring.NONE)
    stored = encode(plain).replace(b',"products":false', b"")
    stored = stored.replace(b',"scoring":"none","products":[],"scored":[],"scores":""', b"")

    assert decode(stored) == plain
    assert stored != encode(plain)
