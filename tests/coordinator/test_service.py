"""The application around the rounds: what it takes, what it refuses, what it is after a crash."""

import hashlib
import threading

import numpy as np
import pytest
from structlog.testing import capture_logs

from coordinator import object_names as names
from coordinator import round as machine
from coordinator.adapters.objects import open_objects
from coordinator.adapters.store import open_store
from coordinator.programme import ABORTS_BEFORE_HALT
from coordinator.round import Phase
from privacy import canonical
from privacy.documents import check_signer
from privacy.errors import (
    ConflictingContribution,
    IllegalEvent,
    InvalidSignature,
    MalformedMessage,
    NotYet,
    RootMismatch,
    StoreUnavailable,
    WrongContext,
    WrongIdentity,
)
from privacy.events import Gaussian
from privacy.failpoints import Failpoints
from privacy.limbs import pack
from privacy.merkle import tree_root
from privacy.records import Contribution, Piece, Receipt, Release, Sum, Wrap, digest_of
from privacy.schemes.ckks_parameters import MODULUS_4096
from privacy.signing import Purpose, sign
from tests import fakes
from tests.fakes import (
    ABANDON_SECONDS,
    LAYOUT,
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
    key_offer,
    seed_of,
    signed_by,
    signing_key,
)


@pytest.fixture
def federation():
    return Federation()


@pytest.fixture
def opened(federation):
    federation.open_round()
    return federation


@pytest.fixture
def added_up(opened):
    for name in SITES:
        opened.contribute(name)
    opened.tick()
    return opened


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
    second, first = federation.service.plan(2)[0], federation.service.release(1)
    assert second.terms.release == federation.round(1).release
    assert second.terms.model == canonical.decode(first.body, Release).model


def test_the_sum_is_that_of_the_cohort_to_the_last_bit(added_up):
    for chunk in range(2):
        stored = added_up.service.sum_chunk(1, chunk)

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
    assert opened.service.sum_chunk(1, 0) == expected_sum([seed_of(n, 1) for n in SITES[:3]], 0)


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
    protector = CkksProtector(parameters, dimension, key.public)
    combiner = CkksCombiner(parameters, dimension)
    geometry = parameters.geometry(dimension)
    values = {
        name: (np.arange(dimension) * (at + 3)) % 2001 - 1000 for at, name in enumerate(SITES)
    }
    for name in SITES:
        chunks = [protector.protect(at, values[name][geometry.span(at)]) for at in range(2)]
        roots = [combiner.check(at, chunk) for at, chunk in enumerate(chunks)]
        federation.begin(name, roots=roots)
        for at, chunk in enumerate(chunks):
            federation.service.put_chunk(name, 1, 0, at, chunk)
        federation.service.commit(name, 1)

    federation.tick()

    revealer = CkksRevealer(parameters, dimension, key.secret)
    totals = [revealer.reveal(at, federation.service.sum_chunk(1, at), 4) for at in range(2)]
    assert np.array_equal(np.concatenate(totals), sum(values.values()))


def test_a_receipt_is_the_coordinators_word_for_this_contribution(opened):
    receipt = opened.contribute(SITES[0])

    stated = canonical.decode(receipt.body, Receipt)
    check_signer(receipt, Purpose.RECEIPT, "coordinator", opened.roster.coordinator_key)
    assert stated.contribution == digest_of(contribution(opened.service.plan(1)[0], SITES[0]))


def test_a_second_commit_returns_the_same_receipt_even_when_all_is_over(added_up):
    """The answer to the first may have been lost on its way."""
    again = added_up.service.commit(SITES[0], 1)

    added_up.finish()
    added_up.tick()
    last = added_up.service.commit(SITES[0], 1)

    assert again == last
    assert added_up.begin(SITES[0]).committed


def test_contributions_are_erased_when_the_round_is_done_and_the_sum_stays(added_up):
    added_up.finish()
    added_up.tick()

    assert added_up.objects.names("rounds/000001/contributions") == []
    assert added_up.service.sum_chunk(1, 0)


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
    sealed = added_up.service.begin_model(OPENERS[0], signed)
    first, second = fakes.model_chunks()
    added_up.service.put_model_chunk(sealed, 0, first)
    added_up.clock.advance(ABANDON_SECONDS)
    added_up.tick()

    with pytest.raises(IllegalEvent, match="no model is waited for"):
        added_up.service.put_model_chunk(sealed, 1, second)

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
    assert [added_up.service.model_chunk(1, at) for at in range(2)] == fakes.model_chunks()


