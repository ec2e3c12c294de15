"""What a seat keeps of a contribution: as sealed as it came, resumed, and mended if damaged."""

import errno
import os

import pytest

from participant.seat.acceptance import Acceptance
from participant.seat.holding import Held
from participant.seat.judging import judge
from privacy.errors import IllegalEvent, StoreUnavailable
from privacy.growth import LastSeen
from privacy.records import Refused
from tests.participant.seat import seated as work

PLAN = work.plan()
FIRST = 8 * PLAN.arithmetic.values_per_chunk + 16
"""Bytes of the first chunk of a payload."""


@pytest.fixture
def desk():
    return work.Desk.of(PLAN)


async def acceptance(tmp_path, desk, name="north") -> Acceptance:
    """A seat's acceptance, as it is when its process has just started."""
    at_work = work.seat(tmp_path, desk, name)
    return (await work.sitting(at_work)).acceptance


def payload(tmp_path, participant="amber"):
    return tmp_path / "north" / "parts" / "000001" / participant / "payload"


async def test_what_is_kept_is_what_came(tmp_path, desk):
    """Nothing is opened on the disk; only its owner reads it."""
    await (await acceptance(tmp_path, desk)).accept("amber")

    assert payload(tmp_path).read_bytes() == b"".join(desk.parts["amber"].chunks)
    sealed = payload(tmp_path).with_name("sealed")
    assert sealed.read_bytes() == desk.parts["amber"].seals[1]
    assert {path.stat().st_mode & 0o777 for path in sealed.parent.iterdir()} == {0o600}


async def test_what_another_process_took_is_not_fetched_again(tmp_path, desk):
    """It is opened and held against its roots again."""
    await (await acceptance(tmp_path, desk)).accept("amber")
    streams = list(desk.streams)

    found = await (await acceptance(tmp_path, desk)).accept("amber")

    assert isinstance(found, Held)
    assert desk.streams == streams


@pytest.mark.parametrize(("length", "from_chunk"), [(FIRST + 56, 1), (100, 0), (0, 0)])
async def test_a_payload_that_was_cut_goes_on_where_it_stopped(tmp_path, desk, length, from_chunk):
    """At a whole chunk; what a crash left of one is cut off."""
    await (await acceptance(tmp_path, desk)).accept("amber")
    os.truncate(payload(tmp_path), length)

    found = await (await acceptance(tmp_path, desk)).accept("amber")

    assert isinstance(found, Held)
    assert desk.streams[-1] == ("north", "amber", from_chunk)
    assert payload(tmp_path).read_bytes() == b"".join(desk.parts["amber"].chunks)


