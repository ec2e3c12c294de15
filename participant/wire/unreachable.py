"""Why a coordinator cannot be reached, found by one handshake of our own.

gRPC reports a refused certificate, a wrong host name and an unplugged cable alike: UNAVAILABLE.
And under TLS 1.3 a client's handshake ends before the server has looked at the client's
certificate; the refusal shows on the first read, in general as a mere end of file. What the
server does not say is then found by looking at the certificate as the server does.
"""

import os
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.x509.oid import ExtendedKeyUsageOID

from privacy.errors import PeerUnreachable, WrongIdentity
from privacy.identifiers import coordinator_uri, parse_uri

from .proxy import ProxyRefused, dial, host_of
from .tls import SiteCertificate

Reason = PeerUnreachable | WrongIdentity

_ANSWER_BYTES = 4096
_PROBE_SECONDS = 5.0
_OTHER_AUTHORITY = (2, 18, 19, 20, 21)


def explain_unreachable(
    address: str,
    site: SiteCertificate,
    *,
    now: datetime,
    server_name: str | None = None,
    proxy: str | None = None,
    timeout_seconds: float = 5.0,
) -> Reason:
    """Return, ready to be raised, why `site` has no connection to `address`, "host:port".

    It blocks for up to `timeout_seconds` per step. `PeerUnreachable` may pass by itself;
    `WrongIdentity` stays until the one whom the message names has acted. What stands between
    and ends TLS itself is named: the authority of one that intercepts, the server of another.

    Args:
        proxy: "http://host:port" that takes HTTP CONNECT, if the site has one.
    """
    try:
        with dial(address, proxy, timeout_seconds) as plain:
            host = server_name or host_of(address)
            return _by_handshake(plain, address, host, site, now, proxy)
    except ssl.SSLError as error:
        return WrongIdentity(f"this site's key and certificate do not work: {_name(error)}")
    except ValueError:
        return PeerUnreachable(f"{address!r} is not an address, host:port; correct the setting")
    except OSError as error:
        return _no_connection(address, error) if proxy is None else _no_proxy(proxy, error)


def issuer_at(
    address: str, proxy: str | None = None, *, timeout_seconds: float = 5.0
) -> str | None:
    """Return who issued the certificate that is shown at `address`; None if none is seen.

    Where a proxy intercepts TLS that is the proxy's own authority, by name.
    """
    try:
        shown = shown_by(address, proxy, timeout_seconds=timeout_seconds)
        return x509.load_der_x509_certificate(shown).issuer.rfc4514_string()
    except (PeerUnreachable, WrongIdentity, OSError, ValueError):
        return None


def server_at(
    address: str,
    authority_pem: bytes,
    proxy: str | None = None,
    *,
    server_name: str | None = None,
    timeout_seconds: float = 5.0,
) -> str | None:
    """Return what a server calls itself that ends TLS in front of the coordinator; None if none.

    It shows a certificate of the federation's authority and yet speaks HTTP/1.1, which a
    coordinator never does. One that does not is not found.
    """
    context = _trusting(authority_pem)
    context.set_alpn_protocols(["http/1.1"])
    host = server_name or host_of(address)
    try:
        with (
            dial(address, proxy, timeout_seconds) as plain,
            context.wrap_socket(plain, server_hostname=host) as secured,
        ):
            if secured.selected_alpn_protocol() != "http/1.1":
                return None
            secured.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode("ascii"))
            return _called(secured.recv(_ANSWER_BYTES))
    except (OSError, ValueError):
        return None


def _called(answer: bytes) -> str:
    """Return what a server of HTTP/1.1 calls itself in its answer."""
    for line in answer.decode("latin-1").split("\r\n"):
        name, _, value = line.partition(":")
        if name.lower() == "server":
            return "".join(each for each in value.strip()[:80] if each.isprintable())
    return "a server of HTTP/1.1 that does not say its name"


def _ended_by(address: str, server: str) -> Reason:
    return WrongIdentity(
        f"{address} is {server}, which ends TLS itself: the coordinator would not see who calls;"
        " whoever runs it must let TCP pass as it is (nginx: stream, and not grpc_pass; haproxy:"
        " mode tcp)"
    )


