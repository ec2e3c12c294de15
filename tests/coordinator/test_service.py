"""The application around the rounds: what it takes, what it refuses, what it is after a crash."""

import threading

import numpy as np
import pytest
from structlog.testing import capture_logs

from coordinator import object_names as names
from coordinator.adapters.objects.files import open_objects
from coordinator.adapters.sql.store import open_store
from coordinator.intake.accept import Offset
from coordinator.rounds import round as machine
from coordinator.rounds.programme import ABORTS_BEFORE_HALT
from coordinator.rounds.state import Phase
from coordinator.wire.health import STUCK_SECONDS
from privacy import canonical
from privacy.documents import check_signer
from privacy.errors import (
    IllegalEvent,
    NotYet,
    StoreUnavailable,
)
from privacy.failpoints import Failpoints
from privacy.merkle import tree_root
from privacy.records import Contribution, Receipt, Release, Sum, digest_of
from privacy.schemes.masks import Mask
from privacy.signing import Purpose, sign
from tests import fakes
from tests.fakes import (
    ABANDON_SECONDS,
    AUDITOR,
    OPENERS,
    PROGRESS_SECONDS,
    SITES,
    Crash,
    Federation,
    chunk_of,
    contribution,
    crash_at,
    envelope,
    expected_sum,
    seed_of,
    signed_by,
)

# -- the story -------------------------------------------------------------------------


def test_a_programme_goes_from_the_first_key_to_the_last_release(federation):
    """Two rounds, the second's key made while the first is open."""
    federation.open_round()
    federation.tick()
    assert federation.round(2).phase is Phase.KEYING

    for number in (1, 2):
        if number == 2:
            federation.open_round(2)
        for name in SITES:
            federation.contribute(name, number)
        federation.tick()
        federation.finish(number)

    assert [federation.round(n).phase for n in (1, 2)] == [Phase.DONE, Phase.DONE]
    assert federation.service.finished()
    second, first = federation.service.plan(2)[0], federation.service.models.release(1)
    assert second.terms.release == federation.round(1).release
    assert second.terms.model == canonical.decode(first.body, Release).model


def test_a_programme_with_an_auditor_goes_to_its_end_with_every_plan_naming_it():
    """Each sum waits for the countersignature, and then goes the way of any other."""
    federation = Federation(settings=fakes.make_settings(auditor=AUDITOR))
    for number in (1, 2):
        federation.open_round(number)
        for name in SITES:
            federation.contribute(name, number)
        federation.tick(3)
        assert federation.round(number).phase is Phase.AUDITING
        federation.countersign(number)
        federation.finish(number)

    plans = [federation.service.plan(number)[0] for number in (1, 2)]
    assert [plan.terms.auditor for plan in plans] == [AUDITOR, AUDITOR]
    assert federation.service.finished()


def test_the_sum_is_that_of_the_cohort_to_the_last_bit(added_up):
    for chunk in range(2):
        stored = added_up.service.sums.chunk(OPENERS[0], 1, chunk)

        assert stored == expected_sum([seed_of(name, 1) for name in SITES], chunk)


def test_a_site_that_stops_halfway_is_not_in_the_sum(opened):
    """What is not committed is never added, though its chunks are all there."""
    for name in SITES[:3]:
        opened.contribute(name)
    opened.begin(SITES[3])
    opened.put(SITES[3])
    opened.clock.advance(PROGRESS_SECONDS)

    opened.tick()

    assert [entry.participant for entry in opened.round().committed] == list(SITES[:3])
    assert opened.service.sums.chunk(OPENERS[0], 1, 0) == expected_sum(
        [seed_of(n, 1) for n in SITES[:3]], 0
    )


