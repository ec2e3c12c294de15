"""The round, first as a story told straight, then as the same story mangled."""

from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from coordinator.rounds.round import (
    REFUSALS_BEFORE_ABORT,
    TRANSITIONS,
    Abandoned,
    Aggregate,
    Aggregated,
    AuditRefused,
    CohortRefused,
    Committed,
    Countersigned,
    Effect,
    Erase,
    Event,
    KeyOffered,
    KeyRefused,
    KeySigned,
    ModelSealed,
    OpeningFailed,
    Phase,
    Planned,
    Quiet,
    ReleaseSigned,
    Round,
    Rules,
    decode,
    decode_effect,
    encode,
    encode_effect,
    step,
)
from privacy.errors import ConflictingContribution, IllegalEvent, ProtocolError, WrongIdentity
from privacy.records import Entry

A, B, C, D, WATCH = "hospital-a", "hospital-b", "hospital-c", "hospital-d", "watch"
RULES = Rules((A, B, C), (A, B, C, D), 3, 2, 5.0, 60.0)
START = Round(1, RULES)
START_AUDITED = Round(1, replace(RULES, auditor=WATCH))
KEY, PLAN, COHORT, SUM, MODEL, RELEASE = ("0123456789"[i] * 64 for i in range(6))
SEATED = {Phase.JUDGING, Phase.CERTIFYING, Phase.SUMMING, Phase.DISPUTED}
UNSEATED = [each for each in Phase if each not in SEATED | {Phase.ABORTED}]
"""Every phase of a round without seats that comes to its release."""

BRIEFLY, QUIET, STILL = Quiet(1, 1), Quiet(5, 5), Quiet(60, 60)


def entry(name: str, contribution: str = "a" * 64) -> Entry:
    return Entry(name, contribution, ("b" * 64,))


STORY: list[Event] = [
    KeyOffered(A, KEY),
    KeySigned(B, KEY),
    Planned(PLAN),
    KeySigned(C, KEY),
    *(Committed(entry(name)) for name in (A, B, C, D)),
    Aggregated(COHORT, SUM),
    Countersigned(WATCH, SUM),
    ModelSealed(A, MODEL, RELEASE),
    ReleaseSigned(A, RELEASE),
    ReleaseSigned(B, RELEASE),
    ReleaseSigned(C, RELEASE),
]
"""Without an auditor, the countersignature is refused and the rest is the same."""

INTRUDERS: list[Event] = [
    KeyOffered(B, "f" * 64),
    KeySigned(B, "f" * 64),
    KeySigned(B, ""),
    KeyRefused(C),
    Committed(entry(B, "f" * 64)),
    Committed(entry("stranger")),
    CohortRefused("too few"),
    Countersigned(A, SUM),
    Countersigned(WATCH, "f" * 64),
    AuditRefused(WATCH, "root_mismatch"),
    AuditRefused(A, "root_mismatch"),
    ModelSealed(B, "f" * 64, "e" * 64),
    ReleaseSigned(B, "f" * 64),
    ReleaseSigned("stranger", RELEASE),
    OpeningFailed(A, "sum_off_grid"),
    OpeningFailed(B, "sum_off_grid"),
    Abandoned("over"),
    BRIEFLY,
    QUIET,
    STILL,
]


@dataclass
class Told:
    """What came of a history: each round on the way, and every effect."""

    rounds: list[Round]
    effects: list[Effect]

    @property
    def last(self) -> Round:
        return self.rounds[-1]


def tell(*events: Event, start: Round = START) -> Told:
    """Play events; a refused one leaves the round as it is."""
    told = Told([start], [])
    for event in events:
        try:
            after, effects = step(told.last, event)
        except ProtocolError:
            continue
        told.rounds.append(after)
        told.effects += effects
    return told


def after(count: int, start: Round = START) -> Round:
    """Return the round when the first `count` events of the story have happened."""
    return tell(*STORY[:count], start=start).last


OFFERED, KEYED, OPEN = after(1), after(2), after(4)
THREE_IN, AGGREGATING, OPENING, SEALED, DONE = after(7), after(8), after(9), after(11), after(13)
AUDITING, AUDITED = after(9, START_AUDITED), after(10, START_AUDITED)
AUDITED_DONE = after(13, START_AUDITED)
ABORTED = step(KEYED, Abandoned("over"))[0]
EVERY = [START, OFFERED, KEYED, OPEN, THREE_IN, AGGREGATING, OPENING, SEALED, DONE, ABORTED]
EVERY += [AUDITING, AUDITED, AUDITED_DONE]


