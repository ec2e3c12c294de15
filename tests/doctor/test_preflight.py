"""Before anything is installed: each thing a network does has its name, its fix, and who acts."""

import socket
import time
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from coordinator.adapters.authority import ServerIdentity, make_authority
from tests.loopback import FEDERATION, HOUR, Federation, make_federation, pem, utc_now
from veilsum.doctor import finding as findings_of
from veilsum.doctor.finding import Level
from veilsum.doctor.preflight import Trust, preflight

from .servers import (
    bad,
    connect_proxy,
    edges,
    fingerprint,
    found,
    http_answers,
    interceptor,
    joining_port,
    served,
    shifted,
    tls_context,
    way_to,
)

NOBODY = Trust()
LOOPBACK = ip_address("127.0.0.1")


@pytest.fixture(scope="module")
def federation() -> Federation:
    authority = make_authority(FEDERATION, now=utc_now() - 5 * HOUR, life=20 * HOUR)
    return make_federation(authority=authority)


@pytest.fixture(scope="module")
def stranger() -> Federation:
    """An authority of somebody else, whose servers have our name."""
    authority = make_authority("inspection", now=utc_now(), life=10 * HOUR)
    return make_federation(authority=authority)


def pinned(federation):
    return Trust(fingerprint=fingerprint(federation))


def test_a_coordinator_that_a_link_names_is_proven(federation):
    """The whole way is well, and nothing of it rests on what the network says."""
    with joining_port(federation, shifted(0, utc_now)) as port:
        found_all = preflight(way_to(port), pinned(federation), edges())

    assert bad(found_all) == {}
    assert "proven" in found(found_all, "identity").found
    assert "TLS 1.3 and HTTP/2" in found(found_all, "protocols").found
    assert "Mbit/s" in found(found_all, "uplink").found


def test_without_a_link_a_coordinator_only_says_that_it_is_one(federation):
    """Nobody is told that an unproven name is a proven one."""
    with joining_port(federation, shifted(0, utc_now)) as port:
        found_all = preflight(way_to(port), NOBODY, edges())

    assert bad(found_all) == {}
    assert "says it is the coordinator of 'oncology'" in found(found_all, "identity").found
    assert "if who answers is the coordinator" in found(found_all, "clock").found


def test_another_authority_than_the_links_is_refused(federation):
    """A second authority of the same name must not pass for the first."""
    with joining_port(federation, shifted(0, utc_now)) as port:
        found_all = preflight(way_to(port), Trust(fingerprint=bytes(32)), edges())

    assert "do not join" in found(found_all, "authority").found


def test_a_port_where_nobody_listens_is_for_the_operator(federation):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    found_all = preflight(way_to(port), NOBODY, edges())

    route = found(found_all, "route")
    assert route.level is Level.PROBLEM
    assert "refused" in route.found
    assert route.who_acts == findings_of.OPERATOR


def test_a_black_hole_is_found_out_within_the_time_given(federation):
    """A firewall that drops is as common as one that refuses, and says nothing."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        waiting = [_connecting(port) for _ in range(4)]  # the queue is full: others hear nothing
        began = time.monotonic()

        found_all = preflight(way_to(port, seconds=0.5), NOBODY, edges())

        took = time.monotonic() - began
        for each in waiting:
            each.close()
    assert took < 3
    assert "drops it" in found(found_all, "route").found
    assert found(found_all, "route").who_acts == findings_of.NETWORK


def test_a_server_that_takes_a_connection_and_says_nothing_is_found_out(federation):
    """Some firewalls answer TCP themselves, and let nothing through."""
    with served(lambda plain: time.sleep(3)) as port:
        found_all = preflight(way_to(port, seconds=0.3), NOBODY, edges())

    assert "nothing answers the TLS handshake" in found(found_all, "tls").found


def test_a_name_that_nobody_has_is_for_this_site(federation):
    def resolve(host, port, seconds):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    found_all = preflight(way_to(1), NOBODY, edges(resolve=resolve))

    assert bad(found_all) == {"dns": Level.PROBLEM}
    assert found(found_all, "dns").who_acts == findings_of.SITE


def test_a_proxy_of_the_environment_is_named_and_not_used(federation):
    """And its password is not shown."""
    with_proxy = {"HTTPS_PROXY": "http://me:hunter2@proxy.kh.example:3128"}
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    found_all = preflight(way_to(port), NOBODY, edges(environment=with_proxy))

    setting = found(found_all, "proxy_setting")
    assert setting.level is Level.WARNING
    assert "HTTPS_PROXY" in setting.found
    assert "--proxy" in setting.fix
    assert "hunter2" not in str(found_all)


def test_through_a_proxy_that_opens_tunnels_all_is_well(federation):
    with joining_port(federation, shifted(0, utc_now)) as port, served(connect_proxy()) as proxy:
        found_all = preflight(way_to(port, proxy), pinned(federation), edges())

    assert bad(found_all) == {}
    assert "HTTP CONNECT" in found(found_all, "proxy").found


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 403 Forbidden\r\nServer: squid/5.7\r\n\r\n", "403"),
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "407"),
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", "503"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "no proxy"),
    ],
)
def test_a_proxy_that_refuses_is_quoted(federation, answer, words):
    with served(connect_proxy(answer)) as proxy:
        found_all = preflight(way_to(8443, proxy), NOBODY, edges())

    refused = found(found_all, "proxy")
    assert refused.level is Level.PROBLEM
    assert words in refused.found
    assert "CONNECT to 127.0.0.1:8443" in refused.fix


@pytest.mark.parametrize("trust", ["link", "nothing"])
def test_who_signs_tls_again_is_named_with_both_fixes(federation, stranger, tmp_path, trust):
    """By the issuer of what it shows: the network team knows that name."""
    context = tls_context(stranger_named(stranger), tmp_path, "h2", "http/1.1")
    with (
        joining_port(federation, shifted(0, utc_now)) as port,
        served(interceptor(context, port)) as between,
    ):
        known = pinned(federation) if trust == "link" else NOBODY
        found_all = preflight(way_to(between), known, edges())

    intercepted = found(found_all, "tls_intercepted")
    assert "'KH Inspection Root'" in intercepted.found
    assert "A: have 127.0.0.1" in intercepted.fix
    assert "B: go by a way that is not inspected" in intercepted.fix
    assert intercepted.who_acts == findings_of.NETWORK


def test_who_copies_the_coordinators_names_is_found_out_by_the_link(federation, stranger, tmp_path):
    """An interceptor may copy all names of a certificate; it has no key of the authority."""
    context = tls_context(stranger.server, tmp_path, "h2")
    with (
        joining_port(federation, shifted(0, utc_now)) as port,
        served(interceptor(context, port)) as between,
    ):
        found_all = preflight(way_to(between), pinned(federation), edges())

    authority = found(found_all, "authority")
    assert authority.level is Level.PROBLEM
    assert "not by the authority that this site trusts" in authority.found
    assert "if who answers" in found(found_all, "clock").found


def test_http_1_alone_is_named(federation, tmp_path):
    context = tls_context(federation.server, tmp_path, "http/1.1")
    with served(http_answers(context, "Apache")) as port:
        found_all = preflight(way_to(port), NOBODY, edges())

    assert "HTTP/2 is not agreed on" in found(found_all, "http2").found


def test_who_ends_tls_is_named_even_with_the_coordinators_certificate(federation, tmp_path):
    """nginx with grpc_pass, the coordinator's own key and HTTP/2: a handshake shows nothing."""
    context = tls_context(federation.server, tmp_path, "h2", "http/1.1")
    with served(http_answers(context, "nginx/1.22.1")) as port:
        found_all = preflight(way_to(port), NOBODY, edges())

    ended = found(found_all, "tls_ended")
    assert "nginx/1.22.1" in ended.found
    assert "grpc_pass" in ended.found
    assert "stream {}" in ended.fix
    assert ended.who_acts == findings_of.OPERATOR