def test_real_ciphertexts_open_to_the_sum_of_what_was_encrypted(federation):
    """The same road with real encryption: the coordinator adds what only openers open."""
    from privacy.schemes.ckks import (  # noqa: PLC0415  half a second, and only here
        CkksProtector,
        CkksRevealer,
        make_cohort_key,
    )
    from privacy.schemes.ckks_sum import CkksCombiner  # noqa: PLC0415

    plan = federation.open_round()
    parameters, dimension = plan.parameters(), plan.arithmetic.dimension
    key = make_cohort_key(parameters)
    context = bytes.fromhex(plan.digest())
    masks = {name: Mask(parameters, bytes([at]) * 32, context) for at, name in enumerate(SITES)}
    combiner = CkksCombiner(parameters, dimension)
    geometry = parameters.geometry(dimension)
    values = {
        name: (np.arange(dimension) * (at + 3)) % 2001 - 1000 for at, name in enumerate(SITES)
    }
    for name in SITES:
        protector = CkksProtector(parameters, dimension, key.public, masks[name])
        chunks = [protector.protect(at, values[name][geometry.span(at)]) for at in range(2)]
        roots = [combiner.check(at, chunk) for at, chunk in enumerate(chunks)]
        federation.begin(name, roots=roots)
        for at, chunk in enumerate(chunks):
            federation.service.contributions.put_chunk(name, 1, 0, at, chunk)
        federation.service.contributions.commit(name, 1)

    federation.tick()

    revealer = CkksRevealer(parameters, dimension, key.secret, tuple(masks.values()))
    totals = [
        revealer.reveal(at, federation.service.sums.chunk(OPENERS[0], 1, at), 4) for at in range(2)
    ]
    assert np.array_equal(np.concatenate(totals), sum(values.values()))


def test_a_receipt_is_the_coordinators_word_for_this_contribution(opened):
    receipt = opened.contribute(SITES[0])

    stated = canonical.decode(receipt.body, Receipt)
    check_signer(receipt, Purpose.RECEIPT, "coordinator", opened.roster.coordinator_key)
    assert stated.contribution == digest_of(contribution(opened.service.plan(1)[0], SITES[0]))


def test_a_second_commit_returns_the_same_receipt_even_when_all_is_over(added_up):
    """The answer to the first may have been lost on its way."""
    again = added_up.service.contributions.commit(SITES[0], 1)

    added_up.finish()
    added_up.tick()
    last = added_up.service.contributions.commit(SITES[0], 1)

    assert again == last
    assert added_up.begin(SITES[0]).committed


def test_contributions_and_their_sum_are_erased_when_the_round_is_done(added_up):
    """What was said of the sum stays; what could be opened does not."""
    manifest = added_up.service.sums.manifest(OPENERS[0], 1)
    added_up.finish()
    added_up.tick()

    assert added_up.objects.names(names.contributions(1)) == []
    assert added_up.objects.names(names.sums(1)) == []
    assert added_up.service.sums.manifest(OPENERS[0], 1) == manifest


@pytest.mark.parametrize("ends", ["done", "aborted"])
def test_a_rounds_keys_are_erased_when_it_is_over(added_up, ends):
    """Whoever seizes the coordinator afterwards has no sealed secret to take away."""
    assert added_up.objects.names(names.keys(1))
    if ends == "done":
        added_up.finish()
    else:
        added_up.clock.advance(ABANDON_SECONDS)

    added_up.tick(2)

    assert added_up.round().phase == ends
    assert added_up.objects.names(names.keys(1)) == []


def test_the_model_of_an_aborted_round_is_erased(added_up):
    """It was never agreed on: nobody may take it for the programme's."""
    added_up.put_model()
    added_up.clock.advance(ABANDON_SECONDS)

    added_up.tick(2)

    assert added_up.round().phase is Phase.ABORTED
    assert added_up.objects.names("rounds/000001/model") == []


def test_a_model_that_still_arrives_when_the_round_was_aborted_is_not_kept(added_up):
    """What comes after the erasing would never be erased."""
    plan, total = added_up.service.plan(1)[0], added_up.round().sum
    signed = signed_by(OPENERS[0], envelope(plan, added_up.roster, total, OPENERS[0]))
    sealed = added_up.service.models.begin(OPENERS[0], signed)
    first, second = fakes.model_chunks()
    added_up.service.models.put_chunk(sealed, 0, first)
    added_up.clock.advance(ABANDON_SECONDS)
    added_up.tick()

    with pytest.raises(IllegalEvent, match="no model is waited for"):
        added_up.service.models.put_chunk(sealed, 1, second)

    assert added_up.objects.names(names.models(1)) == []


