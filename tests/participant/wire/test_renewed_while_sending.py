"""A certificate that ends every few seconds interrupts no upload, and sends nothing twice."""

import asyncio
import time

import pytest

from participant.keys import load_renewed
from tests.participant.bad_line import BadLine, bad_line
from tests.participant.renewing import Issuing, rotation_of

OVERHEAD = 20_000
"""Bytes of one renewal: two proofs, two handshakes, and a header that is sent again."""


async def keep_watching(line: BadLine, waits: list[float]) -> None:
    """Call the coordinator as an agent does, and note how long each call took."""
    while True:
        began = time.monotonic()
        await line.coordinator.watch(0, [1], 0.0)
        waits.append(time.monotonic() - began)
        await asyncio.sleep(0.25)


async def send_through(line: BadLine, folder, life: float, seconds: float) -> tuple[int, float]:
    """Send at such a rate that it takes so long; return how often the certificate was renewed."""
    issuing, waits = Issuing(line.certified, life), []
    rotation = rotation_of(line.connections, issuing, folder)
    line.proxy.bandwidth(line.payload * 8 / seconds)
    watching = asyncio.create_task(keep_watching(line, waits))
    await rotation.renew()  # from here on, no certificate lives longer than that
    async with rotation.running():
        await line.send()
    assert not watching.done()  # a call that failed would have ended it
    watching.cancel()
    return issuing.issued, max(waits)


@pytest.mark.deep
async def test_certificates_of_six_seconds_do_not_interrupt_an_upload_of_half_a_minute(tmp_path):
    async with bad_line(tmp_path, chunks=8, ciphertexts=4) as line:
        size = line.payload

        renewed, _ = await send_through(line, tmp_path, life=6, seconds=30)

        again = line.proxy.sent - size - renewed * OVERHEAD
        assert line.is_committed()
        assert line.tries == 1
        assert renewed >= 8
        assert again < 0.05 * size
        assert load_renewed(tmp_path / "keys").certificate_pem in (
            line.connections.certificate.certificate_pem
        )


async def test_an_upload_moves_to_the_new_connection_in_the_middle_of_a_chunk(tmp_path):
    """What was acknowledged is not sent again, not even of a chunk that is not whole."""
    async with bad_line(tmp_path, chunks=1, ciphertexts=17) as line:
        line.proxy.bandwidth(line.payload * 8 / 4)
        issuing = Issuing(line.certified, 60)
        rotation = rotation_of(line.connections, issuing, tmp_path)
        sending = asyncio.create_task(line.send())
        for _ in range(3):
            await asyncio.sleep(0.2)
            await rotation.renew()
            async with asyncio.timeout(0.9):
                while [each.connections for _, each in line.connections._rotating] != [1, 1]:
                    await asyncio.sleep(0.01)  # the old one has nothing left to carry
        assert not sending.done()

        await sending

        assert line.is_committed()
        assert line.tries == 1
        assert line.proxy.sent < line.payload + 3 * OVERHEAD + 0.02 * line.payload


async def test_the_old_connections_are_closed_once_nothing_is_under_way(tmp_path):
    async with bad_line(tmp_path, chunks=1) as line:
        rotation = rotation_of(line.connections, Issuing(line.certified, 60), tmp_path)
        await line.coordinator.watch(0, [], 0.0)

        for _ in range(3):
            await rotation.renew()
            await line.coordinator.watch(0, [], 0.0)
        await asyncio.sleep(0.1)

        assert [each.connections for _, each in line.connections._rotating] == [1, 1]


@pytest.mark.deep
@pytest.mark.timeout(0)
async def test_certificates_of_a_minute_do_not_interrupt_an_upload_of_ten(tmp_path):
    async with bad_line(tmp_path, chunks=64, ciphertexts=17) as line:
        size, began = line.payload, time.monotonic()

        renewed, longest = await send_through(line, tmp_path, life=60, seconds=600)

        seconds, more = time.monotonic() - began, line.proxy.sent - size
        print(
            f"{size >> 20} MiB in {seconds:.0f} s, {renewed} renewals: {more / size:.2%} more than "
            f"was due, longest call {longest:.2f} s"
        )
        assert line.is_committed()
        assert line.tries == 1
        assert renewed >= 10
        assert seconds > 590
        assert more < 0.02 * size + renewed * OVERHEAD
