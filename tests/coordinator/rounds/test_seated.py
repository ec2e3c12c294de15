"""A round under `shares` between its closing and its opening: told straight, then mangled."""

from itertools import pairwise, permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from coordinator.rounds.round import (
    TRANSITIONS,
    Committed,
    ModelSealed,
    Planned,
    ReleaseSigned,
    decode,
    decode_effect,
    encode,
    encode_effect,
    step,
)
from coordinator.rounds.seated import (
    CohortSigned,
    Freeze,
    Frozen,
    Judged,
    LiarNamed,
    Manifest,
    Nominate,
    Nominated,
    Summed,
    certificate_is_complete,
    disagreement,
    honest,
)
from coordinator.rounds.state import (
    Abandoned,
    Aggregated,
    CohortRefused,
    Disagreement,
    Erase,
    Judgement,
    LeftOut,
    Phase,
    Quiet,
    Round,
    Rules,
    Stated,
)
from privacy.errors import ConflictingContribution, IllegalEvent, ProtocolError, WrongIdentity
from privacy.records import Entry

A, B, C, D = SITES = ("hospital-a", "hospital-b", "hospital-c", "hospital-d")
X, Y, Z = SEATS = ("seat-x", "seat-y", "seat-z")
WATCH = "watch"
RULES = Rules((A, B, C), SITES, 3, 2, 5.0, 60.0, WATCH, SEATS)
UNCHECKED = replace(RULES, unchecked=True)
UNAUDITED = replace(RULES, auditor="")
PLAN, CANDIDATES, COHORT, SUM, MODEL, RELEASE, OTHER = (c * 64 for c in "1234567")
ROOTS = ("a" * 64, "b" * 64, "c" * 64)
BRIEFLY, QUIET, STILL, AT_WORK = Quiet(1, 1), Quiet(5, 5), Quiet(60, 60), Quiet(0, 59)
HELD = {X: (0, 1), Y: (1, 2), Z: (2, 0)}


def committed(*names):
    return [Committed(Entry(name, "a" * 64, ("b" * 64,))) for name in names]


def judged(seat, *refused, unasked="", candidates=CANDIDATES):
    """Return a seat's verdict on the candidates."""
    left_out = tuple(LeftOut(name, seat, "root_mismatch", "another root") for name in refused)
    verdict = f"{len(refused)}{len(unasked)}".ljust(64, "0")
    return Judged(Judgement(seat, verdict, unasked), candidates, left_out)


def summed(seat, **lies):
    """Return what a seat states, with other roots for the components that `lies` name."""
    roots = tuple(
        (lies.get(f"c{at}") or root) * (at in HELD[seat]) for at, root in enumerate(ROOTS)
    )
    return Summed(Stated(seat, f"{sorted(lies)}".encode().hex()[:64].ljust(64, "0"), roots))


def signed(*names, cohort=COHORT):
    return [CohortSigned(name, cohort) for name in names]


def tell(*events, start=None, rules=RULES):
    """Return every state on the way, and all effects; events that are refused change nothing."""
    rounds, effects = [start or Round(1, rules, Phase.KEYED)], []
    for event in events:
        try:
            after, ordered = step(rounds[-1], event)
        except ProtocolError:
            continue
        rounds.append(after)
        effects += ordered
    return rounds, effects


def last(*events, start=None, rules=RULES):
    return tell(*events, start=start, rules=rules)[0][-1]


CLOSED = [Planned(PLAN), *committed(*SITES)]
NOMINATED = [*CLOSED, Nominated(CANDIDATES)]
JUDGED = [*NOMINATED, *(judged(seat) for seat in SEATS)]
FROZEN = [*JUDGED, Frozen(COHORT)]
CERTIFIED = [*FROZEN, *signed(*SEATS)]
SUMMED = [*CERTIFIED, *(summed(seat) for seat in SEATS)]
STORY = [
    *SUMMED,
    Aggregated(COHORT, SUM),
    ModelSealed(A, MODEL, RELEASE),
    ReleaseSigned(A, RELEASE),
    ReleaseSigned(B, RELEASE),
]
LIE = summed(Y, c1="f" * 64)
DISPUTED = [*CERTIFIED, summed(X), LIE, summed(Z)]

JUDGING, CERTIFYING, SUMMING = last(*NOMINATED), last(*FROZEN), last(*CERTIFIED)
IN_DISPUTE = last(*DISPUTED)

