"""The keys of a site: made on the site, kept by the site, never sent.

One folder holds them, with mode 0700, each file with mode 0600:

    tls.key      ECDSA P-256, for the site's certificate: PKCS #8, PEM
    signing.key  Ed25519, for its signatures: PKCS #8, PEM
    sealing.key  X-Wing, for what is sealed to it: the 32-byte seed, raw
"""

import os
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
from privacy.identifiers import participant_uri
from privacy.sealing import Entropy, HpkeKeyPair
from veilsum.files import sync_folder

TLS, SIGNING, SEALING = "tls.key", "signing.key", "sealing.key"


@dataclass(frozen=True)
class SiteKeys:
    """The three private keys of a site; none of them prints."""

    tls: EllipticCurvePrivateKey = field(repr=False)
    signing: Ed25519PrivateKey = field(repr=False)
    sealing: HpkeKeyPair = field(repr=False)

    @property
    def tls_pem(self) -> bytes:
        """The TLS key as PKCS #8 in PEM, as grpc wants it."""
        return _pem(self.tls)

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
        generate_private_key(SECP256R1()),
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
    _check_private(folder, folder.stat() if folder.is_dir() else None, "700")
    tls, signing = _load_pem(folder / TLS), _load_pem(folder / SIGNING)
    if not isinstance(tls, EllipticCurvePrivateKey) or not isinstance(tls.curve, SECP256R1):
        raise ConfigError(f"{folder / TLS} is not an ECDSA P-256 key")
    if not isinstance(signing, Ed25519PrivateKey):
        raise ConfigError(f"{folder / SIGNING} is not an Ed25519 key")
    return SiteKeys(tls, signing, _load_seed(folder / SEALING))


def certificate_request(keys: SiteKeys, federation: str, participant: str) -> bytes:
    """Return a request, in PEM, for a certificate that names the TLS key `participant`.

    Its signature proves that this site holds the key.

    Source: RFC 2986.
    """
    uri = x509.UniformResourceIdentifier(participant_uri(federation, participant))
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    builder = builder.add_extension(x509.SubjectAlternativeName([uri]), critical=False)
    return builder.sign(keys.tls, SHA256()).public_bytes(Encoding.PEM)


def _write_all(folder: Path, keys: SiteKeys) -> None:
    _write_private(folder / TLS, _pem(keys.tls))
    _write_private(folder / SIGNING, _pem(keys.signing))
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


def _check_private(path: Path, about: os.stat_result | None, mode: str) -> None:
    if about is None:
        raise ConfigError(f"{path} is not a folder with this site's keys")
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


def _pem(key: EllipticCurvePrivateKey | Ed25519PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
