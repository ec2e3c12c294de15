"""A federation's own certificate authority: who may connect, under which name.

A root that may be kept away from every network, and below it one that issues day by day; or one
of an organisation's own that issues; or, for a federation on one machine, the root alone. Keys
that are made here are ECDSA P-256, because gRPC's TLS library refuses Ed25519 certificates. A
certificate says who its holder is by one URI and nothing else; the operator decides it, the
request does not.
"""

import ipaddress
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeAlias

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from privacy.enrolment import authority_fingerprint
from privacy.errors import ConfigError, InsecureKeyFile, MalformedMessage, WrongIdentity
from privacy.identifiers import check_name, coordinator_uri, participant_uri

BACKDATE = timedelta(minutes=15)
"""How far before `now` a certificate begins, for peers whose clocks are behind."""


IssuingKey: TypeAlias = EllipticCurvePrivateKey | RSAPrivateKey


@dataclass(frozen=True)
class Authority:
    """The key that names every peer of one federation, and its certificate in PEM.

    Peers trust that certificate, and nothing above it. `above_pem` are those that lead from it to
    the root, the root last; nothing, if it is the root itself.
    """

    federation: str
    certificate_pem: bytes
    key: IssuingKey = field(repr=False)
    above_pem: bytes = b""

    @property
    def certificate(self) -> x509.Certificate:
        """The authority's own certificate."""
        return x509.load_pem_x509_certificate(self.certificate_pem)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the authority's certificate, which peers trust, as links have it."""
        return authority_fingerprint(self.certificate.public_bytes(Encoding.DER))


@dataclass(frozen=True)
class ServerIdentity:
    """What the coordinator shows to those who connect: its certificate and the key of it, PEM."""

    certificate_pem: bytes
    key_pem: bytes = field(repr=False)


def make_authority(
    federation: str, *, now: datetime, life: timedelta, dns_names: Sequence[str] = ()
) -> Authority:
    """Return a new authority that can name peers of `federation` only.

    With `dns_names`, it can also certify servers under those names, and names below them,
    only. It can make no further authority.

    Source: RFC 5280, section 4.2.1.10 (name constraints).
    """
    key = generate_private_key(SECP256R1())
    name = _name(f"{check_name(federation)} certificate authority")
    builder = _builder(name, name, key.public_key(), now, now + life)
    certificate = _authority(builder, 0, _constraints(federation, dns_names)).sign(key, SHA256())
    return Authority(federation, certificate.public_bytes(Encoding.PEM), key)


def make_root(federation: str, *, now: datetime, life: timedelta) -> Authority:
    """Return a root that certifies one thing: an authority that issues."""
    key = generate_private_key(SECP256R1())
    name = _name(f"{check_name(federation)} root")
    builder = _builder(name, name, key.public_key(), now, now + life)
    certificate = _authority(builder, 1, None).sign(key, SHA256())
    return Authority(federation, certificate.public_bytes(Encoding.PEM), key)


def make_issuing(
    root: Authority, *, now: datetime, life: timedelta, dns_names: Sequence[str] = ()
) -> Authority:
    """Return an authority below `root` that can name peers of its federation only.

    It certifies servers under `dns_names`, and names below them, only; without any, under no DNS
    name at all. It can make no further authority.

    Source: RFC 5280, section 4.2.1.10 (name constraints).
    """
    key = generate_private_key(SECP256R1())
    name = _name(f"{root.federation} issuing authority")
    builder = _builder(root.certificate.subject, name, key.public_key(), now, now + life)
    # a name in a domain that can have none (RFC 6761): of DNS names, nothing is permitted
    names = dns_names or (f"{root.federation}.invalid",)
    builder = _authority(builder, 0, _constraints(root.federation, names))
    builder = builder.add_extension(_key_id(root), critical=False)
    certificate = builder.sign(root.key, SHA256())
    pem = certificate.public_bytes(Encoding.PEM)
    return Authority(root.federation, pem, key, root.certificate_pem)


