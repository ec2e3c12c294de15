"""Letters come to whoever waits for their topic, whatever the coordinator goes through."""

import asyncio
import os

import grpc
import grpc.aio
import pytest

from participant.wire import letters as module
from participant.wire.coordinator import Coordinator
from participant.wire.letters import Letter, Letters, Mailbox, Waiter
from participant.wire.patience import Patience
from participant.wire.tempo import passed, tempo
from privacy.errors import Unavailable
from tests.participant.seat.seat_process import _Named, serving
from tests.participant.seat.table import Desk, Relay, mailbox
from veilsum.metrics.catalogue import FETCHED, SENT


async def soon(waiter):
    async with asyncio.timeout(3):
        return await waiter.next()


async def test_a_letter_goes_to_those_that_wait_for_its_topic():
    relay = Relay()
    async with mailbox(relay, "west") as box:
        with box.waiting("seat/") as seats, box.waiting("recall/") as recalls:
            await relay.post("north", "west", "recall/ask", b"first")
            await relay.post("north", "west", "seat/3/norms/hello", b"second")

            assert (await soon(recalls)).body == b"first"
            assert await soon(seats) == Letter(2, "north", "seat/3/norms/hello", b"second")


async def test_a_waiter_hears_only_those_it_names():
    relay = Relay()
    async with mailbox(relay, "west") as box:
        with box.waiting("seat/", ("south",)) as waiter:
            await relay.post("north", "west", "seat/x", b"not asked")
            await relay.post("south", "west", "seat/x", b"asked")

            assert (await soon(waiter)).body == b"asked"


async def test_letters_for_which_nobody_waits_do_not_stay():
    relay = Relay()
    async with mailbox(relay, "west") as box:
        await relay.post("north", "west", "seat/x", b"early")
        await asyncio.sleep(0.05)
        with box.waiting("seat/") as waiter:
            await relay.post("north", "west", "seat/x", b"late")

            assert (await soon(waiter)).body == b"late"


async def test_a_coordinator_that_starts_again_counts_anew_and_is_heard():
    """Its first letter has a lower number than the last of before."""
    relay = Relay()
    async with mailbox(relay, "west") as box:
        with box.waiting("") as waiter:
            for _ in range(5):
                await relay.post("north", "west", "x", b"old")
                await soon(waiter)
            relay.start_again()
            await asyncio.sleep(0.3)
            await relay.post("north", "west", "x", b"new")

            assert await soon(waiter) == Letter(1, "north", "x", b"new")


async def test_a_mailbox_goes_on_when_the_coordinator_is_back():
    relay = Relay()
    relay.down = True
    async with mailbox(relay, "west") as box:
        with box.waiting("") as waiter:
            await asyncio.sleep(0.05)
            assert box.cut_off
            relay.down = False
            await relay.post("north", "west", "x", b"back")

            assert (await soon(waiter)).body == b"back"
            assert not box.cut_off


async def test_a_flood_does_not_fill_the_memory(monkeypatch):
    monkeypatch.setattr(module, "MOST_BYTES_WAITING", 100)
    waiter = Waiter(None)

    for at in range(5):
        waiter.offer(Letter(at, "north", "x", bytes(40)))
    first, second = await soon(waiter), await soon(waiter)

    assert (first.number, second.number) == (0, 1)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await waiter.next()


async def test_who_was_heard_is_known_by_name():
    relay, clock = Relay(), iter(range(100, 200))
    box = Mailbox(Desk(relay, "west"), Patience(os.urandom), lambda: next(clock))
    collecting = asyncio.create_task(box.run())
    await relay.post("north", "west", "x", b"")
    await asyncio.sleep(0.05)
    collecting.cancel()

    assert box.heard("north") == 100
    assert box.heard("south") is None


async def test_letters_travel_over_the_coordinators_channel():
    relay = Relay()
    async with serving(relay) as port:
        channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}", interceptors=[_Named("west")])
        letters = Letters(Coordinator(channel, _unexplained))

        await letters.post("west", "seat/x", b"to myself")
        epoch, found = await letters.collect(0, 1)
        relay.down = True
        with pytest.raises(Unavailable):
            await letters.post("west", "seat/x", b"refused")
        await channel.close()

    assert (epoch, found) == (1, [Letter(1, "west", "seat/x", b"to myself")])


async def test_letters_are_counted_and_wait_for_no_limit():
    """What seats ask each other is most of what they send; it is seen, and not held up."""
    relay, slow = Relay(), tempo(lambda: 1.0, lambda: None)
    async with serving(relay) as port, asyncio.timeout(5):
        channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}", interceptors=[_Named("west")])
        letters = Letters(Coordinator(channel, _unexplained, tempo=slow))

        await letters.post("west", "seat/x", bytes(1000))
        await letters.collect(0, 1)
        await channel.close()

    assert [(metric, labels) for metric, labels, _ in passed(slow)] == [(SENT, ()), (FETCHED, ())]
    assert all(1000 < number < 1100 for _, _, number in passed(slow))


def test_a_body_does_not_print():
    assert "secret" not in repr(Letter(1, "north", "x", b"secret"))


async def _unexplained():
    return "no connection to the relay"