def test_of_two_sealed_models_the_released_one_is_kept(added_up):
    """The first was refused; the next opener's is what members fetch."""
    first = added_up.put_model()
    for opener in OPENERS[1:]:
        added_up.service.refuse(opener, 1, "wrong_context")
    second = added_up.put_model(OPENERS[1])
    for opener in OPENERS[1:]:
        added_up.sign_release(opener)

    added_up.tick()

    kept = {name.split("/")[3] for name in added_up.objects.names("rounds/000001/model")}
    assert added_up.round().phase is Phase.DONE
    assert digest_of(first) != digest_of(second)
    assert kept == {digest_of(second)}
    assert [
        added_up.service.models.chunk(SITES[3], 1, at) for at in range(2)
    ] == fakes.model_chunks()


def test_nothing_exists_before_it_is_made(federation):
    with pytest.raises(NotYet):
        federation.service.plan(1)
    federation.tick()
    service = federation.service
    asked = (
        service.keying.key,
        service.plan,
        lambda number: service.sums.cohort(OPENERS[0], number),
        lambda number: service.sums.manifest(OPENERS[0], number),
        service.models.envelope,
        service.models.release,
    )
    for what in asked:
        with pytest.raises(NotYet):
            what(1)


def test_a_programme_waits_for_every_founding_signature():
    unsigned = fakes.make_roster(sites=(*SITES, "hospital-e"))
    federation = Federation(store=fakes.MemoryStore())
    federation.store, federation.roster = fakes.MemoryStore(), unsigned

    federation.start().tick()

    assert federation.service.rounds.all() == {}
    with pytest.raises(NotYet, match=r"auditor, hospital-a, .*, hospital-e"):
        federation.service.roster()


def test_the_operator_reads_once_who_has_not_founded_the_federation():
    """And again when it is somebody else; a log that repeats it ten times a second is no log."""
    federation = Federation()
    federation.store = fakes.MemoryStore()
    federation.start()
    first = federation.roster.members[0].participant
    signature = sign(fakes.signing_key(first), Purpose.ROSTER, canonical.encode(federation.roster))

    with capture_logs() as log:
        federation.tick(3)
        federation.service.rosters.sign(first, 0, signature)
        federation.tick(3)

    names = [member.participant for member in federation.roster.members]
    waiting = [each["missing"] for each in log if each["event"] == "waiting_for_founders"]
    assert waiting == [names, names[1:]]


def test_a_cohort_of_one_owner_is_not_added_up():
    """The plan's minimum counts organisations: four sites of one owner hide nothing."""
    federation = Federation(roster=fakes.make_roster(same_organisation=True))
    federation.open_round()
    for name in SITES:
        federation.contribute(name)

    federation.tick()

    assert federation.round().phase is Phase.ABORTED
    assert "1 organisations" in federation.round().reason
    assert federation.objects.names("rounds/000001/sum") == []


def test_rounds_are_read_while_a_step_is_under_way(opened):
    """A slow disk holds the step, not those who watch; what they hold does not change."""
    service, seen = opened.service, []
    before = service.rounds.all()

    with service.rounds.lock:
        reader = threading.Thread(target=lambda: seen.append(service.rounds.all()))
        reader.start()
        reader.join(5)

    assert seen == [before]
    opened.contribute(SITES[0])
    assert before[1].committed == ()
    assert len(service.rounds.all()[1].committed) == 1


