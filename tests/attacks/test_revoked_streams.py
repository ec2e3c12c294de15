"""A stolen key on connections that are open already: shut out on all of them within five seconds.

A thief need not call again: what it has open, it would go on reading and sending for as long as
a connection lives. Each attack has its control: the same stream of a member that nobody has shut
out goes on.
"""

import asyncio
import time
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta

import grpc
import grpc.aio
import pytest

from coordinator.adapters.authority import certify_participant
from coordinator.intake.contributions import Contributions
from coordinator.members.revocations import Revocations
from coordinator.opening.sums import Sums
from coordinator.wire import standing
from participant.keys import certificate_request
from participant.wire.channel import open_channel
from participant.wire.ending import Ending
from participant.wire.tls import SiteCertificate
from tests.coordinator.every_method import uri_of, with_members
from tests.coordinator.served import served
from tests.fakes import AUDITOR, OPENERS, SITES, Federation, make_roster, make_settings
from tests.loopback import FEDERATION, HOUR, make_federation, new_keys, utc_now
from veilsum.v1 import cohort_pb2, contribution_pb2, operator_pb2, round_pb2, seat_pb2

MOST_SECONDS = 5.0
"""What is promised between the operator's word, or a certificate's end, and the refusal."""

CHUNK = bytes(1 << 20)
TRAINER, HONEST = "hospital-d", "hospital-c"


@dataclass
class World:
    """A coordinator whose streams never end by themselves, and what it was made to do when."""

    federation: Federation
    address: str = ""
    put: list[tuple[str, float]] = field(default_factory=list)
    given: list[tuple[str, float]] = field(default_factory=list)

    def put_chunk(self, caller, *_):
        self.put.append((caller, time.monotonic()))
        return len(self.put)

    def contribution(self, caller, *_):
        self.given.append((caller, time.monotonic()))
        return CHUNK


@pytest.fixture(scope="module")
def certified():
    return make_federation()


@pytest.fixture
async def world(certified, monkeypatch):
    federation = Federation(settings=make_settings(auditor=AUDITOR))
    federation.open_round()
    service, made = federation.service, World(federation)
    service.revocations = Revocations(service.store, time.time)
    service.now = time.time
    monkeypatch.setattr(Contributions, "put_chunk", lambda _, *of: made.put_chunk(*of))
    monkeypatch.setattr(Sums, "to_audit", lambda *_: [(0, SITES[0])] * 100_000)
    monkeypatch.setattr(Sums, "contribution", lambda _, *of: made.contribution(*of))
    async with served(service, certified, federation.settings) as made.address:
        yield made


# -- what a thief has open -----------------------------------------------------------------


async def upload(channel):
    """Send chunk after chunk; each that is answered is durable."""
    call = channel.stream_stream("/veilsum.v1.ContributionService/PutChunks")()
    ending = Ending(call)
    request = contribution_pb2.PutChunksRequest(round=1, payload=b"chunk").SerializeToString()
    with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
        while await _exchanged(call, request):
            await asyncio.sleep(0.01)
    raise await reason(call, ending)


async def _exchanged(call, request):
    await call.write(request)
    return await call.read() is not grpc.aio.EOF


async def idle_upload(channel):
    """Open an upload, and send nothing."""
    raise await silence(channel.stream_stream("/veilsum.v1.ContributionService/PutChunks")())


async def download(channel):
    """Read contribution after contribution, as fast as they come."""
    request = cohort_pb2.GetContributionsRequest(round=1).SerializeToString()
    async for _ in channel.unary_stream("/veilsum.v1.CohortService/GetContributions")(request):
        pass


async def watch(channel):
    """Wait for news of rounds, of which there are none."""
    seen = 0
    call = channel.unary_unary("/veilsum.v1.RoundService/WatchRounds")
    while True:
        request = round_pb2.WatchRoundsRequest(seen=seen, wait_seconds=10.0)
        answer = await call(request.SerializeToString())
        seen = round_pb2.WatchRoundsResponse.FromString(answer).revision


async def letters(channel):
    """Wait for letters, of which there are none."""
    call = channel.unary_unary("/veilsum.v1.RelayService/CollectLetters")
    while True:
        await call(seat_pb2.CollectLettersRequest(wait_seconds=10.0).SerializeToString())


async def idle_model(channel):
    """Open the upload of a model, and send nothing."""
    raise await silence(channel.stream_stream("/veilsum.v1.ModelService/PutSealedModel")())


async def silence(call):
    """Return how the coordinator ends a stream on which nothing is sent."""
    ending = Ending(call)
    with suppress(grpc.aio.AioRpcError):
        await call.read()
    return await reason(call, ending)


