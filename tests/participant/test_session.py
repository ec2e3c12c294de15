"""What there is to do, for every role and phase; what is declined stays declined."""

from dataclasses import replace

import pytest

from participant.session import (
    Adopt,
    Agree,
    Certify,
    Claim,
    Contribute,
    JudgeProducts,
    MakeKey,
    Open,
    SealModel,
    Settle,
    Standing,
    StateProduct,
    VouchForKey,
    disputes,
    is_over,
    left_out,
    scores_are_over,
    tasks,
    works_on,
)
from participant.view import LeftOut, RoundView, View

ROUND = RoundView(
    number=1,
    phase="open",
    turn="amber",
    openers=("amber", "birch", "cedar"),
    key_record="k1",
    key_signers=("amber",),
    committed=(),
    sealed_model="",
    agreed=(),
)
PHASES = (
    "keying",
    "keyed",
    "open",
    "aggregating",
    "auditing",
    "opening",
    "done",
    "aborted",
    "",
    "new",
)


def todo(name, standing=None, **changes):
    view = View(rounds=(replace(ROUND, **changes),))
    return tasks(view, standing or Standing(name))


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("name", ["amber", "birch", "delta"])
def test_each_phase_has_its_tasks(name, phase):
    """The table, for the opener whose turn it is, another opener, and a trainer."""
    expected = {
        ("amber", "open"): (Contribute(1),),
        ("birch", "open"): (Contribute(1),),
        ("delta", "open"): (Contribute(1),),
        ("birch", "keying"): (VouchForKey(1, "k1"),),
        ("amber", "opening"): (Open(1),),
        ("birch", "opening"): (Open(1),),
    }

    assert todo(name, phase=phase) == expected.get((name, phase), ())


def test_only_the_opener_whose_turn_it_is_makes_the_key():
    """Two keys for one round would be one too many."""
    nothing = {"phase": "keying", "key_record": "", "key_signers": ()}

    assert todo("amber", **nothing) == (MakeKey(1),)
    assert todo("birch", **nothing) == ()
    assert todo("delta", **nothing) == ()


def test_an_opener_opens_then_seals_in_its_turn_then_agrees():
    """The order in which a release comes about."""
    opened = {"opened": {1: "m"}}
    amber, birch = Standing("amber", **opened), Standing("birch", **opened)

    assert todo("amber", amber, phase="opening") == (SealModel(1),)
    assert todo("birch", birch, phase="opening") == ()
    assert todo("birch", birch, phase="opening", sealed_model="s") == (Agree(1, "s"),)
    assert todo("birch", birch, phase="opening", sealed_model="s", agreed=("birch",)) == ()


def test_who_has_contributed_is_done():
    """Until the round is opened."""
    assert todo("delta", committed=("delta",)) == ()


def test_a_member_that_does_not_train_has_nothing_to_do():
    """An auditor, or a suspended trainer, gets neither model nor data to touch."""
    view = View(rounds=(ROUND,), released=1)

    assert tasks(view, Standing("delta", trains=False)) == ()


def test_a_declined_task_does_not_come_back():
    """What a check has refused is not tried until somebody gives in."""
    for phase in ("open", "keying", "opening"):
        (task,) = todo("birch", phase=phase)

        assert todo("birch", Standing("birch", declined=frozenset({task})), phase=phase) == ()


def test_declining_one_makers_key_does_not_decline_the_next_ones():
    """Otherwise one malicious maker would halt the round for good."""
    declined = Standing("birch", declined=frozenset({VouchForKey(1, "k1")}))

    assert todo("birch", declined, phase="keying", key_record="k2") == (VouchForKey(1, "k2"),)


def test_declining_one_sealed_model_does_not_decline_the_next_ones():
    """Otherwise one dishonest sealer would keep an honest one's model from being agreed on."""
    declined = Standing("birch", opened={1: "m"}, declined=frozenset({Agree(1, "s1")}))

    assert todo("birch", declined, phase="opening", sealed_model="s1") == ()
    assert todo("birch", declined, phase="opening", sealed_model="s2") == (Agree(1, "s2"),)


