"""Calls under way end when their caller may not begin them any more; without any connection."""

import asyncio
import threading

import pytest

from coordinator.members.revocations import Revocations
from coordinator.members.rosters import Rosters
from coordinator.wire import standing as wire
from coordinator.wire.authorise import Permissions
from coordinator.wire.certified import Certified
from coordinator.wire.standing import Arriving, Attended, Call, Standing
from privacy.errors import CertificateEnded, CertificateRevoked, NotYet, WrongIdentity
from privacy.identifiers import PeerIdentity
from tests import fakes
from tests.coordinator.memory_store import MemoryStore
from tests.fakes import ManualClock
from veilsum.v1 import options_pb2 as options

MEMBER = frozenset({options.CALLER_MEMBER})
CERTIFIED = frozenset({options.CALLER_CERTIFIED})


def certified(name, begins_at=0.0, ends_at=2_000.0):
    return Certified(PeerIdentity("oncology", "participant", name), begins_at, ends_at)


class World:
    """A founded federation at second 1000, and calls that wait for nothing in particular."""

    def __init__(self, roster=None):
        self.clock = ManualClock(1_000.0)
        self.store = MemoryStore()
        self.rosters = Rosters(self.store, fakes.make_roster())
        self.rosters._current = roster or fakes.make_roster()
        self.revocations = Revocations(self.store, self.clock)
        permissions = Permissions("oncology", self.rosters, fakes.OPENERS)
        self.standing = Standing(permissions, self.revocations, self.clock)

    def begin(self, name, callers=MEMBER, wait=None, **times):
        """Return the task of a call on which nothing moves."""

        async def call():
            with Call(self.standing, certified(name, **times), callers):
                await (wait or asyncio.sleep)(60)

        return asyncio.create_task(call())


async def ended(task, seconds=1.0):
    """Return how a task ended, within so many seconds."""
    done, _ = await asyncio.wait({task}, timeout=seconds)
    assert done, "it goes on"
    return task.exception()


@pytest.fixture
def looks_often(monkeypatch):
    monkeypatch.setattr(wire, "LOOK_SECONDS", 0.02)


async def test_a_revocation_ends_what_is_under_way_at_once():
    """Nobody waits for the next look; the operator's call may come on any thread."""
    world = World()
    shut_out, other = world.begin("hospital-a"), world.begin("hospital-b")
    await asyncio.sleep(0)

    await asyncio.to_thread(world.revocations.revoke, "hospital-a", "stolen", "operator")

    assert isinstance(await ended(shut_out, wire.LOOK_SECONDS / 4), CertificateRevoked)
    assert not other.done()
    other.cancel()


async def test_an_idle_call_ends_with_its_certificate(looks_often):
    world = World()
    call, longer = world.begin("hospital-a"), world.begin("hospital-b", ends_at=9_000.0)
    await asyncio.sleep(0.1)
    assert not call.done()

    world.clock.at = 2_000.5

    assert isinstance(await ended(call), CertificateEnded)
    assert not longer.done()
    longer.cancel()


async def test_an_idle_call_ends_with_its_callers_role(looks_often):
    """Members have admitted a roster without it: that is as good as a refusal at the start."""
    world = World()
    call, other = world.begin("hospital-d"), world.begin("hospital-a")
    await asyncio.sleep(0.1)

    world.rosters._current = fakes.make_roster(sites=("hospital-a", "hospital-b", "hospital-c"))

    assert isinstance(await ended(call), WrongIdentity)
    assert not other.done()
    other.cancel()


async def test_it_ends_even_if_nobody_says_that_something_has_changed(looks_often):
    """The look each second is a second line behind the word of the revocation."""
    world = World()
    world.revocations._told.clear()
    call = world.begin("hospital-a")
    await asyncio.sleep(0)

    world.revocations.revoke("hospital-a", "stolen", "operator")

    assert isinstance(await ended(call), CertificateRevoked)


async def test_a_wait_that_swallows_its_end_is_ended_by_the_next_look(looks_often):
    world, swallowed = World(), []

    async def swallow(seconds):
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            swallowed.append(1)
        await asyncio.sleep(seconds)

    call = world.begin("hospital-a", wait=swallow)
    await asyncio.sleep(0)

    world.revocations.revoke("hospital-a", "stolen", "operator")

    assert isinstance(await ended(call), CertificateRevoked)
    assert swallowed == [1]


