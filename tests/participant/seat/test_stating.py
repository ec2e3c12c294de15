"""A seat's sums: added from a certified cohort only, stated once, and sent again as they are."""

import errno
import os
import stat
import tracemalloc

import pytest

import veilsum.files
from participant.opening.sealed_words import key_context, words_context
from participant.seat.judging import judge
from participant.seat.outbox import SumOutbox
from participant.seat.stating import state
from participant.wire.whole import Whole
from privacy import canonical
from privacy.documents import check_signer
from privacy.errors import (
    InvalidSignature,
    OpeningRefused,
    PeerUnreachable,
    StoreUnavailable,
)
from privacy.merkle import tree_root
from privacy.records import SeatSum, digest_of
from privacy.schemes.shares.layout import VALUE_WORDS, WORDS_PER_LEAF
from privacy.schemes.shares.opening import SharesRevealer
from privacy.sealing import ciphertext_digest, open_sealed, open_stream
from privacy.signing import Purpose
from tests.participant import signed_round as made
from tests.participant.seat import seated as work

PLAN = work.plan()
PER_CHUNK = PLAN.arithmetic.values_per_chunk


def frozen(plan=PLAN, **instead):
    """A round whose cohort all three seats have certified."""
    desk = work.Desk.of(plan, **instead)
    desk.certify(*work.NAMES)
    return desk


@pytest.fixture
def desk():
    return frozen()


async def stated(tmp_path, desk, name="north", **more):
    """Let a seat that has just started state its sums."""
    at_work = work.seat(tmp_path, desk, name, **more)
    try:
        await state(at_work, await work.sitting(at_work))
    finally:
        at_work.memory.close()


def opened(desk, name, trainer="amber"):
    """What a trainer finds in a seat's streams: the containers of each, by component."""
    signed, chunks = desk.sums[name]
    statement = canonical.decode(signed.body, SeatSum)
    cohort = digest_of(desk.cohort_record())
    [wrapped] = [each.sealed_key for each in statement.wraps if each.participant == trainer]
    info = key_context(desk.plan, cohort, name, trainer)
    key = open_sealed(made.keys(trainer).sealing, info, wrapped)
    found = {}
    for position, each in enumerate(statement.sums):
        sealed = [payload for at, payload in chunks if at == position]
        assert ciphertext_digest(sealed) == each.ciphertext
        assert sum(map(len, sealed)) == each.length
        context = words_context(desk.plan, cohort, name, each.component)
        found[each.component] = list(open_stream(key, context, sealed))
    return statement, found


async def test_any_two_seats_sums_open_to_the_sum_of_all_updates(tmp_path, desk):
    """Word for word, by a trainer, from what the seats have sealed."""
    for name in work.NAMES:
        await stated(tmp_path, desk, name)

    revealer = SharesRevealer(work.PARAMETERS, work.DIMENSION)
    total = sum(work.update(name) for name in work.SITES)
    parts = {name: opened(desk, name)[1] for name in work.NAMES}
    for pair in (("east", "north"), ("north", "south"), ("south", "east")):
        for chunk in range(work.CHUNKS):
            containers = [
                revealer.decode(chunk, own[chunk])[0] for n in pair for own in parts[n].values()
            ]
            merged = [
                type(first)(first.seat, chunk, first.roots, {**first.blocks, **second.blocks})
                for first, second in (containers[:2], containers[2:])
            ]
            values = revealer.open(chunk, merged, len(work.SITES))
            assert (values == total[PLAN.geometry().span(chunk)]).all()


async def test_a_statement_names_what_it_sealed(tmp_path, desk):
    """Roots over the chunks of each component; signed; wrapped for every trainer."""
    await stated(tmp_path, desk)

    statement, found = opened(desk, "north")
    signed, chunks = desk.sums["north"]
    check_signer(signed, Purpose.SEAT_SUM, "north", made.keys("north").signing_public)
    revealer = SharesRevealer(work.PARAMETERS, work.DIMENSION)
    for each in statement.sums:
        totals = [revealer.decode(at, body)[0] for at, body in enumerate(found[each.component])]
        assert tree_root([t.root_of(each.component) for t in totals]).hex() == each.root
    assert [each.component for each in statement.sums] == [1, 2]
    assert [wrap.participant for wrap in statement.wraps] == list(work.SITES)
    assert [position for position, _ in chunks] == [0] * work.CHUNKS + [1] * work.CHUNKS