def certify_coordinator(
    authority: Authority, names: Sequence[str], *, now: datetime, life: timedelta
) -> ServerIdentity:
    """Return a new key and certificate for a coordinator reached under `names`, DNS or IP.

    Raises:
        ConfigError: the authority's own certificate ends first.
    """
    key = generate_private_key(SECP256R1())
    uri = coordinator_uri(authority.federation)
    certificate = _certify(
        authority,
        public_key=key.public_key(),
        name="coordinator",
        alternatives=[*map(_address, names), x509.UniformResourceIdentifier(uri)],
        purpose=ExtendedKeyUsageOID.SERVER_AUTH,
        now=now,
        life=life,
    )
    return ServerIdentity(certificate, _pem(key))


def certify_coordinator_again(
    authority: Authority, before: bytes, *, now: datetime, life: timedelta
) -> bytes:
    """Return a coordinator's next certificate, in PEM, for the key and the names of the one before.

    Raises:
        ConfigError: that is no certificate of a coordinator of this federation; or the
            authority's own certificate ends first.
    """
    uri = x509.UniformResourceIdentifier(coordinator_uri(authority.federation))
    try:
        held = x509.load_pem_x509_certificate(before)
        names = held.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, x509.ExtensionNotFound):
        raise ConfigError("the server's certificate is none, or names no host") from None
    key = held.public_key()
    if uri not in list(names) or not isinstance(key, EllipticCurvePublicKey):
        raise ConfigError(f"the server's certificate is not one of {authority.federation}")
    return _certify(
        authority,
        public_key=key,
        name="coordinator",
        alternatives=list(names),
        purpose=ExtendedKeyUsageOID.SERVER_AUTH,
        now=now,
        life=life,
    )


def certify_participant(
    authority: Authority,
    request_pem: bytes,
    participant: str,
    *,
    now: datetime,
    life: timedelta,
    begins: datetime | None = None,
) -> bytes:
    """Return a client certificate, in PEM, that names the requesting key `participant`.

    Args:
        begins: its beginning, if not somewhat before `now`.

    Raises:
        MalformedMessage: not a request, not for a P-256 key, or not signed by that key.
        WrongIdentity: the request asks for another name; the site must ask for its own.
        ConfigError: the authority's own certificate ends first.
    """
    uri = participant_uri(authority.federation, participant)
    return _certify(
        authority,
        public_key=requested_key(authority.federation, request_pem, participant),
        name=participant,
        alternatives=[x509.UniformResourceIdentifier(uri)],
        purpose=ExtendedKeyUsageOID.CLIENT_AUTH,
        now=now,
        life=life,
        begins=begins,
    )


def requested_key(federation: str, request_pem: bytes, participant: str) -> EllipticCurvePublicKey:
    """Return the key that a certificate is requested for, if it may be.

    Raises:
        MalformedMessage, WrongIdentity: as for `certify_participant`.
    """
    request = _load_request(request_pem)
    _refuse_other_names(request, participant_uri(federation, participant))
    return _requested_key(request)


