"""An organisation's own authorities: another one under the same root speaks for nobody here.

Each refusal has a control: the same certificates get through where the root itself is trusted.
"""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_address

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from coordinator.adapters.authority import (
    Authority,
    ServerIdentity,
    certify_coordinator,
    certify_participant,
    make_issuing,
    make_root,
)
from coordinator.wire import tls
from participant.joining.link import Link
from participant.keys import certificate_request
from participant.wire.channel import open_channel
from participant.wire.unreachable import coordinator_uri_of, explain_unreachable
from privacy.errors import ConfigError, WrongIdentity
from privacy.identifiers import coordinator_uri
from tests.attacks.test_joining import ShowsAnothers, join, said_to
from tests.loopback import (
    FEDERATION,
    HOUR,
    SITE,
    SITE_URI,
    endpoint,
    make_federation,
    new_keys,
    pem,
    utc_now,
)
from tests.participant.joining import desk as at

KEYS = new_keys()
LIFE = timedelta(hours=20)


def authority_below(above, name, path_length=0):
    """Return one more authority, by whoever holds the key of `above`; it may name anybody."""
    key, now = ec.generate_private_key(ec.SECP256R1()), utc_now()
    builder = (
        x509.CertificateBuilder()
        .issuer_name(above.certificate.subject)
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - HOUR)
        .not_valid_after(above.certificate.not_valid_after_utc)
        .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
    )
    made = builder.sign(above.key, SHA256()).public_bytes(Encoding.PEM)
    return Authority(above.federation, made, key, above.certificate_pem)


def laptops_of(above):
    return authority_below(above, "laptops")


def without_uri(authority, identity):
    """Return a server's certificate for this host, as an authority of many things makes it."""
    key, like = (
        ec.generate_private_key(ec.SECP256R1()),
        x509.load_pem_x509_certificate(identity.certificate_pem),
    )
    builder = x509.CertificateBuilder(
        like.issuer,
        like.subject,
        key.public_key(),
        1,
        like.not_valid_before_utc,
        like.not_valid_after_utc,
    )
    name = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    made = builder.add_extension(name, False).sign(authority.key, SHA256())
    return ServerIdentity(made.public_bytes(Encoding.PEM), pem(key))


@pytest.fixture(scope="module")
def root():
    return make_root(FEDERATION, now=utc_now(), life=LIFE)


@pytest.fixture(scope="module")
def ours(root):
    issuing = make_issuing(root, now=utc_now(), life=LIFE, dns_names=["localhost"])
    return make_federation("localhost", "127.0.0.1", authority=issuing)


@pytest.fixture(scope="module")
def other(root):
    """Another authority of the organisation, which may name anybody."""
    return laptops_of(root)


def chained(other, leaf_pem):
    return leaf_pem + other.certificate_pem + other.above_pem


def member_by(other, trusted_pem):
    request = certificate_request(KEYS, FEDERATION, SITE)
    made = certify_participant(other, request, SITE, now=utc_now(), life=HOUR)
    ours = make_federation(authority=other).site(KEYS)
    return replace(ours, authority_pem=trusted_pem, certificate_pem=chained(other, made))


def coordinator_by(other):
    made = certify_coordinator(other, ["127.0.0.1", "localhost"], now=utc_now(), life=HOUR)
    return replace(made, certificate_pem=chained(other, made.certificate_pem))


@asynccontextmanager
async def listening(identity, trusted_pem):
    """Serve one method as gRPC alone would, and give the address and who has called."""
    calls = []

    async def take(request, context):
        calls.append((tls.peer_identity(context).uri, request))
        return b"taken"

    handlers = {"Send": grpc.unary_unary_rpc_method_handler(take)}
    server = grpc.aio.server()
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("test", handlers)])
    credentials = grpc.ssl_server_credentials(
        [(identity.key_pem, identity.certificate_pem)], trusted_pem, require_client_auth=True
    )
    port = server.add_secure_port("127.0.0.1:0", credentials)
    await server.start()
    try:
        yield f"127.0.0.1:{port}", calls
    finally:
        await server.stop(None)


def trusting_the_root(site, root):
    """Return a channel as a site would have it that takes the whole organisation for its own."""

    def opened(address):
        trusted = grpc.ssl_channel_credentials(
            root.certificate_pem, site.key_pem, site.certificate_pem
        )
        return grpc.aio.secure_channel(address, trusted)

    return opened


async def send(channel):
    async with channel:
        return await channel.unary_unary("/test/Send")(b"contribution", timeout=5)


async def refused(channel):
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await send(channel)
    return error.value.code()


