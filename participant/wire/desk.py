"""The coordinator's desk for who has no certificate: its authority, and a request to be enrolled.

Nothing secret is said before the authority is the one that the link names. The order is: look at
the certificate that a server shows; over a connection that trusts this certificate alone, ask for
the authority; compare its fingerprint; and only then, over connections that trust nothing but
that authority, ask to be enrolled.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from participant.joining.link import Link
from privacy.anchor import check_anchor
from privacy.enrolment import Renewal
from privacy.errors import MalformedMessage, NotYet, PeerUnreachable, WrongIdentity
from privacy.identifiers import COORDINATOR, parse_uri, sha256_hex
from veilsum.screen import in_line
from veilsum.v1 import joining_pb2, joining_pb2_grpc

from .channel import open_joining_channel
from .coordinator import CALL_SECONDS, Coordinator
from .unreachable import coordinator_uri_of, shown_by

LARGEST_AUTHORITY: Final = 16 << 10
LARGEST_CHAIN: Final = 64 << 10
MOST_ADDRESSES: Final = 16


@dataclass(frozen=True)
class Authority:
    """The authority that a link names, and the federation whose coordinator it certifies.

    Attributes:
        pem: the certificate of what issues; what is above it counts for nothing.
        der_digest: its SHA-256, 32 bytes, as the link has it.
    """

    pem: bytes
    der_digest: bytes
    federation: str


@dataclass(frozen=True)
class Decided:
    """What became of a request: by whom, and what an approved member is handed, unchecked."""

    approved: bool
    decided_by: str
    reason: str
    certificate: bytes
    addresses: tuple[str, ...]


async def authority_of(link: Link, proxy: str | None = None) -> Authority:
    """Return the authority that a link names, as the server at its address shows it.

    Raises:
        WrongIdentity: the server shows another one; nothing secret has been said to it.
        ConfigError: the link names an authority below which there may be others.
        PeerUnreachable: nobody answers there.
    """
    shown = await asyncio.to_thread(shown_by, link.address, proxy)
    pinned = ssl.DER_cert_to_PEM_cert(shown).encode()
    async with _office(link.address, pinned, proxy) as office:
        desk = joining_pb2_grpc.JoinServiceStub(office.channel)
        answer = await office.call(
            desk.GetAuthority(joining_pb2.GetAuthorityRequest(), timeout=CALL_SECONDS)
        )
    issuing = _pinned(answer.authority, link, shown)
    pem = issuing.public_bytes(Encoding.PEM)
    check_anchor(pem, "the link's authority")
    uri = await asyncio.to_thread(coordinator_uri_of, link.address, pem, proxy)
    return Authority(pem, link.authority, _federation(uri))


async def request(
    link: Link,
    authority: Authority,
    entry: bytes,
    certificate_request: bytes,
    proof: bytes,
    proxy: str | None = None,
) -> Decided:
    """Ask to be enrolled, and return what was decided.

    Args:
        entry: the member's own, canonical.
        certificate_request: PEM.
        proof: the signature over what is asked.

    Raises:
        NotYet: nobody has decided.
        ProtocolError: the coordinator refuses the request as it is.
    """
    asked = joining_pb2.RequestEnrolmentRequest(
        token=link.token, entry=entry, certificate_request=certificate_request, proof=proof
    )
    async with _office(link.address, authority.pem, proxy) as office:
        desk = joining_pb2_grpc.JoinServiceStub(office.channel)
        answer = await office.call(desk.RequestEnrolment(asked, timeout=CALL_SECONDS))
    return _decided(answer)


async def renew_ended(
    address: str, authority_pem: bytes, renewal: Renewal, proof: bytes, proxy: str | None = None
) -> bytes:
    """Return a certificate, with what leads to the authority, for who shows none any more.

    Args:
        proof: the member's signature over `renewal`.

    Raises:
        CertificateEnded, CertificateRevoked: it is the operator who decides.
        ConfigError: there may be other authorities below the one that is trusted.
        PeerUnreachable: nobody answers there.
    """
    check_anchor(authority_pem, "coordinator.authority")
    asked = joining_pb2.RenewEndedRequest(
        participant=renewal.participant,
        certificate_request=renewal.request.encode(),
        at_seconds=renewal.at_seconds,
        proof=proof,
    )
    async with _office(address, authority_pem, proxy) as office:
        desk = joining_pb2_grpc.JoinServiceStub(office.channel)
        return (await office.call(desk.RenewEnded(asked, timeout=CALL_SECONDS))).certificate


@asynccontextmanager
async def _office(
    address: str, trusted_pem: bytes, proxy: str | None
) -> AsyncIterator[Coordinator]:
    """Give a coordinator to whom this side shows nothing of its own."""

    async def explain() -> str:
        try:
            await asyncio.to_thread(coordinator_uri_of, address, trusted_pem, proxy)
        except (PeerUnreachable, WrongIdentity) as reason:
            return str(reason)
        return f"{address} answers, and cuts what is asked of it short; try again"

    office = Coordinator(open_joining_channel(address, trusted_pem, proxy=proxy), explain)
    try:
        yield office
    finally:
        await office.close()


def _pinned(pem: bytes, link: Link, shown: bytes) -> x509.Certificate:
    """Return the authority that a server names, if the link names the same."""
    found = _read(pem)
    if (
        found is None
        or bytes.fromhex(sha256_hex(found.public_bytes(Encoding.DER))) != link.authority
    ):
        issuer = x509.load_der_x509_certificate(shown).issuer.rfc4514_string()[:200]
        raise WrongIdentity(
            f"{link.address} is not the coordinator that the link was made by: what it shows was "
            f"issued by {issuer!r}; another server, or something between that intercepts TLS. "
            "Nothing secret was said; exempt the address from interception, or ask the operator "
            "for a new link"
        )
    return found


def _read(pem: bytes) -> x509.Certificate | None:
    try:
        return x509.load_pem_x509_certificate(pem) if len(pem) <= LARGEST_AUTHORITY else None
    except ValueError:
        return None


def _federation(uri: str) -> str:
    peer = parse_uri(uri)
    if peer.role != COORDINATOR:
        raise WrongIdentity(f"{uri} names no coordinator; its operator must certify it again")
    return peer.federation


def _decided(answer: joining_pb2.RequestEnrolmentResponse) -> Decided:
    if answer.state == joining_pb2.ENROLMENT_STATE_PENDING:
        raise NotYet("the operator has not decided yet")
    approved = answer.state == joining_pb2.ENROLMENT_STATE_APPROVED
    if not approved and answer.state != joining_pb2.ENROLMENT_STATE_REFUSED:
        raise MalformedMessage("the coordinator's answer says nothing that this release knows")
    if len(answer.certificate) > LARGEST_CHAIN or len(answer.addresses) > MOST_ADDRESSES:
        raise MalformedMessage("the coordinator's answer is larger than a member reads")
    return Decided(
        approved,
        in_line(answer.decided_by),
        in_line(answer.reason),
        answer.certificate,
        tuple(answer.addresses),
    )
