"""Sealed models, their releases and later wraps: what is kept, and what is refused."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from msgspec.structs import replace

from coordinator.rounds.state import Phase
from privacy import canonical
from privacy.errors import (
    ConflictingContribution,
    IllegalEvent,
    MalformedMessage,
    NotYet,
    WrongContext,
    WrongIdentity,
)
from privacy.records import Release, Wrap
from tests.fakes import (
    ABANDON_SECONDS,
    OPENERS,
    SITES,
    envelope,
    signed_by,
    wraps,
)

OTHER_DIGEST = "ee" * 32


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
        added_up.service.models.begin(OPENERS[0], signed_by(OPENERS[0], sealed))


def test_a_model_is_not_taken_before_there_is_a_sum(opened):
    sealed = envelope(opened.service.plan(1)[0], opened.roster, OTHER_DIGEST, OPENERS[0])

    with pytest.raises(IllegalEvent, match="no model is waited for"):
        opened.service.models.begin(OPENERS[0], signed_by(OPENERS[0], sealed))


def test_a_model_with_a_missing_chunk_is_not_made_the_one_to_agree_on(added_up):
    plan, total = added_up.service.plan(1)[0], added_up.round().sum
    signed = signed_by(OPENERS[0], envelope(plan, added_up.roster, total, OPENERS[0]))
    sealed = added_up.service.models.begin(OPENERS[0], signed)
    added_up.service.models.put_chunk(sealed, 0, b"x")

    with pytest.raises(NotYet, match="chunk 1"):
        added_up.service.models.finish(sealed, signed)

    added_up.service.models.drop(sealed)
    assert added_up.objects.names("rounds/000001/model") == []


def test_a_model_that_openers_are_asked_to_agree_on_is_not_dropped(added_up):
    """Its sealer may send it again and stop halfway: what is there stays."""
    sealed = added_up.put_model()

    added_up.service.models.drop(sealed)

    assert added_up.service.models.chunk(SITES[3], 1, 1)


def test_a_release_of_another_digest_is_refused(added_up):
    added_up.put_model()
    release = canonical.decode(added_up.service.models.release(1).body, Release)
    other = Release(**(canonical.builtins(release) | {"model": OTHER_DIGEST}))

    with pytest.raises(WrongContext, match="signs another release"):
        added_up.service.models.sign_release(OPENERS[1], signed_by(OPENERS[1], other))

    assert added_up.service.models.release(1).signatures == {}


def test_an_aborted_round_gathers_no_signatures_afterwards(added_up):
    """Two signatures would make its model count, though the round was given up."""
    added_up.put_model()
    added_up.sign_release(OPENERS[0])
    added_up.clock.advance(ABANDON_SECONDS)
    added_up.tick()

    with pytest.raises(IllegalEvent):
        added_up.sign_release(OPENERS[1])

    assert added_up.round().phase is Phase.ABORTED
    assert list(added_up.service.models.release(1).signatures) == [OPENERS[0]]


def test_a_release_that_openers_refused_gathers_no_more_signatures(added_up):
    """Its model is compared no longer: the next opener's is."""
    added_up.put_model()
    refused = canonical.decode(added_up.service.models.release(1).body, Release)
    for opener in OPENERS[1:]:
        added_up.service.refuse(opener, 1, "wrong_context")

    for _ in range(2):
        with pytest.raises(WrongContext, match="signs another release"):
            added_up.service.models.sign_release(OPENERS[1], signed_by(OPENERS[1], refused))
        added_up.put_model(OPENERS[1]) if not added_up.round().sealed_model else None

    assert added_up.service.models.release(1).signatures == {}


def test_an_opener_that_works_without_result_loses_its_turn_to_seal(added_up):
    """Heartbeats are no model; after its share of the wait it is somebody else's turn."""
    for _ in range(int(ABANDON_SECONDS / 4)):
        assert added_up.round().whose_turn() == OPENERS[0]
        added_up.service.rounds.worked(OPENERS[0], 1)
        added_up.clock.advance(1)
    added_up.tick()

    added_up.put_model(OPENERS[1])
    for opener in OPENERS[1:]:
        added_up.sign_release(opener)

    assert added_up.round().phase is Phase.DONE


def test_a_later_openers_signature_is_kept_when_the_round_is_done(added_up):
    added_up.finish()

    added_up.sign_release(OPENERS[2])

    assert sorted(added_up.service.models.release(1).signatures) == list(OPENERS)


# -- wraps made later ------------------------------------------------------------------


@pytest.fixture
def released(added_up):
    """A round whose model is released; return the federation and the model's envelope."""
    sealed = added_up.put_model()
    for opener in OPENERS[:2]:
        added_up.sign_release(opener)
    added_up.tick()
    return added_up, sealed


def made_by(federation, sealed, maker, *recipients, **other):
    """Return signed wraps of a model's key."""
    return signed_by(maker, wraps(sealed, federation.roster, maker, *recipients, **other))


def test_wraps_made_later_are_kept_beside_the_envelope(released):
    """By any trainer, for any; the envelope that openers have signed stays as it is."""
    federation, sealed = released
    models, before = federation.service.models, federation.service.models.envelope(1)
    first = made_by(federation, sealed, SITES[3], SITES[0])
    second = made_by(federation, sealed, SITES[0], SITES[1], SITES[3])

    models.add_wraps(SITES[3], first)
    models.add_wraps(SITES[0], second)

    assert models.later_wraps(1) == [second, first]
    assert models.envelope(1) == before
    federation.start()
    assert federation.service.models.later_wraps(1) == [second, first]


