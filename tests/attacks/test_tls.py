"""Who gets through the coordinator's TLS, over real connections, and under which name."""

import asyncio
import os
import socket
import ssl
import subprocess
import sys

import grpc
import pytest

from coordinator.adapters.authority import make_authority
from coordinator.wire import tls
from participant.wire.channel import open_channel
from participant.wire.tls import SiteCertificate
from privacy.errors import ConfigError
from tests.loopback import (
    FEDERATION,
    HOUR,
    SITE_URI,
    endpoint,
    make_federation,
    new_keys,
    utc_now,
)


@pytest.fixture(scope="module")
def federation():
    return make_federation()


@pytest.fixture(scope="module")
def keys():
    return new_keys()


async def call(address, site, method="/test/WhoAmI"):
    async with open_channel(address, site) as channel:
        return (await channel.unary_unary(method)(b"", timeout=5)).decode()


async def refusal(address, site):
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call(address, site)
    return refused.value.code()


def handshake(address, federation, tmp_path, site, version):
    """Return the version agreed on and the first bytes the server sends, as OpenSSL sees it."""
    context = ssl.create_default_context(cadata=federation.authority.certificate_pem.decode())
    (tmp_path / "site.pem").write_bytes(site.certificate_pem + site.key_pem)
    context.load_cert_chain(tmp_path / "site.pem")
    context.minimum_version = context.maximum_version = version
    context.set_alpn_protocols(["h2"])
    host, port = address.split(":")
    with (
        socket.create_connection((host, int(port)), 5) as plain,
        context.wrap_socket(plain, server_hostname=host) as secured,
    ):
        return secured.version(), secured.recv(1)


async def test_a_site_is_who_its_certificate_says(federation, keys):
    async with endpoint(federation) as address:
        assert await call(address, federation.site(keys)) == SITE_URI


async def test_a_client_without_a_certificate_is_refused(federation):
    async with endpoint(federation) as address:
        credentials = grpc.ssl_channel_credentials(federation.authority.certificate_pem)
        async with grpc.aio.secure_channel(address, credentials) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await channel.unary_unary("/test/WhoAmI")(b"", timeout=5)

    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_client_that_speaks_no_tls_is_refused(federation):
    async with endpoint(federation) as address, grpc.aio.insecure_channel(address) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await channel.unary_unary("/test/WhoAmI")(b"", timeout=5)

    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize("hours", [-2, 2], ids=["expired", "not yet valid"])
async def test_a_certificate_out_of_its_time_is_refused(keys, hours):
    now = utc_now()
    authority = make_authority(FEDERATION, now=now - 5 * HOUR, life=20 * HOUR)
    federation = make_federation(authority=authority)

    async with endpoint(federation) as address:
        code = await refusal(address, federation.site(keys, at=now + hours * HOUR))

    assert code is grpc.StatusCode.UNAVAILABLE


async def test_a_certificate_of_another_authority_is_refused(federation, keys):
    """The other authority has the same name: only its key is different."""
    stranger = make_authority(FEDERATION, now=utc_now(), life=2 * HOUR)

    async with endpoint(federation) as address:
        code = await refusal(address, federation.site(keys, of=stranger))

    assert code is grpc.StatusCode.UNAVAILABLE


async def test_a_site_refuses_a_coordinator_of_another_authority(federation, keys):
    impostor = make_federation()

    async with endpoint(impostor) as address:
        code = await refusal(address, federation.site(keys))

    assert code is grpc.StatusCode.UNAVAILABLE


async def test_a_site_refuses_a_coordinator_under_another_name(keys):
    federation = make_federation("coordinator.example")

    async with endpoint(federation) as address:
        code = await refusal(address, federation.site(keys))

    assert code is grpc.StatusCode.UNAVAILABLE


async def test_one_site_cannot_pass_for_the_coordinator(federation, keys):
    """A site's certificate is of the right authority; it is not for servers."""
    site = federation.site(keys)
    impostor = grpc.aio.server()
    credentials = tls.server_credentials(site.certificate_pem, site.key_pem, site.authority_pem)
    port = impostor.add_secure_port("127.0.0.1:0", credentials)
    await impostor.start()

    code = await refusal(f"127.0.0.1:{port}", site)

    assert code is grpc.StatusCode.UNAVAILABLE
    await impostor.stop(None)


async def test_the_coordinators_certificate_is_not_a_clients(federation):
    """Whoever takes the server's key must not be able to call as somebody."""
    server = federation.server
    site = SiteCertificate(
        federation.authority.certificate_pem, server.certificate_pem, server.key_pem
    )

    async with endpoint(federation) as address:
        assert await refusal(address, site) is grpc.StatusCode.UNAVAILABLE


async def test_an_authority_cannot_name_sites_of_another_federation(federation):
    """The name constraint holds in gRPC's own TLS library, not only in ours."""
    forged = federation.forged("spiffe://cardiology/participant/hospital-a")

    async with endpoint(federation) as address:
        assert await refusal(address, forged) is grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize(
    "uris",
    [
        (),
        (SITE_URI, f"spiffe://{FEDERATION}/participant/hospital-b"),
        (SITE_URI, SITE_URI),
        (f"spiffe://{FEDERATION}/auditor/hospital-a",),
        (f"spiffe://{FEDERATION}/participant/hospital-a/x",),
        (f"https://{FEDERATION}/participant/hospital-a",),
    ],
    ids=["none", "two", "twice", "other role", "longer", "other scheme"],
)
async def test_a_certificate_that_does_not_name_one_peer_names_nobody(federation, uris):
    async with endpoint(federation) as address:
        code = await refusal(address, federation.forged(*uris))

    assert code in {grpc.StatusCode.UNKNOWN, grpc.StatusCode.UNAVAILABLE}