async def test_holders_of_one_component_state_the_same_root(tmp_path, desk):
    """Whoever lies is noticed by that."""
    for name in work.NAMES:
        await stated(tmp_path, desk, name)

    roots = [
        {each.component: each.root for each in opened(desk, name)[0].sums} for name in work.NAMES
    ]
    assert roots[0][1] == roots[1][1]
    assert roots[1][2] == roots[2][2]
    assert roots[2][0] == roots[0][0]


# -- what must be there first -------------------------------------------------------


@pytest.mark.parametrize("signers", [(), ("east", "south"), ("east", *work.SITES)])
async def test_without_a_certificate_nothing_is_added(tmp_path, signers):
    """The coordinator's word that the round is in this phase is worth nothing."""
    desk = work.Desk.of(PLAN)
    desk.certify(*signers)

    with pytest.raises(InvalidSignature):
        await stated(tmp_path, desk)
    assert desk.sums == {}


async def test_a_smaller_cohort_is_not_summed_after_another_was_certified(tmp_path):
    """Not even with a certificate: two sums of one round differ by an update."""
    desk = frozen()
    at_work = work.seat(tmp_path, desk)
    at_work.memory.certifies(1, digest_of(desk.cohort_record()))
    at_work.memory.close()
    desk.names = work.SITES[:3]
    desk.certify(*work.NAMES)

    with pytest.raises(OpeningRefused):
        await stated(tmp_path, desk)
    assert desk.sums == {}


async def test_a_cohort_with_a_part_that_was_refused_is_not_summed(tmp_path):
    """Two others may have certified it; this seat has not what its site signed."""
    honest = work.contributed(PLAN, "birch")
    desk = frozen(birch=honest.with_header(roots=("1" * 64,) * 3))

    with pytest.raises(Exception, match="does not lead"):
        await stated(tmp_path, desk)
    assert desk.sums == {}


# -- crashes -----------------------------------------------------------------------


@pytest.mark.parametrize("where", ["seat.before_fold", "seat.before_statement"])
async def test_killed_before_it_states_nothing_has_left(tmp_path, desk, where):
    """What was written is not used; the next process adds again, under a key of its own."""
    with pytest.raises(work.Killed):
        await stated(tmp_path, desk, failpoints=work.killed_at(where))
    assert desk.sums == {}

    await stated(tmp_path, desk)

    statement, _ = opened(desk, "north")
    other = frozen(**desk.parts)
    await stated(tmp_path / "other", other)
    again, _ = opened(other, "north")
    assert [each.root for each in statement.sums] == [each.root for each in again.sums]


async def test_killed_in_the_upload_it_sends_the_same_bytes(tmp_path, desk):
    """The statement and every chunk, as if nothing had happened."""
    kept = []
    whole = work.Line.put_sum

    async def keep(line, statement, sums):
        kept.append(statement)
        noted = Whole(
            sums.digests,
            lambda first: (kept.append(chunk) or chunk for chunk in sums.chunks(first)),
        )
        await whole(line, statement, noted)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(work.Line, "put_sum", keep)
        with pytest.raises(work.Killed):
            await stated(tmp_path, desk, failpoints=work.killed_at("seat.in_upload", 4))
    assert desk.sums == {}

    await stated(tmp_path, desk)

    signed, chunks = desk.sums["north"]
    assert kept[0] == signed
    assert kept[1:] == chunks[:3]


async def test_an_upload_that_breaks_is_sent_again_as_it_is(tmp_path, desk):
    """By the same process or another; a second fold would be under another key."""
    desk.cut = [2]
    at_work = work.seat(tmp_path, desk)
    with pytest.raises(PeerUnreachable):
        await state(at_work, await work.sitting(at_work))
    recorded = at_work.memory.statement(1)
    at_work.memory.close()

    await stated(tmp_path, desk)

    assert desk.sums["north"][0] == recorded


# -- disks -------------------------------------------------------------------------


