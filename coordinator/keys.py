"""The coordinator's signing key: it vouches for plans, receipts, cohorts and sums."""

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from privacy.errors import ConfigError
from veilsum.files import read_secret, write_new


def make_signing_key(path: Path) -> Ed25519PrivateKey:
    """Return a new key, written to the new file `path` with mode 0600 (PKCS #8, PEM).

    The file is there whole, or not at all.

    Raises:
        ConfigError: the file exists; a key is never overwritten.
        StoreUnavailable: the disk refuses.
    """
    key = Ed25519PrivateKey.generate()
    body = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    if not write_new(path, body):
        raise ConfigError(f"{path} exists; a key is never overwritten")
    return key


def load_signing_key(path: Path) -> Ed25519PrivateKey:
    """Return the key in the file `path`.

    Raises:
        InsecureKeyFile: others than its owner can read it.
        ConfigError: it cannot be read, or is no Ed25519 key.
    """
    body = read_secret(path)
    try:
        key = load_pem_private_key(body, password=None)
    except ValueError:
        raise ConfigError(f"{path} is not a private key in PEM") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(f"{path} is not an Ed25519 key")
    return key