# -- a damaged disk --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stored", "why"),
    [
        (None, "000001/contributions/hospital-c"),
        (b"rotten", "chunk 1"),
        (chunk_of("another update", 1), "chunk 1 of hospital-c has changed"),
    ],
)
def test_a_contribution_that_is_damaged_or_gone_ends_the_round_and_is_named(opened, stored, why):
    """No sum is taken of what nobody sent; the operator is told what to look at."""
    for name in SITES:
        opened.contribute(name)
    damaged = names.contribution_chunk(1, SITES[2], 0, 1)
    opened.objects.delete_prefix(damaged)
    if stored is not None:
        opened.objects.put(damaged, stored)

    with capture_logs() as log:
        opened.tick(2)

    assert opened.round().phase is Phase.ABORTED
    assert why in opened.round().reason
    assert [each["reason"] for each in log if each["event"] == "contribution_lost"] == [
        opened.round().reason
    ]
    assert opened.store.pending_effects() == []
    with pytest.raises(NotYet):
        opened.service.sums.manifest(OPENERS[0], 1)
    assert opened.round(2).phase is Phase.KEYING  # the programme goes on


# -- a programme that halts ------------------------------------------------------------


@pytest.fixture
def halted(federation):
    """A programme in which one round after the other found no quorum."""
    for number in range(1, ABORTS_BEFORE_HALT + 1):
        assert not federation.service.halted()
        federation.open_round(number)
        federation.clock.advance(ABANDON_SECONDS)
        federation.tick()
    return federation


def test_a_halted_programme_begins_nothing_and_is_not_finished(halted):
    halted.tick(3)

    begun = [n for n, each in halted.service.rounds.all().items() if not each.is_over()]
    assert halted.service.halted()
    assert not halted.service.finished()
    assert all(halted.round(number).phase is Phase.KEYING for number in begun)
    assert len(halted.service.rounds.all()) <= ABORTS_BEFORE_HALT + 1


def test_that_a_programme_is_halted_is_said_once_with_each_rounds_reason(federation):
    with capture_logs() as log:
        for number in range(1, ABORTS_BEFORE_HALT + 1):
            federation.open_round(number)
            federation.clock.advance(ABANDON_SECONDS)
            federation.tick()
        federation.tick(3)

    (said,) = [each for each in log if each["event"] == "programme_halted"]
    assert said["log_level"] == "error"
    assert sorted(said["reasons"]) == [str(n) for n in range(1, ABORTS_BEFORE_HALT + 1)]
    assert all("a quorum of 3" in reason for reason in said["reasons"].values())


def test_a_restart_is_the_operators_word_to_go_on(halted):
    halted.start()
    halted.tick()
    number = max(halted.service.rounds.all())

    halted.open_round(number)
    for name in SITES:
        halted.contribute(name, number)
    halted.tick()
    halted.finish(number)

    assert not halted.service.halted()
    assert halted.round(number).phase is Phase.DONE


def test_no_outage_of_openers_halts_a_programme(federation):
    """All members are away for a night; when they are back, the round they left goes on."""
    federation.tick()
    for _ in range(24 * ABORTS_BEFORE_HALT * 2):
        federation.clock.advance(ABANDON_SECONDS)
        federation.tick()

    assert list(federation.service.rounds.all()) == [1]
    assert federation.open_round().terms.round == 1


# -- a crash at any step ---------------------------------------------------------------


def whole_round(federation):
    """Play round 1 as peers do: each action again if the coordinator dies of it."""
    did = federation.surviving
    did(federation.tick)
    did(federation.offer_key)
    if federation.round().phase is Phase.KEYING:
        did(federation.sign_key)
    did(federation.tick)
    for name in SITES:
        did(lambda name=name: federation.begin(name))
        for at in range(2):
            payload = chunk_of(seed_of(name, 1), at)
            did(
                lambda n=name, a=at, p=payload: federation.service.contributions.put_chunk(
                    n, 1, 0, a, p
                )
            )
        did(lambda name=name: federation.service.contributions.commit(name, 1))
    did(federation.tick)
    if federation.round().rules.auditor:
        did(federation.countersign)
    did(federation.put_model)
    for opener in OPENERS[:2]:
        did(lambda opener=opener: federation.sign_release(opener))
    did(federation.tick)
    return federation