# -- the story -------------------------------------------------------------------------


def test_a_round_goes_through_the_phases_of_its_seats_and_is_opened():
    """No key, no fold at the coordinator, and no auditor where seats agree."""
    rounds, effects = tell(*STORY)

    phases = list(dict.fromkeys(each.phase for each in rounds))
    assert phases == [
        Phase.KEYED,
        Phase.OPEN,
        Phase.JUDGING,
        Phase.CERTIFYING,
        Phase.SUMMING,
        Phase.AGGREGATING,
        Phase.OPENING,
        Phase.DONE,
    ]
    assert effects == [Nominate(1), Freeze(1), Manifest(1), Erase(1)]
    assert (rounds[-1].candidates, rounds[-1].cohort, rounds[-1].sum) == (CANDIDATES, COHORT, SUM)


def test_a_quiet_round_with_a_quorum_is_judged():
    """Who trains no more is left behind, as under every scheme."""
    three = last(Planned(PLAN), *committed(A, B, C))

    closed, effects = step(three, QUIET)

    assert (closed.phase, effects) == (Phase.JUDGING, (Nominate(1),))


@pytest.mark.parametrize("current", [last(*STORY[:n]) for n in range(len(STORY) + 1)])
def test_a_round_survives_the_store(current):
    assert decode(encode(current)) == current


def test_a_dispute_survives_the_store():
    assert decode(encode(IN_DISPUTE)) == IN_DISPUTE


@pytest.mark.parametrize("effect", [Nominate(3), Freeze(4), Manifest(5)])
def test_an_effect_survives_the_store(effect):
    assert decode_effect(encode_effect(effect)) == effect


# -- judging ---------------------------------------------------------------------------


def test_the_last_of_three_verdicts_freezes_the_cohort():
    two = last(*NOMINATED, judged(X), judged(Y))
    assert two.phase is Phase.JUDGING

    three, effects = step(two, judged(Z))

    assert (three.phase, effects) == (Phase.CERTIFYING, (Freeze(1),))


def test_what_any_seat_leaves_out_is_left_out_and_each_says_why():
    frozen = last(*NOMINATED, judged(X, A), judged(Y), judged(Z, A, B))

    assert [(each.seat, each.participant) for each in frozen.left_out] == [(X, A), (Z, A), (Z, B)]


def test_the_same_verdict_again_is_a_retry_and_another_is_refused():
    one = last(*NOMINATED, judged(X, A))

    assert step(one, judged(X, A)) == (one, ())
    with pytest.raises(ConflictingContribution, match=X):
        step(one, judged(X, B, C))


@pytest.mark.parametrize("seat", [A, WATCH, "stranger"])
def test_only_seats_judge(seat):
    with pytest.raises(WrongIdentity, match="no seat"):
        step(JUDGING, replace(judged(X), judgement=Judgement(seat, "0" * 64)))


@pytest.mark.parametrize("candidates", ["", OTHER])
def test_no_other_candidates_are_judged(candidates):
    """Also before there are any: a verdict on nothing would count for whatever comes."""
    for current in (last(*CLOSED), JUDGING):
        with pytest.raises(IllegalEvent, match="other candidates"):
            step(current, judged(X, candidates=candidates))


def test_candidates_are_signed_once():
    """Signed again after a crash, they are the same; others would be a second coin."""
    assert step(JUDGING, Nominated(CANDIDATES)) == (JUDGING, ())
    with pytest.raises(IllegalEvent, match="other candidates already"):
        step(JUDGING, Nominated(OTHER))


@pytest.mark.parametrize("away", SEATS)
@pytest.mark.parametrize("silence", [QUIET, STILL])
def test_two_verdicts_are_enough_when_the_third_seat_is_away(away, silence):
    two = last(*NOMINATED, *(judged(seat) for seat in SEATS if seat != away))
    assert step(two, AT_WORK) == (two, ())

    frozen, effects = step(two, silence)

    assert (frozen.phase, effects) == (Phase.CERTIFYING, (Freeze(1),))


@pytest.mark.parametrize("present", [(), (Y,)])
def test_a_round_that_two_seats_do_not_judge_ends_and_names_them(present):
    one = last(*NOMINATED, *(judged(seat) for seat in present))
    assert step(one, QUIET) == (one, ())

    ended, effects = step(one, STILL)

    away = [seat for seat in SEATS if seat not in present]
    assert (ended.phase, effects) == (Phase.ABORTED, (Erase(1),))
    assert ended.reason == f"{' and '.join(away)} did not judge the candidates"


