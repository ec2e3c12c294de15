"""A site's channel carries chunks to the coordinator that its address names."""

import grpc
import pytest

from participant.wire.channel import LARGEST_MESSAGE, open_channel
from tests.loopback import SITE_URI, endpoint, make_federation, new_keys


async def test_a_server_name_stands_for_another_address():
    """A coordinator behind a tunnel is reached under one name and certified for another."""
    federation = make_federation("coordinator.example")
    site = federation.site(new_keys())

    async with endpoint(federation) as address:
        async with open_channel(address, site, server_name="coordinator.example") as channel:
            answer = await channel.unary_unary("/test/WhoAmI")(b"", timeout=5)
        async with open_channel(address, site, server_name="other.example") as channel:
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await channel.unary_unary("/test/WhoAmI")(b"", timeout=5)

    assert answer == SITE_URI.encode()
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_chunk_fits_and_what_is_larger_does_not_leave():
    federation = make_federation()
    site = federation.site(new_keys())

    async with endpoint(federation) as address, open_channel(address, site) as channel:
        await channel.unary_unary("/test/WhoAmI")(bytes(1 << 20), timeout=5)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await channel.unary_unary("/test/WhoAmI")(bytes(LARGEST_MESSAGE + 1), timeout=5)

    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_proxy_in_the_environment_is_not_used(monkeypatch):
    """The site decides where its traffic goes, in its own configuration."""
    federation = make_federation()
    site = federation.site(new_keys())
    for name in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")

    async with endpoint(federation) as address, open_channel(address, site) as channel:
        answer = await channel.unary_unary("/test/WhoAmI")(b"", timeout=5)

    assert answer == SITE_URI.encode()


async def test_a_new_channel_shows_the_new_certificate():
    """A certificate is renewed by a new channel; a shared connection would show the old one."""
    federation = make_federation()
    first = federation.site(new_keys())
    second_uri = "spiffe://oncology/participant/hospital-b"
    renewed = federation.forged(second_uri)

    async with endpoint(federation) as address, open_channel(address, first) as old:
        before = await old.unary_unary("/test/WhoAmI")(b"", timeout=5)
        async with open_channel(address, renewed) as new:
            after = await new.unary_unary("/test/WhoAmI")(b"", timeout=5)

    assert (before, after) == (SITE_URI.encode(), second_uri.encode())
