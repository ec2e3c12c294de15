"""Releases on both sides of a real connection: neighbours work, others are told why not."""

from contextlib import asynccontextmanager

import grpc.aio
import pytest

import coordinator.wire.interceptors
import participant.wire.releases
from participant.wire.channel import open_channel
from participant.wire.coordinator import Coordinator
from participant.wire.tls import channel_credentials
from privacy.errors import ReleaseMismatch
from tests import fakes
from tests.coordinator.served import served
from tests.loopback import endpoint, make_federation
from veilsum.release import METADATA

URI = "spiffe://oncology/participant/hospital-a"


@pytest.fixture(scope="module")
def certified():
    return make_federation()


@asynccontextmanager
async def site(certified, address, channel=None):
    """A member's end of a connection."""

    async def explain():
        raise AssertionError("the connection is there")

    made = Coordinator(channel or open_channel(address, certified.forged(URI)), explain)
    yield made
    await made.close()


def says_nothing(certified, address):
    """A channel from before releases were said."""
    return grpc.aio.secure_channel(address, channel_credentials(certified.forged(URI)))


@pytest.mark.parametrize("older", ["coordinator", "site"])
async def test_one_minor_release_apart_works(certified, monkeypatch, older):
    """Whichever side is upgraded first."""
    monkeypatch.setattr(participant.wire.releases, "RELEASE", f"0.{7 - (older == 'site')}.0")
    monkeypatch.setattr(
        coordinator.wire.interceptors, "RELEASE", f"0.{7 - (older == 'coordinator')}.3"
    )

    async with (
        served(fakes.Federation().service, certified) as address,
        site(certified, address) as member,
    ):
        assert (await member.watch(0, (), 0.0)).revision > 0


@pytest.mark.parametrize(
    ("theirs", "who"),
    [("0.5.0", "this site upgrades to 0.7.3"), ("0.9.0", "the coordinator upgrades to 0.9.0")],
)
async def test_two_apart_are_refused_with_both_named(certified, monkeypatch, theirs, who):
    """By the coordinator, before it looks at anything else; unary calls and streams alike."""
    monkeypatch.setattr(participant.wire.releases, "RELEASE", theirs)
    monkeypatch.setattr(coordinator.wire.interceptors, "RELEASE", "0.7.3")

    async with (
        served(fakes.Federation().service, certified) as address,
        site(certified, address) as member,
    ):
        with pytest.raises(ReleaseMismatch, match=rf"runs Veilsum 0\.7\.3, .*{who}"):
            await member.watch(0, (), 0.0)
        with pytest.raises(ReleaseMismatch, match=who):
            await member.masks(1, 3)


async def test_a_caller_without_a_release_is_refused(certified):
    """What it would make of the answer, nobody has tested."""
    async with (
        served(fakes.Federation().service, certified) as address,
        site(certified, address, says_nothing(certified, address)) as member,
    ):
        with pytest.raises(ReleaseMismatch, match="does not say which release it runs"):
            await member.watch(0, (), 0.0)


async def test_a_site_believes_no_coordinator_that_does_not_say_its_release(certified):
    """A coordinator from before releases were said refuses nobody, so the site does."""
    async with (
        endpoint(certified) as address,
        open_channel(address, certified.forged(URI)) as open_,
    ):
        with pytest.raises(ReleaseMismatch, match="the coordinator does not say"):
            await open_.unary_unary("/veilsum.v1.RoundService/GetPlan")(b"", timeout=5)


async def test_health_is_answered_to_everybody(certified):
    """A load balancer has no release."""
    async with (
        served(fakes.Federation().service, certified) as address,
        says_nothing(certified, address) as channel,
    ):
        answer = await channel.unary_unary("/grpc.health.v1.Health/Check")(b"", timeout=5)

    assert answer.startswith(b"\x08")


async def test_an_answer_names_the_release_that_made_it(certified):
    """Refusals as well: whoever reads a log sees which release said so."""
    async with (
        served(fakes.Federation().service, certified) as address,
        says_nothing(certified, address) as channel,
    ):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await channel.unary_unary("/veilsum.v1.RoundService/GetPlan")(b"", timeout=5)

    trailing = dict(refused.value.trailing_metadata())
    assert trailing[METADATA] == coordinator.wire.interceptors.RELEASE