def test_the_same_wraps_again_change_nothing(released):
    federation, sealed = released
    made = made_by(federation, sealed, SITES[3], SITES[0])

    for _ in range(2):
        federation.service.models.add_wraps(SITES[3], made)

    assert federation.service.models.later_wraps(1) == [made]


def test_who_has_made_wraps_for_a_roster_cannot_replace_them(released):
    """Whoever has fetched the first has them: the last must not win."""
    federation, sealed = released
    models, made = federation.service.models, made_by(federation, sealed, SITES[3], SITES[0])
    models.add_wraps(SITES[3], made)

    with pytest.raises(ConflictingContribution):
        models.add_wraps(SITES[3], made_by(federation, sealed, SITES[3], SITES[1]))

    assert models.later_wraps(1) == [made]


def test_another_roster_is_another_occasion(released, monkeypatch):
    """The same trainer wraps for those who came with the next version, too."""
    federation, sealed = released
    models, first = federation.service.models, made_by(federation, sealed, SITES[3], SITES[0])
    models.add_wraps(SITES[3], first)
    federation.roster = replace(federation.roster, version=1, previous=federation.roster.digest())
    monkeypatch.setattr(federation.service.rosters, "current", lambda: federation.roster)

    with pytest.raises(WrongContext):
        models.add_wraps(SITES[3], first)  # the same bytes, for a roster that is no more
    second = made_by(federation, sealed, SITES[3], SITES[1])
    models.add_wraps(SITES[3], second)

    assert len(models.later_wraps(1)) == 2


def test_wraps_are_taken_of_a_released_model_only(added_up):
    sealed = added_up.put_model()
    made = made_by(added_up, sealed, SITES[3], SITES[0])

    with pytest.raises(NotYet, match="not released"):
        added_up.service.models.add_wraps(SITES[3], made)
    added_up.tick()
    added_up.clock.advance(ABANDON_SECONDS)
    added_up.tick()
    with pytest.raises(IllegalEvent, match="aborted"):
        added_up.service.models.add_wraps(SITES[3], made)

    assert added_up.service.models.later_wraps(1) == []


@pytest.mark.parametrize(
    ("other", "error"),
    [
        ({"maker": SITES[0]}, WrongIdentity),
        ({"round": 2}, NotYet),
        ({"round": 7}, NotYet),
        ({"sealed_model": OTHER_DIGEST}, WrongContext),
        ({"roster": OTHER_DIGEST}, WrongContext),
    ],
)
def test_wraps_of_something_else_are_refused(released, other, error):
    federation, sealed = released
    made = wraps(sealed, federation.roster, SITES[3], SITES[0], **other)

    with pytest.raises(error):
        federation.service.models.add_wraps(SITES[3], signed_by(SITES[3], made))

    assert federation.service.models.later_wraps(1) == []


# -- a model that is on its way --------------------------------------------------------


def quiet_after(federation, caller, chunk):
    """Return how long round 1 has been still once a caller was given a chunk."""
    federation.clock.advance(5)
    federation.service.models.chunk(caller, 1, chunk)
    return federation.service.progress.quiet(1)[1]


def test_a_model_on_its_way_to_an_opener_is_progress(added_up):
    """However long it takes: a round does not end under who is fetching its model."""
    added_up.put_model()
    for chunk in range(2):
        added_up.clock.advance(ABANDON_SECONDS - 6)
        assert quiet_after(added_up, OPENERS[1], chunk) == 0
        added_up.tick()

    assert added_up.round().phase is Phase.OPENING
    assert quiet_after(added_up, OPENERS[1], 1) == 5


def test_a_model_on_its_way_to_others_is_no_progress(added_up):
    """Nor to an opener that has signed: the round waits for neither."""
    added_up.put_model()
    added_up.sign_release(OPENERS[0])

    assert quiet_after(added_up, SITES[3], 0) == 5
    assert quiet_after(added_up, OPENERS[0], 0) == 10


def test_the_next_openers_model_is_another_one(added_up):
    """What was fetched of the refused one says nothing of it."""
    added_up.put_model()
    added_up.service.models.chunk(OPENERS[2], 1, 1)
    for opener in OPENERS[1:]:
        added_up.service.refuse(opener, 1, "wrong_context")
    added_up.put_model(OPENERS[1])

    assert quiet_after(added_up, OPENERS[2], 1) == 0


def test_rounds_move_while_an_object_store_is_slow_to_say_whether_a_model_is_there(added_up):
    """One lock is for all rounds: whoever holds it must wait for no bucket."""
    asked, rounds = [], added_up.service.rounds
    real = added_up.objects.names

    def names(prefix=""):
        other = ThreadPoolExecutor(1)
        try:
            asked.append(other.submit(rounds.get, 1).result(timeout=2).phase)
        finally:
            other.shutdown(wait=False)
        return real(prefix)

    added_up.objects.names = names
    added_up.put_model()

    assert asked == [Phase.OPENING]
    assert added_up.round().sealed_model