def test_a_seat_that_waits_for_another_is_not_named_for_it():
    """Two that are at work and cannot ask without the third did nothing wrong."""
    waiting = last(*NOMINATED)

    ended = step(waiting, replace(STILL, heard=(X, Z)))[0]

    assert ended.reason == f"{Y} did not judge the candidates"


def test_seats_that_work_and_bring_nothing_about_are_all_named():
    ended = step(last(*NOMINATED, judged(Y)), replace(STILL, heard=(X, Z)))[0]

    assert ended.reason == f"{X} and {Z} did not judge the candidates"


def test_a_plan_with_unchecked_takes_verdicts_without_the_norm_bound():
    """The plan says so, and each site has accepted it."""
    two = last(
        *NOMINATED, judged(X, unasked="z silent"), judged(Y, unasked="z away"), rules=UNCHECKED
    )

    frozen, effects = step(two, QUIET)

    assert (frozen.phase, effects) == (Phase.CERTIFYING, (Freeze(1),))
    assert [each.unasked for each in frozen.judged] == ["z silent", "z away"]


def test_without_unchecked_no_cohort_is_frozen_without_its_norm_bound():
    with pytest.raises(IllegalEvent, match="norm bound"):
        step(JUDGING, judged(X, unasked="z silent"))

    assert last(*NOMINATED, judged(X, unasked="z"), judged(Y, unasked="z"), QUIET).judged == ()


def test_why_nothing_was_asked_is_part_of_the_reason():
    one = last(*NOMINATED, judged(X, unasked="seat-y is silent"), rules=UNCHECKED)

    ended = step(one, STILL)[0]

    assert ended.reason == f"{Y} and {Z} did not judge the candidates; seat-y is silent"


# -- the certificate -------------------------------------------------------------------


@pytest.mark.parametrize("order", [*permutations(SEATS)])
def test_three_seats_certify(order):
    two = last(*FROZEN, *signed(*order[:2]))
    assert two.phase is Phase.CERTIFYING

    certified, effects = step(two, *signed(order[2]))

    assert (certified.phase, effects) == (Phase.SUMMING, ())


@pytest.mark.parametrize("away", SEATS)
def test_two_seats_certify_with_more_than_two_thirds_of_the_trainers(away):
    two = [seat for seat in SEATS if seat != away]
    few = last(*FROZEN, *signed(*two, A, B))
    assert few.phase is Phase.CERTIFYING

    assert step(few, *signed(C))[0].phase is Phase.SUMMING


def test_one_seat_certifies_with_nobody():
    """Whoever runs the coordinator may run a seat, too."""
    assert last(*FROZEN, *signed(X, *SITES)).phase is Phase.CERTIFYING


def test_a_signature_counts_once():
    assert last(*FROZEN, *signed(X, X, Y, Y, A, A, A)).phase is Phase.CERTIFYING
    assert step(SUMMING, *signed(X)) == (SUMMING, ())


def test_late_signatures_are_kept_and_change_nothing_else():
    late, effects = step(SUMMING, *signed(A))

    assert late == replace(SUMMING, certified=tuple(sorted((A, *SEATS))))
    assert effects == ()


@pytest.mark.parametrize("signer", [WATCH, "stranger", ""])
def test_only_seats_and_trainers_certify(signer):
    with pytest.raises(WrongIdentity, match="signs no cohort"):
        step(CERTIFYING, *signed(signer))


@pytest.mark.parametrize("cohort", ["", OTHER])
def test_no_other_cohort_is_certified(cohort):
    """Also before there is one."""
    for current in (last(*JUDGED), CERTIFYING, SUMMING):
        with pytest.raises(IllegalEvent, match="another cohort"):
            step(current, *signed(X, cohort=cohort))


def test_who_has_not_signed_is_told_apart_from_who_is_away():
    """A seat that is there may wait for what another member remembers; its log names who."""
    one = last(*FROZEN, *signed(X, A))

    ended = step(one, replace(STILL, heard=(Z,)))[0]

    assert ended.phase is Phase.ABORTED
    assert ended.reason.startswith(f"the cohort is signed by {A}, {X}: three seats are needed")
    assert f"; {Y} is away; {Z} has not signed" in ended.reason
    assert ended.reason.endswith("see `recalling` in its log")


