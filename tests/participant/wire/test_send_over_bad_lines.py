"""An upload over a line that is cut, deaf or slow arrives whole, and little of it goes twice."""

import asyncio
import time

import pytest

from coordinator.wire.servicer import ContributionServicer
from participant.wire import channel
from participant.wire.window import LEAST_PART
from tests.participant.bad_line import bad_line

OVERHEAD = 16_000
"""Bytes that a try takes beside the contribution: two handshakes and the header."""


async def test_a_line_cut_nineteen_times_costs_less_than_a_part_each(tmp_path):
    """Cut at 5 %, 10 %, … 95 % of what is sent: the sum of all is one contribution."""
    async with bad_line(tmp_path, chunks=24) as line:
        size = line.payload
        line.proxy.bandwidth(16_000_000)
        line.proxy.cut_after(size // 20, times=19)

        await asyncio.wait_for(line.send(), 60)

        again = line.proxy.sent - 1.02 * size - OVERHEAD * line.tries
        assert line.is_committed()
        assert line.proxy.resets >= 19
        assert again / 19 < size / 24  # a chunk is the most that one cut may cost


async def test_three_cuts_cost_two_percent(tmp_path):
    """What is behind in a chunk when it is cut stays; only what was under way goes again."""
    async with bad_line(tmp_path, chunks=4, ciphertexts=17) as line:
        size = line.payload
        line.proxy.bandwidth(16_000_000)
        line.proxy.cut_after(int(size / 4.5), times=3)

        await asyncio.wait_for(line.send(), 60)

        # A window is a fifth of a second: 2 % of what this line carries in half a minute.
        again = line.proxy.sent - size
        assert line.is_committed()
        assert line.tries == 4
        assert again < 0.02 * 30 * 16_000_000 / 8


@pytest.mark.deep
@pytest.mark.timeout(0)
async def test_three_cuts_cost_two_percent_of_64_mib_at_4_mbit_per_second(tmp_path):
    """All that a line carries counts: frames, TLS and four handshakes beside what goes again."""
    async with bad_line(tmp_path, chunks=64, ciphertexts=17) as line:
        size = line.payload
        line.proxy.bandwidth(4_000_000)
        line.proxy.latency(0.02, 0.004)
        line.proxy.cut_after(size // 4, times=3)

        began = time.monotonic()
        await line.send()

        seconds, more = time.monotonic() - began, line.proxy.sent - size
        print(f"{size >> 20} MiB, three cuts: {seconds:.0f} s, {more / size:.2%} more than was due")
        assert line.is_committed()
        assert line.proxy.resets == 3
        assert more < 0.02 * size


async def test_a_line_that_goes_deaf_is_given_up_and_the_upload_goes_on(tmp_path, monkeypatch):
    """As after a laptop's sleep: the connection looks open until nobody answers its pings."""
    sooner = {"grpc.keepalive_time_ms": 2_000, "grpc.http2.ping_timeout_ms": 1_000}
    options = tuple({**dict(channel._OPTIONS), **sooner}.items())
    monkeypatch.setattr(channel, "_OPTIONS", options)
    async with bad_line(tmp_path, chunks=12) as line:
        line.proxy.bandwidth(8_000_000)
        line.proxy.truncate_after(line.payload // 2)

        began = time.monotonic()
        await asyncio.wait_for(line.send(), 60)

        assert line.is_committed()
        assert line.proxy.sent < 2 * line.payload
        assert time.monotonic() - began < 10


async def test_a_site_on_a_very_slow_line_is_heard_while_it_sends(tmp_path):
    """At 64 kbit/s a chunk takes two minutes; its word and its parts come every few seconds."""
    async with bad_line(tmp_path, chunks=1, ciphertexts=17) as line:
        progress, heard = line.federation.service.progress, []
        line.proxy.bandwidth(64_000)
        sending = asyncio.create_task(line.send())
        began = time.monotonic()
        while time.monotonic() - began < 7:
            asked = time.monotonic()
            await line.coordinator.watch(0, [1], 0.0)
            heard.append(time.monotonic() - asked)
            await asyncio.sleep(0.5)
        sending.cancel()

        here = line.federation.service.arrivals.stragglers(1, ["hospital-a"])

        assert max(heard) < 3
        assert progress.quiet(1)[0] == 0  # by the test's own clock
        assert line.proxy.sent > 2 * LEAST_PART
        assert "of 1.0 MiB" in here[0].reason
        assert not here[0].reason.startswith("at 0 %")


async def test_one_flipped_bit_ends_the_connection_and_not_the_upload(tmp_path):
    """TLS notices; the same bytes go again."""
    async with bad_line(tmp_path, chunks=8) as line:
        line.proxy.corrupt(line.payload // 2)

        await asyncio.wait_for(line.send(), 30)

        assert line.is_committed()
        assert line.tries == 2


@pytest.mark.parametrize("times", [1, 3])
async def test_a_coordinator_that_is_away_for_a_while_is_found_again(tmp_path, times):
    """It refuses connections and takes them again at the same address."""
    async with bad_line(tmp_path, chunks=8) as line:
        line.proxy.bandwidth(8_000_000)
        sending = asyncio.create_task(line.send())
        for _ in range(times):
            await asyncio.sleep(0.1)
            line.proxy.down()
            await asyncio.sleep(0.1)
            line.proxy.up()

        await asyncio.wait_for(sending, 30)

        assert line.is_committed()


async def test_a_site_begins_again_where_what_was_here_is_forgotten_after_it_asked(
    tmp_path, monkeypatch
):
    """Another coordinator leads by then, or others needed the room; the round is not lost."""
    forgotten = []
    real = ContributionServicer.BeginContribution

    async def begin(servicer, request, context):
        answer = await real(servicer, request, context)
        if answer.bytes:
            forgotten.append(answer.bytes)
            while servicer._transfers._forget_oldest():
                pass
        return answer

    monkeypatch.setattr(ContributionServicer, "BeginContribution", begin)
    async with bad_line(tmp_path, chunks=2, ciphertexts=17) as line:
        line.proxy.bandwidth(8_000_000)
        line.proxy.cut_after(400_000, times=1)

        await asyncio.wait_for(line.send(), 60)

        assert forgotten
        assert line.is_committed()