def test_nothing_exists_before_it_is_made(federation):
    with pytest.raises(NotYet):
        federation.service.plan(1)
    federation.tick()
    for asked in ("key", "plan", "cohort", "sum", "sealed_model", "release"):
        with pytest.raises(NotYet):
            getattr(federation.service, asked)(1)


def test_a_programme_waits_for_every_founding_signature():
    unsigned = fakes.make_roster(sites=(*SITES, "hospital-e"))
    federation = Federation(store=fakes.MemoryStore())
    federation.store, federation.roster = fakes.MemoryStore(), unsigned

    federation.start().tick()

    assert federation.service.rounds() == {}
    with pytest.raises(NotYet, match=r"auditor, hospital-a, .*, hospital-e"):
        federation.service.roster()


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
    before = service.rounds()

    with service._lock:
        reader = threading.Thread(target=lambda: seen.append(service.rounds()))
        reader.start()
        reader.join(5)

    assert seen == [before]
    opened.contribute(SITES[0])
    assert before[1].committed == ()
    assert len(service.rounds()[1].committed) == 1


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
        opened.service.sum(1)
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

    begun = [n for n, each in halted.service.rounds().items() if not each.is_over()]
    assert halted.service.halted()
    assert not halted.service.finished()
    assert all(halted.round(number).phase is Phase.KEYING for number in begun)
    assert len(halted.service.rounds()) <= ABORTS_BEFORE_HALT + 1


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
    number = max(halted.service.rounds())

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

    assert list(federation.service.rounds()) == [1]
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
            did(lambda n=name, a=at, p=payload: federation.service.put_chunk(n, 1, 0, a, p))
        did(lambda name=name: federation.service.commit(name, 1))
    did(federation.tick)
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
        opened.service.commit(SITES[0], 1)
    opened.start()
    assert opened.round().committed == ()
    assert opened.begin(SITES[0]).committed

    opened.service.commit(SITES[0], 1)

    assert len(opened.round().committed) == 1


def test_the_same_holds_on_a_disk(tmp_path, undisturbed):
    """SQLite and a folder in place of memory, and the process dies while it adds up."""
    store = open_store(f"sqlite:///{tmp_path}/coordinator.db")
    federation = Federation(store=store, objects=open_objects(tmp_path / "objects"))
    federation.start(crash_at("effect.after_aggregate"))

    evidence = whole_round(federation).evidence()

    store.close()
    assert evidence == undisturbed


# -- contributions that are refused ----------------------------------------------------

OTHER_DIGEST = "ee" * 32


def one_piece(recipient, scheme, chunks, length):
    return {"pieces": (Piece(recipient, scheme, OTHER_DIGEST, chunks, length),)}


@pytest.mark.parametrize(
    ("other", "error"),
    [
        ({"key_record": OTHER_DIGEST}, WrongContext),
        ({"plan": OTHER_DIGEST}, WrongContext),
        ({"federation": "cardiology"}, WrongContext),
        ({"claim": Gaussian("1")}, WrongContext),
        ({"participant": SITES[1]}, WrongIdentity),
        ({"round": 2}, NotYet),
        ({"pieces": ()}, MalformedMessage),
        (
            {"pieces": (Piece("coordinator", "plain/1", OTHER_DIGEST, 2, 122_968),)},
            MalformedMessage,
        ),
        (one_piece("hospital-b", "ckks/1", 2, 122_968), MalformedMessage),
        (one_piece("coordinator", "ckks/1", 3, 122_968), MalformedMessage),
        (one_piece("coordinator", "ckks/1", 2, 1 << 40), MalformedMessage),
    ],
)
def test_a_header_of_something_else_is_refused_at_the_door(opened, other, error):
    with pytest.raises(error):
        opened.begin(SITES[0], **other)

    assert opened.store.uploads(1) == []