def test_a_site_behind_adopts_before_it_contributes():
    """With the older model its policy would refuse the plan, and that for good."""
    view = View(rounds=(replace(ROUND, number=2),), released=1)

    assert tasks(view, Standing("delta")) == (Adopt(1),)
    assert tasks(view, Standing("delta", adopted=1)) == (Contribute(2),)


def test_a_site_that_declined_the_release_is_asked_to_contribute_and_will_refuse():
    """Policy then says which model it expected."""
    view = View(rounds=(replace(ROUND, number=2),), released=1)

    assert tasks(view, Standing("delta", declined=frozenset({Adopt(1)}))) == (Contribute(2),)


def test_opening_comes_before_contributing_before_keying():
    """Others wait for an opener; a key is made one round ahead."""
    rounds = (
        replace(ROUND, number=3, phase="keying", key_record="", turn="amber"),
        replace(ROUND, number=2, phase="open"),
        replace(ROUND, number=1, phase="opening"),
    )

    found = tasks(View(rounds=rounds), Standing("amber"))

    assert found == (Open(1), Contribute(2), MakeKey(3))


def test_it_is_over_when_finished_and_nothing_is_left():
    """Not before the last model is adopted."""
    view = View(finished=True, released=3)

    assert not is_over(view, Standing("delta"))
    assert is_over(view, Standing("delta", adopted=3))
    assert not is_over(View(released=3), Standing("delta", adopted=3))


def test_it_is_over_only_once_paid():
    """Settlement comes after the last round."""
    view = View(finished=True, released=3, settles=True)
    standing = Standing("delta", adopted=3)

    assert not is_over(view, standing)
    assert tasks(view, standing) == ()
    assert tasks(replace(view, settled=True), standing) == (Claim(3),)
    assert is_over(replace(view, settled=True), replace(standing, claimed=True))


def test_a_claim_that_was_refused_does_not_keep_the_site_for_ever():
    """A coordinator that offers a wrong entitlement must not hold a process hostage."""
    view = View(finished=True, released=3, settles=True, settled=True)
    standing = Standing("delta", adopted=3, declined=frozenset({Claim(3)}))

    assert is_over(view, standing)


CERTIFYING = {"phase": "certifying", "cohort": "c1", "key_record": "", "key_signers": ()}


@pytest.mark.parametrize("phase", ["certifying", "summing"])
@pytest.mark.parametrize("name", ["amber", "delta"])
def test_every_trainer_signs_the_cohort_once(name, phase):
    """Openers and others; while the seats already add, too."""
    shown = {**CERTIFYING, "phase": phase}

    assert todo(name, **shown) == (Certify(1, "c1"),)
    assert todo(name, **shown, certified=("elm", name)) == ()
    assert todo(name, Standing(name, trains=False), **shown) == ()


def test_a_cohort_that_is_not_frozen_yet_is_waited_for():
    assert todo("amber", **{**CERTIFYING, "cohort": ""}) == ()


def test_declining_one_cohort_does_not_decline_another():
    """Which of two a coordinator shows is for the memory to refuse, each time."""
    declined = Standing("amber", declined=frozenset({Certify(1, "c1")}))

    assert todo("amber", declined, **CERTIFYING) == ()
    assert todo("amber", declined, **{**CERTIFYING, "cohort": "c2"}) == (Certify(1, "c2"),)


@pytest.mark.parametrize("phase", ["judging", "disputed"])
def test_what_is_between_seats_is_nothing_to_do_for_a_site(phase):
    assert todo("amber", **{**CERTIFYING, "phase": phase}) == ()


def test_what_seats_say_against_a_site_is_its_own_alone():
    mine, others = (LeftOut(name, "elm", "norm_over_bound", "w") for name in ("amber", "birch"))
    view = View(rounds=(replace(ROUND, left_out=(others, mine)),))

    assert left_out(view, "amber") == ((1, mine),)
    assert left_out(view, "cedar") == ()