async def test_a_call_that_its_caller_has_cancelled_is_cancelled_and_not_refused():
    world = World()
    call = world.begin("hospital-a")
    await asyncio.sleep(0)

    call.cancel()

    with pytest.raises(asyncio.CancelledError):
        await call


async def test_what_has_left_is_not_cancelled_any_more(looks_often):
    """What a task does after its call, such as saying why it ended, nobody cuts off."""
    world = World()

    async def call():
        with Call(world.standing, certified("hospital-a"), MEMBER):
            pass
        await asyncio.sleep(0.1)
        return "said"

    task = asyncio.create_task(call())
    await asyncio.sleep(0)
    world.revocations.revoke("hospital-a", "stolen", "operator")

    assert await task == "said"


async def test_nobody_looks_while_nothing_is_under_way(looks_often):
    """And somebody does again with the next call."""
    world = World()
    call = world.begin("hospital-a")
    await asyncio.sleep(0)
    call.cancel()
    await asyncio.sleep(0.1)
    assert world.standing._timer is None

    again = world.begin("hospital-a")
    await asyncio.sleep(0)
    world.clock.at = 3_000.0

    assert isinstance(await ended(again), CertificateEnded)


async def test_a_revocation_after_the_loops_end_harms_nothing():
    """A process that stops may still be told."""
    world = World()

    def run_and_end():
        async def briefly():
            world.begin("hospital-a").cancel()
            await asyncio.sleep(0)

        asyncio.run(briefly())

    thread = threading.Thread(target=run_and_end)
    thread.start()
    await asyncio.to_thread(thread.join)

    world.revocations.revoke("hospital-a", "stolen", "operator")

    assert world.revocations.of("hospital-a")


# -- the beginning ---------------------------------------------------------------------


@pytest.mark.parametrize("callers", [MEMBER, CERTIFIED])
async def test_what_may_not_go_on_may_not_begin(callers):
    """Whatever the method asks for: a certificate that does not count names nobody."""
    world = World()
    await world.standing.admit(certified("hospital-a"), callers)

    with pytest.raises(CertificateEnded):
        await world.standing.admit(certified("hospital-a", ends_at=999.0), callers)
    world.revocations.revoke("hospital-a", "stolen", "operator")
    with pytest.raises(CertificateRevoked):
        await world.standing.admit(certified("hospital-a"), callers)


async def test_a_certificate_counts_to_its_last_second():
    world = World()

    await world.standing.admit(certified("hospital-a", ends_at=1_000.0), MEMBER)


async def test_before_the_roster_is_founded_certificates_are_looked_at_first():
    """Who is shut out learns that, and costs the database nothing."""
    world = World()
    world.rosters._current = None
    world.revocations.revoke("hospital-b", "stolen", "operator")

    await world.standing.admit(certified("hospital-a"), CERTIFIED)
    with pytest.raises(NotYet):
        await world.standing.admit(certified("hospital-a"), MEMBER)
    with pytest.raises(CertificateRevoked):
        await world.standing.admit(certified("hospital-b"), MEMBER)


# -- messages that come ----------------------------------------------------------------


class Refuses:
    """A check that refuses from the second time on."""

    def __init__(self):
        self.asked = 0

    def __call__(self):
        self.asked += 1
        if self.asked > 1:
            raise CertificateRevoked("stolen")


async def test_a_message_that_comes_too_late_is_read_by_nobody():
    class Context:
        def __init__(self):
            self.name, self.parts = "as it is", iter([b"first", b"second"])

        async def read(self):
            return next(self.parts)

    attended = Attended(Context(), Refuses())

    assert await attended.read() == b"first"
    with pytest.raises(CertificateRevoked):
        await attended.read()
    assert attended.name == "as it is"


async def test_the_same_of_messages_that_are_iterated_over():
    async def messages():
        yield b"first"
        yield b"second"

    arriving = Arriving(messages(), Refuses())

    assert await anext(arriving) == b"first"
    with pytest.raises(CertificateRevoked):
        await anext(arriving)


async def test_messages_end_where_they_end():
    async def messages():
        yield b"only"

    assert [each async for each in Arriving(messages(), lambda: None)] == [b"only"]
