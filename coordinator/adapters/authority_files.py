"""The files of an authority: made once, never overwritten, read again where certificates are made.

    root.pem        who vouches for the authority that issues; no peer trusts it
    root.key        may be moved away from every network; nothing reads it again for years
    authority.pem   the authority that issues, which peers trust; then what leads up, the root last
    authority.key   of the one that issues

Keys have mode 0600 and are PKCS #8 in PEM, closed by a passphrase where there is one.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import structlog
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    SECP384R1,
    EllipticCurvePrivateKey,
)
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from coordinator.members.issuing import Certificate
from privacy.anchor import is_last
from privacy.errors import ConfigError
from privacy.identifiers import sha256_hex
from veilsum.files import make_folder, read_file, read_secret, write_new

from .authority import Authority, IssuingKey, certify_participant, requested_key

log = structlog.get_logger()

ROOT, ROOT_KEY = "root.pem", "root.key"
CHAIN, KEY = "authority.pem", "authority.key"

SHORTEST_PASSPHRASE: Final = 22
"""Characters: 128 random bits in base64."""

_SMALLEST_RSA: Final = 2048
_LONGEST_CHAIN: Final = 4


def save(folder: Path, root: Authority, issuing: Authority, passphrase: bytes | None) -> None:
    """Write a new authority to a new folder, durably.

    Raises:
        ConfigError: there is one already, which is never overwritten, or the passphrase is short.
        StoreUnavailable: the disk refuses.
    """
    closed: KeySerializationEncryption = NoEncryption()
    if passphrase is not None:
        check_passphrase(passphrase)
    make_folder(folder)
    if passphrase is not None:
        closed = BestAvailableEncryption(passphrase)
    for name, body in (
        (ROOT, root.certificate_pem),
        (ROOT_KEY, _pem(root.key, closed)),
        (CHAIN, issuing.certificate_pem + issuing.above_pem),
        (KEY, _pem(issuing.key, closed)),
    ):
        if not write_new(folder / name, body):
            raise ConfigError(f"{folder / name} exists; an authority is never overwritten")


def check_passphrase(passphrase: bytes) -> None:
    """Return if a passphrase may close an authority's keys.

    What is derived from it costs a guesser little: PKCS #8 in PEM, as OpenSSL writes it, has 2,048
    rounds of PBKDF2. So it must itself be beyond guessing.

    Raises:
        ConfigError: it is shorter than one of 128 random bits.
    """
    if len(passphrase) < SHORTEST_PASSPHRASE:
        raise ConfigError(
            f"the passphrase of an authority has {len(passphrase)} characters, at least "
            f"{SHORTEST_PASSPHRASE} are needed, and nobody need remember them: write the file by "
            "`openssl rand -base64 24`"
        )


def load(federation: str, chain: Path, key: Path, passphrase: Path | None = None) -> Authority:
    """Return the authority that issues, of this or of an organisation's own public-key system.

    Args:
        chain: PEM, the certificate that issues first, the root last.
        passphrase: a file whose one line closes the key.

    Raises:
        InsecureKeyFile: others than their owner can read the key or the passphrase.
        ConfigError: a file cannot be read, is not what it must be, or the two do not match; or
            the authority is of another federation, or has ended.
    """
    certificates = _certificates(chain)
    private = _key(key, passphrase)
    if _public(private) != _public_of(certificates[0]):
        raise ConfigError(f"{key} is not the key of the first certificate in {chain}")
    _check_chain(certificates, chain)
    _check_federation(certificates[0], federation, chain)
    first, *above = (each.public_bytes(Encoding.PEM) for each in certificates)
    return Authority(federation, first, private, b"".join(above))


class Certifier:
    """Certifies participants under an authority, for as long as it is asked to."""

    def __init__(self, authority: Authority) -> None:
        self._authority = authority
        self._fingerprint = authority.fingerprint

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate of the authority that issues."""
        return self._fingerprint

    @property
    def certificate_pem(self) -> bytes:
        """The certificate of the authority that issues, which members trust."""
        return self._authority.certificate_pem

    def check(self, request_pem: bytes, participant: str) -> str:
        """Return the digest of the key that a certificate is requested for, if it may be.

        Raises:
            MalformedMessage, WrongIdentity: as for `certify_participant`.
        """
        key = requested_key(self._authority.federation, request_pem, participant)
        der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return sha256_hex(der)

    def certify(
        self, request_pem: bytes, participant: str, now: float, life: float, begins: float | None
    ) -> Certificate:
        """Return a certificate for the key of a request, and what is recorded of it.

        Raises:
            MalformedMessage, WrongIdentity, ConfigError: as for `certify_participant`.
        """
        pem = certify_participant(
            self._authority,
            request_pem,
            participant,
            now=datetime.fromtimestamp(now, UTC),
            life=timedelta(seconds=life),
            begins=None if begins is None else datetime.fromtimestamp(begins, UTC),
        )
        made = x509.load_pem_x509_certificate(pem)
        ends = made.not_valid_after_utc.timestamp()
        key = self.check(request_pem, participant)
        return Certificate(pem.decode(), f"{made.serial_number:x}", key, ends)