@st.composite
def histories(draw: st.DrawFn) -> list[Event]:
    """The story with messages lost, repeated, and slipped in.

    Purely random events almost never reach a release; a mangled story does.
    """
    told: list[Event] = []
    for event in STORY:
        told += [event] * draw(st.sampled_from([1, 1, 1, 1, 0, 2, 3]))
        told += draw(st.lists(st.sampled_from(STORY + INTRUDERS), max_size=2))
    return told


mangled = settings(deadline=None, max_examples=150)

# -- the story -------------------------------------------------------------------------


def test_a_round_goes_from_key_to_release():
    told = tell(*STORY)

    phases = list(dict.fromkeys(each.phase for each in told.rounds))
    assert phases == [each for each in UNSEATED if each is not Phase.AUDITING]
    assert told.effects == [Aggregate(1), Erase(1)]
    assert told.last.agreed == (A, B, C)


def test_a_round_with_an_auditor_goes_through_every_phase():
    told = tell(*STORY, start=START_AUDITED)

    phases = list(dict.fromkeys(each.phase for each in told.rounds))
    assert phases == UNSEATED
    assert told.effects == [Aggregate(1), Erase(1)]


def test_the_last_contribution_closes_the_round_without_waiting():
    assert THREE_IN.phase is Phase.OPEN
    assert AGGREGATING.phase is Phase.AGGREGATING


def test_a_key_counts_when_more_than_half_of_the_openers_vouch_for_it():
    """Its maker is one of them; half is not more than half."""
    four = Round(1, Rules((A, B, C, D), (A, B, C, D), 3, 3, 5.0, 60.0))

    told = tell(KeyOffered(A, KEY), KeySigned(B, KEY), start=four)

    assert told.last.phase is Phase.KEYING
    assert step(told.last, KeySigned(C, KEY))[0].phase is Phase.KEYED


@pytest.mark.parametrize("start", [KEYED, OPEN])
def test_a_late_opener_may_still_vouch_for_the_key(start):
    late, effects = step(start, KeySigned(C, KEY))

    assert late.key_signers == (A, B, C)
    assert (late.phase, effects) == (start.phase, ())


@pytest.mark.parametrize("start", [OFFERED, KEYED, OPEN])
def test_nobody_vouches_for_another_key_than_the_one_offered(start):
    with pytest.raises(IllegalEvent):
        step(start, KeySigned(C, "f" * 64))


def test_nobody_vouches_for_a_key_that_is_not_there():
    with pytest.raises(IllegalEvent):
        step(START, KeySigned(B, ""))


# -- retries and contradictions --------------------------------------------------------

RETRIES = [
    (OFFERED, KeyOffered(A, KEY)),
    (OFFERED, KeySigned(A, KEY)),
    (OPEN, KeySigned(B, KEY)),
    (THREE_IN, Committed(entry(A))),
    (SEALED, ModelSealed(A, MODEL, RELEASE)),
    (DONE, ReleaseSigned(B, RELEASE)),
    (AUDITED, Countersigned(WATCH, SUM)),
    (AUDITED_DONE, Countersigned(WATCH, SUM)),
]


@pytest.mark.parametrize(("start", "event"), RETRIES)
def test_a_retry_changes_nothing(start, event):
    assert step(start, event) == (start, ())


def test_a_second_different_contribution_is_refused():
    with pytest.raises(ConflictingContribution, match=B):
        step(THREE_IN, Committed(entry(B, "f" * 64)))


def test_the_same_header_over_other_roots_is_another_contribution():
    with pytest.raises(ConflictingContribution):
        step(THREE_IN, Committed(Entry(B, "a" * 64, ("f" * 64,))))


@pytest.mark.parametrize(
    ("start", "event"),
    [
        (OPEN, Committed(entry("stranger"))),
        (OFFERED, KeySigned(D, KEY)),
        (OFFERED, KeyRefused(D)),
        (SEALED, ReleaseSigned(D, RELEASE)),
        (SEALED, OpeningFailed(D, "sum_off_grid")),
        (AUDITING, Countersigned(A, SUM)),
        (AUDITING, Countersigned("", SUM)),
        (AUDITING, AuditRefused(A, "root_mismatch")),
        (AUDITED, Countersigned(A, SUM)),
        (OPENING, Countersigned(WATCH, SUM)),
        (DONE, Countersigned(WATCH, SUM)),
    ],
)
def test_who_has_not_the_role_is_not_heard(start, event):
    with pytest.raises(WrongIdentity):
        step(start, event)


