"""A federation's certificates and a coordinator's endpoint on loopback, for tests of TLS."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import grpc
import grpc.aio
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from coordinator.adapters.authority import (
    Authority,
    ServerIdentity,
    certify_coordinator,
    certify_participant,
    make_authority,
)
from coordinator.wire.tls import RefuseWeakTls, peer_identity, server_credentials
from participant.keys import SiteKeys, certificate_request, generate_keys
from participant.wire.tls import SiteCertificate

HOUR = timedelta(hours=1)
FEDERATION, SITE = "oncology", "hospital-a"
SITE_URI = f"spiffe://{FEDERATION}/participant/{SITE}"


def utc_now() -> datetime:
    """Return the time of this machine; TLS libraries compare certificates with it."""
    return datetime.now(UTC)


def pem(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    """Return `key` as PKCS #8 in PEM."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@dataclass(frozen=True)
class Federation:
    """An authority, its coordinator, and certificates of sites as a test wants them."""

    authority: Authority
    server: ServerIdentity

    def site(
        self, keys: SiteKeys, *, of: Authority | None = None, at: datetime | None = None
    ) -> SiteCertificate:
        """Return the certificate of a site, by another authority or at another time if named."""
        certificate = certify_participant(
            of or self.authority,
            certificate_request(keys, FEDERATION, SITE),
            SITE,
            now=at or utc_now(),
            life=HOUR,
        )
        return SiteCertificate(self.authority.certificate_pem, certificate, keys.tls_pem)

    def forged(self, *uris: str, ed25519_key: bool = False) -> SiteCertificate:
        """Return a certificate that the authority's own code would not issue."""
        key = (
            ed25519.Ed25519PrivateKey.generate()
            if ed25519_key
            else ec.generate_private_key(ec.SECP256R1())
        )
        names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri) for uri in uris])
        builder = (
            x509.CertificateBuilder()
            .issuer_name(self.authority.certificate.subject)
            .subject_name(x509.Name([]))
            .public_key(key.public_key())
            .serial_number(1)
            .not_valid_before(utc_now() - HOUR)
            .not_valid_after(utc_now() + HOUR)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), False)
        )
        builder = builder.add_extension(names, False) if uris else builder
        certificate = builder.sign(self.authority.key, SHA256()).public_bytes(Encoding.PEM)
        return SiteCertificate(self.authority.certificate_pem, certificate, pem(key))


def make_federation(
    *names: str, at: datetime | None = None, authority: Authority | None = None
) -> Federation:
    """Return a federation whose coordinator is certified for `names`, else for loopback."""
    now = at or utc_now()
    authority = authority or make_authority(FEDERATION, now=now, life=10 * HOUR)
    server = certify_coordinator(authority, names or ("127.0.0.1", "localhost"), now=now, life=HOUR)
    return Federation(authority, server)


def new_keys() -> SiteKeys:
    """Return a site's keys."""
    return generate_keys(os.urandom)


class _WhoAmI(grpc.GenericRpcHandler):
    def service(self, handler_call_details):
        async def tell(request, context):
            return peer_identity(context).uri.encode()

        async def tell_twice(request, context):
            yield peer_identity(context).uri.encode()
            yield request

        if handler_call_details.method == "/test/Twice":
            return grpc.unary_stream_rpc_method_handler(tell_twice)
        return grpc.unary_unary_rpc_method_handler(tell)


@asynccontextmanager
async def endpoint(
    federation: Federation, *interceptors: grpc.aio.ServerInterceptor
) -> AsyncIterator[str]:
    """Serve two methods that say who is calling, and yield the address."""
    server = grpc.aio.server(interceptors=interceptors or (RefuseWeakTls(),))
    server.add_generic_rpc_handlers([_WhoAmI()])
    credentials = server_credentials(
        federation.server.certificate_pem,
        federation.server.key_pem,
        federation.authority.certificate_pem,
    )
    port = server.add_secure_port("127.0.0.1:0", credentials)
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)