CRASHES = [
    *[(f"service.{when}_save", n) for when in ("before", "after") for n in range(1, 13)],
    *[
        (f"effect.{when}_{what}", 1)
        for when in ("before", "after")
        for what in ("aggregate", "erase")
    ],
    *[(f"accept.{when}_chunk", n) for when in ("before", "after") for n in (1, 2, 8)],
]


@pytest.fixture(scope="module")
def undisturbed():
    return whole_round(Federation()).evidence()


@pytest.fixture(scope="module")
def audited_round():
    return whole_round(Federation(settings=fakes.make_settings(auditor=AUDITOR))).evidence()


@pytest.mark.parametrize(("place", "count"), CRASHES)
def test_a_crash_at_any_step_changes_nothing_of_the_result(place, count, undisturbed):
    """Nothing is lost and nothing counts twice, wherever the process dies."""
    federation = Federation()
    died = []

    def die(where):
        died.append(where)
        raise Crash(where)

    federation.start(Failpoints({(place, count): die}))

    evidence = whole_round(federation).evidence()

    assert died == [f"{place}:{count}"]
    assert evidence == undisturbed
    assert evidence["effects"] == []  # all that was ordered is done, and is not done again


@pytest.mark.parametrize("place", ["service.before_save", "service.after_save"])
@pytest.mark.parametrize("count", [10, 11, 12])
def test_a_crash_around_the_audit_changes_nothing_of_the_result(place, count, audited_round):
    """Before the sum is there, while the countersignature is taken, and after it."""
    federation = Federation(settings=fakes.make_settings(auditor=AUDITOR))
    federation.start(crash_at(place, count))

    evidence = whole_round(federation).evidence()

    assert evidence == audited_round
    assert set(evidence["sum"].signatures) == {AUDITOR, "coordinator"}


def test_a_crash_between_the_plans_document_and_its_round_keeps_the_plan(federation):
    """Sites may have seen the plan that was signed: no second one is made for the round."""
    federation.tick()
    federation.offer_key()
    federation.start(crash_at("service.before_save", 2))
    federation.sign_key()
    with pytest.raises(Crash):
        federation.tick()
    kept = federation.store.document("plan", "1")

    federation.settings = fakes.make_settings(clip="2")  # what the operator wants by now
    federation.start()
    federation.tick()

    assert federation.store.document("plan", "1") == kept
    assert federation.round().plan == federation.service.plan(1)[0].digest()


def test_a_crash_between_the_uploads_commit_and_the_rounds_is_mended_by_a_retry(opened):
    """Two transactions: in between, the upload is complete and the site not yet counted."""
    opened.begin(SITES[0])
    opened.put(SITES[0])
    opened.start(crash_at("service.before_save"))
    with pytest.raises(Crash):
        opened.service.contributions.commit(SITES[0], 1)
    opened.start()
    assert opened.round().committed == ()
    # The row's word that it is committed counts for nothing: only the round's state counts.
    assert opened.begin(SITES[0]) == Offset((2,), committed=False)

    opened.service.contributions.commit(SITES[0], 1)

    assert len(opened.round().committed) == 1


def test_the_same_holds_on_a_disk(tmp_path, undisturbed):
    """SQLite and a folder in place of memory, and the process dies while it adds up."""
    store = open_store(f"sqlite:///{tmp_path}/coordinator.db")
    federation = Federation(store=store, objects=open_objects(tmp_path / "objects"))
    federation.start(crash_at("effect.after_aggregate"))

    evidence = whole_round(federation).evidence()

    store.close()
    assert evidence == undisturbed


# -- time ------------------------------------------------------------------------------


def test_a_round_waits_while_bytes_arrive(opened):
    for name in SITES[:3]:
        opened.contribute(name)
    opened.begin(SITES[3])
    opened.clock.advance(PROGRESS_SECONDS - 1)
    opened.put(SITES[3], chunks=1)
    opened.clock.advance(PROGRESS_SECONDS - 1)

    opened.tick()

    assert opened.round().phase is Phase.OPEN