def test_a_cohort_is_frozen_once():
    """A second one, after the first signature, is what certificates are against."""
    assert step(CERTIFYING, Frozen(COHORT)) == (CERTIFYING, ())
    with pytest.raises(IllegalEvent, match="another cohort already"):
        step(CERTIFYING, Frozen(OTHER))


def test_a_cohort_that_is_too_small_ends_the_round():
    for current in (last(*CLOSED), last(*JUDGED)):
        ended, effects = step(current, CohortRefused("2 organisations"))

        assert (ended.phase, ended.reason) == (Phase.ABORTED, "2 organisations")
        assert effects == (Erase(1),)


@pytest.mark.parametrize(("names", "said"), [((), "nobody"), ((X, A), "hospital-a, seat-x")])
def test_a_certificate_that_does_not_come_ends_the_round_and_says_who_has_signed(names, said):
    waiting = last(*FROZEN, *signed(*names))
    assert step(waiting, QUIET) == (waiting, ())

    ended, effects = step(waiting, STILL)

    assert (ended.phase, effects) == (Phase.ABORTED, (Erase(1),))
    assert ended.reason.startswith(f"the cohort is signed by {said}: three seats are needed")


# -- sums ------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [*permutations(SEATS)])
def test_three_sums_that_agree_are_published(order):
    two = last(*CERTIFIED, *(summed(seat) for seat in order[:2]))
    assert two.phase is Phase.SUMMING

    agreed, effects = step(two, summed(order[2]))

    assert (agreed.phase, effects) == (Phase.AGGREGATING, (Manifest(1),))


@pytest.mark.parametrize("away", SEATS)
@pytest.mark.parametrize("silence", [QUIET, STILL])
def test_two_sums_that_agree_are_enough_when_the_third_seat_is_away(away, silence):
    two = last(*CERTIFIED, *(summed(seat) for seat in SEATS if seat != away))
    assert step(two, AT_WORK) == (two, ())

    agreed, effects = step(two, silence)

    assert (agreed.phase, effects) == (Phase.AGGREGATING, (Manifest(1),))


@pytest.mark.parametrize("present", [(), (Z,)])
def test_a_round_in_which_two_seats_state_nothing_ends_and_names_them(present):
    one = last(*CERTIFIED, *(summed(seat) for seat in present))
    assert step(one, QUIET) == (one, ())

    ended, effects = step(one, STILL)

    away = " and ".join(seat for seat in SEATS if seat not in present)
    assert (ended.phase, effects) == (Phase.ABORTED, (Erase(1),))
    assert ended.reason == f"{away} did not state its sums; two seats are needed"


def test_the_same_sum_again_is_a_retry_and_another_is_refused():
    one = last(*CERTIFIED, summed(X))

    assert step(one, summed(X)) == (one, ())
    with pytest.raises(ConflictingContribution, match=X):
        step(one, summed(X, c0="f" * 64))


def test_nobody_states_a_sum_of_a_cohort_that_is_not_certified():
    with pytest.raises(IllegalEvent):
        step(CERTIFYING, summed(X))


def test_only_seats_state_sums():
    with pytest.raises(WrongIdentity, match="no seat"):
        step(SUMMING, Summed(Stated("stranger", "0" * 64, ROOTS)))


@pytest.mark.parametrize(
    ("seats", "component"), [((X, Y), 1), ((Y, Z), 2), ((X, Z), 0)], ids=["x-y", "y-z", "x-z"]
)
@pytest.mark.parametrize("liar", [0, 1])
def test_two_seats_that_differ_on_what_both_hold_are_found(seats, component, liar):
    lie = summed(seats[liar], **{f"c{component}": "f" * 64}).stated
    stated = [summed(seat).stated for seat in SEATS if seat != seats[liar]]

    for order in permutations([*stated, lie]):
        assert disagreement(order, SEATS) == Disagreement(seats, component)


def test_a_dispute_goes_to_the_auditor():
    found, effects = step(last(*DISPUTED[:-1]), DISPUTED[-1])

    assert (found.phase, effects) == (Phase.DISPUTED, ())
    assert found.disputed == Disagreement((X, Y), 1)
    assert found.waits_for() == {WATCH}


def test_a_dispute_without_an_auditor_ends_the_round_and_names_the_seats():
    ended, effects = step(last(*DISPUTED[:-1], rules=UNAUDITED), DISPUTED[-1])

    assert (ended.phase, effects) == (Phase.ABORTED, (Erase(1),))
    assert ended.reason == "seats seat-x and seat-y disagree on component 1"


