"""TLS on the way: who ends it, by whose certificate, and whether HTTP/2 comes through.

Two handshakes believe nobody: they read what is shown, send nothing that is secret, and are
closed. Whether what was shown is the coordinator is asked of the federation's authority.
"""

import ssl
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from privacy.errors import VeilsumError
from privacy.identifiers import COORDINATOR, parse_uri

from .finding import NETWORK, OPERATOR, SITE, Finding, problem
from .way import Way, printable, read_head, server_of

_NOT_YET_VALID, _EXPIRED, _OTHER_NAME, _OTHER_ADDRESS = 9, 10, 62, 64
"""OpenSSL's numbers, X509_V_ERR; all others are about who issued it."""

_TOO_OLD: Final = {"TLSV1_ALERT_PROTOCOL_VERSION", "UNSUPPORTED_PROTOCOL"}
_NOT_TLS: Final = {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG"}


@dataclass(frozen=True)
class Shown:
    """What somebody showed in a handshake; nothing of it is proven."""

    leaf: x509.Certificate
    version: str
    protocol: str | None

    @property
    def leaf_pem(self) -> bytes:
        """The certificate, in PEM."""
        return ssl.DER_cert_to_PEM_cert(self.leaf.public_bytes(Encoding.DER)).encode("ascii")

    @property
    def issuer(self) -> str:
        """Who signed the certificate, as it says."""
        return name_of(self.leaf.issuer)

    @property
    def is_coordinator(self) -> bool:
        """Whether the certificate says that it is a coordinator's."""
        return bool(self.federation)

    @property
    def federation(self) -> str:
        """The federation whose coordinator the certificate says it is; empty if of none."""
        for uri in _uris(self.leaf):
            try:
                who = parse_uri(uri)
            except VeilsumError:
                continue
            if who.id == COORDINATOR:
                return who.federation
        return ""


def look(way: Way) -> Shown:
    """Return what is shown at the end of a way.

    Raises:
        OSError: no handshake comes about.
    """
    reader = _reader("h2")
    with way.open() as line, reader.wrap_socket(line, server_hostname=way.to.host) as tls:
        leaf = x509.load_der_x509_certificate(tls.getpeercert(binary_form=True) or b"")
        return Shown(leaf, tls.version() or "", tls.selected_alpn_protocol())


def refusal(way: Way, authority_pem: bytes) -> ssl.SSLCertVerificationError | None:
    """Return why who answers is not who an authority certified for this address, if so.

    Raises:
        OSError: no handshake comes about.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=authority_pem.decode("ascii"))
    # A leaf that is trusted itself is asked about its name and its time only.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.set_alpn_protocols(["h2"])
    try:
        with way.open() as line, context.wrap_socket(line, server_hostname=way.to.host):
            return None
    except ssl.SSLCertVerificationError as error:
        return error


def http_server(way: Way) -> str | None:
    """Return by what name an HTTP/1.1 server at the end of a way calls itself, or None.

    A coordinator speaks HTTP/2 and nothing else: another answer is by who ends TLS before it.
    """
    question = f"GET / HTTP/1.1\r\nHost: {way.to}\r\nConnection: close\r\n\r\n"
    try:
        with (
            way.open() as line,
            _reader("http/1.1").wrap_socket(line, server_hostname=way.to.host) as tls,
        ):
            tls.sendall(question.encode("ascii"))
            head = read_head(tls)
    except OSError:
        return None
    return (server_of(head) or "a server without a name") if head.startswith(b"HTTP/1") else None


def check_handshake(way: Way, error: OSError) -> Finding:
    """Return what it means that no handshake comes about."""
    reason = str(getattr(error, "reason", None) or error.strerror or type(error).__name__)
    to = str(way.to)
    if reason in _TOO_OLD:
        fix = "let TLS 1.3 pass to this address, or have who answers there speak it"
        return problem("tls", to, "who answers does not speak TLS 1.3", fix, NETWORK)
    if reason in _NOT_TLS:
        fix = "correct the address and its port: a coordinator speaks TLS"
        return problem("tls", to, "who answers does not speak TLS", fix, SITE)
    if isinstance(error, TimeoutError):
        fix = f"let TLS to {to} pass unopened: the text of the ticket says what"
        found = "a connection comes about, and nothing answers the TLS handshake"
        return problem("tls", to, found, fix, NETWORK)
    fix = f"let TLS to {to} pass; if it does, the coordinator's log says why it hangs up"
    return problem("tls", to, f"the TLS handshake is cut off ({reason})", fix, NETWORK)


def check_protocols(way: Way, shown: Shown) -> Finding:
    """Return whether TLS 1.3 and HTTP/2 are agreed on."""
    if shown.version != "TLSv1.3":
        found = f"{shown.version}, and TLS 1.3 is required"
        fix = "let TLS 1.3 pass to this address, or have who answers there speak it"
        return problem("protocols", str(way.to), found, fix, NETWORK)
    if shown.protocol != "h2":
        found = f"HTTP/2 is not agreed on (ALPN: {shown.protocol or 'nothing'})"
        fix = (
            "pass TCP to the coordinator through unopened; a proxy that opens TLS and speaks "
            "HTTP/1.1 only carries none of its calls"
        )
        return problem("http2", str(way.to), found, fix, NETWORK)
    return Finding("protocols", str(way.to), "TLS 1.3 and HTTP/2")


def check_end(way: Way, server: str | None) -> Finding | None:
    """Return what it means that an HTTP server answers where a coordinator must; None if none."""
    if server is None:
        return None
    found = (
        f"{server} answers HTTP/1.1 there, so it ends TLS before the coordinator, as grpc_pass "
        "and proxy_pass of nginx do: no site's certificate gets through"
    )
    fix = (
        "pass TCP through unopened: in nginx, proxy_pass in a server of stream {}; in haproxy, "
        "mode tcp; anywhere else, the layer-4 balancer"
    )
    return problem("tls_ended", str(way.to), found, fix, OPERATOR)


def check_identity(
    way: Way, shown: Shown, why: ssl.SSLCertVerificationError | None, *, proven: bool, server: str
) -> Finding:
    """Return whether who answers is the coordinator.

    Args:
        why: what an authority's certificate, or `shown` itself, says against it.
        proven: whether `why` is by the federation's authority, and so counts as a proof.
        server: by what name an HTTP server calls itself that answers there; empty if none does.
    """
    to, code = str(way.to), 0 if why is None else why.verify_code
    if code in (_EXPIRED, _NOT_YET_VALID):
        return _out_of_time(to, shown, code)
    if code in (_OTHER_NAME, _OTHER_ADDRESS):
        return _other_name(way, shown)
    if why is not None or not (proven or shown.is_coordinator):
        return _not_ours(way, shown, server)
    if proven:
        return Finding("identity", to, f"the coordinator's, by {shown.issuer!r}: proven")
    found = f"says it is the coordinator of {shown.federation!r}, by {shown.issuer!r}"
    return Finding("identity", to, f"{found}; a join link, or the authority's file, proves it")


def _out_of_time(to: str, shown: Shown, code: int) -> Finding:
    begin, end = shown.leaf.not_valid_before_utc, shown.leaf.not_valid_after_utc
    when = f"ended at {_at(end)}" if code == _EXPIRED else f"begins at {_at(begin)} only"
    fix = "compare this machine's clock with the true time; if it is right, the operator renews"
    found = f"the certificate there {when}, by this machine's clock"
    return problem("certificate_time", to, found, fix, OPERATOR)


def _other_name(way: Way, shown: Shown) -> Finding:
    names = ", ".join(_names(shown.leaf)) or "nothing"
    fix = f"connect by a name of the certificate, or have {way.to.host!r} certified too"
    found = f"the certificate names {names}, not {way.to.host!r}"
    return problem("certificate_name", str(way.to), found, fix, OPERATOR)


def _not_ours(way: Way, shown: Shown, server: str) -> Finding:
    to = str(way.to)
    if shown.is_coordinator:
        found = (
            f"a coordinator's certificate of {shown.federation!r}, by {shown.issuer!r}, and not "
            "by the authority that this site trusts"
        )
        fix = "compare the authority's fingerprint with the operator by telephone; if the operator "
        return problem("authority", to, found, fix + "has a new one, join again", OPERATOR)
    by = f" ({server})" if server else ""
    found = (
        f"TLS is intercepted{by}: the certificate there is issued by {shown.issuer!r}, not by the "
        "federation's authority; or the address is another server's"
    )
    fix = (
        f"A: have {to} exempted from TLS inspection: the text of the ticket says it. "
        "B: go by a way that is not inspected: a proxy that lets CONNECT through unopened "
        "(coordinator.proxy), or a relay that passes TCP. No setting accepts an inspecting proxy: "
        "it would act as this site"
    )
    return problem("tls_intercepted", to, found, fix, NETWORK)


def name_of(name: x509.Name) -> str:
    """Return the common name, or else the organisation, of a certificate's holder or issuer."""
    for kind in (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME):
        for attribute in name.get_attributes_for_oid(kind):
            return printable(str(attribute.value))
    return "somebody without a name"


def _reader(protocol: str) -> ssl.SSLContext:
    """Return a context that believes whoever answers: it only reads what is shown."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols([protocol])
    return context


def _names(leaf: x509.Certificate) -> list[str]:
    names = _alternatives(leaf)
    dns = [str(each) for each in names.get_values_for_type(x509.DNSName)] if names else []
    ips = [str(each) for each in names.get_values_for_type(x509.IPAddress)] if names else []
    return [*dns, *ips][:8]


def override_of(shown: Shown, host: str) -> str | None:
    """Return a name by which to call who shows a certificate that does not name the host."""
    names = _names(shown.leaf)
    return None if host in names or not names else names[0].replace("*", "any")


def _uris(leaf: x509.Certificate) -> list[str]:
    names = _alternatives(leaf)
    return names.get_values_for_type(x509.UniformResourceIdentifier) if names else []


def _alternatives(leaf: x509.Certificate) -> x509.SubjectAlternativeName | None:
    try:
        return leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return None


def _at(when: datetime) -> str:
    return f"{when:%Y-%m-%d %H:%M:%S}Z"
