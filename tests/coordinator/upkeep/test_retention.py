"""What a round leaves goes as soon as nothing needs it; documents and digests stay for ever."""

from contextlib import suppress

import pytest
from msgspec.structs import replace

from coordinator import object_names as names
from coordinator.config import Retention
from coordinator.rounds import round as machine
from coordinator.rounds.state import Phase
from privacy.errors import ConfigError, IllegalEvent, StoreUnavailable
from tests.fakes import OPENERS, SITES, Crash, Federation, crash_at, make_settings


def federation_that_keeps(wanted=50, **periods):
    """A federation with retention settings."""
    settings = make_settings(wanted=wanted)
    return Federation(settings=replace(settings, retention=Retention(**periods)))


def whole(federation, number):
    """Bring a round to its end, from the same few updates each time."""
    federation.open_round(number)
    for name in SITES:
        federation.begin(name, number, seed=name)
        federation.put(name, number, seed=name)
        federation.service.contributions.commit(name, number)
    federation.tick()
    federation.finish(number)
    federation.tick()


def open_and_send(federation, number=1):
    """Bring a round to where every object of it that can be there is there."""
    federation.open_round(number)
    for name in SITES:
        federation.contribute(name, number)
    federation.tick()
    federation.put_model(number=number)


def folders(federation, number=1):
    """What is left of a round, by the name of its folder."""
    return sorted({name.split("/")[2] for name in federation.objects.names(names.of_round(number))})


def test_a_round_that_is_done_leaves_its_model_and_its_documents():
    federation = federation_that_keeps()

    whole(federation, 1)

    assert folders(federation) == ["model"]
    assert federation.service.models.release(1).signatures.keys() >= set(OPENERS[:2])
    assert len(federation.service.sums.cohort(OPENERS[0], 1)[1]) == len(SITES)


def test_a_round_that_is_aborted_leaves_no_object():
    """What was sent for it was counted nowhere: its sites are owed that it is gone."""
    federation = federation_that_keeps(challenge_seconds=3600)
    open_and_send(federation)

    federation.service.rounds.apply(1, machine.Abandoned("the operator's word"))
    federation.tick()

    assert federation.round().phase is Phase.ABORTED
    assert federation.objects.names(names.of_round(1)) == []


def test_what_a_result_was_made_from_stays_until_the_challenge_window_closes():
    federation = federation_that_keeps(challenge_seconds=3600)
    whole(federation, 1)
    federation.clock.advance(3590)
    federation.service.scrub.look()
    before = folders(federation)

    federation.clock.advance(20)
    federation.service.scrub.look()

    assert before == ["contributions", "model", "sum"]
    assert folders(federation) == ["model"]


def test_the_window_is_not_longer_after_a_restart():
    federation = federation_that_keeps(challenge_seconds=3600)
    whole(federation, 1)
    federation.clock.advance(3000)

    federation.start()
    federation.clock.advance(610)
    federation.service.scrub.look()

    assert folders(federation) == ["model"]


def test_a_cohort_key_does_not_wait_for_the_window():
    """Whoever may dispute adds ciphertexts again; nobody needs what opens them."""
    federation = federation_that_keeps(challenge_seconds=3600)

    whole(federation, 1)

    assert federation.objects.names(names.keys(1)) == []


def secrets_left(federation, number=1):
    """The names of what opens single contributions to a round."""
    found = federation.objects.names(names.of_round(number))
    return [name for name in found if names.is_secret_of(number, name)]


def test_no_secret_of_a_mask_waits_for_the_window():
    """With them an opener that has a copy of the store opens single updates."""
    federation = federation_that_keeps(challenge_seconds=3600)
    open_and_send(federation)
    assert len(secrets_left(federation)) == len(SITES) * len(OPENERS)

    federation.finish(1)
    federation.tick()

    assert secrets_left(federation) == []
    chunks = federation.objects.names(names.contributions(1))
    assert len(chunks) == 2 * len(SITES)


def test_a_secret_that_comes_into_a_round_kept_for_disputes_is_swept():
    federation = federation_that_keeps(challenge_seconds=3600)
    whole(federation, 1)
    for place in (names.sealed_mask, names.sealed_part):
        federation.objects.put(place(1, SITES[0], "somebody"), b"late")

    report = federation.service.scrub.look()

    assert report.left_over == 2
    assert secrets_left(federation) == []
    assert folders(federation) == ["contributions", "model", "sum"]