# -- turns -----------------------------------------------------------------------------


def test_only_the_opener_whose_turn_it_is_makes_the_key():
    with pytest.raises(IllegalEvent, match="turn"):
        step(START, KeyOffered(B, KEY))


def test_a_second_key_of_the_same_turn_is_refused():
    with pytest.raises(IllegalEvent, match="already"):
        step(OFFERED, KeyOffered(A, "f" * 64))


@pytest.mark.parametrize("event", [KeyRefused(B), QUIET, Quiet(0, 60)])
def test_a_key_that_comes_to_nothing_passes_the_turn(event):
    """A maker that is gone, that works for ever, or that nobody vouches for."""
    passed, effects = step(OFFERED, event)

    assert passed.whose_turn() == B
    assert (passed.key_record, passed.key_signers, effects) == ("", (), ())
    assert step(passed, KeyOffered(B, "f" * 64))[0].key_record == "f" * 64


def test_a_key_that_is_not_there_cannot_be_refused():
    """Or one opener alone could pass every turn."""
    with pytest.raises(IllegalEvent):
        step(START, KeyRefused(C))


def test_keying_gives_up_after_every_opener_has_had_several_turns_of_refused_keys():
    """Keys that are refused again and again have a cause that the operator must look at."""
    told = tell(*_refused_keys(REFUSALS_BEFORE_ABORT * len(RULES.openers) - 1))
    assert told.last.phase is Phase.KEYING

    (offer, refusal) = _refused_keys(1, told.last.turn)
    ended, effects = step(step(told.last, offer)[0], refusal)
    assert (ended.phase, effects) == (Phase.ABORTED, (Erase(1),))
    assert "24 keys in a row" in ended.reason


@pytest.mark.parametrize("start", [START, OFFERED])
@pytest.mark.parametrize("silence", [QUIET, STILL])
def test_no_silence_however_long_ends_keying(start, silence):
    """Nothing of anybody's is at stake yet, and openers that are away come back."""
    count = 10 * REFUSALS_BEFORE_ABORT * len(RULES.openers)

    told = tell(*[silence] * count, start=start)

    assert (told.last.phase, told.last.turn, told.effects) == (Phase.KEYING, count, [])
    maker = told.last.whose_turn()
    other = next(each for each in RULES.openers if each != maker)
    keyed = tell(KeyOffered(maker, KEY), KeySigned(other, KEY), start=told.last).last
    assert keyed.phase is Phase.KEYED


def test_silence_is_no_refusal():
    """Or an outage would spend the refusals that bad keys are allowed."""
    bad = _refused_keys(REFUSALS_BEFORE_ABORT * len(RULES.openers) - 1)

    told = tell(*bad, *[QUIET] * 100)

    assert told.last.phase is Phase.KEYING
    assert told.last.refusals == len(bad) // 2


def _refused_keys(count: int, turn: int = 0) -> list[Event]:
    """Return keys, each of the maker whose turn it is, and the refusal of each."""
    makers = [RULES.openers[(turn + at) % 3] for at in range(count)]
    return [event for maker in makers for event in (KeyOffered(maker, KEY), KeyRefused(C))]


def test_only_the_opener_whose_turn_it_is_seals():
    with pytest.raises(IllegalEvent, match="turn to seal"):
        step(OPENING, ModelSealed(B, MODEL, RELEASE))


def test_the_next_opener_seals_when_the_first_is_gone():
    passed = step(OPENING, QUIET)[0]

    sealed = step(passed, ModelSealed(B, MODEL, RELEASE))[0]

    assert sealed.sealed_model == MODEL
    with pytest.raises(IllegalEvent, match="already"):
        step(sealed, ModelSealed(B, "f" * 64, RELEASE))


def test_the_turn_does_not_pass_once_a_model_is_sealed():
    """Two sealed models of one round could both gather signatures."""
    assert step(SEALED, QUIET) == (SEALED, ())