def test_a_header_of_the_round_before_is_refused_in_the_next(added_up):
    """A replay: signed by the right key, for a round that was."""
    added_up.finish()
    added_up.open_round(2)
    old = contribution(added_up.service.plan(1)[0], SITES[0], seed_of(SITES[0], 9))

    with pytest.raises(IllegalEvent):
        added_up.service.begin(SITES[0], signed_by(SITES[0], old))


@pytest.mark.parametrize("signer", [SITES[1], "nobody", "coordinator"])
def test_a_header_signed_by_another_key_is_refused(opened, signer):
    header = contribution(opened.service.plan(1)[0], SITES[0])

    with pytest.raises(InvalidSignature):
        opened.service.begin(SITES[0], signed_by(SITES[0], header, key=signer))


def test_the_certificate_says_who_sends_not_the_message(opened):
    """A well-signed header of one hospital, sent under the certificate of another."""
    header = contribution(opened.service.plan(1)[0], SITES[0])

    with pytest.raises(InvalidSignature):
        opened.service.begin(SITES[1], signed_by(SITES[0], header))


def not_below_its_modulus():
    chunk = bytearray(chunk_of(seed_of(SITES[0], 1), 0))
    start = LAYOUT.header_bytes
    chunk[start : start + 15] = pack(np.array([MODULUS_4096, 1], np.uint64), 60)
    return bytes(chunk)


@pytest.mark.parametrize(
    ("chunk", "why"),
    [
        (not_below_its_modulus(), "below its modulus"),
        (chunk_of("x", 0)[:-1], "bytes"),
        (chunk_of("x", 0) + b"\x00", "bytes"),
        (b"", "bytes"),
        (chunk_of("x", 1), "chunk index"),
        (b"XXXX" + chunk_of("x", 0)[4:], "marker"),
    ],
)
def test_a_chunk_that_is_not_canonical_is_refused_and_not_kept(opened, chunk, why):
    opened.begin(SITES[0])

    with pytest.raises(MalformedMessage, match=why):
        opened.service.put_chunk(SITES[0], 1, 0, 0, chunk)

    assert opened.objects.names("rounds/000001/contributions") == []
    assert opened.service.offset(SITES[0], 1).chunks == (0,)


def test_chunks_that_are_not_those_signed_do_not_count(opened):
    opened.begin(SITES[0], roots=[b"\x01" * 32, b"\x02" * 32])
    opened.put(SITES[0])

    with pytest.raises(RootMismatch, match="send the chunks that were signed"):
        opened.service.commit(SITES[0], 1)

    assert opened.round().committed == ()


def test_a_second_different_contribution_is_refused_and_recorded(opened):
    opened.contribute(SITES[0])

    with pytest.raises(ConflictingContribution):
        opened.begin(SITES[0], seed="another update")

    (refusal,) = opened.store.refusals(1)
    assert (refusal.participant, refusal.what) == (SITES[0], "contribution")
    assert refusal.at == opened.clock.at
    assert len(opened.round().committed) == 1


def test_other_bytes_at_the_same_place_are_refused_and_recorded(opened):
    opened.begin(SITES[0])
    opened.put(SITES[0])

    with pytest.raises(ConflictingContribution):
        opened.service.put_chunk(SITES[0], 1, 0, 0, chunk_of("another update", 0))

    assert [refusal.what for refusal in opened.store.refusals(1)] == ["chunk 0/0"]


@pytest.mark.parametrize(("piece", "chunk"), [(0, 1), (0, -1), (1, 0), (-1, 0), (0, 1 << 40)])
def test_a_chunk_out_of_order_is_refused(opened, piece, chunk):
    opened.begin(SITES[0])

    with pytest.raises(MalformedMessage, match="not the next"):
        opened.service.put_chunk(SITES[0], 1, piece, chunk, chunk_of(seed_of(SITES[0], 1), 0))


def test_a_chunk_without_a_header_is_refused(opened):
    with pytest.raises(NotYet, match="has begun no contribution"):
        opened.put(SITES[0])


def test_a_commit_with_missing_chunks_is_refused(opened):
    opened.begin(SITES[0])
    opened.put(SITES[0], chunks=1)

    with pytest.raises(NotYet, match="1 of 2 chunks"):
        opened.service.commit(SITES[0], 1)


