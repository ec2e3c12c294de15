"""The keys of a site: made on the site, kept by the site, never sent.

One folder holds them, with mode 0700, each file with mode 0600:

    tls.key      ECDSA P-256, for the site's certificate: PKCS #8, PEM
    signing.key  Ed25519, for its signatures: PKCS #8, PEM
    sealing.key  X-Wing, for what is sealed to it: the 32-byte seed, raw
    renewed.pem  the newest certificate that the site has renewed to, behind its own TLS key, and
                 before both the digest of the certificate that it was given

Of a certificate and its key neither works with another one of the other. So what is renewed is
one file: a crash leaves the pair of before or the new one.
"""

import os
import pwd
import shlex
import shutil
import stat
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from privacy.errors import ConfigError, InsecureKeyFile, MalformedMessage
from privacy.failpoints import Step
from privacy.identifiers import participant_uri, sha256_hex
from privacy.sealing import Entropy, HpkeKeyPair
from veilsum.files import read_file, sync_folder, write_durably

TLS, SIGNING, SEALING = "tls.key", "signing.key", "sealing.key"
RENEWED = "renewed.pem"

_KEY_ENDS = b"-----END PRIVATE KEY-----\n"
_OTHERWISE = "delete it, and the site shows the certificate that it was given"


@dataclass(frozen=True)
class Renewed:
    """A certificate that a site has renewed to, with what leads to the authority, and its key.

    Attributes:
        given: SHA-256 of the certificate that the site was given, and has renewed since. Of one
            that it is given after that this is no renewal.
    """

    given: str
    certificate_pem: bytes
    key_pem: bytes = field(repr=False)


@dataclass(frozen=True)
class SiteKeys:
    """The three private keys of a site, and what its certificate was renewed to; no key prints."""

    tls: EllipticCurvePrivateKey = field(repr=False)
    signing: Ed25519PrivateKey = field(repr=False)
    sealing: HpkeKeyPair = field(repr=False)
    renewed: Renewed | None = field(default=None, repr=False)

    @property
    def tls_pem(self) -> bytes:
        """The TLS key as PKCS #8 in PEM, as grpc wants it."""
        return pem_of(self.tls)

    @property
    def signing_public(self) -> bytes:
        """The public key of this site's signatures: 32 bytes."""
        return self.signing.public_key().public_bytes_raw()

    @property
    def sealing_public(self) -> bytes:
        """The public key to which others seal for this site: 1,216 bytes."""
        return self.sealing.public


def generate_keys(entropy: Entropy) -> SiteKeys:
    """Return new keys; the sealing key from `entropy`, the others from the operating system's."""
    return SiteKeys(
        new_tls_key(),
        Ed25519PrivateKey.generate(),
        HpkeKeyPair.generate(entropy),
    )