@pytest.mark.parametrize(("turn", "share"), [(0, 15), (1, 30), (2, 45)])
def test_an_opener_that_works_without_result_has_its_share_of_the_wait(turn, share):
    """A sealer that only says it is at work must leave time for those after it."""
    at_work = replace(OPENING, turn=turn)

    assert step(at_work, Quiet(0, share - 1)) == (at_work, ())

    passed, effects = step(at_work, Quiet(0, share))
    assert (passed.phase, passed.turn, effects) == (Phase.OPENING, turn + 1, ())


# -- quiet -----------------------------------------------------------------------------


@pytest.mark.parametrize("start", [START, OFFERED, OPEN, THREE_IN, OPENING, SEALED])
def test_a_round_in_which_something_moves_is_left_alone(start):
    assert step(start, BRIEFLY) == (start, ())


@pytest.mark.parametrize("event", [QUIET, Quiet(0, 60)])
def test_a_quiet_round_with_a_quorum_closes(event):
    closed, effects = step(THREE_IN, event)

    assert closed.phase is Phase.AGGREGATING
    assert effects == (Aggregate(1),)


def test_a_quiet_round_without_a_quorum_waits_until_nothing_moves_any_more():
    two = after(6)

    assert step(two, QUIET) == (two, ())

    ended, effects = step(two, STILL)
    assert (ended.phase, effects) == (Phase.ABORTED, (Erase(1),))
    assert "cohort of 2, a quorum of 3" in ended.reason


@pytest.mark.parametrize("start", [OPENING, SEALED])
def test_openers_that_stop_moving_end_the_round(start):
    ended, effects = step(start, STILL)

    assert (ended.phase, effects) == (Phase.ABORTED, (Erase(1),))


# -- the auditor -----------------------------------------------------------------------


def test_openers_wait_for_the_countersignature():
    """Nothing of the opening happens before it: no model, no signature, no turn."""
    assert (AUDITING.phase, AUDITING.sum, AUDITING.cohort) == (Phase.AUDITING, SUM, COHORT)
    for event in (ModelSealed(A, MODEL, RELEASE), ReleaseSigned(A, RELEASE), OpeningFailed(A, "x")):
        with pytest.raises(IllegalEvent):
            step(AUDITING, event)

    opening, effects = step(AUDITING, Countersigned(WATCH, SUM))

    assert (opening.phase, opening.whose_turn(), effects) == (Phase.OPENING, A, ())


@pytest.mark.parametrize("start", [AUDITING, AUDITED, AUDITED_DONE])
def test_no_other_sum_is_countersigned(start):
    with pytest.raises(IllegalEvent, match="another sum"):
        step(start, Countersigned(WATCH, "f" * 64))


def test_a_sum_that_the_auditor_refuses_ends_the_round():
    """Who refused, and why, is what the operator and every member read."""
    ended, effects = step(AUDITING, AuditRefused(WATCH, "root_mismatch"))

    assert (ended.phase, effects) == (Phase.ABORTED, (Erase(1),))
    assert ended.reason == "the auditor watch refuses the sum: root_mismatch"


def test_an_auditor_that_has_signed_cannot_take_it_back():
    with pytest.raises(IllegalEvent):
        step(AUDITED, AuditRefused(WATCH, "root_mismatch"))


def test_an_auditor_at_work_is_waited_for_and_one_that_is_gone_ends_the_round():
    """Nobody takes its turn: without its word nobody opens anything."""
    for event in (QUIET, Quiet(59, 59)):
        assert step(AUDITING, event) == (AUDITING, ())

    ended, effects = step(AUDITING, Quiet(0, 60))

    assert (ended.phase, effects) == (Phase.ABORTED, (Erase(1),))
    assert "watch neither signed nor refused" in ended.reason


# -- openers that fail -----------------------------------------------------------------


def test_the_round_ends_only_when_agreement_is_out_of_reach():
    """Without a model to blame, it is the sum that they cannot open."""
    one = step(OPENING, OpeningFailed(A, "sum_off_grid"))[0]
    assert one.phase is Phase.OPENING

    again = step(one, OpeningFailed(A, "sum_off_grid"))[0]
    assert again == one

    two, effects = step(one, OpeningFailed(B, "sum_off_grid"))
    assert (two.phase, effects) == (Phase.ABORTED, (Erase(1),))
    assert "sum_off_grid" in two.reason


def _refused_model(start: Round) -> Round:
    """Return the round when a model was sealed, and two of three openers refused it."""
    sealer = start.whose_turn()
    told = tell(
        ModelSealed(sealer, MODEL, RELEASE),
        *(OpeningFailed(each, "wrong_context") for each in RULES.openers if each != sealer),
        start=start,
    )
    return told.last