def test_a_late_chunk_and_a_late_commit_are_refused(opened):
    for name in SITES[:3]:
        opened.contribute(name)
    opened.begin(SITES[3])
    opened.put(SITES[3])
    opened.clock.advance(PROGRESS_SECONDS)
    opened.tick()

    with pytest.raises(IllegalEvent):
        opened.put(SITES[3])
    with pytest.raises(IllegalEvent):
        opened.service.commit(SITES[3], 1)
    with pytest.raises(IllegalEvent):
        opened.begin(SITES[3])


def test_an_aborted_round_takes_no_more_bytes_and_keeps_none(opened):
    opened.begin(SITES[0])
    opened.put(SITES[0], chunks=1)
    opened.clock.advance(ABANDON_SECONDS)
    opened.tick()

    with pytest.raises(IllegalEvent):
        opened.put(SITES[0])

    assert opened.round().phase is Phase.ABORTED
    assert opened.objects.names("rounds/000001/contributions") == []


# -- keys that are refused -------------------------------------------------------------


@pytest.fixture
def keying(federation):
    federation.tick()
    return federation


def stored(federation):
    return federation.objects.names("rounds")


def test_a_key_out_of_turn_is_refused_before_it_takes_room(keying):
    with pytest.raises(IllegalEvent, match="turn"):
        keying.offer_key(OPENERS[1])

    assert stored(keying) == []


def test_a_second_key_of_the_same_turn_is_refused_before_it_takes_room(keying):
    keying.offer_key()
    before = stored(keying)
    offer = key_offer(keying.settings, keying.roster, 1, OPENERS[0])
    public = b"\x02" * len(offer[1])
    other = key_offer(
        keying.settings, keying.roster, 1, OPENERS[0], public_key=hashlib.sha256(public).hexdigest()
    )

    with pytest.raises(IllegalEvent, match="has a key record already"):
        keying.service.offer_key(OPENERS[0], other[0], public, other[2])

    assert stored(keying) == before


def test_the_same_key_again_changes_nothing(keying):
    keying.offer_key()
    before = keying.round()

    keying.offer_key()

    assert keying.round() == before


@pytest.mark.parametrize(
    ("other", "error"),
    [
        ({"maker": OPENERS[1]}, WrongIdentity),
        ({"federation": "cardiology"}, WrongContext),
        ({"public_key": OTHER_DIGEST}, MalformedMessage),
        ({"secrets": ()}, MalformedMessage),
        ({"round": 7}, NotYet),
    ],
)
def test_a_key_record_of_something_else_is_refused(keying, other, error):
    record, public, sealed = key_offer(keying.settings, keying.roster, 1, OPENERS[0], **other)
    named = record.signatures.get(OPENERS[0]) or record.signatures[other.get("maker", OPENERS[0])]
    mine = type(record)(record.body, {OPENERS[0]: named})

    with pytest.raises(error):
        keying.service.offer_key(OPENERS[0], mine, public, sealed)

    assert stored(keying) == []


def test_a_key_for_another_specification_is_refused(keying):
    other = fakes.make_settings(openers=OPENERS[:2])
    offer = key_offer(other, keying.roster, 1, OPENERS[0])

    with pytest.raises(WrongContext, match="another specification"):
        keying.service.offer_key(OPENERS[0], *offer)


@pytest.mark.parametrize("sealed", [(), (b"a",), (b"a", b"b", b"c", b"d")])
def test_sealed_secrets_other_than_those_recorded_are_refused(keying, sealed):
    record, public, _ = key_offer(keying.settings, keying.roster, 1, OPENERS[0])

    with pytest.raises(MalformedMessage):
        keying.service.offer_key(OPENERS[0], record, public, sealed)


def test_a_key_larger_than_keys_are_is_refused_before_it_takes_room(keying):
    record, public, sealed = key_offer(keying.settings, keying.roster, 1, OPENERS[0])

    with pytest.raises(MalformedMessage, match="a public key of"):
        keying.service.offer_key(OPENERS[0], record, public + b"\x00", sealed)
    with pytest.raises(MalformedMessage, match="a sealed secret of more"):
        keying.service.offer_key(OPENERS[0], record, public, (bytes(1 << 20), *sealed[1:]))

    assert stored(keying) == []


