"""Before anything is installed or enrolled: the way to a coordinator, step by step.

    name ─▶ route, proxy ─▶ handshake: protocols, who ends TLS, whose certificate ─▶ clock, uplink

Each step needs the one before. Nothing secret is sent: of a join link neither the token nor the
name; the authority's fingerprint is compared here.
"""

import ssl
from dataclasses import dataclass, replace
from hashlib import sha256

import grpc.aio
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from .asking import Answered, ask_stranger
from .clock import check_clock
from .edges import Edges
from .finding import OPERATOR, SITE, Finding, Level, problem, warning
from .line import check_uplink
from .network import check_environment, check_name, check_route
from .tls import (
    Shown,
    check_end,
    check_handshake,
    check_identity,
    check_protocols,
    http_server,
    look,
    override_of,
    refusal,
)
from .way import Way


@dataclass(frozen=True)
class Trust:
    """By what the coordinator is known: its authority's certificate, or the digest of it.

    With neither, what is shown is believed, and said to be unproven.
    """

    authority_pem: bytes = b""
    fingerprint: bytes = b""


def preflight(way: Way, trust: Trust, edges: Edges) -> list[Finding]:
    """Return what stands between this machine and a coordinator that does not know it yet."""
    findings, shown = check_line(way, edges)
    if shown is None:
        return findings
    server = http_server(way)
    answered = _ask(way, shown, edges) if server is None and shown.protocol == "h2" else None
    known = _known(trust, answered)
    findings += check_peer(way, shown, known, server)
    if trust.fingerprint and not known.authority_pem and answered is not None:
        findings.append(_other_authority(way))
    proven = bool(known.authority_pem) and not _is_stopped(findings)
    return [*findings, *_answers(way, answered, proven=proven, asked=server is None)]


def check_line(way: Way, edges: Edges) -> tuple[list[Finding], Shown | None]:
    """Return what is found up to the handshake, and what is shown in it, if one comes about."""
    findings = [check_name(way, edges)]
    if _is_stopped(findings):
        return [*findings, check_environment(way, edges, reached=False)], None
    findings.append(check_route(way))
    reached = not _is_stopped(findings)
    findings.append(check_environment(way, edges, reached=reached))
    if not reached:
        return findings, None
    try:
        return findings, look(way)
    except OSError as error:
        return [*findings, check_handshake(way, error)], None


def check_peer(way: Way, shown: Shown, trust: Trust, server: str | None) -> list[Finding]:
    """Return what is to be said of whoever has shown a certificate.

    Args:
        server: by what name an HTTP server calls itself that answers there; None if none does.
    """
    end = check_end(way, server)
    why = _refusal(way, trust.authority_pem or shown.leaf_pem)
    proven = bool(trust.authority_pem)
    identity = check_identity(way, shown, why, proven=proven, server=server or "")
    # Who intercepts ends TLS too; what to do about it is said once.
    ended = [] if end is None or identity.check == "tls_intercepted" else [end]
    return [check_protocols(way, shown), *ended, identity]


def _refusal(way: Way, authority_pem: bytes) -> ssl.SSLCertVerificationError | None:
    try:
        return refusal(way, authority_pem)
    except OSError:
        return None  # the handshake before this one came about; it is not about certificates


def _ask(way: Way, shown: Shown, edges: Edges) -> Answered | None:
    try:
        return ask_stranger(way, shown.leaf_pem, override_of(shown, way.to.host), edges)
    except (grpc.aio.AioRpcError, OSError):
        return None


def _known(trust: Trust, answered: Answered | None) -> Trust:
    """Return the trust with the authority that has the fingerprint, once somebody has shown it."""
    if trust.authority_pem or answered is None or not trust.fingerprint:
        return trust
    try:
        root = x509.load_pem_x509_certificate(answered.authority_pem)
    except ValueError:
        return trust
    if sha256(root.public_bytes(Encoding.DER)).digest() != trust.fingerprint:
        return trust
    return replace(trust, authority_pem=answered.authority_pem)


def _other_authority(way: Way) -> Finding:
    fix = "ask the operator for a new link, and read its fingerprint to each other by telephone"
    found = "who answers shows another authority than the link names; do not join"
    return problem("authority", str(way.to), found, fix, OPERATOR)


def _answers(way: Way, answered: Answered | None, *, proven: bool, asked: bool) -> list[Finding]:
    if answered is not None:
        return [check_clock(way, answered.clock, proven=proven), check_uplink(way, answered.uplink)]
    if not asked:
        return []
    fix = (
        "ask the operator for the address of listen.joining, which answers who has no certificate "
        "yet; afterwards `veilsum doctor --config` asks as a member"
    )
    found = (
        "who answers there says nothing to whom it does not know: clock and uplink not looked at"
    )
    return [warning("joining", str(way.to), found, fix, SITE)]


def _is_stopped(findings: list[Finding]) -> bool:
    return any(finding.level is Level.PROBLEM for finding in findings)
