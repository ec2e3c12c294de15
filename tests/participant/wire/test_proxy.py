"""A site goes through the proxy that its own file names, by CONNECT, and through no other."""

import asyncio

import pytest

from participant.config import CoordinatorAddress
from participant.wire.channel import open_channel, open_joining_channel
from participant.wire.connections import Connections
from participant.wire.proxy import ProxyRefused, dial, host_of, route
from participant.wire.unreachable import explain_unreachable
from privacy.configuration import decode
from privacy.errors import ConfigError, PeerUnreachable
from tests.loopback import SITE_URI, endpoint, make_federation, new_keys, utc_now
from tests.participant.proxy import connecting


@pytest.fixture(scope="module")
def certified():
    return make_federation()


async def test_calls_go_through_the_proxy_and_tls_ends_at_the_coordinator(certified):
    """The proxy hears the address and nothing else; both sides see each other's certificate."""
    site = certified.site(new_keys())

    async with endpoint(certified) as address:
        with connecting() as proxy:
            async with open_channel(address, site, proxy=proxy.setting) as channel:
                answer = await channel.unary_unary("/test/WhoAmI")(b"", timeout=5)

    assert answer == SITE_URI.encode()
    assert proxy.asked == [f"CONNECT {address} HTTP/1.1"]


@pytest.mark.parametrize("name", ["no_proxy", "no_grpc_proxy"])
async def test_the_environment_cannot_lead_past_the_proxy(certified, monkeypatch, name):
    """A machine's `no_proxy` would send a call on a way that the site did not choose."""
    monkeypatch.setenv(name, "127.0.0.1,*")
    site = certified.site(new_keys())

    async with endpoint(certified) as address:
        with connecting() as proxy:
            async with open_channel(address, site, proxy=proxy.setting) as channel:
                await channel.unary_unary("/test/WhoAmI")(b"", timeout=5)

    assert len(proxy.asked) == 1


async def test_a_coordinator_under_another_certificate_is_refused_through_a_proxy_too(certified):
    """A proxy that leads elsewhere, or looks in, does not get as far as a call."""
    site = certified.site(new_keys())
    where = None

    async with endpoint(make_federation()) as address:
        with connecting() as proxy:
            where = CoordinatorAddress(address, None, None, (), None, proxy.setting)
            connections = Connections(where, site)
            async with connections.channel() as channel:
                with pytest.raises(Exception, match="UNAVAILABLE"):
                    await channel.unary_unary("/test/WhoAmI")(b"", timeout=5)
            why = await connections.explain()

    assert "but from CN=" in why
    assert "intercepts TLS" in why


async def test_the_reason_is_found_through_the_proxy(certified):
    async with endpoint(certified) as address:
        with connecting() as proxy:
            found = await asyncio.to_thread(
                explain_unreachable, address, certified.site(new_keys()), now=utc_now(),
                proxy=proxy.setting,
            )  # fmt: skip

    assert "accepts this site's certificate" in str(found)
    assert set(proxy.asked) == {f"CONNECT {address} HTTP/1.1"}


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", "403 Forbidden .* must let the proxy connect there"),
        (b"HTTP/1.1 407 Authenticate\r\n\r\n", "407 .* asks for a password"),
        (b"HTTP/1.1 503 Unavailable\r\n\r\n", "does not reach that address"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", r"no proxy that takes HTTP CONNECT.*coordinator\.proxy"),
        (b"\x00\xff" * 20_000, "no proxy that takes HTTP CONNECT"),
    ],
)
def test_a_proxy_that_does_not_connect_says_why(certified, answer, words):
    """Each is for another person to mend."""
    with connecting(answer) as proxy:
        found = explain_unreachable(
            "coordinator.example:443", certified.site(new_keys()), now=utc_now(),
            proxy=proxy.setting, timeout_seconds=2,
        )  # fmt: skip

        with pytest.raises(ProxyRefused, match=words):
            dial("coordinator.example:443", proxy.setting, 2)

    assert isinstance(found, PeerUnreachable)


def test_a_proxy_that_is_not_there_is_told_from_a_coordinator_that_is_not(certified):
    found = explain_unreachable(
        "127.0.0.1:1", certified.site(new_keys()), now=utc_now(), proxy="http://127.0.0.1:1"
    )

    assert "no connection to the proxy http://127.0.0.1:1" in str(found)


async def test_who_has_no_certificate_yet_joins_through_the_proxy_too(certified):
    """The endpoint wants a certificate: what matters is that the call comes through the proxy."""
    async with endpoint(certified) as address:
        with connecting() as proxy:
            authority = certified.authority.certificate_pem
            async with open_joining_channel(address, authority, proxy=proxy.setting) as channel:
                with pytest.raises(Exception, match="UNAVAILABLE"):
                    await channel.unary_unary("/test/WhoAmI")(b"", timeout=2)

    assert proxy.asked[0] == f"CONNECT {address} HTTP/1.1"


def test_an_ipv6_address_keeps_its_brackets_on_the_way_and_loses_them_in_names():
    target, options = route("[2001:db8::7]:8443", "http://proxy.example:3128")

    assert target == "proxy.example:3128"
    assert dict(options)["grpc.http_connect_server"] == "[2001:db8::7]:8443"
    assert host_of("[2001:db8::7]:8443") == "2001:db8::7"


@pytest.mark.parametrize(
    "proxy",
    [
        "proxy.example:3128",
        "https://proxy.example:3128",
        "socks5://proxy.example:1080",
        "http://name:password@proxy.example:3128",
        "http://proxy.example",
        "http://proxy.example:3128/path",
        "http://proxy.example:3128\n",
    ],
)
def test_what_is_no_plain_proxy_is_refused_when_the_file_is_read(proxy):
    """No password stands in a site's file, and nothing is dropped without a word."""
    text = 'address = "a:1"\nauthority = "a.pem"\ncertificate = "c.pem"\n'

    with pytest.raises(ConfigError, match="proxy"):
        decode(f"{text}proxy = {proxy!r}\n".replace("'", '"'), CoordinatorAddress, "site.toml")
