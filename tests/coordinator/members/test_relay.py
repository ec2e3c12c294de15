"""Letters: to their recipient, in order, until acknowledged; and no flood takes the memory."""

import asyncio
import tracemalloc

import pytest

from coordinator.members.relay import (
    BOX_BYTES,
    KEPT_SECONDS,
    LANE_BYTES,
    LETTER_BYTES,
    LONGEST_BODY,
    MOST_AT_ONCE,
    SENDER_BYTES,
    Relay,
)
from privacy.errors import MalformedMessage, Unavailable
from tests.fakes import ManualClock

A, B, C = "seat-a", "seat-b", "hospital-a"
BODY = bytes(LONGEST_BODY)


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def relay(clock):
    return Relay(clock)


def fill(relay, sender, recipient, body=BODY):
    """Post until it is refused, each time bytes of their own; return how many were taken."""
    count = 0
    while True:
        try:
            relay.post(sender, recipient, f"{'t' * 120}/{count}", bytes(bytearray(body)))
        except Unavailable:
            return count
        count += 1


async def bodies(relay, recipient, after=0, seconds=0.0):
    return [each.body for each in await relay.collect(recipient, after, seconds)]


# -- delivery --------------------------------------------------------------------------


async def test_letters_come_to_their_recipient_in_the_order_they_were_handed_in(relay):
    for at in range(3):
        relay.post(A, B, "norm/coin", bytes([at]))
        relay.post(C, B, "recall/answer", bytes([10 + at]))
    relay.post(B, A, "norm/coin", b"to a")

    letters = await relay.collect(B, 0, 0)

    assert [(each.sender, each.topic, each.body) for each in letters] == [
        each
        for at in range(3)
        for each in (
            (A, "norm/coin", bytes([at])),
            (C, "recall/answer", bytes([10 + at])),
        )
    ]
    assert await bodies(relay, A) == [b"to a"]


async def test_a_letter_stays_until_its_recipient_says_it_has_it(relay):
    """The answer may be lost on its way; then it is asked for again."""
    for at in range(3):
        relay.post(A, B, "t", bytes([at]))
    first = await relay.collect(B, 0, 0)

    assert await relay.collect(B, 0, 0) == first
    assert await bodies(relay, B, after=first[1].number) == [b"\x02"]
    assert await bodies(relay, B, after=first[2].number) == []
    assert relay.waiting_bytes() == 0


async def test_numbers_rise_by_one_in_each_box(relay):
    """A gap says that a letter is lost."""
    for recipient in (A, B, A, A):
        relay.post(C, recipient, "t", b"")

    numbers = [each.number for each in await relay.collect(A, 0, 0)]

    assert numbers == list(range(numbers[0], numbers[0] + 3))
    relay.post(C, A, "t", b"")
    assert (await relay.collect(A, numbers[-1], 0))[0].number == numbers[-1] + 1


async def test_a_number_from_before_a_restart_acknowledges_nothing():
    """What it counted is lost; what came since must not be lost for it."""
    before, after = Relay(), Relay()
    for _ in range(9):
        before.post(A, B, "t", b"old")
    last = (await before.collect(B, 0, 0))[-1].number
    after.post(A, B, "t", b"new")

    assert before.epoch != after.epoch
    assert await bodies(after, B, after=last) == [b"new"]
    for wrong in (0, 9, 2**64 - 1):
        assert await bodies(after, B, after=wrong) == [b"new"]


@pytest.mark.parametrize("drawn", [bytes(4), b"\xff" * 4])
def test_every_number_fits_the_wire_and_none_is_zero(drawn):
    relay = Relay(entropy=lambda count: drawn[:count])
    relay.post(A, B, "t", b"")

    assert 0 < relay._boxes[B].letters[0].number < 1 << 64
    assert 0 < relay.epoch < 1 << 31


async def test_one_answer_holds_what_travels_and_one_letter_at_least(relay):
    relay.post(A, B, "t", BODY)
    for _ in range(2000):
        relay.post(A, B, "t", b"small")

    first = await relay.collect(B, 0, 0)
    second = await relay.collect(B, first[-1].number, 0)

    assert [len(each.body) for each in first] == [LONGEST_BODY]
    assert len(second) == MOST_AT_ONCE // (LETTER_BYTES + 5)


# -- waiting ---------------------------------------------------------------------------