def make_keys(folder: Path, entropy: Entropy) -> SiteKeys:
    """Return new keys, written to `folder`: all of them or, after a crash, none.

    Raises:
        ConfigError: `folder` exists and is not empty; a site's keys are never overwritten.
    """
    keys = generate_keys(entropy)
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        _write_all(draft, keys)
        _publish(draft, folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return keys


def load_keys(folder: Path) -> SiteKeys:
    """Return the keys that `make_keys` wrote to `folder`.

    Raises:
        InsecureKeyFile: somebody else can read a key; the message has the command to run.
        ConfigError: a key is missing or is not a key of its kind.
    """
    _check_private(folder, _about(folder), "700")
    tls, signing = _load_pem(folder / TLS), _load_pem(folder / SIGNING)
    if not isinstance(tls, EllipticCurvePrivateKey) or not isinstance(tls.curve, SECP256R1):
        raise ConfigError(f"{folder / TLS} is not an ECDSA P-256 key")
    if not isinstance(signing, Ed25519PrivateKey):
        raise ConfigError(f"{folder / SIGNING} is not an Ed25519 key")
    return SiteKeys(tls, signing, _load_seed(folder / SEALING), load_renewed(folder))


def new_tls_key() -> EllipticCurvePrivateKey:
    """Return a new key for one certificate."""
    return generate_private_key(SECP256R1())


def keep_renewed(folder: Path, renewed: Renewed, step: Step) -> None:
    """Keep what the site's certificate was renewed to; the pair of before, or all of this one.

    Raises:
        StoreUnavailable: the disk refuses.
    """
    step("rotation.before_write")
    line = f"{renewed.given}\n".encode()
    write_durably(folder / RENEWED, line + renewed.key_pem + renewed.certificate_pem)
    step("rotation.after_write")


def load_renewed(folder: Path) -> Renewed | None:
    """Return what the site's certificate was renewed to last; None if it never was.

    Raises:
        InsecureKeyFile: somebody else can read the key.
        ConfigError: it is no certificate with its key.
    """
    path = folder / RENEWED
    if not os.path.lexists(path):
        return None
    given, _, pair = _read_private(path).partition(b"\n")
    key_pem, end, certificate_pem = pair.partition(_KEY_ENDS)
    try:
        key = load_pem_private_key(key_pem + end, password=None)
        certificate = x509.load_pem_x509_certificate(certificate_pem)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ConfigError(f"{path} is no certificate behind its key; {_OTHERWISE}") from None
    if key.public_key() != certificate.public_key():
        raise ConfigError(f"{path}: the certificate is for another key; {_OTHERWISE}")
    return Renewed(given.decode("latin-1"), certificate_pem, key_pem + end)


def shown_file(given: Path, folder: Path) -> Path:
    """Return the file of the certificate that a site shows: the one given, or renewed to since.

    Raises:
        InsecureKeyFile, ConfigError: as `load_renewed`, or there is none.
    """
    renewed = load_renewed(folder)
    is_newer = renewed is not None and renewed.given == sha256_hex(read_file(given))
    return folder / RENEWED if is_newer else given


def certificate_request(keys: SiteKeys, federation: str, participant: str) -> bytes:
    """Return a request, in PEM, for a certificate that names the TLS key `participant`."""
    return request_for(keys.tls, federation, participant)


def request_for(key: EllipticCurvePrivateKey, federation: str, participant: str) -> bytes:
    """Return a request, in PEM, for a certificate that names `key` `participant`.

    Its signature proves that this site holds the key.

    Source: RFC 2986.
    """
    uri = x509.UniformResourceIdentifier(participant_uri(federation, participant))
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    builder = builder.add_extension(x509.SubjectAlternativeName([uri]), critical=False)
    return builder.sign(key, SHA256()).public_bytes(Encoding.PEM)


def _write_all(folder: Path, keys: SiteKeys) -> None:
    _write_private(folder / TLS, pem_of(keys.tls))
    _write_private(folder / SIGNING, pem_of(keys.signing))
    _write_private(folder / SEALING, keys.sealing.seed)
    sync_folder(folder)


def _write_private(path: Path, body: bytes) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(file, "wb") as out:
        out.write(body)
        out.flush()
        os.fsync(out.fileno())


def _publish(draft: Path, folder: Path) -> None:
    try:
        # refused by the system where the folder exists with anything in it
        draft.rename(folder)
    except OSError as error:
        raise ConfigError(
            f"{folder} cannot be made ({error.strerror}); a site's keys are never overwritten"
        ) from None
    sync_folder(folder.parent)


def _load_pem(path: Path) -> PrivateKeyTypes:
    try:
        return load_pem_private_key(_read_private(path), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ConfigError(f"{path} is not a private key in PEM") from None


def _load_seed(path: Path) -> HpkeKeyPair:
    try:
        return HpkeKeyPair(_read_private(path))
    except MalformedMessage:
        raise ConfigError(f"{path} is not a sealing key of 32 bytes") from None


def _read_private(path: Path) -> bytes:
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    with os.fdopen(file, "rb") as private:
        # the open file, not the path, which could change between the check and the reading
        _check_private(path, os.fstat(file), "600")
        return private.read()


def _about(folder: Path) -> os.stat_result | None:
    try:
        about = folder.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ConfigError(
            f"{folder} cannot be read: {error.strerror}; run this as the user whose keys these are"
        ) from None
    return about if stat.S_ISDIR(about.st_mode) else None


def _check_private(path: Path, about: os.stat_result | None, mode: str) -> None:
    if about is None:
        raise ConfigError(f"{path} is not a folder with this site's keys")
    if about.st_uid != os.geteuid() == 0:
        # To give the keys to root would take them from the process that works with them.
        raise InsecureKeyFile(
            f"{path} belongs to user {about.st_uid}; as root run this as that user:"
            f" runuser -u {_name_of(about.st_uid)} -- veilsum ..."
        )
    if about.st_uid != os.geteuid():
        raise InsecureKeyFile(
            f"{path} belongs to user {about.st_uid}, not to {os.geteuid()} who runs this;"
            f" run: chown {os.geteuid()} {shlex.quote(str(path))}"
        )
    if stat.S_IMODE(about.st_mode) & 0o077:
        raise InsecureKeyFile(
            f"{path} has mode {stat.S_IMODE(about.st_mode):04o}, so others can read it;"
            f" run: chmod {mode} {shlex.quote(str(path))}"
        )


def _name_of(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"'#{user}'"


def pem_of(key: EllipticCurvePrivateKey | Ed25519PrivateKey) -> bytes:
    """Return a private key as PKCS #8 in PEM."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
