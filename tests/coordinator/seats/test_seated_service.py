"""The application under `shares`: whole rounds over memory, with seats that say what they do."""

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from coordinator import object_names as names
from coordinator.rounds.seated import Freeze, Manifest, Nominate
from coordinator.rounds.state import Phase
from privacy import canonical
from privacy.certificate import check_certificate
from privacy.errors import IllegalEvent, NotYet
from privacy.failpoints import Failpoints
from privacy.records import Cohort, Refused, Release, SharedContribution, Sum
from privacy.schemes.shares.opening import sum_length, sum_root
from tests import fakes
from tests.coordinator import seated_round
from tests.coordinator.seated_federation import SeatedFederation, canonical_replace, make_settings
from tests.coordinator.seated_round import SEATS
from tests.fakes import ABANDON_SECONDS, AUDITOR, OPENERS, PROGRESS_SECONDS, SITES, Crash

X, Y, Z = SEATS


@pytest.fixture
def federation():
    return SeatedFederation()


@pytest.fixture
def closed(federation):
    federation.close()
    return federation


@pytest.fixture
def frozen(closed):
    closed.freeze()
    return closed


@pytest.fixture
def opening(frozen):
    frozen.sum_up()
    return frozen


# -- the story -------------------------------------------------------------------------


def test_a_programme_goes_from_the_first_plan_to_the_last_release(federation):
    """No key is made, and none is waited for."""
    for number in (1, 2):
        federation.whole(number)

    assert [federation.round(n).phase for n in (1, 2)] == [Phase.DONE, Phase.DONE]
    assert federation.service.finished()
    second, first = federation.service.plan(2)[0], federation.service.models.release(1)
    assert second.terms.model == canonical.decode(first.body, Release).model
    assert (second.terms.seats, second.terms.key_record) == (SEATS, None)


def test_the_next_round_begins_when_the_one_before_is_over(opening):
    """There is no key to make ahead; its plan goes by the roster of that time."""
    opening.tick(3)
    assert max(opening.service.rounds.all()) == 1

    opening.finish()
    opening.tick(2)

    assert opening.round(2).phase is Phase.OPEN


def test_candidates_are_all_that_was_committed(closed):
    candidates = closed.candidates()

    assert candidates.entries == closed.round().committed
    assert [each.participant for each in candidates.entries] == list(SITES)


def test_the_cohort_is_that_of_the_seats_and_comes_with_its_headers(closed):
    """Who was left out is in no sum, and each member sees who said so and why."""
    refused = Refused(SITES[1], "norm_over_bound", "norm over the bound")
    closed.judge(X, refused)
    closed.judge(Y)
    closed.judge(Z, refused)
    closed.tick()

    signed, headers = closed.service.sums.cohort(OPENERS[0], 1)

    entries = canonical.decode(signed.body, Cohort).entries
    kept = [SITES[0], *SITES[2:]]
    assert [each.participant for each in entries] == kept
    decoded = [canonical.decode(each.body, SharedContribution) for each in headers]
    assert [each.participant for each in decoded] == kept
    assert [(each.seat, each.code) for each in closed.round().left_out] == [
        (X, "norm_over_bound"),
        (Z, "norm_over_bound"),
    ]


def test_who_says_it_is_at_work_is_not_named_for_who_is_away(closed):
    """Two seats that wait for the third tell so, every half second, until the round ends."""
    for _ in range(int(ABANDON_SECONDS / PROGRESS_SECONDS) + 1):
        closed.clock.advance(PROGRESS_SECONDS)
        for seat in (X, Z):
            closed.service.rounds.worked(seat, 1)
        closed.tick()

    assert closed.round().phase is Phase.ABORTED
    assert closed.round().reason == f"{Y} did not judge the candidates"


def test_the_cohort_comes_with_the_signatures_of_its_certificate(frozen):
    for name in (X, Y, *SITES[:3]):
        frozen.certify(name)

    signed, _ = frozen.service.sums.cohort(OPENERS[0], 1)

    assert frozen.round().phase is Phase.SUMMING
    assert set(signed.signatures) == {"coordinator", X, Y, *SITES[:3]}
    check_certificate(signed, frozen.service.plan(1)[0], frozen.roster)


def test_the_manifest_says_what_the_seats_agree_on(opening):
    plan, _ = opening.service.plan(1)
    stated = canonical.decode(opening.service.sums.manifest(OPENERS[0], 1).body, Sum)

    roots = [bytes.fromhex(seated_round.root_of(component)) for component in range(3)]
    assert opening.round().phase is Phase.OPENING
    assert stated.root == sum_root(roots).hex()
    assert stated.length == sum_length(plan.shares(), plan.arithmetic.dimension)
    assert (stated.contributions, stated.chunks) == (4, 2)
    assert stated.cohort == opening.round().cohort