async def test_an_ed25519_certificate_is_refused_by_the_library(federation):
    """The reason why TLS keys are ECDSA P-256 while signatures are Ed25519."""
    async with endpoint(federation) as address:
        code = await refusal(address, federation.forged(SITE_URI, ed25519_key=True))

    assert code is grpc.StatusCode.UNAVAILABLE


async def test_tls_1_2_ends_in_the_handshake_and_1_3_does_not(federation, keys, tmp_path):
    site = federation.site(keys)

    async with endpoint(federation) as address:
        version, first = await asyncio.to_thread(
            handshake, address, federation, tmp_path, site, ssl.TLSVersion.TLSv1_3
        )
        with pytest.raises(OSError, match=r"EOF|reset|handshake|protocol"):
            await asyncio.to_thread(
                handshake, address, federation, tmp_path, site, ssl.TLSVersion.TLSv1_2
            )

    assert (version, len(first)) == ("TLSv1.3", 1)


async def test_a_site_does_not_speak_tls_1_2(federation, keys, tmp_path):
    server = federation.server
    (tmp_path / "server.pem").write_bytes(server.certificate_pem + server.key_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    failures = []

    def accept(listener):
        plain, _ = listener.accept()
        try:
            context.wrap_socket(plain, server_side=True)
        except OSError as error:
            failures.append(error)
        finally:
            plain.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        accepting = asyncio.create_task(asyncio.to_thread(accept, listener))
        code = await refusal(f"127.0.0.1:{port}", federation.site(keys))
        await accepting

    assert code is grpc.StatusCode.UNAVAILABLE
    assert len(failures) == 1


class _Says:
    """A connection that says of itself what a test wants."""

    def __init__(self, **properties):
        self._properties = properties

    def auth_context(self):
        return {name: [value] for name, value in self._properties.items()}


@pytest.mark.parametrize(
    ("properties", "missing"),
    [
        ({}, "TLS 1.3"),
        ({"ssl_tls_version": b"TLSv1.2"}, "TLS 1.3"),
        ({"ssl_tls_version": b"TLSv1.3"}, "X25519MLKEM768"),
        (
            {"ssl_tls_version": b"TLSv1.3", "ssl_negotiated_key_exchange_group": b"X25519"},
            "X25519MLKEM768",
        ),
    ],
)
def test_a_connection_is_weak_unless_it_says_otherwise(properties, missing):
    """Properties that a library no longer sets must not count as good ones."""
    assert missing in tls.weakness(_Says(**properties))


async def test_a_connection_between_our_own_sides_is_hybrid_and_tls_1_3(federation, keys):
    said = []

    class Listen(grpc.aio.ServerInterceptor):
        async def intercept_service(self, continuation, details):
            async def tell(request, context):
                said.append(context.auth_context())
                return b""

            return grpc.unary_unary_rpc_method_handler(tell)

    async with endpoint(federation, Listen()) as address:
        await call(address, federation.site(keys))

    assert list(said[0]["ssl_tls_version"]) == [b"TLSv1.3"]
    assert list(said[0]["ssl_negotiated_key_exchange_group"]) == [b"X25519MLKEM768"]


async def test_every_kind_of_call_on_a_weak_connection_is_refused(federation, keys, monkeypatch):
    """The second of two locks: it holds although the first has let the connection through."""
    monkeypatch.setattr(tls, "TLS_VERSION", b"TLSv1.4")

    site = federation.site(keys)
    async with endpoint(federation) as address, open_channel(address, site) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as unary:
            await channel.unary_unary("/test/WhoAmI")(b"", timeout=5)
        with pytest.raises(grpc.aio.AioRpcError) as stream:
            _ = [part async for part in channel.unary_stream("/test/Twice")(b"", timeout=5)]

    for refused in (unary, stream):
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
        assert "TLS 1.3" in refused.value.details()


async def test_a_stream_on_a_strong_connection_passes_whole(federation, keys):
    site = federation.site(keys)

    async with endpoint(federation) as address, open_channel(address, site) as channel:
        parts = [part async for part in channel.unary_stream("/test/Twice")(b"end", timeout=5)]

    assert parts == [SITE_URI.encode(), b"end"]


@pytest.mark.parametrize("package", ["coordinator", "participant"])
def test_credentials_are_refused_where_grpc_was_imported_first(package):
    """grpc reads the suites while it is imported; set later, TLS 1.2 would pass unseen."""
    make = {
        "coordinator": "server_credentials(b'', b'', b'')",
        "participant": "channel_credentials(None)",
    }
    program = f"import grpc\nfrom {package}.wire import tls\ntls.{make[package]}"
    environment = {k: v for k, v in os.environ.items() if k != "GRPC_SSL_CIPHER_SUITES"}

    done = subprocess.run(
        [sys.executable, "-c", program],
        check=False,
        env=environment,
        capture_output=True,
        text=True,
    )

    assert ConfigError.__name__ in done.stderr
    assert "TLS 1.2" in done.stderr


def test_a_variable_from_outside_cannot_bring_tls_1_2_back():
    program = "import coordinator, os; print(os.environ['GRPC_SSL_CIPHER_SUITES'])"

    done = subprocess.run(
        [sys.executable, "-c", program],
        check=False,
        env=os.environ | {"GRPC_SSL_CIPHER_SUITES": "ECDHE-ECDSA-AES256-GCM-SHA384"},
        capture_output=True,
        text=True,
    )

    assert done.stdout.strip() == "PSK-AES128-CBC-SHA"