def test_an_openers_secret_is_handed_to_that_opener(keying):
    keying.offer_key()
    _, _, sealed = key_offer(keying.settings, keying.roster, 1, OPENERS[0])

    handed = [keying.service.sealed_secret(1, opener) for opener in OPENERS]

    assert handed == list(sealed)
    assert keying.service.sealed_secret(1, SITES[3]) == b""


def test_a_signature_on_the_key_by_another_key_is_refused(keying):
    keying.offer_key()
    record, _ = keying.service.key(1)
    forged = sign(signing_key(OPENERS[2]), Purpose.KEY_RECORD, record.body)

    with pytest.raises(InvalidSignature):
        keying.service.sign_key(OPENERS[1], 1, forged)

    assert keying.round().phase is Phase.KEYING


def test_a_refused_key_passes_the_turn(keying):
    keying.offer_key()

    keying.service.refuse(OPENERS[1], 1, "malformed_message")

    assert keying.round().whose_turn() == OPENERS[1]
    with pytest.raises(NotYet):
        keying.service.key(1)


@pytest.mark.parametrize("code", ["", "A", "a b", "x" * 65, "line\nbreak", "\x1b[31m", "naïve"])
def test_a_refusal_without_an_error_code_is_not_taken_and_not_logged(keying, code, capsys):
    """What a peer writes ends up in the operator's log: nothing but a code may."""
    keying.offer_key()

    with pytest.raises(MalformedMessage) as refused:
        keying.service.refuse(OPENERS[1], 1, code)

    assert keying.round().whose_turn() == OPENERS[0]
    assert not code or code not in str(refused.value) or len(code) < 4
    assert "round_refused" not in capsys.readouterr().out


def test_nobody_can_refuse_a_key_that_is_not_there(keying):
    """Otherwise one opener could pass every turn, and halt the programme by itself."""
    with pytest.raises(IllegalEvent):
        keying.service.refuse(OPENERS[2], 1, "malformed_message")


# -- models that are refused -----------------------------------------------------------


def test_a_model_out_of_turn_is_refused_before_it_takes_room(added_up):
    with pytest.raises(IllegalEvent, match="turn to seal"):
        added_up.put_model(OPENERS[1])

    assert added_up.objects.names("rounds/000001/model") == []


@pytest.mark.parametrize(
    ("other", "error"),
    [
        ({"sum": OTHER_DIGEST}, WrongContext),
        ({"plan": OTHER_DIGEST}, WrongContext),
        ({"federation": "cardiology"}, WrongContext),
        ({"roster": OTHER_DIGEST}, WrongContext),
        ({"sealer": OPENERS[1]}, WrongIdentity),
        ({"wraps": ()}, WrongContext),
        ({"wraps": tuple(Wrap(n, bytes(1168)) for n in ("auditor", *SITES))}, WrongContext),
        ({"wraps": tuple(Wrap(n, bytes(9)) for n in SITES)}, MalformedMessage),
        ({"chunks": 0}, MalformedMessage),
        ({"chunks": 1 << 50}, MalformedMessage),
        ({"length": 1 << 50}, MalformedMessage),
    ],
)
def test_an_envelope_of_something_else_is_refused(added_up, other, error):
    plan, total = added_up.service.plan(1)[0], added_up.round().sum
    sealed = envelope(plan, added_up.roster, total, OPENERS[0], **other)

    with pytest.raises(error):
        added_up.service.begin_model(OPENERS[0], signed_by(OPENERS[0], sealed))


def test_a_model_is_not_taken_before_there_is_a_sum(opened):
    sealed = envelope(opened.service.plan(1)[0], opened.roster, OTHER_DIGEST, OPENERS[0])

    with pytest.raises(IllegalEvent, match="no model is waited for"):
        opened.service.begin_model(OPENERS[0], signed_by(OPENERS[0], sealed))


def test_a_model_with_a_missing_chunk_is_not_made_the_one_to_agree_on(added_up):
    plan, total = added_up.service.plan(1)[0], added_up.round().sum
    signed = signed_by(OPENERS[0], envelope(plan, added_up.roster, total, OPENERS[0]))
    sealed = added_up.service.begin_model(OPENERS[0], signed)
    added_up.service.put_model_chunk(sealed, 0, b"x")

    with pytest.raises(NotYet, match="chunk 1"):
        added_up.service.finish_model(sealed, signed)

    added_up.service.drop_model(sealed)
    assert added_up.objects.names("rounds/000001/model") == []