def test_a_server_without_tls_is_named(federation):
    def serve(plain):
        plain.recv(4096)
        plain.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with served(serve) as port:
        found_all = preflight(way_to(port), NOBODY, edges())

    assert "does not speak TLS" in found(found_all, "tls").found


@pytest.mark.parametrize(("hours", "words"), [(-2, "ended at"), (2, "begins at")])
def test_a_certificate_out_of_its_time_is_named_with_its_time(federation, hours, words):
    late = make_federation(at=utc_now() + hours * HOUR, authority=federation.authority)
    with joining_port(late, shifted(0, utc_now)) as port:
        found_all = preflight(way_to(port), NOBODY, edges())

    assert words in found(found_all, "certificate_time").found


def test_a_certificate_for_another_name_says_which(federation):
    elsewhere = make_federation("veilsum.example", authority=federation.authority)
    with joining_port(elsewhere, shifted(0, utc_now)) as port:
        found_all = preflight(way_to(port), NOBODY, edges())

    assert "names veilsum.example, not '127.0.0.1'" in found(found_all, "certificate_name").found


@pytest.mark.parametrize(
    ("seconds", "level", "side"),
    [
        (0, Level.OK, ""),
        (60, Level.WARNING, "behind"),
        (-60, Level.WARNING, "ahead"),
        (1800, Level.PROBLEM, "behind"),
    ],
)
def test_clocks_apart_are_told_by_how_much(federation, seconds, level, side):
    """Certificates are made and refused by the time of day."""
    with joining_port(federation, shifted(seconds, utc_now)) as port:
        found_all = preflight(way_to(port), pinned(federation), edges())

    clock = found(found_all, "clock")
    assert clock.level is level
    assert side in clock.found
    assert f"{abs(seconds)}." in clock.found or seconds == 0


def test_a_coordinator_that_does_not_say_its_time_is_not_guessed_at(federation):
    with joining_port(federation) as port:
        found_all = preflight(way_to(port), NOBODY, edges())

    assert found(found_all, "clock").level is Level.WARNING


def test_every_finding_that_is_not_well_has_its_fix(federation):
    with pytest.raises(AssertionError):
        findings_of.Finding("dns", "host", "no such host", Level.PROBLEM)


def stranger_named(stranger):
    """A certificate for loopback by an authority that calls itself as firewalls do."""
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "KH Inspection Root")])
    certificate = (
        x509.CertificateBuilder()
        .issuer_name(issuer)
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")]))
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(utc_now() - HOUR)
        .not_valid_after(utc_now() + HOUR)
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(LOOPBACK)]),
            critical=False,
        )
        .sign(stranger.authority.key, SHA256())
    )
    return ServerIdentity(certificate.public_bytes(Encoding.PEM), pem(key))


def _connecting(port):
    one = socket.socket()
    one.setblocking(False)
    one.connect_ex(("127.0.0.1", port))
    return one