def save_authority(authority: Authority, folder: Path) -> None:
    """Write `ca.key` (mode 0600) and `ca.pem` to `folder`, which is made with mode 0700.

    Raises:
        ConfigError: there is an authority already; the operator must choose another folder.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    assert isinstance(authority.key, EllipticCurvePrivateKey)  # no other kind is made here
    _write_once(folder / "ca.key", _pem(authority.key))
    _write_once(folder / "ca.pem", authority.certificate_pem)


def load_authority(folder: Path) -> Authority:
    """Return the authority that `save_authority` wrote to `folder`.

    Raises:
        InsecureKeyFile: others than the owner of this process can read the key.
        ConfigError: there is no authority in `folder`, or key and certificate do not match.
    """
    try:
        key = load_pem_private_key(_read_secret(folder / "ca.key"), password=None)
        certificate_pem = (folder / "ca.pem").read_bytes()
        certificate = x509.load_pem_x509_certificate(certificate_pem)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm):
        raise ConfigError(f"no certificate authority can be read in {folder}") from None
    if not isinstance(key, EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        raise ConfigError(f"{folder}/ca.key is not the key of {folder}/ca.pem")
    return Authority(_federation(certificate), certificate_pem, key)


def _certify(
    authority: Authority,
    *,
    public_key: EllipticCurvePublicKey,
    name: str,
    alternatives: Sequence[x509.GeneralName],
    purpose: ObjectIdentifier,
    now: datetime,
    life: timedelta,
    begins: datetime | None = None,
) -> bytes:
    issuer = authority.certificate
    if now + life > issuer.not_valid_after_utc:
        raise ConfigError(
            f"the authority ends at {issuer.not_valid_after_utc:%Y-%m-%d %H:%M}Z, before a"
            f" certificate of {life} would; make a new authority"
        )
    builder = _builder(issuer.subject, _name(name), public_key, now, now + life, begins)
    builder = builder.add_extension(
        x509.BasicConstraints(ca=False, path_length=None), critical=True
    )
    builder = builder.add_extension(_usage(signs_certificates=False), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
    builder = builder.add_extension(_key_id(authority), critical=False)
    builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    certificate = builder.sign(authority.key, SHA256())
    return certificate.public_bytes(Encoding.PEM)


def _authority(
    builder: x509.CertificateBuilder, path_length: int, constraints: x509.NameConstraints | None
) -> x509.CertificateBuilder:
    basic = x509.BasicConstraints(ca=True, path_length=path_length)
    builder = builder.add_extension(basic, critical=True)
    builder = builder.add_extension(_usage(signs_certificates=True), critical=True)
    return builder.add_extension(constraints, critical=True) if constraints else builder


def _key_id(issuer: Authority) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key())


def _builder(
    issuer: x509.Name,
    subject: x509.Name,
    public_key: EllipticCurvePublicKey,
    now: datetime,
    end: datetime,
    begins: datetime | None = None,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .issuer_name(issuer)
        .subject_name(subject)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins or now - BACKDATE)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text[:64])])


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _constraints(federation: str, dns_names: Sequence[str]) -> x509.NameConstraints:
    # No constraint on IP addresses: gRPC's TLS library refuses every chain that carries one.
    permitted: list[x509.GeneralName] = [x509.UniformResourceIdentifier(federation)]
    return x509.NameConstraints([*permitted, *map(x509.DNSName, dns_names)], None)


def _address(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _load_request(request_pem: bytes) -> x509.CertificateSigningRequest:
    try:
        request = x509.load_pem_x509_csr(request_pem)
        proven = request.is_signature_valid
    except (ValueError, UnsupportedAlgorithm):
        raise MalformedMessage("not a certificate request in PEM") from None
    if not proven:
        raise MalformedMessage("the certificate request is not signed by the key it names")
    return request


def _requested_key(request: x509.CertificateSigningRequest) -> EllipticCurvePublicKey:
    key = request.public_key()
    if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP256R1):
        raise MalformedMessage("a certificate request must be for an ECDSA P-256 key")
    return key


def _refuse_other_names(request: x509.CertificateSigningRequest, uri: str) -> None:
    # The subject needs no check: nothing of it enters the certificate.
    try:
        asked = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return
    except ValueError:
        raise MalformedMessage("a certificate request with unreadable extensions") from None
    if list(asked) != [x509.UniformResourceIdentifier(uri)]:
        raise WrongIdentity(f"the certificate request asks for names other than {uri}")


def _federation(certificate: x509.Certificate) -> str:
    constraints = certificate.extensions.get_extension_for_class(x509.NameConstraints).value
    hosts = [
        name.value
        for name in constraints.permitted_subtrees or ()
        if isinstance(name, x509.UniformResourceIdentifier)
    ]
    return hosts[0]


def _pem(key: EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _write_once(path: Path, body: bytes) -> None:
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except FileExistsError:
        raise ConfigError(f"{path} exists; an authority is never overwritten") from None
    with os.fdopen(file, "wb") as out:
        out.write(body)
        out.flush()
        os.fsync(out.fileno())


def _read_secret(path: Path) -> bytes:
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as secret:
        about = os.fstat(secret.fileno())
        if about.st_uid != os.geteuid() or stat.S_IMODE(about.st_mode) & 0o077:
            raise InsecureKeyFile(
                f"{path} (owner {about.st_uid}, mode {stat.S_IMODE(about.st_mode):04o}) must be"
                f" readable by its owner only: chown {os.geteuid()} {path}; chmod 600 {path}"
            )
        return secret.read()
