"""Waiting for a round to change."""

import asyncio
import threading

import pytest

from coordinator.rounds.watch import Watch
from coordinator.wire.servicer import RoundServicer
from privacy.errors import MalformedMessage
from privacy.identifiers import PeerIdentity
from tests import fakes
from tests.coordinator.seated_federation import SeatedFederation
from tests.coordinator.seated_round import SEATS
from tests.fakes import SITES
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


def called_by(monkeypatch, name):
    """Let calls without a channel come from a member."""
    identity = PeerIdentity(fakes.FEDERATION, "participant", name)
    monkeypatch.setattr("coordinator.wire.servicer.peer_identity", lambda _: identity)


async def test_a_seat_says_with_every_call_which_process_it_is(monkeypatch):
    """The newest counts; who has no seat is not asked."""
    service = SeatedFederation().service
    rounds = RoundServicer(service, None, Watch(service.rounds))
    for name, start in ((SEATS[0], "aa"), (SEATS[1], "bb"), (SEATS[0], "cc"), (SITES[0], "dd")):
        called_by(monkeypatch, name)
        await rounds.WatchRounds(round_pb2.WatchRoundsRequest(start=start * 32), None)

    assert service.starts.of_plan() == ("cc" * 32, "bb" * 32, "")


async def test_a_seat_that_says_no_start_is_refused(monkeypatch):
    """No plan could name it, and its operator would wait in vain."""
    service = SeatedFederation().service
    called_by(monkeypatch, SEATS[0])

    with pytest.raises(MalformedMessage, match="no start"):
        await RoundServicer(service, None, Watch(service.rounds)).WatchRounds(
            round_pb2.WatchRoundsRequest(), None
        )


@pytest.mark.parametrize(("finished", "halted"), [(False, False), (True, False), (False, True)])
async def test_a_member_is_told_whether_to_leave_or_to_wait_for_the_operator(
    service, monkeypatch, finished, halted
):
    """A halted programme is not a finished one."""
    monkeypatch.setattr(service, "finished", lambda: finished)
    monkeypatch.setattr(service, "halted", lambda: halted)
    called_by(monkeypatch, fakes.SITES[0])

    answer = await RoundServicer(service, None, Watch(service.rounds)).WatchRounds(
        round_pb2.WatchRoundsRequest(), None
    )

    assert (answer.finished, answer.halted) == (finished, halted)


async def test_nobody_waits_for_a_process_that_is_about_to_stop(service):
    """A site goes on to another coordinator at once, and not after its wait."""
    watch = Watch(service.rounds)
    waiting = asyncio.create_task(watch.beyond(service.rounds.revision, 10))
    await asyncio.sleep(0)

    watch.end()

    async with asyncio.timeout(1):
        await waiting
        await watch.beyond(service.rounds.revision, 10)