def test_a_model_that_openers_cannot_agree_on_passes_the_sealing_on():
    """The model may be wrong and the sum right: the next opener's model is compared then."""
    told = tell(ReleaseSigned(A, RELEASE), start=SEALED).last

    passed = tell(OpeningFailed(B, "x"), OpeningFailed(C, "x"), start=told).last

    assert (passed.phase, passed.whose_turn(), passed.sealings) == (Phase.OPENING, B, 1)
    assert (passed.sealed_model, passed.release, passed.agreed, passed.failed) == ("", "", (), ())
    for late in (ModelSealed(A, MODEL, RELEASE), ReleaseSigned(B, RELEASE)):
        with pytest.raises(IllegalEvent):
            step(passed, late)


def test_the_next_openers_model_is_released():
    """Signatures on the refused one count for nothing."""
    passed = _refused_model(OPENING)
    resealed = step(passed, ModelSealed(B, "f" * 64, "e" * 64))[0]

    one = step(resealed, ReleaseSigned(B, "e" * 64))[0]
    done, effects = step(one, ReleaseSigned(C, "e" * 64))

    assert one.phase is Phase.OPENING
    assert (done.phase, done.sealed_model, done.agreed) == (Phase.DONE, "f" * 64, (B, C))
    assert effects == (Erase(1),)


def test_the_round_ends_when_each_opener_has_sealed_a_model_that_others_refuse():
    second = _refused_model(OPENING)
    third = _refused_model(second)
    assert [each.phase for each in (second, third)] == [Phase.OPENING] * 2

    ended = _refused_model(third)

    assert (ended.phase, ended.sealings) == (Phase.ABORTED, len(RULES.openers))
    assert "wrong_context" in ended.reason


def test_the_same_model_again_is_no_second_sealing():
    assert step(SEALED, ModelSealed(A, MODEL, RELEASE))[0].sealings == 1


def test_a_signature_that_is_there_counts_whatever_its_opener_says_later():
    """A has signed; with C's signature the two that are needed are there."""
    told = tell(
        ReleaseSigned(A, RELEASE), OpeningFailed(A, "x"), OpeningFailed(B, "x"), start=SEALED
    )

    assert told.last.phase is Phase.OPENING
    assert step(told.last, ReleaseSigned(C, RELEASE))[0].phase is Phase.DONE


@pytest.mark.parametrize("release", ["", "f" * 64])
def test_no_other_release_is_signed(release):
    for start in (OPENING, SEALED):
        with pytest.raises(IllegalEvent):
            step(start, ReleaseSigned(A, release))


# -- whom a round waits for ------------------------------------------------------------


@pytest.mark.parametrize(
    ("current", "awaited"),
    [
        (START, {A}),
        (step(START, QUIET)[0], {B}),
        (OPEN, {A, B, C, D}),
        (THREE_IN, {D}),
        (AUDITING, {WATCH}),
        (AUDITED, {A}),
        (OPENING, {A}),
        (SEALED, {A, B, C}),
        (step(SEALED, ReleaseSigned(A, RELEASE))[0], {B, C}),
        (step(SEALED, OpeningFailed(B, "x"))[0], {A, C}),
    ],
)
def test_a_round_waits_for_those_who_have_something_left_to_do(current, awaited):
    assert current.waits_for() == awaited


# -- the table -------------------------------------------------------------------------


@pytest.mark.parametrize("current", EVERY, ids=lambda each: f"{each.phase}")
def test_what_is_not_in_the_table_is_refused(current):
    """Every kind of event, in every phase."""
    for event in [*STORY, *INTRUDERS]:
        if (current.phase, type(event)) not in TRANSITIONS:
            before = encode(current)

            with pytest.raises(IllegalEvent, match=type(event).__name__):
                step(current, event)

            assert encode(current) == before


def test_the_table_names_every_event_and_leaves_nothing_after_an_abort():
    assert {event for _, event in TRANSITIONS} == set(Event.__subclasses__())
    assert not [phase for phase, _ in TRANSITIONS if phase is Phase.ABORTED]


@pytest.mark.parametrize("current", EVERY, ids=lambda each: f"{each.phase}")
def test_a_round_survives_the_store(current):
    assert decode(encode(current)) == current


