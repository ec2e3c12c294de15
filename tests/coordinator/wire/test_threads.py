"""What must wait behind nobody has a thread of its own; members' calls have a few together."""

import asyncio
import threading

import pytest

from coordinator.wire.threads import CALLS, SIGNING, Signing, apart, bound_calls
from tests import fakes


@pytest.fixture
async def busy():
    """As many calls as there are threads for them, and more: all wait for a disk that hangs."""
    bound_calls()
    answers = threading.Event()
    calls = [asyncio.create_task(asyncio.to_thread(answers.wait, 10)) for _ in range(2 * CALLS)]
    await asyncio.sleep(0.05)
    yield calls
    answers.set()
    await asyncio.gather(*calls)


async def test_a_tick_begins_at_once_however_many_calls_wait(busy):
    """A round's deadline is nobody's to hold up, nor is the word that this process works."""
    service = fakes.Federation().service

    await asyncio.wait_for(apart(service.tick), 5)

    assert not any(each.done() for each in busy)


async def test_members_calls_have_so_many_threads_and_no_more(busy):
    calls = [each for each in threading.enumerate() if each.name.startswith("calls")]

    assert len(calls) == CALLS


async def test_what_is_done_apart_gives_what_it_gives_and_leaves_no_thread():
    threads = []

    def fail(what):
        threads.append(threading.current_thread())
        raise LookupError(what)

    with pytest.raises(LookupError, match="nothing"):
        await apart(fail, "nothing")

    threads[0].join(5)
    assert not threads[0].is_alive()


async def test_threads_for_a_signer_end_without_one_that_hangs():
    """Each term of leading would leave some behind."""
    signing, answers, begun = Signing(), threading.Event(), []

    def hang():
        begun.append(threading.current_thread())
        answers.wait(10)

    waiting = [asyncio.create_task(signing.run(hang)) for _ in range(SIGNING + 1)]
    while len(begun) < SIGNING:
        await asyncio.sleep(0.01)

    signing.close()

    assert [each.is_alive() for each in begun] == [True] * SIGNING
    answers.set()
    ended = await asyncio.gather(*waiting, return_exceptions=True)
    for each in begun:
        each.join(5)
    assert [each.is_alive() for each in begun] == [False] * SIGNING
    assert [type(each) for each in ended] == [type(None)] * SIGNING + [asyncio.CancelledError]