# -- a dispute -------------------------------------------------------------------------


def test_without_the_liar_the_two_others_sum_is_published():
    settled, effects = step(IN_DISPUTE, LiarNamed(WATCH, (Y,)))

    assert (settled.phase, effects) == (Phase.AGGREGATING, (Manifest(1),))
    assert (settled.liars, settled.disputed) == ((Y,), None)
    assert [each.seat for each in honest(settled)] == [X, Z]


def test_the_third_seat_is_waited_for_when_one_of_two_lied():
    """It was away when the two were compared, and may still come."""
    two = last(*CERTIFIED, summed(X), LIE, QUIET)
    waiting = step(two, LiarNamed(WATCH, (Y,)))[0]
    assert (waiting.phase, waiting.waits_for()) == (Phase.SUMMING, {Z})

    settled, effects = step(waiting, summed(Z))

    assert (settled.phase, effects) == (Phase.AGGREGATING, (Manifest(1),))


def test_a_third_sum_that_comes_during_the_dispute_counts_after_it():
    two = last(*CERTIFIED, summed(X), LIE, QUIET)
    three, effects = step(two, summed(Z))
    assert (three.phase, effects) == (Phase.DISPUTED, ())
    assert step(three, summed(Z)) == (three, ())

    assert step(three, LiarNamed(WATCH, (Y,)))[0].phase is Phase.AGGREGATING


def test_a_liar_is_not_waited_for_and_cannot_state_again():
    waiting = last(*CERTIFIED, summed(X), LIE, QUIET, LiarNamed(WATCH, (Y,)))

    with pytest.raises(ConflictingContribution):
        step(waiting, summed(Y))
    assert step(waiting, STILL)[0].reason.startswith(f"{Z} did not state its sums")


def test_two_liars_end_the_round_and_are_named():
    ended, effects = step(IN_DISPUTE, LiarNamed(WATCH, (X, Y)))

    assert (ended.phase, effects) == (Phase.ABORTED, (Erase(1),))
    assert ended.reason == "seat-x, seat-y stated false sums; two seats are needed"


def test_a_second_dispute_is_settled_like_the_first():
    """The third seat differs from the one that told the truth, too."""
    second = last(*CERTIFIED, summed(X), LIE, summed(Z, c0="e" * 64), LiarNamed(WATCH, (Y,)))
    assert (second.phase, second.disputed) == (Phase.DISPUTED, Disagreement((X, Z), 0))

    ended = step(second, LiarNamed(WATCH, (Z,)))[0]

    assert (ended.phase, ended.liars) == (Phase.ABORTED, (Y, Z))
    assert ended.reason == "seat-y, seat-z stated false sums; two seats are needed"


def test_an_auditor_that_cannot_tell_ends_the_round():
    ended = step(IN_DISPUTE, LiarNamed(WATCH, ()))[0]

    assert ended.phase is Phase.ABORTED
    assert ended.reason.endswith("disagree on component 1; the auditor cannot tell which is wrong")


@pytest.mark.parametrize("silence", [QUIET, AT_WORK])
def test_an_auditor_at_work_is_waited_for(silence):
    assert step(IN_DISPUTE, silence) == (IN_DISPUTE, ())


def test_an_auditor_that_is_gone_ends_the_dispute_and_the_round():
    ended, effects = step(IN_DISPUTE, STILL)

    assert (ended.phase, effects) == (Phase.ABORTED, (Erase(1),))
    assert ended.reason.endswith("component 1; the auditor watch did not answer")


@pytest.mark.parametrize("who", [A, X, ""])
def test_nobody_but_the_auditor_names_a_liar(who):
    with pytest.raises(WrongIdentity):
        step(IN_DISPUTE, LiarNamed(who, (Y,)))


def test_no_seat_outside_the_dispute_is_named():
    """Or an auditor could take the third seat's sum out of the round."""
    with pytest.raises(IllegalEvent, match="between seat-x and seat-y"):
        step(IN_DISPUTE, LiarNamed(WATCH, (Z,)))


# -- whom a round waits for ------------------------------------------------------------