async def reason(call, ending):
    """Return why a stream has ended."""
    code = await call.code()
    return ending.error or AssertionError(f"it ended as {code}")


STREAMS = {
    "upload": (upload, TRAINER),
    "idle upload": (idle_upload, TRAINER),
    "download": (download, AUDITOR),
    "watch": (watch, TRAINER),
    "letters": (letters, TRAINER),
    "idle model": (idle_model, OPENERS[0]),
}


@asynccontextmanager
async def opened(world, site, use):
    """Have one stream open, as the task that ends with it."""
    async with open_channel(world.address, site) as channel:
        task = asyncio.create_task(use(channel))
        await asyncio.sleep(0.3)
        yield task
        task.cancel()


async def refusal(task):
    """Return why a stream has ended, within what is promised."""
    done, _ = await asyncio.wait({task}, timeout=MOST_SECONDS)
    assert done, f"it is open after {MOST_SECONDS} s"
    error = task.exception()
    return error.code(), dict(error.trailing_metadata() or ()).get("veilsum-error")


# -- revoked -------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", STREAMS)
async def test_an_open_stream_ends_when_its_member_is_revoked(
    world, certified, stream, record_property
):
    """Idle or not, and whichever way its messages go; the same of another member goes on."""
    use, name = STREAMS[stream]
    stolen, honest = certified.forged(uri_of(name)), certified.forged(uri_of(HONEST))
    async with opened(world, stolen, use) as thief, opened(world, honest, watch) as control:
        assert not thief.done()
        begun = time.monotonic()

        await asyncio.to_thread(
            world.federation.service.revocations.revoke, name, "stolen", "operator"
        )

        assert await refusal(thief) == (grpc.StatusCode.PERMISSION_DENIED, "certificate_revoked")
        record_property("seconds", time.monotonic() - begun)
        assert not control.done()


async def test_the_same_streams_stay_open_while_nobody_is_revoked(world, certified):
    """The control: neither the look each second nor another's revocation ends any of them."""
    async with AsyncExitStack() as open_:
        members = [
            await open_.enter_async_context(opened(world, certified.forged(uri_of(name)), use))
            for use, name in STREAMS.values()
        ]
        world.federation.service.revocations.revoke("hospital-b", "stolen", "operator")

        await asyncio.sleep(1.3)

        assert not any(each.done() for each in members)


@pytest.mark.parametrize("stream", ["upload", "download"])
async def test_what_moves_is_asked_about_message_by_message(world, certified, stream, monkeypatch):
    """Though nobody says that somebody was shut out, and nobody looks."""
    monkeypatch.setattr(standing, "LOOK_SECONDS", 3600.0)
    revocations = world.federation.service.revocations
    revocations._told.clear()
    use, name = STREAMS[stream]
    async with (
        opened(world, certified.forged(uri_of(name)), use) as thief,
        opened(world, certified.forged(uri_of(HONEST)), idle_upload) as idle,
    ):
        for each in (name, HONEST):
            revocations.revoke(each, "stolen", "operator")

        assert await refusal(thief) == (grpc.StatusCode.PERMISSION_DENIED, "certificate_revoked")
        assert not idle.done()


async def test_an_answer_that_was_found_before_is_not_given_any_more(world, certified, monkeypatch):
    """Of a call that is not a stream, the answer is the message that is asked about."""
    service = world.federation.service
    service.revocations._told.clear()
    find = service.plan_as_kept

    def find_late(number):
        found = find(number)
        service.revocations.revoke(TRAINER, "stolen", "operator")
        return found

    monkeypatch.setattr(service, "plan_as_kept", find_late)
    request = round_pb2.GetPlanRequest(round=1).SerializeToString()
    async with open_channel(world.address, certified.forged(uri_of(TRAINER))) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await channel.unary_unary("/veilsum.v1.RoundService/GetPlan")(request, timeout=5)

    assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED


async def test_nothing_is_taken_or_given_after_a_revocation(world, certified):
    """What moves faster than anybody looks is asked about message by message."""
    names = {TRAINER: upload, AUDITOR: download}
    async with (
        opened(world, certified.forged(uri_of(TRAINER)), upload) as sends,
        opened(world, certified.forged(uri_of(AUDITOR)), download) as fetches,
    ):
        for name in names:
            world.federation.service.revocations.revoke(name, "stolen", "operator")
        revoked = time.monotonic()
        await asyncio.wait({sends, fetches}, timeout=MOST_SECONDS)
        await asyncio.sleep(0.3)

    assert world.put
    assert world.given
    # One may have been on its way to its thread.
    assert [at for _, at in (*world.put, *world.given) if at > revoked + 0.05] == []