def test_only_what_came_with_a_contribution_is_a_secret_of_it():
    """A participant may be called `masks`; its chunks are no secrets."""
    assert names.is_secret_of(1, names.sealed_mask(1, "amber", "birch"))
    assert names.is_secret_of(1, names.sealed_part(1, "amber", "north"))
    assert not names.is_secret_of(1, names.contribution_chunk(1, "masks", 0, 0))
    assert not names.is_secret_of(2, names.sealed_mask(1, "amber", "birch"))


def test_a_chunk_that_comes_after_the_end_deletes_nothing_but_itself(monkeypatch):
    """A member must not be able to delete what others are kept for; nor does a slow disk."""
    federation = federation_that_keeps(challenge_seconds=3600)
    federation.open_round(1)
    for name in SITES[:-1]:
        federation.contribute(name, 1)
    federation.begin(SITES[-1], 1)
    put, before = federation.objects.put, []

    def slow(name, data):
        if not before:
            before.append(name)
            federation.clock.advance(10_000)
            federation.tick(3)
            federation.finish(1)
            federation.tick()
            assert federation.round().phase is Phase.DONE
            before.extend(federation.objects.names(names.contributions(1)))
        put(name, data)

    monkeypatch.setattr(federation.objects, "put", slow)

    with pytest.raises(IllegalEvent, match="round 1 is done"):
        federation.put_chunk(SITES[-1], 1, 0)

    assert federation.objects.names(names.contributions(1)) == before[1:]
    assert len(before[1:]) == 2 * (len(SITES) - 1)


def test_an_open_demand_keeps_everything_and_its_end_lets_it_go():
    federation, demanded = federation_that_keeps(models=2, rounds=1), {1}
    federation.service.open_demands = demanded.__contains__
    federation.service.retention.open_demands = demanded.__contains__
    for number in range(1, 5):
        whole(federation, number)
    federation.service.scrub.look()
    before = folders(federation, 1), folders(federation, 2), rows(federation)

    demanded.clear()
    federation.service.scrub.look()

    assert before == (["contributions", "model", "sum"], [], [1, 4])
    assert folders(federation, 1) == []
    assert rows(federation) == [4]


def rows(federation):
    """The rounds of whose contributions there are rows of chunks."""
    store = federation.store
    return [
        number for number in store.round_numbers() if any(up.chunks for up in store.uploads(number))
    ]


@pytest.mark.parametrize("models", [2, 3])
def test_only_the_newest_models_stay(models):
    federation = federation_that_keeps(models=models)
    for number in range(1, 6):
        whole(federation, number)

    federation.service.scrub.look()

    kept = [number for number in range(1, 6) if folders(federation, number) == ["model"]]
    assert kept == [1, 2, 3, 4, 5][-models:]
    assert federation.service.models.chunk(SITES[0], 5, 0)
    with pytest.raises(IllegalEvent, match="round 1 is not kept any more"):
        federation.service.models.chunk(SITES[0], 1, 0)


def test_aborted_rounds_push_no_model_out():
    """Rounds that released nothing are not among the newest releases."""
    federation = federation_that_keeps(models=2)
    for number in range(1, 4):
        whole(federation, number)
    for number in range(4, 7):
        federation.tick()
        federation.service.rounds.apply(number, machine.Abandoned("the operator's word"))
    federation.tick()

    federation.service.scrub.look()

    assert [number for number in range(1, 7) if folders(federation, number)] == [2, 3]


@pytest.mark.parametrize(
    ("key", "value"), [("models", 1), ("models", 0), ("rounds", 0), ("challenge_seconds", -1)]
)
def test_settings_that_would_erase_what_is_needed_are_refused(key, value):
    with pytest.raises(ConfigError, match="retention"):
        Retention(**{key: value})


def test_a_receipt_is_given_again_when_its_rows_are_gone():
    """A site that was away for long still learns that its contribution counted."""
    federation = federation_that_keeps(rounds=1)
    for number in (1, 2, 3):
        whole(federation, number)
    receipt = federation.service.contributions.commit(SITES[0], 1)
    federation.service.scrub.look()
    federation.start()

    again = federation.service.contributions.commit(SITES[0], 1)

    assert rows(federation) == [3]
    assert again == receipt
    assert federation.service.contributions.offset(SITES[0], 1).committed