def test_a_model_that_openers_are_asked_to_agree_on_is_not_dropped(added_up):
    """Its sealer may send it again and stop halfway: what is there stays."""
    sealed = added_up.put_model()

    added_up.service.drop_model(sealed)

    assert added_up.service.model_chunk(1, 1)


def test_a_release_of_another_digest_is_refused(added_up):
    added_up.put_model()
    release = canonical.decode(added_up.service.release(1).body, Release)
    other = Release(**(canonical.builtins(release) | {"model": OTHER_DIGEST}))

    with pytest.raises(WrongContext, match="signs another release"):
        added_up.service.sign_release(OPENERS[1], signed_by(OPENERS[1], other))

    assert added_up.service.release(1).signatures == {}


def test_an_aborted_round_gathers_no_signatures_afterwards(added_up):
    """Two signatures would make its model count, though the round was given up."""
    added_up.put_model()
    added_up.sign_release(OPENERS[0])
    added_up.clock.advance(ABANDON_SECONDS)
    added_up.tick()

    with pytest.raises(IllegalEvent):
        added_up.sign_release(OPENERS[1])

    assert added_up.round().phase is Phase.ABORTED
    assert list(added_up.service.release(1).signatures) == [OPENERS[0]]


def test_a_release_that_openers_refused_gathers_no_more_signatures(added_up):
    """Its model is compared no longer: the next opener's is."""
    added_up.put_model()
    refused = canonical.decode(added_up.service.release(1).body, Release)
    for opener in OPENERS[1:]:
        added_up.service.refuse(opener, 1, "wrong_context")

    for _ in range(2):
        with pytest.raises(WrongContext, match="signs another release"):
            added_up.service.sign_release(OPENERS[1], signed_by(OPENERS[1], refused))
        added_up.put_model(OPENERS[1]) if not added_up.round().sealed_model else None

    assert added_up.service.release(1).signatures == {}


def test_an_opener_that_works_without_result_loses_its_turn_to_seal(added_up):
    """Heartbeats are no model; after its share of the wait it is somebody else's turn."""
    for _ in range(int(ABANDON_SECONDS / 4)):
        assert added_up.round().whose_turn() == OPENERS[0]
        added_up.service.worked(OPENERS[0], 1)
        added_up.clock.advance(1)
    added_up.tick()

    added_up.put_model(OPENERS[1])
    for opener in OPENERS[1:]:
        added_up.sign_release(opener)

    assert added_up.round().phase is Phase.DONE


def test_a_later_openers_signature_is_kept_when_the_round_is_done(added_up):
    added_up.finish()

    added_up.sign_release(OPENERS[2])

    assert sorted(added_up.service.release(1).signatures) == list(OPENERS)


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
    opened.service.worked(SITES[0], 1)
    opened.service.worked("stranger", 1)
    opened.service.worked(SITES[0], 99)

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
        "heartbeat": lambda: opened.service.worked(SITES[3], 1),
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
    federation.service.on_change(lambda: seen.append(federation.service.revision))

    federation.tick()
    federation.offer_key()

    assert seen == sorted(set(seen))
    assert len(seen) == 2


def test_the_signed_sum_says_what_was_added(added_up):
    stated = canonical.decode(added_up.service.sum(1).body, Sum)
    chunks = [fakes.LAYOUT.chunk_bytes(1)] * 2

    assert (stated.contributions, stated.chunks, stated.length) == (4, 2, sum(chunks))
    cohort, headers = added_up.service.cohort(1)
    assert [canonical.decode(h.body, Contribution).participant for h in headers] == list(SITES)
    check_signer(cohort, Purpose.COHORT, "coordinator", added_up.roster.coordinator_key)
    assert tree_root([b"\x00" * 32]) != stated.root


def test_a_step_that_the_store_refuses_leaves_the_round_as_it_was(opened):
    """Two coordinators on one database: the second must not step what the first has stepped."""
    other = Federation(store=opened.store, objects=opened.objects)
    opened.contribute(SITES[0])
    before = other.round()

    with pytest.raises(StoreUnavailable):
        other.service.apply(1, machine.Quiet(ABANDON_SECONDS, ABANDON_SECONDS))

    assert other.round() == before