def test_an_auditor_settles_what_seats_dispute_before_it_and_once():
    """A second dispute of the round, between others, is another task."""
    round_ = replace(ROUND, phase="disputed", auditor="watch", disputed=("elm", "fern"))
    view = View(rounds=(round_,))

    assert disputes(view, "watch", frozenset()) == (Settle(1, ("elm", "fern")),)
    assert disputes(view, "watch", frozenset({Settle(1, ("elm", "fern"))})) == ()
    assert disputes(view, "watch", frozenset({Settle(1, ("elm", "gorse"))})) != ()
    assert disputes(view, "other", frozenset()) == ()
    assert disputes(View(rounds=(replace(round_, phase="summing"),)), "watch", frozenset()) == ()


# -- scores ----------------------------------------------------------------------------

DONE = {"phase": "done", "committed": ("amber", "birch"), "agreed": ("amber",)}
"""birch is an opener that was away when the model was agreed on; delta came too late."""


@pytest.mark.parametrize(
    ("name", "expected"),
    [("amber", (StateProduct(1),)), ("birch", (StateProduct(1),)), ("delta", ())],
)
def test_every_site_of_the_cohort_states_its_product_once(name, expected):
    assert todo(name, scoring="stating", **DONE) == expected
    assert todo(name, scoring="stating", stated=(name,), **DONE) == ()


@pytest.mark.parametrize(
    ("name", "expected"), [("amber", (JudgeProducts(1),)), ("birch", ()), ("delta", ())]
)
def test_who_has_opened_the_sum_judges_products_once(name, expected):
    """Who has not has nothing to hold them against."""
    assert todo(name, scoring="judging", **DONE) == expected
    assert todo(name, scoring="judging", scored=(name,), **DONE) == ()


@pytest.mark.parametrize("scoring", ["", "over", "later"])
def test_where_no_scores_are_waited_for_there_is_nothing_to_do(scoring):
    assert todo("amber", scoring=scoring, **DONE) == ()


def test_scores_come_before_training_and_are_no_round_that_one_works_on():
    """They take a moment, and no round may wait for them."""
    scored = replace(ROUND, scoring="stating", **DONE)
    view = View(rounds=(scored, replace(ROUND, number=2)))

    assert tasks(view, Standing("amber")) == (StateProduct(1), Contribute(2))
    assert works_on(view, Standing("amber")) == (2,)


def test_an_opener_stays_until_it_has_judged_and_others_until_they_have_stated():
    def over(name, **changes):
        rounds = (replace(ROUND, **{**DONE, "scoring": "stating", **changes}),)
        return is_over(View(rounds=rounds, finished=True), Standing(name))

    assert not over("birch")
    assert over("birch", stated=("birch",))
    assert not over("amber", stated=("amber",))
    assert not over("amber", scoring="judging")
    assert over("amber", scoring="judging", scored=("amber",))
    assert over("amber", scoring="over")


def test_an_opener_that_will_not_judge_does_not_stay():
    """As one whose memory was lost with what it had opened."""
    view = View(rounds=(replace(ROUND, scoring="stating", **DONE),), finished=True)
    declined = frozenset({StateProduct(1), JudgeProducts(1)})

    assert is_over(view, Standing("amber", declined=declined))


@pytest.mark.parametrize(
    ("changes", "over"),
    [
        ({"phase": "opening"}, False),
        ({"phase": "aborted"}, True),
        ({"phase": "done"}, True),
        ({"phase": "done", "scoring": "stating"}, False),
        ({"phase": "done", "scoring": "stating", "committed": ("birch",)}, True),
        ({"phase": "done", "scoring": "judging"}, False),
        ({"phase": "done", "scoring": "over"}, True),
    ],
)
def test_what_is_kept_for_scores_is_kept_until_nobody_asks_for_it(changes, over):
    """From the contribution on, through the opening, to the end of the scores."""
    kept = replace(ROUND, **{"committed": ("amber", "birch"), **changes})

    assert scores_are_over(kept, "amber") is over