def shown_by(address: str, proxy: str | None = None, *, timeout_seconds: float = 5.0) -> bytes:
    """Return the certificate that whoever answers at `address` shows, in DER, unverified.

    Raises:
        PeerUnreachable, WrongIdentity: nobody answers there, or not in TLS 1.3.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with _handshake(address, proxy, context, timeout_seconds) as secured:
        return secured.getpeercert(binary_form=True) or b""


def coordinator_uri_of(
    address: str, authority_pem: bytes, proxy: str | None = None, *, timeout_seconds: float = 5.0
) -> str:
    """Return the one URI in the certificate of `address`, which this authority vouches for.

    Raises:
        PeerUnreachable, WrongIdentity: as `explain_unreachable` would say; or it has no such URI.
    """
    with _handshake(address, proxy, _trusting(authority_pem), timeout_seconds) as secured:
        uris = _uris_of(secured)
    if len(uris) != 1:
        raise WrongIdentity(_no_coordinator(address))
    return uris[0]


def _trusting(authority_pem: bytes) -> ssl.SSLContext:
    """Return a context that believes what the authority itself certified, as gRPC's TLS does."""
    context = ssl.create_default_context(cadata=authority_pem.decode("ascii"))
    # What issues is not a root: by itself OpenSSL would ask for what is above it.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def _uris_of(secured: ssl.SSLSocket) -> list[str]:
    names = dict(secured.getpeercert() or {}).get("subjectAltName", ())
    return [str(value) for kind, value in names if kind == "URI"]  # type: ignore[str-unpack]


def _no_coordinator(address: str) -> str:
    return (
        f"the certificate of {address} says for no federation that it is its coordinator; its "
        "operator must certify it again"
    )


@contextmanager
def _handshake(
    address: str, proxy: str | None, context: ssl.SSLContext, timeout_seconds: float
) -> Iterator[ssl.SSLSocket]:
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols(["h2"])
    host = host_of(address)
    try:
        plain = dial(address, proxy, timeout_seconds)
    except OSError as error:
        raise (_no_proxy(proxy, error) if proxy else _no_connection(address, error)) from None
    with plain:
        try:
            secured = context.wrap_socket(plain, server_hostname=host)
        except ssl.SSLCertVerificationError as error:
            raise _server_refused(address, host, error) from None
        except OSError as error:
            raise _no_handshake(address, error) from None
        with secured:
            yield secured


def _by_handshake(
    plain: socket.socket,
    address: str,
    host: str,
    site: SiteCertificate,
    now: datetime,
    proxy: str | None,
) -> Reason:
    context = _context(site)
    try:
        secured = context.wrap_socket(plain, server_hostname=host)
    except ssl.SSLCertVerificationError as error:
        issuer = issuer_at(address, proxy) if error.verify_code in _OTHER_AUTHORITY else None
        return _server_refused(address, host, error, issuer)
    except OSError as error:
        return _no_handshake(address, error)
    with secured:
        found = _not_the_coordinator(secured, address, site) or _after_handshake(
            secured, address, site, now
        )
    wait = plain.gettimeout() or _PROBE_SECONDS
    between = server_at(address, site.authority_pem, proxy, server_name=host, timeout_seconds=wait)
    return _ended_by(address, between) if between else found


def _not_the_coordinator(
    secured: ssl.SSLSocket, address: str, site: SiteCertificate
) -> Reason | None:
    """Return what is wrong with a server of this authority that is not for coordinators."""
    uris, wanted = _uris_of(secured), _coordinator_of(site)
    if wanted is None or uris == [wanted]:
        return None
    if not uris:
        return WrongIdentity(_no_coordinator(address))
    return WrongIdentity(
        f"the certificate of {address} is of {', '.join(uris)[:200]}, not of {wanted}: this site"
        " must correct the address, or the coordinator's operator certify it again"
    )


def _coordinator_of(site: SiteCertificate) -> str | None:
    """Return the coordinator's URI in the federation of a site, if its certificate names one."""
    try:
        own = x509.load_pem_x509_certificate(site.certificate_pem)
        names = own.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        [uri] = names.get_values_for_type(x509.UniformResourceIdentifier)
        return coordinator_uri(parse_uri(uri).federation)
    except (x509.ExtensionNotFound, ValueError, WrongIdentity):
        return None  # what is wrong with it is said of the site, not of the server


def _context(site: SiteCertificate) -> ssl.SSLContext:
    context = _trusting(site.authority_pem)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols(["h2"])
    with _unnamed_file(site.certificate_pem + b"\n" + site.key_pem) as path:
        context.load_cert_chain(path)
    return context


@contextmanager
def _unnamed_file(body: bytes) -> Iterator[str]:
    # ssl reads keys from paths only; a file in memory leaves no key on any disk
    file = os.memfd_create("veilsum", os.MFD_CLOEXEC)
    try:
        os.write(file, body)
        yield f"/proc/self/fd/{file}"
    finally:
        os.close(file)


def _no_proxy(proxy: str, error: OSError) -> Reason:
    if isinstance(error, ProxyRefused):
        return PeerUnreachable(str(error))
    return PeerUnreachable(
        f"no connection to the proxy {proxy} ({_name(error)}); this site must correct"
        " coordinator.proxy, or its network let the proxy answer"
    )


