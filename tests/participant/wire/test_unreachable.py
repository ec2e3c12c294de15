"""Each cause of "unavailable" has its own words, and says who must act."""

import asyncio
import socket
import ssl
import threading
from contextlib import contextmanager, suppress
from dataclasses import replace

import pytest

from coordinator.adapters.authority import make_authority
from participant.wire.unreachable import explain_unreachable
from privacy.errors import PeerUnreachable, WrongIdentity
from tests.loopback import (
    FEDERATION,
    HOUR,
    SITE_URI,
    endpoint,
    make_federation,
    new_keys,
    utc_now,
)

KEYS = new_keys()


@pytest.fixture(scope="module")
def federation():
    authority = make_authority(FEDERATION, now=utc_now() - 5 * HOUR, life=20 * HOUR)
    return make_federation(authority=authority)


def explain(address, site, **options):
    return explain_unreachable(address, site, now=utc_now(), timeout_seconds=2, **options)


async def reason(server, site):
    async with endpoint(server) as address:
        return await asyncio.to_thread(explain, address, site)


@contextmanager
def answering(serve):
    """Run `serve(socket)` for one connection, and yield the address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def run():
            plain, _ = listener.accept()
            with plain, suppress(OSError):
                serve(plain)

        thread = threading.Thread(target=run)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        thread.join(5)


def server_context(federation, tmp_path):
    (tmp_path / "server.pem").write_bytes(
        federation.server.certificate_pem + federation.server.key_pem
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem")
    return context


async def test_a_coordinator_that_accepts_the_site_is_said_to(federation):
    found = await reason(federation, federation.site(KEYS))

    assert isinstance(found, PeerUnreachable)
    assert "accepts this site's certificate" in str(found)


async def test_an_expired_certificate_is_for_the_site_to_renew(federation):
    found = await reason(federation, federation.site(KEYS, at=utc_now() - 2 * HOUR))

    assert isinstance(found, WrongIdentity)
    assert "expired" in str(found)
    assert "this site must renew" in str(found)


async def test_a_certificate_from_the_future_is_a_matter_of_clocks(federation):
    found = await reason(federation, federation.site(KEYS, at=utc_now() + 2 * HOUR))

    assert isinstance(found, WrongIdentity)
    assert "clock" in str(found)


async def test_a_certificate_of_another_authority_means_to_enrol_again(federation):
    stranger = make_authority(FEDERATION, now=utc_now(), life=2 * HOUR)

    found = await reason(federation, federation.site(KEYS, of=stranger))

    assert isinstance(found, WrongIdentity)
    assert "another authority issued it; this site must enrol again" in str(found)


async def test_a_certificate_of_the_wrong_kind_is_named_as_such(federation):
    server = federation.server
    not_client = replace(
        federation.site(KEYS), certificate_pem=server.certificate_pem, key_pem=server.key_pem
    )

    for site, words in [
        (not_client, "not for clients"),
        (federation.forged(SITE_URI, ed25519_key=True), "not for an ECDSA key"),
        (federation.forged("spiffe://cardiology/participant/a"), "the coordinator's operator"),
    ]:
        found = await reason(federation, site)

        assert isinstance(found, WrongIdentity)
        assert words in str(found)


async def test_a_coordinator_of_another_authority_is_not_ours(federation):
    found = await reason(make_federation(), federation.site(KEYS))

    assert isinstance(found, WrongIdentity)
    assert "not from this federation's authority" in str(found)


async def test_a_coordinator_certified_for_another_name_is_refused(federation):
    elsewhere = make_federation("coordinator.example", authority=federation.authority)

    found = await reason(elsewhere, federation.site(KEYS))

    assert isinstance(found, WrongIdentity)
    assert "does not name '127.0.0.1'" in str(found)


@pytest.mark.parametrize(("hours", "words"), [(-2, "operator must renew"), (2, "not valid yet")])
async def test_a_coordinator_out_of_its_time_is_for_its_operator(federation, hours, words):
    authority = federation.authority
    late = make_federation(at=utc_now() + hours * HOUR, authority=authority)

    found = await reason(late, federation.site(KEYS))

    assert isinstance(found, WrongIdentity)
    assert words in str(found)


def test_a_port_where_nobody_listens_is_said_to_refuse(federation):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"

    found = explain(address, federation.site(KEYS))

    assert isinstance(found, PeerUnreachable)
    assert f"connection refused by {address}" in str(found)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.1:port", ""])
def test_what_is_no_address_is_for_the_site_to_correct(federation, address):
    found = explain(address, federation.site(KEYS))

    assert isinstance(found, PeerUnreachable)
    assert "correct the setting" in str(found)


def test_a_host_without_an_address_is_said_not_to_exist(federation):
    found = explain("coordinator.invalid:443", federation.site(KEYS))

    assert isinstance(found, PeerUnreachable)
    assert "no such host" in str(found)


def test_a_server_of_tls_1_2_only_is_named_as_such(federation, tmp_path):
    context = server_context(federation, tmp_path)
    context.maximum_version = ssl.TLSVersion.TLSv1_2

    with answering(lambda plain: context.wrap_socket(plain, server_side=True)) as address:
        found = explain(address, federation.site(KEYS))

    assert isinstance(found, WrongIdentity)
    assert "does not speak TLS 1.3" in str(found)


def test_a_server_that_speaks_no_tls_is_named_as_such(federation):
    with answering(lambda plain: plain.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as address:
        found = explain(address, federation.site(KEYS))

    assert isinstance(found, WrongIdentity)
    assert "does not speak TLS;" in str(found)


def test_a_firewall_that_ends_the_handshake_is_told_from_a_refusal(federation):
    with answering(lambda plain: plain.recv(1)) as address:
        found = explain(address, federation.site(KEYS))

    assert isinstance(found, PeerUnreachable)
    assert "must let TLS pass" in str(found)


def test_a_firewall_that_swallows_the_handshake_does_not_hold_us(federation):
    held = threading.Event()

    with answering(lambda plain: held.wait(10)) as address:
        found = explain_unreachable(
            address, federation.site(KEYS), now=utc_now(), timeout_seconds=0.2
        )
        held.set()

    assert isinstance(found, PeerUnreachable)


def test_an_alert_of_another_tls_library_is_a_refusal_too(federation, tmp_path):
    """OpenSSL, in front of a coordinator, says by an alert what gRPC says by an end of file."""
    context = server_context(federation, tmp_path)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=federation.authority.certificate_pem.decode())
    context.set_alpn_protocols(["h2"])
    expired = federation.site(KEYS, at=utc_now() - 2 * HOUR)

    with answering(lambda plain: context.wrap_socket(plain, server_side=True)) as address:
        found = explain(address, expired)

    assert isinstance(found, WrongIdentity)
    assert "it expired" in str(found)


def test_a_server_of_tls_that_is_no_grpc_is_named_as_such(federation, tmp_path):
    context = server_context(federation, tmp_path)

    with answering(lambda plain: context.wrap_socket(plain, server_side=True)) as address:
        found = explain(address, federation.site(KEYS))

    assert isinstance(found, WrongIdentity)
    assert "HTTP/2" in str(found)


def test_a_server_that_says_nothing_after_the_handshake_does_not_hold_us(federation, tmp_path):
    context = server_context(federation, tmp_path)
    context.set_alpn_protocols(["h2"])
    held = threading.Event()

    def hold(plain):
        with context.wrap_socket(plain, server_side=True):
            held.wait(10)

    with answering(hold) as address:
        found = explain_unreachable(
            address, federation.site(KEYS), now=utc_now(), timeout_seconds=0.3
        )
        held.set()

    assert isinstance(found, PeerUnreachable)
    assert "says nothing" in str(found)


def test_a_key_that_is_not_the_certificates_is_named_as_such(federation):
    site = replace(federation.site(KEYS), key_pem=new_keys().tls_pem)

    with answering(lambda plain: plain.recv(1)) as address:
        found = explain(address, site)

    assert isinstance(found, WrongIdentity)
    assert "key and certificate" in str(found)


async def test_neither_a_reason_nor_a_certificate_prints_the_key(federation):
    site = federation.site(KEYS)
    secret = site.key_pem.splitlines()[1].decode()

    found = await reason(federation, site)

    assert secret not in str(found) + repr(site) + repr(found)
