"""What is under way keeps a line busy and no more, for it is what a cut costs."""

import asyncio

import pytest

from participant.wire.window import LEAST_PART, MOST_BYTES, Window
from tests.fakes import ManualClock

CHUNK = 1 << 20


def run(bytes_per_second, answer_seconds, parts=200):
    """Return the window after so many parts over a line of that rate and answer time."""
    clock = ManualClock()
    window, free_at, due = Window(clock), clock(), []
    for _ in range(parts):
        length = min(window.part(), CHUNK)
        while window.under_way and window.under_way + length > window.size:
            clock.at = max(clock.at, due.pop(0))
            window.answered()
        window.sent(length)
        free_at = max(free_at, clock()) + length / bytes_per_second
        due.append(free_at + answer_seconds)
    return window


@pytest.mark.parametrize("answer_seconds", [0.01, 0.1, 0.6])
def test_at_four_megabit_little_is_under_way_and_the_line_is_busy(answer_seconds):
    """Three cuts of what is under way are below 2 % of 64 MiB, and more than an answer's time."""
    rate = 4e6 / 8

    window = run(rate, answer_seconds)

    assert rate * answer_seconds <= window.size < 0.02 * (64 << 20) / 3 + rate * answer_seconds


def test_on_a_slow_line_parts_are_small():
    """At 64 kbit/s a part is heard of every two seconds, and not a chunk every two minutes."""
    window = run(8_000, 0.05, parts=20)

    assert window.part() == LEAST_PART
    assert window.size == 2 * LEAST_PART


def test_on_a_fast_line_whole_chunks_go():
    """As many as keep it busy, and no more than memory was meant for."""
    window = run(1e9 / 8, 0.02)

    assert window.part() >= CHUNK
    assert window.size == MOST_BYTES


async def test_who_has_no_room_waits_for_an_answer():
    """And for nothing, where nothing is under way: a chunk may be larger than the window."""
    window = Window()
    await window.room()
    window.sent(10 * window.size)
    waiting = asyncio.create_task(window.room())
    await asyncio.sleep(0.01)
    assert not waiting.done()

    window.answered()
    await asyncio.wait_for(waiting, 1)

    assert window.under_way == 0


def test_an_answer_to_nothing_changes_nothing():
    """The coordinator may say what it likes; who counts chunks refuses it."""
    window = Window()

    assert window.answered() == 0
    assert (window.under_way, window.size) == (0, 4 * LEAST_PART)