async def test_another_authority_of_the_organisation_names_no_member(root, ours, other):
    thief = member_by(other, ours.authority.certificate_pem)

    async with endpoint(ours) as address, open_channel(address, thief) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await channel.unary_unary("/test/WhoAmI")(b"", timeout=5)

    assert error.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_coordinator_that_trusts_the_root_takes_it_for_a_member(root, ours):
    """The control: with the root as anchor, whoever certifies laptops is a hospital."""
    thief = member_by(laptops_of(root), ours.authority.certificate_pem)

    async with listening(ours.server, root.certificate_pem + ours.authority.certificate_pem) as (
        address,
        calls,
    ):
        await send(open_channel(address, thief))

    assert calls == [(SITE_URI, b"contribution")]


async def test_another_authority_of_the_organisation_certifies_no_coordinator(root, ours, other):
    """It has the coordinator's host and URI; not a byte of a call reaches it."""
    site = ours.site(KEYS)

    async with listening(coordinator_by(other), ours.authority.certificate_pem) as (address, calls):
        code = await refused(open_channel(address, site))
        reason = await asyncio.to_thread(explain_unreachable, address, site, now=utc_now())

    assert code is grpc.StatusCode.UNAVAILABLE
    assert calls == []
    assert isinstance(reason, WrongIdentity)


async def test_a_site_that_trusts_the_root_sends_it_what_it_has(root, ours):
    """The control of the test before."""
    site = ours.site(KEYS)
    opened = trusting_the_root(site, root)

    async with listening(coordinator_by(laptops_of(root)), ours.authority.certificate_pem) as (
        address,
        calls,
    ):
        await send(opened(address))

    assert calls == [(SITE_URI, b"contribution")]


@pytest.fixture
def between(tmp_path, monkeypatch):
    """Give a maker of joining ports that show what is above their own certificate too."""
    monkeypatch.setattr(at, "Watched", ShowsAnothers)
    certify = at.certify_coordinator

    def chained_coordinator(authority, *args, **options):
        made = certify(authority, *args, **options)
        return replace(made, certificate_pem=chained(authority, made.certificate_pem))

    monkeypatch.setattr(at, "certify_coordinator", chained_coordinator)
    return lambda root, authority: at.desk(folder=tmp_path, of=(root, authority))


async def test_no_token_is_said_to_another_authority_of_the_organisation(
    tmp_path, monkeypatch, between
):
    """It shows the authority that the link names, under a certificate of the same root."""
    root, issuing = at.authority()
    monkeypatch.setattr(ShowsAnothers, "anothers", issuing.certificate_pem)
    async with between(root, issuing) as office, between(root, laptops_of(root)) as thief:
        made = office.link()
        link = Link(thief.address, made.token, made.authority, made.participant)

        with pytest.raises(WrongIdentity, match="not from this federation's authority"):
            await join(link, tmp_path / "amber")

        believed = await asyncio.to_thread(coordinator_uri_of, link.address, root.certificate_pem)
    assert said_to(thief, link) == []
    assert not (tmp_path / "amber").exists()
    assert believed == coordinator_uri(at.FEDERATION), "the control: who trusts the root"


async def test_a_link_that_names_the_root_is_not_followed(tmp_path, monkeypatch, between):
    """Of a release before, or of an operator who was given the wrong file."""
    root, issuing = at.authority()
    monkeypatch.setattr(ShowsAnothers, "anothers", root.certificate_pem)
    async with between(root, issuing) as office:
        made = office.link()
        link = replace(made, authority=bytes.fromhex(root.fingerprint))

        with pytest.raises(ConfigError, match="can make further authorities"):
            await join(link, tmp_path / "amber")

    assert said_to(office, link) == []


async def test_a_server_of_our_authority_that_is_no_coordinator_is_named(ours):
    """It has the host's name and not the coordinator's URI; the site's own handshake says so."""
    made = certify_coordinator(ours.authority, ["127.0.0.1"], now=utc_now(), life=HOUR)
    plain = without_uri(ours.authority, made)

    async with listening(plain, ours.authority.certificate_pem) as (address, _):
        reason = await asyncio.to_thread(
            explain_unreachable, address, ours.site(KEYS), now=utc_now()
        )

    assert isinstance(reason, WrongIdentity)
    assert "for no federation that it is its coordinator" in str(reason)


def test_neither_side_takes_the_root_for_an_anchor(root, ours):
    """Whoever copies the wrong file is told so, and no connection is made."""
    server, site = ours.server, replace(ours.site(KEYS), authority_pem=root.certificate_pem)

    with pytest.raises(ConfigError, match="can make further authorities"):
        tls.server_credentials(server.certificate_pem, server.key_pem, root.certificate_pem)
    with pytest.raises(ConfigError, match="can make further authorities"):
        open_channel("127.0.0.1:1", site)