@pytest.mark.parametrize("away", SEATS)
def test_two_seats_and_most_trainers_bring_a_round_to_its_end(federation, away):
    """A seat that is away from the first to the last moment."""
    here = [seat for seat in SEATS if seat != away]
    federation.close()
    for seat in here:
        federation.judge(seat)
    federation.clock.advance(PROGRESS_SECONDS)
    federation.tick()
    for name in (*here, *SITES[:3]):
        federation.certify(name)
    for seat in here:
        federation.state(seat)
    federation.clock.advance(PROGRESS_SECONDS)
    federation.tick()

    federation.finish()

    assert federation.round().phase is Phase.DONE


def test_a_false_sum_is_settled_by_the_auditor_and_the_round_goes_on(frozen):
    for seat in SEATS:
        frozen.certify(seat)
    frozen.state(X)
    frozen.state(Y, lie=1)
    frozen.state(Z)
    assert frozen.round().phase is Phase.DISPUTED

    frozen.name_liar(Y)
    frozen.tick()
    frozen.finish()

    assert (frozen.round().phase, frozen.round().liars) == (Phase.DONE, (Y,))


@pytest.mark.parametrize("ends", ["done", "aborted"])
def test_all_that_was_sent_is_erased_when_a_round_is_over(opening, ends):
    """Contributions, seals to seats and sealed sums: nobody opens any of it again."""
    assert opening.objects.names(names.seat_sums(1))
    if ends == "done":
        opening.finish()
    else:
        opening.clock.advance(ABANDON_SECONDS)

    opening.tick(2)

    assert opening.round().phase == ends
    assert opening.objects.names(names.contributions(1)) == []
    assert opening.objects.names(names.seat_sums(1)) == []


# -- refusals --------------------------------------------------------------------------


def refuse_all(federation, *sites):
    """Let every seat leave some sites out."""
    for seat in SEATS:
        federation.judge(seat, *(Refused(each, "root_mismatch", "another root") for each in sites))
    federation.tick()


def test_a_cohort_below_the_minimum_after_leaving_out_ends_the_round_and_names_them(closed):
    refuse_all(closed, *SITES[:2])

    assert closed.round().phase is Phase.ABORTED
    assert closed.round().reason == (
        "round 1: 2 organisations, the plan asks for 3; left out: hospital-a, hospital-b"
    )


def test_the_quorum_holds_after_leaving_out():
    federation = SeatedFederation(settings=make_settings(quorum=4))
    federation.close()

    refuse_all(federation, SITES[3])

    assert federation.round().phase is Phase.ABORTED
    assert "3 contributions, the plan's quorum is 4" in federation.round().reason


def test_candidates_of_one_owner_are_not_judged():
    """Seats would work for a sum that nobody may take."""
    roster = seated_round.make_roster()
    owned = tuple(
        replace(each, organisation="one owner") if each.participant in SITES else each
        for each in roster.members
    )
    federation = SeatedFederation(roster=replace(roster, members=owned))

    federation.close()

    assert federation.round().phase is Phase.ABORTED
    assert "1 organisations" in federation.round().reason


def test_rounds_under_shares_have_no_key(federation):
    federation.open_round()

    with pytest.raises(IllegalEvent, match="has no key"):
        federation.service.keying.specification(1)
    with pytest.raises(NotYet):
        federation.service.sums.cohort(OPENERS[0], 1)


# -- which processes of its seats a plan is for ------------------------------------------


def test_a_plan_names_the_start_of_each_seat(federation):
    plan = federation.open_round()

    assert plan.questions().starts == seated_round.STARTS


def test_a_round_waits_for_its_seats_and_says_once_for_whom():
    """As long as for anybody; then it is planned without the third."""
    federation = SeatedFederation(away=(Z,))

    with capture_logs() as logs:
        federation.tick(5)
    assert federation.round().phase is Phase.KEYED
    (said,) = [each for each in logs if each["event"] == "seats_away"]
    assert (said["seats"], "operator" in said["reason"]) == (Z, True)

    federation.clock.advance(PROGRESS_SECONDS)
    federation.tick(2)

    assert federation.round().phase is Phase.OPEN
    assert federation.service.plan(1)[0].questions().starts == (*seated_round.STARTS[:2], "")


def test_one_seat_is_not_planned_with_however_long_it_waits():
    federation = SeatedFederation(away=(X, Z))

    for _ in range(5):
        federation.clock.advance(ABANDON_SECONDS)
        federation.tick()

    assert federation.round().phase is Phase.KEYED


def test_a_plan_that_was_signed_names_the_same_starts_after_a_restart(federation):
    """Sites may have seen it; that a seat has started again since does not change it."""
    before = federation.open_round()

    federation.start()
    federation.service.starts.hear(X, "d0" * 32)
    federation.service.tick()

    assert federation.service.plan(1)[0] == before


# -- restarts with other settings ------------------------------------------------------


