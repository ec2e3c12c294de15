"""What a disk does to stored objects is found, named, and mended where it can be."""

from types import SimpleNamespace

import pytest
import structlog
from msgspec.structs import replace
from structlog.testing import capture_logs

from coordinator import object_names as names
from coordinator.config import Retention
from coordinator.rounds import round as machine
from coordinator.rounds.state import Phase
from coordinator.upkeep.kept import Kind
from coordinator.upkeep.scrub import PASS_SECONDS, SLICE_BYTES, SLICE_SECONDS
from privacy.errors import (
    ConflictingContribution,
    LeaseLost,
    NotYet,
    SchemaMismatch,
    StoreUnavailable,
)
from tests.fakes import AUDITOR, OPENERS, SITES, Federation, chunk_of, make_settings, seed_of

FIRST = SITES[0]


@pytest.fixture(autouse=True)
def _logs_are_captured():
    structlog.reset_defaults()


@pytest.fixture
def federation():
    return Federation()


@pytest.fixture
def sending(federation):
    """A site has sent all of its contribution, and not said that this is all."""
    federation.open_round()
    federation.begin(FIRST)
    federation.put(FIRST)
    return federation


def damage(federation, name):
    """Flip one bit of what is stored under a name, as a disk might."""
    body = bytearray(federation.objects.get(name))
    body[len(body) // 2] ^= 4
    federation.objects._objects[name] = bytes(body)


def lose(federation, name):
    """Let an object be gone, as a disk might."""
    federation.objects.delete_prefix(name)


def look(federation):
    """Let all be looked at; return the report and what the log says."""
    with capture_logs() as said:
        report = federation.service.scrub.look()
    return report, said


def damaged(report):
    return [(each.kind, each.whose, each.name, each.what) for each in report.damaged]


def test_a_store_that_is_whole_is_found_to_be(sending):
    report, said = look(sending)

    assert report.damaged == ()
    assert (report.passes, report.mended, report.left_over) == (1, 0, 0)
    assert report.objects == len(sending.objects.names()) - len(OPENERS)  # seals: not committed
    assert report.size == sum(
        length for name, length in sending.objects.lengths("rounds").items() if "masks" not in name
    )
    assert said == []


@pytest.mark.parametrize(("harm", "what"), [(damage, "changed"), (lose, "missing")])
def test_a_damaged_chunk_is_named_with_who_acts(sending, harm, what):
    name = names.contribution_chunk(1, FIRST, 0, 1)
    harm(sending, name)

    report, said = look(sending)

    assert damaged(report) == [(Kind.CHUNK, FIRST, name, what)]
    (line,) = said
    assert (line["event"], line["log_level"]) == ("object_damaged", "error")
    assert (line["object"], line["whose"], line["what"]) == (name, FIRST, what)
    assert line["who_acts"] == "the coordinator's operator"
    assert "asked for it again" in line["action"]


@pytest.mark.parametrize("harm", [damage, lose])
@pytest.mark.parametrize("is_restarted", [False, True])
@pytest.mark.parametrize("chunk", [0, 1])
def test_a_chunk_that_was_not_committed_is_sent_again(sending, harm, is_restarted, chunk):
    """From the damaged one on; the round's result is that of a round without damage."""
    harm(sending, names.contribution_chunk(1, FIRST, 0, chunk))
    look(sending)
    if is_restarted:
        sending.start()
        look(sending)

    with pytest.raises(NotYet, match=f"{chunk} of 2 chunks"):
        sending.service.contributions.commit(FIRST, 1)
    offset = sending.service.contributions.offset(FIRST, 1)
    for at in range(offset.chunks[0], 2):
        sending.put_chunk(FIRST, 1, at)
    sending.service.contributions.commit(FIRST, 1)
    report, _ = look(sending)

    assert offset.chunks == (chunk,)
    assert report.damaged == ()
    assert sending.objects.get(names.contribution_chunk(1, FIRST, 0, chunk)) == chunk_of(
        seed_of(FIRST, 1), chunk
    )
    assert [entry.participant for entry in sending.round().committed] == [FIRST]


@pytest.mark.parametrize("is_restarted", [False, True])
def test_only_the_same_chunk_may_take_the_place_of_one_that_was_lost(sending, is_restarted):
    """Damage is no occasion to send a second, different contribution; who tries is recorded."""
    name = names.contribution_chunk(1, FIRST, 0, 1)
    damage(sending, name)
    there = sending.objects.get(name)
    look(sending)
    if is_restarted:
        sending.start()
        look(sending)

    with pytest.raises(ConflictingContribution):
        sending.put_chunk(FIRST, 1, 1, seed="another update")

    assert sending.objects.get(name) == there
    assert [each.what for each in sending.store.refusals(1)] == ["chunk 0/1"]
    sending.put_chunk(FIRST, 1, 1)
    assert sending.service.contributions.commit(FIRST, 1)


def test_a_site_in_the_middle_of_sending_is_told_to_begin_again(federation):
    """Not that it has broken the protocol: then it would give up."""
    federation.open_round()
    federation.begin(FIRST)
    federation.put(FIRST, chunks=1)
    damage(federation, names.contribution_chunk(1, FIRST, 0, 0))
    look(federation)

    with pytest.raises(NotYet, match="chunk 0 must be sent again; begin again"):
        federation.put_chunk(FIRST, 1, 1)

    assert federation.service.contributions.offset(FIRST, 1).chunks == (0,)


def test_a_committed_contribution_is_left_for_the_backup(sending):
    """Its site has a receipt and may have let go of it; what is damaged stays to be looked at."""
    sending.service.contributions.commit(FIRST, 1)
    name = names.contribution_chunk(1, FIRST, 0, 1)
    whole = sending.objects.get(name)
    damage(sending, name)

    report, said = look(sending)
    again, said_again = look(sending)
    sending.objects.delete_prefix(name)
    sending.objects.put(name, whole)
    mended, said_then = look(sending)

    assert damaged(report) == damaged(again) == [(Kind.CHUNK, FIRST, name, "changed")]
    assert "put back the same object from a backup" in said[0]["action"]
    assert said_again == []
    assert mended.damaged == ()
    assert [line["event"] for line in said_then] == ["object_whole_again"]


def test_a_round_that_needs_what_is_damaged_says_so_and_ends(sending):
    """Nothing damaged is ever added up, looked at before or not."""
    for name in SITES[1:]:
        sending.contribute(name)
    damage(sending, names.contribution_chunk(1, FIRST, 0, 1))

    sending.service.contributions.commit(FIRST, 1)
    sending.tick(2)

    assert sending.round().phase is Phase.ABORTED
    assert f"chunk 1 of {FIRST} has changed" in sending.round().reason
    assert sending.objects.names(names.of_round(1)) == []


@pytest.mark.parametrize("harm", [damage, lose])
@pytest.mark.parametrize("auditor", [None, AUDITOR])
def test_a_chunk_of_a_sum_is_added_up_again(harm, auditor):
    federation = Federation(settings=make_settings(auditor=auditor))
    federation.open_round()
    for name in SITES:
        federation.contribute(name)
    federation.tick()
    name = names.sum_chunk(1, 1)
    whole = federation.objects.get(name)
    harm(federation, name)

    report, said = look(federation)

    assert report.damaged == ()
    assert report.mended == 1
    assert {line["event"] for line in said} == {"sum_added_again"}
    assert federation.objects.get(name) == whole


def test_what_stays_for_the_challenge_window_is_looked_at_and_mended():
    """Without a chain, too: whoever disputes a result then adds it up again."""
    settings = replace(make_settings(), retention=Retention(challenge_seconds=3600))
    federation = Federation(settings=settings)
    federation.open_round()
    for name in SITES:
        federation.contribute(name)
    federation.tick()
    federation.finish()
    federation.tick()
    name = names.sum_chunk(1, 1)
    whole = federation.objects.get(name)
    damage(federation, name)

    report, said = look(federation)

    assert (report.mended, report.damaged) == (1, ())
    assert [line["event"] for line in said] == ["sum_added_again"]
    assert federation.objects.get(name) == whole


def test_a_sum_is_not_made_again_from_a_damaged_contribution():
    federation = Federation()
    federation.open_round()
    for name in SITES:
        federation.contribute(name)
    federation.tick()
    damage(federation, names.sum_chunk(1, 0))
    damage(federation, names.contribution_chunk(1, FIRST, 0, 0))
    there = federation.objects.get(names.sum_chunk(1, 0))

    report, _ = look(federation)

    assert [(each.kind, each.what) for each in report.damaged] == [
        (Kind.CHUNK, "changed"), (Kind.SUM, "changed"),
    ]  # fmt: skip
    assert federation.objects.get(names.sum_chunk(1, 0)) == there


# -- a process that was stopped, and goes on when another leads ---------------------------


class Stopped:
    """An object store whose process stops before it changes anything; `meanwhile` runs then."""

    def __init__(self, objects, meanwhile):
        self._objects, self._meanwhile, self.changes = objects, meanwhile, []

    def __getattr__(self, name):
        act = getattr(self._objects, name)
        if name not in ("put", "mend", "delete_prefix"):
            return act

        def late(*given):
            if not self.changes:
                self._meanwhile()
            self.changes.append(name)
            act(*given)

        return late


def test_a_look_that_goes_on_late_harms_no_chunk_that_was_sent_again(sending):
    """Between its look and its act another has taken the chunk in again, and committed it."""
    name = names.contribution_chunk(1, FIRST, 0, 1)
    damage(sending, name)
    zombie, leader = sending.service, sending.start()

    def lead():
        leader.scrub.look()
        sending.put_chunk(FIRST, 1, 1)
        leader.contributions.commit(FIRST, 1)

    def lost(*given):
        lead()
        zombie.contributions.lost(*given)

    zombie.scrub.objects = Stopped(sending.objects, lambda: None)
    zombie.scrub.contributions = SimpleNamespace(lost=lost)
    zombie.scrub.look()

    assert zombie.scrub.objects.changes == []
    assert sending.objects.get(name) == chunk_of(seed_of(FIRST, 1), 1)
    assert look(sending)[0].damaged == ()


def test_a_look_that_goes_on_late_harms_no_sum_that_was_signed(added_up):
    """It adds the same up, and puts it where the same is."""
    name = names.sum_chunk(1, 1)
    whole = added_up.objects.get(name)
    damage(added_up, name)
    zombie, leader = added_up.service, added_up.start()
    zombie.scrub.objects = Stopped(added_up.objects, leader.scrub.look)

    zombie.scrub.look()

    assert zombie.scrub.objects.changes == ["mend"]
    assert leader.scrub.report().mended == 1
    assert added_up.objects.get(name) == whole


def test_a_sum_that_cannot_be_put_back_now_is_still_there(added_up):
    """Damaged, and to be read again; not deleted first, and then nothing in its place."""
    name = names.sum_chunk(1, 1)
    damage(added_up, name)

    def refuse():
        raise LeaseLost("another leads")

    added_up.service.scrub.objects = Stopped(added_up.objects, refuse)
    with pytest.raises(LeaseLost):
        added_up.service.scrub.look()

    assert added_up.objects.exists(name)


@pytest.mark.parametrize("harm", [damage, lose])
def test_damage_to_a_released_model_is_found(federation, harm):
    """The newest model is what every late site needs; nobody sends it a second time."""
    federation.open_round()
    for name in SITES:
        federation.contribute(name)
    federation.tick()
    federation.finish()
    federation.tick()
    name = names.model_chunk(1, federation.round().sealed_model, 1)
    harm(federation, name)

    report, _ = look(federation)

    assert [(each.kind, each.round) for each in report.damaged] == [(Kind.MODEL, 1)]


def test_every_object_is_looked_at(sending):
    """One bit of any of them, and it is named: nothing is left out."""
    sending.service.contributions.commit(FIRST, 1)
    everything = sending.objects.names()
    for name in everything:
        damage(sending, name)

    report, _ = look(sending)

    assert [each.name for each in report.damaged] == everything


def test_a_fault_of_one_reading_harms_nothing(sending, monkeypatch):
    """A bit that flips on its way from the disk must not delete what is whole on it."""
    name, get = names.contribution_chunk(1, FIRST, 0, 1), sending.objects.get
    faults = [name]

    def once(which):
        body = get(which)
        return b"\0" + body[1:] if which in faults and not faults.remove(which) else body

    monkeypatch.setattr(sending.objects, "get", once)

    report, said = look(sending)

    assert faults == []
    assert report.damaged == ()
    assert said == []


def test_what_is_erased_while_it_is_looked_for_is_not_missed(sending):
    """A round that ends under the look has not lost anything."""
    scrub, get = sending.service.scrub, sending.objects.get

    def end(name):
        if sending.round().phase is Phase.OPEN:
            sending.service.rounds.apply(1, machine.Abandoned("over"))
            sending.service.carry_out()
        return get(name)

    sending.objects.get = end

    with capture_logs() as said:
        report = scrub.look()

    assert report.damaged == ()
    assert "object_damaged" not in [line["event"] for line in said]


def test_what_is_not_needed_any_more_is_no_longer_damaged(sending):
    sending.service.contributions.commit(FIRST, 1)
    damage(sending, names.contribution_chunk(1, FIRST, 0, 1))
    before, _ = look(sending)

    sending.service.rounds.apply(1, machine.Abandoned("over"))
    sending.tick()
    after, _ = look(sending)

    assert len(before.damaged) == 1
    assert after.damaged == ()


def test_it_reads_a_little_at_a_time(sending):
    """Rounds need the disk, too: a slice, a pause, and an hour after all of it."""
    big = 60_000
    calls = []
    get = sending.objects.get
    sending.objects.get = lambda name: calls.append(name) or get(name)

    first = sending.service.scrub.go_on()

    assert first == PASS_SECONDS  # less than a slice is stored
    assert sum(len(get(name)) for name in calls) > big
    assert SLICE_BYTES / SLICE_SECONDS == 16 << 20


def test_slices_go_on_where_the_last_one_ended(sending, monkeypatch):
    monkeypatch.setattr("coordinator.upkeep.scrub.SLICE_BYTES", 1)
    looked, get = [], sending.objects.get
    monkeypatch.setattr(sending.objects, "get", lambda name: looked.append(name) or get(name))

    pauses = [sending.service.scrub.go_on()]
    while pauses[-1] < PASS_SECONDS:
        pauses.append(sending.service.scrub.go_on())

    assert len(pauses) > 3
    assert sorted(looked) == sorted(set(looked))
    assert sending.service.scrub.report().passes == 1


def test_a_store_that_does_not_answer_is_no_damage(sending, monkeypatch):
    def refuse(_):
        raise StoreUnavailable("no answer")

    with monkeypatch.context() as broken:
        broken.setattr(sending.objects, "get", refuse)
        with pytest.raises(StoreUnavailable):
            sending.service.scrub.look()
        report = sending.service.scrub.report()

    assert report.damaged == ()
    assert sending.service.scrub.look().passes == 1


def test_what_is_damaged_is_known_until_it_is_whole(sending):
    """What health says under `storage`."""
    name, scrub = names.contribution_chunk(1, FIRST, 0, 1), sending.service.scrub
    damage(sending, name)
    known = [scrub.is_damaged()]

    look(sending)
    known.append(scrub.is_damaged())
    sending.put_chunk(FIRST, 1, 1)
    look(sending)
    known.append(scrub.is_damaged())

    assert known == [False, True, False]


@pytest.mark.parametrize(
    ("trouble", "is_damaged"),
    [(SchemaMismatch("a row says other than its digest"), True), (StoreUnavailable("away"), False)],
)
def test_a_look_that_fails_is_damage_unless_the_store_is_only_away(
    sending, monkeypatch, trouble, is_damaged
):
    def refuse(*_):
        raise trouble

    with monkeypatch.context() as broken:
        broken.setattr(sending.store, "upload", refuse)
        with pytest.raises(type(trouble)):
            sending.service.scrub.look()
        found = sending.service.scrub.is_damaged()
    look(sending)

    assert found is is_damaged
    assert not sending.service.scrub.is_damaged()


def test_a_process_that_is_told_to_stop_looks_no_further(sending):
    sending.service.stop()

    sending.service.scrub.go_on()

    assert sending.service.scrub.report().passes == 0


def test_what_is_stored_while_the_list_is_read_is_not_missing(sending):
    """A bucket gives its list as it was; rows are read after it."""
    other, real, done = SITES[1], sending.objects.names, []
    sending.begin(other)

    def names_of(prefix=""):
        found = real(prefix)
        if not done:
            done.append(sending.put(other))
        return found

    sending.objects.names = names_of

    report, said = look(sending)

    assert done
    assert report.damaged == ()
    assert not [each for each in said if each["event"] == "object_damaged"]