async def test_a_part_that_the_disk_has_changed_is_found_before_the_sum_counts(tmp_path, desk):
    """And fetched again; the sum is that of what was signed."""
    at_work = work.seat(tmp_path, desk)
    sits = await work.sitting(at_work)
    await judge(at_work, sits)
    path = tmp_path / "north" / "parts" / "000001" / "cedar" / "payload"
    body = bytearray(path.read_bytes())
    body[24 * VALUE_WORDS] ^= 1
    path.write_bytes(body)

    with pytest.raises(StoreUnavailable, match="the part of cedar is damaged"):
        await state(at_work, sits)
    assert not (tmp_path / "north" / "outbox" / "000001" / "0").exists()
    await state(at_work, sits)
    at_work.memory.close()

    assert "north" in desk.sums
    assert desk.streams.count(("north", "cedar", 0)) == 2


async def test_words_that_do_not_lead_to_the_signed_roots_are_never_summed(tmp_path, desk):
    """Whatever made them so since the part was taken; the seat without a payload looks too."""
    at_work = work.seat(tmp_path, desk, "east")
    sits = await work.sitting(at_work)
    await judge(at_work, sits)
    amber, birch = [await sits.acceptance.accept(name) for name in ("amber", "birch")]
    amber._shares = birch._shares

    with pytest.raises(StoreUnavailable, match="the part of amber is damaged"):
        await state(at_work, sits)
    await state(at_work, sits)
    at_work.memory.close()

    assert "east" in desk.sums


async def test_a_full_disk_leaves_nothing_half_written(tmp_path, desk, monkeypatch):
    """It is a matter of time, and of the operator's; with room, it goes on."""
    at_work = work.seat(tmp_path, desk)
    sits = await work.sitting(at_work)
    await judge(at_work, sits)
    real = os.fsync

    def full(descriptor):
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(veilsum.files.os, "fsync", full)
    with pytest.raises(StoreUnavailable, match="make room on this disk"):
        await state(at_work, sits)
    outbox = tmp_path / "north" / "outbox"
    assert [path for path in outbox.rglob("*") if path.is_file()] == []
    assert at_work.memory.statement(1) is None

    monkeypatch.setattr(veilsum.files.os, "fsync", real)
    await state(at_work, sits)
    at_work.memory.close()
    assert "north" in desk.sums


async def test_a_fetch_that_breaks_goes_on_where_it_stopped(tmp_path, desk, monkeypatch):
    """In another process too."""
    monkeypatch.setattr("participant.seat.acceptance.RESUME_SECONDS", 0)
    desk.breaks = [2, 0]
    at_work = work.seat(tmp_path, desk)
    sits = await work.sitting(at_work)
    with pytest.raises(PeerUnreachable):
        await sits.acceptance.accept("amber")
    at_work.memory.close()

    await stated(tmp_path, desk)

    assert [each for each in desk.streams if each[1] == "amber"] == [
        ("north", "amber", 0),
        ("north", "amber", 2),
        ("north", "amber", 2),
    ]


async def test_memory_does_not_grow_with_the_model(tmp_path):
    """Of ten times as many chunks, no more are held."""

    async def peak(dimension):
        large = frozen(work.plan(dimension))
        at_work = work.seat(tmp_path / str(dimension), large)
        sits = await work.sitting(at_work)
        large.sums["north"] = ()
        tracemalloc.start()
        try:
            await judge(at_work, sits)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(work.Line, "put_sum", drop)
                await state(at_work, sits)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
            at_work.memory.close()

    async def drop(line, statement, sums):
        for _ in sums.chunks(0):
            pass

    await peak(PER_CHUNK)  # what is loaded once
    small, large = await peak(5 * PER_CHUNK), await peak(50 * PER_CHUNK)

    assert large < small + 100_000


def test_sealed_chunks_have_the_length_that_is_read(tmp_path):
    """Of the last one too, which may be shorter."""
    outbox = SumOutbox(tmp_path, PLAN)

    assert [outbox.length_of(chunk) for chunk in range(3)] == [
        80 + 2 * 8 * WORDS_PER_LEAF + 16,
        80 + 2 * 8 * WORDS_PER_LEAF + 16,
        80 + 2 * 8 * WORDS_PER_LEAF + 16,
    ]
    shorter = SumOutbox(tmp_path, work.plan(PER_CHUNK + 10))
    assert shorter.length_of(1) == 80 + 8 * WORDS_PER_LEAF + 16