def _no_connection(address: str, error: OSError) -> Reason:
    match error:
        case ConnectionRefusedError():
            return PeerUnreachable(
                f"connection refused by {address}: the coordinator's operator must start it, or"
                " this site must correct the address"
            )
        case socket.gaierror():
            return PeerUnreachable(
                f"no such host: {address}; this site must correct the address or its DNS"
            )
        case TimeoutError():
            return PeerUnreachable(
                f"no answer from {address}; this site's network must let outbound TCP pass"
            )
    return PeerUnreachable(f"no connection to {address}: {_name(error)}; check this site's network")


def _server_refused(
    address: str, host: str, error: ssl.SSLCertVerificationError, issuer: str | None = None
) -> Reason:
    match error.verify_code:  # numbers of OpenSSL, X509_V_ERR
        case 9:
            return WrongIdentity(
                f"the certificate of {address} is not valid yet; compare the clocks of both sides"
            )
        case 10:
            return WrongIdentity(
                f"the certificate of {address} has expired by this site's clock; this site must"
                " correct that, or the coordinator's operator must renew"
            )
        case 62 | 64:
            return WrongIdentity(
                f"the certificate of {address} does not name {host!r}; this site must correct the"
                " address, or the coordinator's operator certify that name"
            )
        case code if code in _OTHER_AUTHORITY:
            other = f" but from {issuer}" if issuer else ""
            return WrongIdentity(
                f"the certificate of {address} is not from this federation's authority{other}:"
                " another server, or a proxy between that intercepts TLS; this site's network must"
                " exempt the address from interception, or this site get the authority's"
                " certificate again"
            )
    return WrongIdentity(
        f"the certificate of {address} is refused ({error.verify_message}); the coordinator's"
        " operator must replace it"
    )


def _no_handshake(address: str, error: OSError) -> Reason:
    match _name(error):
        case "TLSV1_ALERT_PROTOCOL_VERSION" | "UNSUPPORTED_PROTOCOL":
            return WrongIdentity(
                f"{address} does not speak TLS 1.3; its operator must, or this site must correct"
                " the address"
            )
        case "WRONG_VERSION_NUMBER" | "HTTP_REQUEST" | "PACKET_LENGTH_TOO_LONG":
            return WrongIdentity(
                f"{address} does not speak TLS; this site must correct the address"
            )
    return PeerUnreachable(
        f"{address} takes connections but ends the TLS handshake ({_name(error)}); this site's"
        " network must let TLS pass, or the coordinator's operator must look at its log"
    )


def _after_handshake(
    secured: ssl.SSLSocket, address: str, site: SiteCertificate, now: datetime
) -> Reason:
    if secured.selected_alpn_protocol() != "h2":
        return WrongIdentity(f"{address} does not speak HTTP/2; this site must correct the address")
    try:
        accepted = bool(secured.recv(1))
    except TimeoutError:
        return PeerUnreachable(f"{address} ends the TLS handshake and then says nothing; try again")
    except OSError:
        accepted = False
    if accepted:
        return PeerUnreachable(f"{address} answers and accepts this site's certificate; try again")
    return _client_refused(address, site, now)


def _client_refused(address: str, site: SiteCertificate, now: datetime) -> Reason:
    certificate = x509.load_pem_x509_certificate(site.certificate_pem)
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    fault = f"{address} refuses this site's certificate: "
    if now > end:
        return WrongIdentity(
            f"{fault}it expired at {end:%Y-%m-%d %H:%M:%S}Z; this site must renew: started within"
            " seven days it does so by itself, if coordinator.joining is set"
        )
    if now < begin:
        return WrongIdentity(
            f"{fault}it is valid from {begin:%Y-%m-%d %H:%M:%S}Z; this site must correct its clock"
        )
    if not _issued_by(certificate, site.authority_pem):
        return WrongIdentity(f"{fault}another authority issued it; this site must enrol again")
    if not isinstance(certificate.public_key(), EllipticCurvePublicKey):
        return WrongIdentity(f"{fault}it is not for an ECDSA key; this site must enrol again")
    if not _is_for_clients(certificate):
        return WrongIdentity(f"{fault}it is not for clients; this site must enrol again")
    return WrongIdentity(
        f"{fault}nothing is wrong with it here; compare the clocks, then the coordinator's operator"
        " must say whether its authority was replaced"
    )


def _issued_by(certificate: x509.Certificate, authority_pem: bytes) -> bool:
    return any(
        _is_issuer(authority, certificate)
        for authority in x509.load_pem_x509_certificates(authority_pem)
    )


def _is_issuer(authority: x509.Certificate, certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
        return False
    return True


def _is_for_clients(certificate: x509.Certificate) -> bool:
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return True
    return ExtendedKeyUsageOID.CLIENT_AUTH in usage


def _name(error: OSError) -> str:
    reason = getattr(error, "reason", None)
    return str(reason or error.strerror or type(error).__name__)