def test_a_round_of_a_version_without_auditors_is_read():
    """A coordinator that is upgraded resumes what it finds."""
    stored = encode(OPEN).replace(b',"auditor":""', b"")

    assert stored != encode(OPEN)
    assert decode(stored) == OPEN


@pytest.mark.parametrize("effect", [Aggregate(3), Erase(4)])
def test_an_effect_survives_the_store(effect):
    assert decode_effect(encode_effect(effect)) == effect


# -- the story mangled -----------------------------------------------------------------


@mangled
@given(histories())
def test_no_sum_is_ever_taken_below_quorum(events):
    """The cohort promised to participants is the cohort that is aggregated."""
    for before, now in _steps(events):
        if now.phase is Phase.AGGREGATING and before.phase is not Phase.AGGREGATING:
            assert len(now.committed) >= RULES.quorum


@mangled
@given(histories())
def test_the_cohort_does_not_change_once_it_is_closed(events):
    closed = (Phase.AGGREGATING, Phase.AUDITING, Phase.OPENING, Phase.DONE)
    for before, now in _steps(events):
        if before.phase in closed:
            assert now.committed == before.committed


@mangled
@given(histories())
def test_each_trainer_counts_once_with_what_it_said_first(events):
    for before, now in _steps(events):
        names = [each.participant for each in now.committed]

        assert names == sorted(set(names))
        assert set(names) <= set(RULES.trainers)
        assert set(before.committed) <= set(now.committed)


@mangled
@given(histories())
def test_a_round_is_added_up_and_released_at_most_once(events):
    for told in _both(events):
        assert told.effects.count(Aggregate(1)) <= 1
        assert told.effects.count(Erase(1)) <= 1
        steps = pairwise(told.rounds)
        assert sum(before.phase is not now.phase is Phase.DONE for before, now in steps) <= 1


@mangled
@given(histories())
def test_a_released_round_has_the_signatures_it_needs(events):
    for last in (told.last for told in _both(events)):
        if last.phase is Phase.DONE:
            assert len(last.agreed) >= RULES.agreement
            assert set(last.agreed) <= set(RULES.openers)
            assert last.release


@mangled
@given(histories())
def test_nothing_is_opened_without_the_auditors_word(events):
    """Whatever else is said, by whomever, and in whatever order."""
    silent = [each for each in events if each != Countersigned(WATCH, SUM)]

    told = tell(*silent, start=START_AUDITED)

    assert not {Phase.OPENING, Phase.DONE} & {each.phase for each in told.rounds}


@mangled
@given(histories())
def test_no_round_goes_backwards(events):
    """Phases only rise, an end is an end, and what was said once is not taken back.

    But for a model that openers refused, and none that has the signatures it needs.
    """
    order = list(Phase)
    for before, now in _steps(events):
        assert order.index(now.phase) >= order.index(before.phase)
        if before.phase is Phase.ABORTED:
            assert now == before
        for name in ("plan", "cohort", "sum"):
            assert getattr(before, name) in ("", getattr(now, name))
        if (before.sealed_model, before.release) not in (
            ("", ""),
            (now.sealed_model, now.release),
        ):
            assert (now.phase, now.turn) == (Phase.OPENING, before.turn + 1)
            assert (now.sealed_model, now.release, now.agreed) == ("", "", ())
            assert len(before.agreed) < RULES.agreement


@mangled
@given(histories())
def test_no_more_models_are_sealed_than_there_are_openers(events):
    for before, now in _steps(events):
        assert before.sealings <= now.sealings <= len(RULES.openers)


@mangled
@given(histories())
def test_a_key_in_use_was_vouched_for_by_more_than_half(events):
    for _, now in _steps(events):
        if now.phase not in (Phase.KEYING, Phase.ABORTED):
            assert now.key_record
            assert 2 * len(now.key_signers) > len(RULES.openers)


@mangled
@given(histories())
def test_any_history_past_keying_ends_if_all_fall_silent(events):
    """Whatever happened, one long silence ends the round, or it waits for a key or for us."""
    for told in _both([*events, STILL]):
        waiting = (Phase.KEYING, Phase.KEYED, Phase.AGGREGATING)
        assert told.last.is_over() or told.last.phase in waiting


def _steps(events):
    return [step for told in _both(events) for step in pairwise(told.rounds)]


def _both(events):
    """Return what comes of a history without an auditor, and with one."""
    return [tell(*events, start=start) for start in (START, START_AUDITED)]