@pytest.mark.parametrize("file", ["payload", "sealed", "header"])
async def test_what_the_disk_has_damaged_is_fetched_again(tmp_path, desk, file):
    """It is no reason to refuse a site."""
    await (await acceptance(tmp_path, desk)).accept("amber")
    path = payload(tmp_path).with_name(file)
    body = bytearray(path.read_bytes())
    body[len(body) // 2] ^= 1
    path.write_bytes(body)

    found = await (await acceptance(tmp_path, desk)).accept("amber")

    assert isinstance(found, Held)
    assert desk.streams[-1] == ("north", "amber", 0)


async def test_blocks_that_do_not_open_any_more_say_so(tmp_path, desk):
    """A question stops there, and the part is taken again; no wrong word comes out."""
    accepting = await acceptance(tmp_path, desk)
    held = await accepting.accept("amber")
    before = held.blocks(1)
    body = bytearray(payload(tmp_path).read_bytes())
    body[FIRST + 56] ^= 1
    payload(tmp_path).write_bytes(body)

    with pytest.raises(StoreUnavailable, match="damaged"):
        held.blocks(1)
    again = await accepting.accept("amber")

    assert again is not held
    assert all((mine == theirs).all() for mine, theirs in zip(again.blocks(1), before, strict=True))


async def test_a_full_disk_refuses_no_site(tmp_path, desk, monkeypatch):
    """It waits; with room again the part is taken."""
    accepting = await acceptance(tmp_path, desk)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("participant.seat.parts.os.fdopen", full)
        with pytest.raises(StoreUnavailable, match="make room on this disk"):
            await accepting.accept("amber")
    assert accepting.found == frozenset()

    assert isinstance(await accepting.accept("amber"), Held)


async def test_a_phase_that_hands_out_nothing_refuses_no_site(tmp_path, desk):
    """The round has moved on; that is not the site's doing."""
    accepting = await acceptance(tmp_path, desk)

    def over(number, participant, from_chunk=0):
        raise IllegalEvent("not in this phase")

    accepting.calls.part = over
    with pytest.raises(IllegalEvent):
        await accepting.accept("amber")
    assert accepting.found == frozenset()


async def test_what_is_refused_leaves_nothing_on_the_disk(tmp_path):
    """It will never be added."""
    honest = work.contributed(PLAN, "birch")
    desk = work.Desk.of(PLAN, birch=honest.with_header(roots=("1" * 64,) * 3))

    found = await (await acceptance(tmp_path, desk)).accept("birch")

    assert isinstance(found, Refused)
    assert not payload(tmp_path, "birch").parent.exists()


async def test_another_contribution_than_the_candidates_name_is_fetched_again(tmp_path, desk):
    """What was taken while the round was open need not be what was closed."""
    at_work = work.seat(tmp_path, desk)
    sits = await work.sitting(at_work)
    await sits.acceptance.accept("birch")
    desk.parts["birch"] = work.contributed(PLAN, "birch")

    await judge(at_work, sits)
    at_work.memory.close()

    assert work.refused_by(desk) == {"north": []}
    held = await sits.acceptance.accept("birch")
    assert held.digest == desk.parts["birch"].entry.contribution


@pytest.mark.parametrize(("rows", "code"), [(0, "peer_ledger_rolled_back"), (-1, None)])
async def test_a_site_with_an_older_ledger_than_was_seen_is_left_out(tmp_path, desk, rows, code):
    """It alone, and by name: the others' round goes on. The control is one row shorter."""
    at_work = work.seat(tmp_path, desk)
    size = work.made.ledger_of("birch", PLAN.terms.round).size + rows
    before = LastSeen(0, "0" * 64, work.made.ledger_of("birch", 0, size))
    at_work.memory.sees_ledger("birch", before)

    await judge(at_work, await work.sitting(at_work))

    assert work.refused_by(desk) == {"north": [("birch", code)] if code else []}
    newest = at_work.memory.ledger_seen("birch")
    at_work.memory.close()
    assert (newest == before) == bool(code)


async def test_a_round_taken_again_is_no_older_ledger(tmp_path, desk):
    """After a restart a seat sees the same headers again."""
    for _ in range(2):
        found = await (await acceptance(tmp_path, desk)).accept("amber")

        assert isinstance(found, Held)


async def test_the_sum_of_a_holding_is_the_sum_of_its_updates(tmp_path, desk):
    """Of this seat's components; questions multiply with it."""
    at_work = work.seat(tmp_path, desk)
    sits = await work.sitting(at_work)
    held, refused = await sits.take(desk.candidate_record().entries)
    holding = sits.holding(held)
    at_work.memory.close()

    total = holding.total(2)

    assert refused == []
    for at in range(2):
        parts = [holding.blocks(2, name)[at] for name in work.SITES]
        assert (total[at] == sum(parts[1:], parts[0])).all()


async def test_declared_shares_of_three_seats_are_the_squared_norm(tmp_path, desk):
    """Which the scores compare with the computed one."""
    shares = []
    for name in work.NAMES:
        held = await (await acceptance(tmp_path, desk, name)).accept("cedar")
        shares.append(held.declared_share())

    values = work.update("cedar")
    assert sum(shares) % 2**64 == int(values @ values)