@pytest.mark.parametrize("count", range(1, 8))
def test_an_erasure_that_dies_anywhere_is_finished_by_the_next_start(count):
    """Each deletion is a place to die at; none may be left out after it."""
    federation = federation_that_keeps()
    open_and_send(federation)
    for opener in OPENERS[:2]:
        federation.sign_release(opener, 1)
    delete, calls = federation.objects.delete_prefix, []

    def die(prefix):
        calls.append(prefix)
        if len(calls) == count:
            raise Crash(prefix)
        delete(prefix)

    federation.objects.delete_prefix = die
    with suppress(Crash):
        federation.service.carry_out()
    federation.objects.delete_prefix = delete
    federation.start()

    federation.tick()

    assert folders(federation) == ["model"]
    assert not any(effect.round == 1 for effect in federation.store.pending_effects())


@pytest.mark.parametrize("place", ["effect.before_erase", "effect.after_erase"])
def test_an_erasure_that_is_killed_before_or_after_is_done_once_more(place):
    federation = federation_that_keeps()
    open_and_send(federation)
    for opener in OPENERS[:2]:
        federation.sign_release(opener, 1)
    federation.start(crash_at(place))

    federation.surviving(federation.tick)
    federation.tick()

    assert folders(federation) == ["model"]


def test_what_comes_into_a_round_that_is_over_is_found_and_erased():
    """A process that was killed between bytes and row, or that no longer leads, leaves such."""
    federation = federation_that_keeps()
    whole(federation, 1)
    federation.objects.put(names.contribution_chunk(1, SITES[0], 0, 7), b"late")
    federation.objects.put(names.sum_chunk(1, 0), b"late")
    federation.objects.put(names.model_chunk(1, "ab" * 32, 0), b"late")

    report = federation.service.scrub.look()

    assert report.left_over == 3
    assert folders(federation) == ["model"]
    assert len(federation.objects.names(names.models(1))) == 2
    assert federation.service.scrub.look().left_over == 3


def test_what_a_live_round_has_is_left_alone():
    """A chunk whose row is not written yet looks like one that nobody knows."""
    federation = federation_that_keeps()
    open_and_send(federation)
    federation.objects.put(names.contribution_chunk(1, SITES[0], 0, 7), b"on its way")
    before = federation.objects.names()

    federation.service.scrub.look()

    assert federation.objects.names() == before


def test_a_store_that_fails_while_it_is_swept_is_swept_again():
    federation = federation_that_keeps()
    whole(federation, 1)
    federation.objects.put(names.sum_chunk(1, 0), b"late")
    delete = federation.objects.delete_prefix

    def refuse(prefix):
        raise StoreUnavailable("no")

    federation.objects.delete_prefix = refuse
    with pytest.raises(StoreUnavailable):
        federation.service.scrub.look()
    federation.objects.delete_prefix = delete

    federation.service.scrub.look()

    assert folders(federation) == ["model"]


def test_the_end_of_a_round_lets_go_of_what_it_makes_too_old():
    """Between two looks rounds may end by the hundred; nothing waits for the next look."""
    federation = federation_that_keeps(models=2, rounds=2)

    for number in range(1, 6):
        whole(federation, number)

    assert [number for number in range(1, 6) if folders(federation, number)] == [4, 5]
    rows = [bool(federation.store.chunk_roots(number, 0, 0)) for number in range(1, 6)]
    assert rows == [False, False, False, True, True]


@pytest.mark.slow
def test_three_hundred_rounds_leave_no_more_than_twenty():
    """Only documents grow with the rounds: rows and objects stay as many as settings say."""
    federation, sizes = federation_that_keeps(wanted=300, models=2, rounds=3), []

    for number in range(1, 301):
        whole(federation, number)
        if number in (20, 299):
            federation.service.scrub.look()
            sizes.append((len(rows(federation)), len(federation.objects.names())))

    assert federation.round(300).phase is Phase.DONE
    assert sizes[0] == sizes[1]
    assert sizes[0][0] == 3
    assert federation.store.pending_effects() == []