@pytest.mark.parametrize(
    ("current", "awaited"),
    [
        (JUDGING, {X, Y, Z}),
        (last(*NOMINATED, judged(Y)), {X, Z}),
        (CERTIFYING, {X, Y, Z}),
        (last(*FROZEN, *signed(X, A)), {Y, Z}),
        (SUMMING, {X, Y, Z}),
        (last(*CERTIFIED, summed(Z)), {X, Y}),
        (last(*SUMMED, Aggregated(COHORT, SUM)), {A}),
    ],
)
def test_a_round_waits_for_the_seats_that_have_something_left_to_do(current, awaited):
    assert current.waits_for() == awaited


@pytest.mark.parametrize("phase", [Phase.JUDGING, Phase.CERTIFYING, Phase.SUMMING, Phase.DISPUTED])
def test_every_phase_of_seats_can_be_abandoned_and_moves_with_time(phase):
    assert (phase, Abandoned) in TRANSITIONS
    assert (phase, Quiet) in TRANSITIONS


# -- the story mangled -----------------------------------------------------------------

INTRUDERS = [
    judged(X, A),
    judged(Y, A, B),
    judged(Z, candidates=OTHER),
    judged(X, unasked="silent"),
    Nominated(OTHER),
    Frozen(OTHER),
    *signed(*SITES),
    *signed(X, Y, A, B, C, cohort=OTHER),
    summed(X, c1="f" * 64),
    LIE,
    summed(Z, c0="e" * 64),
    LiarNamed(WATCH, (Y,)),
    LiarNamed(WATCH, (X,)),
    LiarNamed(WATCH, ()),
    LiarNamed(A, (X,)),
    Aggregated(COHORT, SUM),
    CohortRefused("too few"),
    BRIEFLY,
    QUIET,
]


@st.composite
def histories(draw):
    """The story with messages lost, repeated, and slipped in."""
    told = []
    for event in STORY:
        told += [event] * draw(st.sampled_from([1, 1, 1, 1, 1, 0, 2]))
        told += draw(st.lists(st.sampled_from([*STORY, *INTRUDERS]), max_size=2))
    return told


mangled = settings(deadline=None, max_examples=150)
some_rules = st.sampled_from([RULES, UNCHECKED, UNAUDITED])


@mangled
@given(histories(), some_rules)
def test_a_round_certifies_one_cohort(events, rules):
    """Whatever is said, in whatever order: signatures are never of two cohorts."""
    rounds, _ = tell(*events, rules=rules)
    for before, now in pairwise(rounds):
        assert before.cohort in ("", now.cohort)
        assert set(before.certified) <= set(now.certified)
        assert now.cohort or not now.certified


@mangled
@given(histories(), some_rules)
def test_nothing_is_summed_or_opened_without_a_certificate(events, rules):
    for now in tell(*events, rules=rules)[0]:
        if now.phase in (Phase.SUMMING, Phase.DISPUTED, Phase.AGGREGATING, Phase.OPENING):
            assert certificate_is_complete(now)
        assert not now.stated or certificate_is_complete(now)


@mangled
@given(histories(), some_rules)
def test_nothing_is_published_but_what_two_seats_agree_on(events, rules):
    for now in tell(*events, rules=rules)[0]:
        if now.phase in (Phase.AGGREGATING, Phase.OPENING, Phase.DONE):
            assert len(honest(now)) >= 2
            assert disagreement(honest(now), SEATS) is None


@mangled
@given(histories(), some_rules)
def test_each_order_is_given_at_most_once(events, rules):
    _, effects = tell(*events, rules=rules)

    assert len(effects) == len(set(effects))


@mangled
@given(histories(), some_rules)
def test_what_a_seat_has_said_is_not_taken_back(events, rules):
    for before, now in pairwise(tell(*events, rules=rules)[0]):
        for name in ("judged", "left_out", "stated"):
            known = getattr(before, name)
            assert getattr(now, name)[: len(known)] == known
        assert set(before.liars) <= set(now.liars)


@mangled
@given(histories(), some_rules)
def test_a_cohort_is_frozen_after_at_least_two_verdicts_on_the_same_candidates(events, rules):
    for now in tell(*events, rules=rules)[0]:
        if now.cohort:
            assert len({each.seat for each in now.judged}) >= 2
            assert now.candidates == CANDIDATES
            assert rules.unchecked or not any(each.unasked for each in now.judged)


@mangled
@given(histories(), some_rules)
def test_any_history_ends_if_all_fall_silent(events, rules):
    """A silence in each phase it can still reach; then it is over, or it waits for us."""
    end = last(*events, *[STILL] * 4, rules=rules)

    assert end.is_over() or end.phase in (Phase.KEYED, Phase.AGGREGATING)
