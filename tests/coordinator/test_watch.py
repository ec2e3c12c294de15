"""Waiting for a round to change."""

import asyncio
import threading

import pytest

from coordinator.servicer import RoundServicer
from coordinator.watch import Watch
from tests import fakes
from veilsum.v1 import round_pb2


@pytest.fixture
def service():
    return fakes.Federation().service


async def test_a_change_wakes_all_who_wait(service):
    """The change comes from a thread, the waiting is on the loop."""
    watch, seen = Watch(service.rounds), service.rounds.revision
    waiting = [asyncio.create_task(watch.beyond(seen, 30)) for _ in range(3)]
    await asyncio.sleep(0)

    threading.Thread(target=service.rounds.announce).start()

    await asyncio.wait_for(asyncio.gather(*waiting), 5)
    assert service.rounds.revision == seen + 1


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), float("-inf")])
async def test_who_gives_no_time_does_not_wait(service, seconds):
    waiting = asyncio.create_task(Watch(service.rounds).beyond(service.rounds.revision, seconds))

    done, _ = await asyncio.wait({waiting}, timeout=5)

    assert done == {waiting}


@pytest.mark.parametrize("seen", [0, 10_000])
async def test_who_has_seen_another_revision_does_not_wait(service, seen):
    """Above ours too: it saw that one before the coordinator was started again."""
    waiting = asyncio.create_task(Watch(service.rounds).beyond(seen, 30))

    done, _ = await asyncio.wait({waiting}, timeout=5)

    assert done == {waiting}


@pytest.mark.parametrize(("finished", "halted"), [(False, False), (True, False), (False, True)])
async def test_a_member_is_told_whether_to_leave_or_to_wait_for_the_operator(
    service, monkeypatch, finished, halted
):
    """A halted programme is not a finished one."""
    monkeypatch.setattr(service, "finished", lambda: finished)
    monkeypatch.setattr(service, "halted", lambda: halted)

    answer = await RoundServicer(service, None, Watch(service.rounds)).WatchRounds(
        round_pb2.WatchRoundsRequest(), None
    )

    assert (answer.finished, answer.halted) == (finished, halted)
