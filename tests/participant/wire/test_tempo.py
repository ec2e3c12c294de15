"""A limited line carries what its policy says, within five percent, and no part more than fits."""

import asyncio
import time
from itertools import pairwise

import pytest

from participant.wire.tempo import Bucket, unlimited


class Line:
    """A clock that moves only while somebody waits, and a little late each time."""

    def __init__(self, late=0.0):
        self.now, self.late = 100.0, late

    def clock(self):
        return self.now

    async def sleep(self, seconds):
        self.now += seconds + self.late


@pytest.mark.parametrize("late", [0.0, 0.02])
@pytest.mark.parametrize("rate", [12_500.0, 250_000.0, 12_500_000.0])
@pytest.mark.parametrize("part", [16 << 10, 1 << 20])
async def test_the_rate_is_that_of_the_policy(rate, part, late):
    """However long the parts are, and however late the loop wakes."""
    line = Line(late)
    bucket = Bucket(lambda: rate, line.clock, line.sleep)
    began, count = line.now, 200

    for _ in range(count):
        await bucket.take(part)

    assert count * part / (line.now - began) == pytest.approx(rate, rel=0.05)


async def test_what_was_not_used_is_not_saved_up():
    """After a pause the line is not flooded."""
    line = Line()
    bucket = Bucket(lambda: 1000.0, line.clock, line.sleep)
    await bucket.take(1000)
    line.now += 3600
    before = line.now

    await bucket.take(1000)

    assert line.now - before == pytest.approx(0.9)


async def test_a_limit_that_changes_counts_at_once():
    """The hour of another line of the policy has come."""
    line, rates = Line(), iter((1000.0, None, 1000.0))
    bucket = Bucket(lambda: next(rates), line.clock, line.sleep)
    seen = [line.now]

    for _ in range(3):
        await bucket.take(1000)
        seen.append(line.now)

    assert [b - a for a, b in pairwise(seen)] == [1.0, 0.0, 1.0]


def test_a_part_takes_no_more_than_its_share_of_a_slow_line():
    """A limit that begins is obeyed at once, and a part is never below the least."""
    assert Bucket(lambda: 250_000.0).part(1 << 20, 16 << 10) == 62_500
    assert Bucket(lambda: 12_500.0).part(1 << 20, 16 << 10) == 16 << 10
    assert Bucket(unlimited).part(1 << 20, 16 << 10) == 1 << 20


async def test_two_who_share_a_line_share_its_rate():
    """The limit is the site's, not each transfer's."""
    bucket = Bucket(lambda: 400_000.0)
    began = time.monotonic()

    async def carry():
        for _ in range(10):
            await bucket.take(10_000)

    await asyncio.gather(carry(), carry())

    assert 200_000 / (time.monotonic() - began) == pytest.approx(400_000, rel=0.25)
