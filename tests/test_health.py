"""What a container's health check and a person at the machine are told."""

import subprocess
import sys

import grpc
import pytest

from coordinator.wire.health import LIVENESS, READINESS, Health, open_door
from tests.ports import own_port
from veilsum.health import LIVENESS as ASKED
from veilsum.health import main


@pytest.fixture
async def door():
    """A process that lives and serves nothing yet, and its address."""
    health, address = Health(), f"127.0.0.1:{own_port()}"
    await health.begin()
    server = await open_door(address, health)
    yield health, address
    await server.stop(None)


async def asked(*words):
    """Run it as a container engine does; return its exit status and what it says."""
    import asyncio  # noqa: PLC0415

    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "veilsum.health", *words),
        stdout=subprocess.PIPE,
        env={"http_proxy": "http://127.0.0.1:9", "PATH": ""},
    )
    said, _ = await process.communicate()
    return process.returncode, said.decode().strip()


async def test_a_process_that_lives_is_healthy_though_it_stands_by(door) -> None:
    """A standby that were started anew for standing by would never lead."""
    _, address = door

    alive, ready = await asked(address), await asked(address, READINESS)

    assert alive == (0, "SERVING")
    assert ready == (1, "NOT_SERVING")


async def test_one_that_serves_rounds_is_ready(door) -> None:
    """What sends traffic asks for this."""
    health, address = door
    await health.serves(True)

    ready = await asked(address, READINESS)

    assert ready == (0, "SERVING")


def test_silence_is_not_health(capsys) -> None:
    """Nobody answers there; a check that hangs or passes would hide it."""
    status = main([f"127.0.0.1:{own_port()}"])

    assert status == 1
    assert capsys.readouterr().out.strip() in {
        grpc.StatusCode.UNAVAILABLE.name,
        grpc.StatusCode.DEADLINE_EXCEEDED.name,
    }


async def test_a_service_that_does_not_exist_is_not_healthy(door) -> None:
    """A misspelt word in a manifest must not look well."""
    _, address = door

    assert await asked(address, "readyness") == (1, "NOT_FOUND")


@pytest.mark.parametrize("words", [[], ["a:1", "b", "c"]])
def test_words_that_make_no_sense_are_refused(words, capsys) -> None:
    """With the status of a mistake in the command line."""
    assert main(words) == 2
    assert "usage:" in capsys.readouterr().err


def test_it_asks_for_what_the_process_offers() -> None:
    """The two names of one service must not drift apart."""
    assert ASKED == LIVENESS