def test_a_round_waits_for_work_only_by_those_it_waits_for(opened):
    """A heartbeat of somebody who has finished holds nothing up."""
    for name in SITES[:3]:
        opened.contribute(name)
    opened.clock.advance(PROGRESS_SECONDS)
    opened.service.rounds.worked(SITES[0], 1)
    opened.service.rounds.worked("stranger", 1)
    opened.service.rounds.worked(SITES[0], 99)

    opened.tick()

    assert opened.round().phase is Phase.OPENING


@pytest.mark.parametrize("what", ["begin", "put", "heartbeat"])
def test_repeating_what_is_done_does_not_hold_a_round_up_for_ever(opened, what):
    """One site could otherwise keep all others waiting by sending one chunk again and again."""
    for name in SITES[:3]:
        opened.contribute(name)
    opened.begin(SITES[3])
    opened.put(SITES[3], chunks=1)
    repeat = {
        "begin": lambda: opened.begin(SITES[3]),
        "put": lambda: opened.put(SITES[3], chunks=1),
        "heartbeat": lambda: opened.service.rounds.worked(SITES[3], 1),
    }[what]

    for _ in range(int(ABANDON_SECONDS)):
        if opened.round().phase is Phase.OPEN:
            repeat()
            opened.clock.advance(1)
            opened.tick()

    assert opened.round().phase is Phase.OPENING


def test_a_round_whose_openers_are_all_gone_ends(added_up):
    """Turns that pass are not progress: the round gives up when nothing has come of any."""
    for _ in range(100):
        added_up.clock.advance(PROGRESS_SECONDS)
        added_up.tick()

    assert added_up.round().phase is Phase.ABORTED


def test_the_next_opener_seals_when_the_first_is_gone(added_up):
    added_up.clock.advance(PROGRESS_SECONDS)
    added_up.tick()

    added_up.put_model(OPENERS[1])
    for opener in OPENERS[1:]:
        added_up.sign_release(opener)

    assert added_up.round().phase is Phase.DONE


def test_every_change_is_told_to_those_who_watch(federation):
    seen = []
    federation.service.rounds.on_change(lambda: seen.append(federation.service.rounds.revision))

    federation.tick()
    federation.offer_key()

    assert seen == sorted(set(seen))
    assert len(seen) == 2


def test_the_signed_sum_says_what_was_added(added_up):
    stated = canonical.decode(added_up.service.sums.manifest(OPENERS[0], 1).body, Sum)
    chunks = [fakes.LAYOUT.chunk_bytes(1)] * 2

    assert (stated.contributions, stated.chunks, stated.length) == (4, 2, sum(chunks))
    cohort, headers = added_up.service.sums.cohort(OPENERS[0], 1)
    assert [canonical.decode(h.body, Contribution).participant for h in headers] == list(SITES)
    check_signer(cohort, Purpose.COHORT, "coordinator", added_up.roster.coordinator_key)
    assert tree_root([b"\x00" * 32]) != stated.root


def test_a_step_that_the_store_refuses_leaves_the_round_as_it_was(opened):
    """Two coordinators on one database: the second must not step what the first has stepped."""
    other = Federation(store=opened.store, objects=opened.objects)
    opened.contribute(SITES[0])
    before = other.round()

    with pytest.raises(StoreUnavailable):
        other.service.rounds.apply(1, machine.Quiet(ABANDON_SECONDS, ABANDON_SECONDS))

    assert other.round() == before


def test_a_fold_that_makes_no_chunk_for_long_does_not_count_as_at_work(federation):
    """Asking whether to stop is not getting further; a chunk that is recorded is."""
    service = federation.service
    service.tick()
    for _ in range(100):
        federation.clock.advance(60.0)
        service._is_stopping()
    stood_still = service.quiet_seconds()
    service._has_row()
    service._is_stopping()

    assert stood_still > STUCK_SECONDS
    assert service.quiet_seconds() == 0