def _certificates(chain: Path) -> list[x509.Certificate]:
    try:
        found = x509.load_pem_x509_certificates(read_file(chain))
    except ValueError:
        raise ConfigError(f"{chain} is not a chain of certificates in PEM") from None
    if len(found) > _LONGEST_CHAIN:
        raise ConfigError(f"{chain}: {len(found)} certificates, at most {_LONGEST_CHAIN} lead up")
    return found


def _key(path: Path, passphrase: Path | None) -> IssuingKey:
    body = read_secret(path)
    word = None if passphrase is None else read_secret(passphrase).removesuffix(b"\n")
    try:
        key = load_pem_private_key(body, password=word)
    except TypeError:
        said = "closed by a passphrase: set enrolment.passphrase to a file that holds it"
        said = (
            said if word is None else "not closed by a passphrase: leave out enrolment.passphrase"
        )
        raise ConfigError(f"{path} is {said}") from None
    except (ValueError, UnsupportedAlgorithm):
        raise ConfigError(f"{path} is no private key in PEM, or of another passphrase") from None
    if isinstance(key, RSAPrivateKey) and key.key_size >= _SMALLEST_RSA:
        return key
    if isinstance(key, EllipticCurvePrivateKey) and isinstance(key.curve, (SECP256R1, SECP384R1)):
        return key
    raise ConfigError(
        f"{path}: an authority issues by ECDSA P-256 or P-384, or by RSA of {_SMALLEST_RSA} bits "
        "or more"
    )


def _check_chain(certificates: list[x509.Certificate], path: Path) -> None:
    issuers = [*certificates[1:], certificates[-1]]  # the root is its own
    for each, issuer in zip(certificates, issuers, strict=True):
        try:
            basic = each.extensions.get_extension_for_class(x509.BasicConstraints).value
            each.verify_directly_issued_by(issuer)
        except (x509.ExtensionNotFound, InvalidSignature, ValueError, TypeError):
            raise ConfigError(
                f"{path}: the certificate that issues comes first, then whoever issued it, the "
                "root last; all of them are authorities"
            ) from None
        if not basic.ca:
            raise ConfigError(f"{path}: {each.subject.rfc4514_string()} is no authority")
    if not is_last(certificates[0]):
        raise ConfigError(
            f"{path}: the authority that issues must have path length 0 (basic constraints, "
            "critical): whoever can make further ones could let them speak for this federation; "
            "have one made that issues for it and for nothing else"
        )


def _check_federation(certificate: x509.Certificate, federation: str, path: Path) -> None:
    """Return if an authority may name peers of a federation; say so if it may name anybody."""
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.NameConstraints).value
    except x509.ExtensionNotFound:
        log.warning("authority_unconstrained", certificate=str(path), names="any")
        return
    hosts = [
        name.value
        for name in constraints.permitted_subtrees or ()
        if isinstance(name, x509.UniformResourceIdentifier)
    ]
    if hosts and federation not in hosts:
        raise ConfigError(f"{path} names peers of {', '.join(hosts)}, not of {federation}")


def _public(key: IssuingKey) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _public_of(certificate: x509.Certificate) -> bytes:
    return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _pem(key: IssuingKey, closed: KeySerializationEncryption) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, closed)
