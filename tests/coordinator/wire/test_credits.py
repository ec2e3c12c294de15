"""What is under way is bounded, whoever sends; who stands still keeps nobody waiting for ever."""

import asyncio
import threading

import grpc
import pytest

from coordinator.wire import credits as module
from coordinator.wire.credits import Credits, Transfers
from privacy.errors import MalformedMessage, PeerUnreachable, Unavailable
from tests.coordinator.served import channel_of, served
from tests.fakes import SITES, ManualClock, chunk_of, seed_of
from tests.loopback import make_federation
from veilsum.v1 import cohort_pb2, contribution_pb2

PLACE = (1, 0, 0)


async def hold(limit, order, name, release):
    """Hold a credit until `release` is set, and note when it was given."""
    async with limit.one():
        order.append(name)
        await release.wait()


async def test_no_more_are_given_than_there_are_and_in_the_order_of_asking():
    """Fair among streams: who was served stands behind who waits."""
    limit, order, release = Credits(2, 60), [], asyncio.Event()
    tasks = [asyncio.create_task(hold(limit, order, name, release)) for name in range(5)]
    await asyncio.sleep(0)
    assert order == [0, 1]

    release.set()
    await asyncio.gather(*tasks)

    assert order == [0, 1, 2, 3, 4]
    assert limit.free == 2


async def test_who_gives_up_waiting_takes_no_credit_with_it():
    """Before its turn, and in the very moment of it."""
    limit, order, release = Credits(1, 60), [], asyncio.Event()
    holder = asyncio.create_task(hold(limit, order, "holder", release))
    waiters = [asyncio.create_task(hold(limit, order, name, release)) for name in "ab"]
    await asyncio.sleep(0.01)
    waiters[0].cancel()
    release.set()
    await holder
    waiters[1].cancel()

    await asyncio.gather(*waiters, return_exceptions=True)

    assert limit.free == 1


async def test_a_stream_that_stands_still_gives_way_to_who_waits():
    """And only then: alone, it may take its time."""
    limit, order, never = Credits(1, 0.2), [], asyncio.Event()
    idle = asyncio.create_task(hold(limit, order, "idle", never))
    await asyncio.sleep(0.4)
    assert not idle.done()

    async with asyncio.timeout(5), limit.one():
        order.append("late")

    assert order == ["idle", "late"]
    assert idle.cancelled()


async def moving(limit, steps, new, caller="slow", seconds=300):
    """Hold a credit, and move it by `new` bytes each second of the clock; note each step."""
    async with limit.one(caller) as credit:
        for _ in range(seconds):
            await asyncio.sleep(0)
            limit.monotonic.advance(1)
            limit.move(credit, new)
            steps.append(new)
            limit._interrupt()