def test_a_round_that_waits_for_its_plan_under_another_scheme_ends(federation):
    """Its openers would be asked for a key that this coordinator cannot order."""
    old = fakes.Federation(roster=federation.roster)
    old.tick()
    assert old.round().phase is Phase.KEYING

    federation.store, federation.objects = old.store, old.objects
    federation.start()
    federation.tick(3)

    assert federation.round(1).phase is Phase.ABORTED
    assert (
        federation.round(1).reason == "it began under ckks/1, and the settings say shares/1 by now"
    )
    assert federation.round(2).phase is Phase.OPEN


def test_a_round_without_a_plan_ends_if_its_rules_are_not_the_settings_any_more(federation):
    """Who certifies is counted by the plan; the round must not count by an older roster."""
    federation.tick()
    assert federation.round().phase is Phase.KEYED

    federation.settings = make_settings(quorum=4)
    federation.start()
    federation.tick(3)

    assert federation.round(1).phase is Phase.ABORTED
    assert "have changed since" in federation.round(1).reason
    assert federation.round(2).rules.quorum == 4


def test_a_plan_that_was_signed_before_a_crash_is_kept_whatever_the_settings_say(federation):
    federation.tick()
    federation.start(fakes.crash_at("service.before_save"))
    with pytest.raises(Crash):
        federation.tick()
    kept = federation.store.document("plan", "1")

    federation.settings = make_settings(quorum=4)
    federation.start()
    federation.tick()

    assert federation.store.document("plan", "1") == kept
    assert federation.round().phase is Phase.OPEN


def test_unchecked_is_a_rule_of_the_round(federation):
    scheme = replace(federation.settings.scheme, unchecked=True)
    other = SeatedFederation(settings=canonical_replace(federation.settings, scheme=scheme))

    plans = [each.open_round().questions().unchecked for each in (federation, other)]

    assert plans == [False, True]
    assert [each.round().rules.unchecked for each in (federation, other)] == [False, True]


# -- a crash at any step ---------------------------------------------------------------


def whole_round(federation):
    """Play round 1 as peers do: each action again if the coordinator dies of it."""
    did = federation.surviving
    did(lambda: federation.tick(2))
    for name in SITES:
        did(lambda name=name: federation.contribute(name))
    did(federation.tick)
    for seat in SEATS:
        did(lambda seat=seat: federation.judge(seat))
    did(federation.tick)
    for seat in SEATS:
        did(lambda seat=seat: federation.certify(seat))
    for seat in SEATS:
        did(lambda seat=seat: federation.state(seat))
    did(federation.tick)
    did(federation.put_model)
    for opener in OPENERS[:2]:
        did(lambda opener=opener: federation.sign_release(opener))
    did(federation.tick)
    evidence = dict(federation.evidence())
    seats, candidates = federation.service.seats, federation.round().candidates
    evidence["statements"] = seats.sealed.statements(AUDITOR, 1)
    evidence["candidates"] = federation.service.archive.document("candidates", candidates)
    evidence["sealed"] = federation.objects.names(names.seat_sums(1))
    return evidence


@pytest.fixture(scope="module")
def undisturbed():
    return whole_round(SeatedFederation())


CRASHES = [
    *[(f"service.{when}_save", n) for when in ("before", "after") for n in range(1, 22)],
    *[
        (f"effect.{when}_{what.__name__.lower()}", 1)
        for when in ("before", "after")
        for what in (Nominate, Freeze, Manifest)
    ],
    *[(f"effect.{when}_erase", 1) for when in ("before", "after")],
    ("accept.before_masks", 2),
]


@pytest.mark.parametrize(("place", "count"), CRASHES)
def test_a_crash_at_any_step_changes_nothing_of_the_result(place, count, undisturbed):
    """Nothing is lost, nothing counts twice, and nothing is signed twice in two ways."""
    federation, died = SeatedFederation(), []

    def die(where):
        died.append(where)
        raise Crash(where)

    federation.start(Failpoints({(place, count): die}))

    evidence = whole_round(federation)

    assert died == [f"{place}:{count}"]
    assert evidence == undisturbed
    assert evidence["effects"] == []


@pytest.mark.parametrize("what", ["nominate", "freeze", "manifest"])
def test_an_order_that_was_carried_out_before_a_crash_does_nothing_in_a_later_phase(what):
    """Members go on at once after a restart, before the order is found done."""
    federation = SeatedFederation()
    federation.start(fakes.crash_at(f"effect.after_{what}"))
    after = {
        "nominate": lambda: [federation.judge(seat) for seat in SEATS],
        "freeze": lambda: [federation.certify(seat) for seat in SEATS],
        "manifest": federation.put_model,
    }
    steps = {"nominate": federation.close, "freeze": federation.freeze}
    for step in (*steps.values(), federation.sum_up):
        try:
            step()
        except Crash:
            break
    federation.start(Failpoints())

    after[what]()
    federation.tick()

    assert federation.store.pending_effects() == []
    assert not federation.round().is_over()