async def test_a_reader_that_stalls_is_given_no_more_than_was_on_its_way(world, certified):
    """It takes nothing, so that no message would ever be asked about."""
    request = cohort_pb2.GetContributionsRequest(round=1).SerializeToString()
    async with open_channel(world.address, certified.forged(uri_of(AUDITOR))) as channel:
        call = channel.unary_stream("/veilsum.v1.CohortService/GetContributions")(request)
        await call.read()
        await asyncio.sleep(0.5)
        given = len(world.given)
        world.federation.service.revocations.revoke(AUDITOR, "stolen", "operator")
        await asyncio.sleep(0.3)

        ending, got = Ending(call), 1
        with suppress(grpc.aio.AioRpcError):
            while await call.read() is not grpc.aio.EOF:
                got += 1
        why = await reason(call, ending)

    assert why.code() is grpc.StatusCode.PERMISSION_DENIED
    assert got <= given == len(world.given)


async def test_a_thief_cannot_come_back(world, certified):
    """Not on the connection that it has, and not on another one."""
    stolen, revoke = certified.forged(uri_of(TRAINER)), world.federation.service.revocations.revoke
    request = round_pb2.WatchRoundsRequest().SerializeToString()
    async with open_channel(world.address, stolen) as channel:
        watch_once = channel.unary_unary("/veilsum.v1.RoundService/WatchRounds")
        await watch_once(request)
        revoke(TRAINER, "stolen", "operator")
        async with open_channel(world.address, stolen) as other:
            again = other.unary_unary("/veilsum.v1.RoundService/WatchRounds")
            for call in (watch_once, again):
                with pytest.raises(grpc.aio.AioRpcError) as refused:
                    await call(request, timeout=5)

                assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
                assert "stolen" in refused.value.details()


async def test_a_thief_is_shut_out_by_an_operators_call_and_stays_so_after_a_new_start(certified):
    """The whole way: the operator's method, the database, and the next process over it."""
    federation = Federation(roster=with_members(make_roster(), operator="operator"))
    federation.clock.at = time.time()
    stolen = certified.forged(uri_of(TRAINER))
    async with served(federation.start(), certified) as address:
        world = World(federation, address)
        async with opened(world, stolen, watch) as thief:
            await revoke_as(address, certified.forged(uri_of("operator")), TRAINER)
            at_once = await refusal(thief)

    async with served(federation.start(), certified) as address:
        async with opened(World(federation, address), stolen, watch) as thief:
            after = await refusal(thief)
        async with opened(World(federation, address), certified.forged(uri_of(HONEST)), watch) as c:
            assert not c.done()

    assert at_once == after == (grpc.StatusCode.PERMISSION_DENIED, "certificate_revoked")


async def revoke_as(address, operator, name):
    request = operator_pb2.RevokeRequest(participant=name, reason="its laptop was stolen")
    async with open_channel(address, operator) as channel:
        revoke = channel.unary_unary("/veilsum.v1.OperatorService/Revoke")
        await revoke(request.SerializeToString(), timeout=5)


# -- ended ---------------------------------------------------------------------------------


def ending_at(certified, name, end):
    """Return a certificate of a member that ends then."""
    keys = new_keys()
    request = certificate_request(keys, FEDERATION, name)
    certificate = certify_participant(certified.authority, request, name, now=end - HOUR, life=HOUR)
    return SiteCertificate(certified.authority.certificate_pem, certificate, keys.tls_pem)


async def end_of(world, site, use):
    """Return when a stream ended, in seconds since 1970, and why."""
    async with opened(world, site, use) as task:
        await asyncio.wait({task}, timeout=3 + MOST_SECONDS)
        return time.time(), await refusal(task)


async def test_open_streams_end_with_their_certificate(world, certified, record_property):
    """All kinds of them; the same with a certificate that lasts goes on."""
    end = (utc_now() + timedelta(seconds=3)).replace(microsecond=0)
    async with opened(world, certified.forged(uri_of(HONEST)), watch) as control:
        found = await asyncio.gather(
            *(end_of(world, ending_at(certified, name, end), use) for use, name in STREAMS.values())
        )
        assert not control.done()

    late = [at - end.timestamp() for at, _ in found]
    record_property("seconds", max(late))
    ended = grpc.StatusCode.PERMISSION_DENIED, "certificate_ended"
    assert [why for _, why in found] == [ended] * len(STREAMS)
    assert min(late) > 0
    assert max(late) < MOST_SECONDS