@pytest.mark.parametrize(
    ("bits_per_second", "seconds"),
    [
        (64_000, 300),  # slower than any site is asked to be: a chunk in 131 seconds
        (28_000, 300),
        (8, 31),  # a byte each second: patience, and what these bytes are worth
        (14_000, 60),  # half as fast: it falls behind until its patience is used up
    ],
)
async def test_a_stream_keeps_its_credit_by_new_bytes_at_a_least_rate(bits_per_second, seconds):
    """Else a byte now and then, of every stream that a member may open, holds all of them."""
    limit, steps = Credits(1, 30.0, ManualClock()), []
    slow = asyncio.create_task(moving(limit, steps, bits_per_second // 8))
    waiting = asyncio.create_task(hold(limit, [], "waits", asyncio.Event()))

    await asyncio.wait({slow})
    waiting.cancel()

    assert len(steps) == pytest.approx(seconds, abs=2)
    assert slow.cancelled() == (seconds < 300)


async def test_a_credit_is_kept_for_one_chunk_and_no_longer():
    """Who begins ever new chunks and ends none does not keep it, however fast it sends."""
    limit, steps = Credits(1, 30.0, ManualClock()), []
    endless = asyncio.create_task(moving(limit, steps, 1 << 20, seconds=1000))
    waiting = asyncio.create_task(hold(limit, [], "waits", asyncio.Event()))

    await asyncio.wait({endless})
    waiting.cancel()

    assert len(steps) == pytest.approx(330, abs=2)


async def test_who_has_fewest_credits_is_served_first():
    """One that asks once does not stand behind all the streams of another."""
    limit, order, release = Credits(2, 60), [], asyncio.Event()

    async def ask(caller, until):
        async with limit.one(caller):
            order.append(caller)
            await until.wait()

    first = asyncio.Event()
    tasks = [asyncio.create_task(ask("greedy", first))]
    tasks += [asyncio.create_task(ask("greedy", release)) for _ in range(4)]
    tasks.append(asyncio.create_task(ask("modest", release)))
    await asyncio.sleep(0)
    first.set()
    await asyncio.sleep(0.01)

    assert order == ["greedy", "greedy", "modest"]
    release.set()
    await asyncio.gather(*tasks)
    assert limit.free == 2


async def test_nobody_has_more_than_a_quarter_for_long_while_others_wait():
    """Its streams give way one by one, however well they move; alone it may have all."""
    clock = ManualClock()
    limit, steps = Credits(8, 30.0, clock), []
    greedy = [asyncio.create_task(moving(limit, steps, 1 << 14, "greedy")) for _ in range(8)]
    await asyncio.sleep(0)
    limit._interrupt()
    assert not any(each.cancelling() for each in greedy)

    served = await asyncio.gather(*(served_at(limit, name) for name in SITES))
    for each in greedy:
        each.cancel()
    await asyncio.gather(*greedy, return_exceptions=True)

    assert max(served) < 1_000 + 60
    assert limit.free == 8


async def served_at(limit, caller):
    """Take a credit, give it back at once, and say when there was one."""
    async with limit.one(caller):
        return limit.monotonic()


async def test_nobody_stands_still_for_ever(monkeypatch):
    """A reader that takes nothing holds memory, whether or not another wants it."""
    monkeypatch.setattr(module, "MOST_HELD_SECONDS", 0.1)
    limit, order, never = Credits(1, 60), [], asyncio.Event()

    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(hold(limit, order, "idle", never))

    assert limit.free == 1


def test_one_caller_has_so_many_streams_and_no_more():
    """Else one member would hold every credit; when one ends the next may begin."""
    transfers = Transfers(8)
    open_streams = [transfers.stream("amber") for _ in range(module.STREAMS_OF_A_CALLER)]
    for each in open_streams:
        each.__enter__()

    with pytest.raises(Unavailable, match="no more may be"), transfers.stream("amber"):
        pass
    with transfers.stream("birch"):
        pass
    open_streams[0].__exit__(None, None, None)
    with transfers.stream("amber"):
        pass


# -- chunks in parts ---------------------------------------------------------------------


async def test_a_chunk_is_whole_once_its_parts_are_here():
    """In order, each behind the one before."""
    transfers = Transfers(8)
    async with transfers.sending("amber"):
        assert transfers.add("amber", PLACE, 0, 5, b"ab") is None
        assert transfers.held("amber", 1, [0]) == 2
        assert transfers.add("amber", PLACE, 2, 5, b"cde") == b"abcde"

    assert transfers.held("amber", 1, [0]) == 0
    assert transfers.uploads.free == 4


@pytest.mark.parametrize(
    ("offset", "length", "part"), [(2, 5, b""), (2, 5, b"cdef"), (2, 1 << 21, b"c")]
)
async def test_a_part_that_no_chunk_has_is_refused(offset, length, part):
    """Empty, or too long."""
    transfers = Transfers(8)
    async with transfers.sending("amber"):
        transfers.add("amber", PLACE, 0, 5, b"ab")

        with pytest.raises(MalformedMessage, match="of a chunk of"):
            transfers.add("amber", PLACE, offset, length, part)


@pytest.mark.parametrize(
    ("place", "offset", "length"),
    [(PLACE, 1, 5), (PLACE, 3, 5), (PLACE, 2, 6), ((1, 0, 1), 2, 5)],
)
async def test_a_part_whose_beginning_is_not_here_is_asked_for_again(place, offset, length):
    """What was here may have gone to others, or with the process: its sender has done no wrong."""
    transfers = Transfers(8)
    async with transfers.sending("amber"):
        transfers.add("amber", PLACE, 0, 5, b"ab")

        with pytest.raises(PeerUnreachable, match="ask again where to go on"):
            transfers.add("amber", place, offset, length, b"c")


async def test_bytes_that_come_again_keep_no_credit():
    """A chunk that is begun again and again is one that stands still."""
    transfers = Transfers(8)
    async with transfers.sending("amber") as credit:
        transfers.add("amber", PLACE, 0, 9, b"abc", credit)
        for _ in range(3):
            transfers.add("amber", PLACE, 0, 9, b"a", credit)
            transfers.add("amber", PLACE, 1, 9, b"bc", credit)
        before, moved = credit.new, credit.moved
        transfers.add("amber", PLACE, 3, 9, b"de", credit)

        assert (before, credit.new) == (3, 5)
        assert credit.moved > moved


async def test_a_member_that_drips_on_all_its_streams_keeps_nobody_waiting(monkeypatch):
    """Each stream begins the same chunk again and again: once that held every credit."""
    monkeypatch.setattr(module, "MOST_SENDING_SECONDS", 0.2)
    transfers = Transfers(32)

    async def drip():
        with transfers.stream("evil"):
            async with transfers.sending("evil") as credit:
                while True:
                    transfers.add("evil", PLACE, 0, 1 << 20, b"x", credit)
                    await asyncio.sleep(0.05)

    evils = [asyncio.create_task(drip()) for _ in range(module.STREAMS_OF_A_CALLER)]
    await asyncio.sleep(0)
    assert transfers.uploads.free == 0

    async with asyncio.timeout(2), transfers.sending("honest"):
        pass

    for each in evils:
        each.cancel()
    await asyncio.gather(*evils, return_exceptions=True)


async def test_what_a_cut_upload_left_stays_until_its_room_is_needed():
    """It is kept under a credit, so that memory is bounded by the same number."""
    transfers = Transfers(8)
    for name in ("amber", "birch"):
        async with transfers.sending(name):
            transfers.add(name, PLACE, 0, 5, b"ab")
    assert transfers.uploads.free == 2

    streams = [transfers.sending(name) for name in ("c", "d", "e")]
    for each in streams:
        await each.__aenter__()

    assert transfers.held("amber", 1, [0]) == 0
    assert transfers.held("birch", 1, [0]) == 2
    async with transfers.sending("birch"):  # its credit is there already
        assert transfers.add("birch", PLACE, 2, 5, b"cde") == b"abcde"
    for each in streams:
        await each.__aexit__(None, None, None)
    assert transfers.uploads.free == 4


async def test_what_is_here_of_another_round_or_chunk_is_not_gone_on_with():
    """A part is of one place; the next chunk begins anew."""
    transfers = Transfers(8)
    async with transfers.sending("amber"):
        transfers.add("amber", (1, 0, 3), 0, 5, b"ab")

        assert transfers.held("amber", 1, [3]) == 2
        assert transfers.held("amber", 1, [4]) == 0
        assert transfers.held("amber", 2, [3]) == 0
        assert transfers.add("amber", (1, 0, 3), 0, 5, b"abcde") == b"abcde"


# -- over real connections ---------------------------------------------------------------


async def test_a_stream_that_gave_way_is_told_at_once_and_may_come_again(opened, monkeypatch):
    """Its peer does not wait for an answer that never comes."""
    monkeypatch.setattr(module, "MOST_SENDING_SECONDS", 0.3)
    certified, transfers = make_federation(), []
    made = module.Transfers.__init__

    def few(self, *_):
        made(self, 2)
        transfers.append(self)

    monkeypatch.setattr(module.Transfers, "__init__", few)
    for name in SITES[:2]:
        opened.begin(name)
    async with served(opened.service, certified, opened.settings) as address:
        channels = [
            channel_of(address, certified, f"spiffe://oncology/participant/{name}")
            for name in SITES[:2]
        ]
        idle, sending = (_put_chunks(channel) for channel in channels)
        await asyncio.sleep(0.2)
        payload = chunk_of(seed_of(SITES[1], 1), 0)
        request = contribution_pb2.PutChunksRequest(round=1, payload=payload)
        await sending.write(request.SerializeToString())

        answer = contribution_pb2.PutChunksResponse.FromString(
            await asyncio.wait_for(sending.read(), 5)
        )
        status = await asyncio.wait_for(idle.code(), 5)
        for channel in channels:
            await channel.close(None)

    assert answer.chunks == 1
    assert status is not grpc.StatusCode.OK
    assert transfers[0].uploads.free == 1


def _put_chunks(channel):
    return channel.stream_stream("/veilsum.v1.ContributionService/PutChunks")()


async def test_a_control_call_waits_for_no_chunk(added_up, monkeypatch):
    """Chunks have threads of their own: however many hang on the disk, a plan is given."""
    blocked = threading.Event()
    monkeypatch.setattr(added_up.objects, "get", lambda _: blocked.wait(20) and b"")
    certified = make_federation()
    async with (
        served(added_up.service, certified, added_up.settings) as address,
        channel_of(address, certified, f"spiffe://oncology/participant/{SITES[0]}") as channel,
    ):
        get_sum = channel.unary_stream("/veilsum.v1.CohortService/GetSum")
        request = cohort_pb2.GetSumRequest(round=1).SerializeToString()
        streams = [get_sum(request) for _ in range(module.STREAMS_OF_A_CALLER)]
        for each in streams:
            await each.read()
        await asyncio.sleep(0.1)

        plan = channel.unary_unary("/veilsum.v1.RoundService/GetPlan")
        try:
            answer = await plan(cohort_pb2.GetSumRequest(round=1).SerializeToString(), timeout=5)
        finally:
            blocked.set()

    assert answer


async def test_a_reader_that_takes_nothing_gives_way_and_is_told(added_up, monkeypatch):
    """Its memory and its credit are another's; it goes on from the chunk it has."""
    monkeypatch.setattr(module, "MOST_FETCHING_SECONDS", 0.3)
    monkeypatch.setattr(added_up.objects, "get", lambda _: bytes(1 << 20))
    made = module.Transfers.__init__
    monkeypatch.setattr(module.Transfers, "__init__", lambda self, _: made(self, 2))
    certified, opener = make_federation(), f"spiffe://oncology/participant/{SITES[0]}"
    request = cohort_pb2.GetSumRequest(round=1).SerializeToString()
    async with served(added_up.service, certified, added_up.settings) as address:
        channels = [channel_of(address, certified, opener) for _ in range(2)]
        slow, other = (
            channel.unary_stream("/veilsum.v1.CohortService/GetSum")(request)
            for channel in channels
        )
        await slow.read()
        await asyncio.sleep(0.2)

        parts = [part async for part in other]
        status = await asyncio.wait_for(_status_of(slow), 5)
        for channel in channels:
            await channel.close(None)

    assert len(parts) == 3
    assert status is grpc.StatusCode.UNAVAILABLE


async def _status_of(call):
    """Return how a stream ended, after what was under way."""
    try:
        while await call.read() is not grpc.aio.EOF:
            pass
    except grpc.aio.AioRpcError as error:
        return error.code()
    return await call.code()