async def test_a_letter_wakes_who_waits_for_it_and_nobody_else(relay):
    waits = [asyncio.create_task(bodies(relay, name, seconds=30)) for name in (A, B, B)]
    await asyncio.sleep(0)

    relay.post(C, B, "t", b"x")

    done, pending = await asyncio.wait(waits, timeout=0.2)
    assert {task.result()[0] for task in done} == {b"x"}
    assert pending == {waits[0]}
    waits[0].cancel()


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), float("-inf")])
async def test_who_gives_no_time_does_not_wait(relay, seconds):
    assert await asyncio.wait_for(bodies(relay, A, seconds=seconds), 5) == []


async def test_who_waits_in_vain_is_told_so_in_time(relay):
    assert await asyncio.wait_for(bodies(relay, A, seconds=0.05), 5) == []


# -- what is no letter -----------------------------------------------------------------


@pytest.mark.parametrize("topic", ["", "a b", "UPPER", "a\n", "a.b", "ä", "a" * 129, "a\x00"])
def test_a_topic_is_a_short_word(relay, topic):
    with pytest.raises(MalformedMessage, match="is no topic"):
        relay.post(A, B, topic, b"")

    assert relay.waiting_bytes() == 0


def test_a_body_has_a_mebibyte_at_most(relay):
    relay.post(A, B, "a" * 128, BODY)

    with pytest.raises(MalformedMessage, match="more than"):
        relay.post(A, B, "t", BODY + b"x")


# -- floods ----------------------------------------------------------------------------


@pytest.mark.parametrize("body", [BODY, b""])
def test_one_sender_cannot_fill_the_box_of_another_member(relay, body):
    """It fills its own lane, a quarter of the box; others still get through."""
    taken = fill(relay, A, B, body)

    assert taken == LANE_BYTES // (LETTER_BYTES + len(body))
    relay.post(C, B, "t", BODY)
    relay.post(A, C, "t", BODY)


def test_a_member_that_collects_nothing_stops_no_letters_to_others(relay):
    """Half of what a sender may have waiting is for others, whoever is dead."""
    fill(relay, A, B)

    assert fill(relay, A, C) == LANE_BYTES // (LETTER_BYTES + LONGEST_BODY)


def test_a_sender_has_so_much_waiting_and_no_more(relay):
    for at in range(50):
        fill(relay, A, f"hospital-{at}", body=bytes(1 << 19))

    assert SENDER_BYTES - (1 << 20) < relay.waiting_bytes() <= SENDER_BYTES


def test_a_box_holds_so_much_and_no_more(relay):
    for at in range(50):
        fill(relay, f"hospital-{at}", B, body=bytes(1 << 19))

    assert BOX_BYTES - (1 << 20) < relay.waiting_bytes() <= BOX_BYTES


def test_all_members_flooding_each_other_take_what_is_stated_of_memory(relay):
    """Letters without a body cost the most beside it, and are counted for more than they take."""
    members = [f"hospital-{at}" for at in range(4)]
    tracemalloc.start()
    for sender in members:
        for recipient in members:
            fill(relay, sender, recipient, bytes(16))
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert relay.waiting_bytes() > 0.99 * len(members) * SENDER_BYTES
    assert taken < len(members) * SENDER_BYTES


async def test_a_full_lane_takes_letters_again_once_some_are_collected(relay):
    fill(relay, A, B)
    letters = await relay.collect(B, 0, 0)

    await relay.collect(B, letters[0].number, 0)

    relay.post(A, B, "t", BODY)
    with pytest.raises(Unavailable, match="seat-a for seat-b"):
        relay.post(A, B, "t", BODY)


async def test_letters_that_nobody_collects_are_dropped_after_some_minutes(relay, clock):
    """In boxes too that nobody looks at any more."""
    fill(relay, A, B, bytes(1 << 19))
    fill(relay, A, C, bytes(1 << 19))
    with pytest.raises(Unavailable):
        relay.post(A, "hospital-z", "t", BODY)
    clock.advance(KEPT_SECONDS)

    relay.post(A, "hospital-z", "t", BODY)

    assert relay.waiting_bytes() == LETTER_BYTES + LONGEST_BODY
    assert await bodies(relay, B) == await bodies(relay, C) == []


async def test_a_letter_is_kept_until_then(relay, clock):
    relay.post(A, B, "t", b"x")
    clock.advance(KEPT_SECONDS - 1)

    assert await bodies(relay, B) == [b"x"]


def test_what_a_letter_says_does_not_print(relay):
    relay.post(A, B, "t", b"sealed words")

    assert "sealed words" not in repr(relay._boxes[B].letters[0])


async def test_nobody_waits_for_letters_of_a_process_that_is_about_to_stop(relay):
    waiting = asyncio.create_task(relay.collect(A, 0, 10))
    await asyncio.sleep(0)

    relay.end()

    async with asyncio.timeout(1):
        assert await waiting == []
        assert await relay.collect(B, 0, 10) == []
