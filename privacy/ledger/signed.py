"""Who signed a row: its bytes under the key that it names, and whether that key may write here."""

from collections.abc import Collection

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from privacy import signing
from privacy.errors import InvalidSignature
from privacy.signing import Purpose

from .rows import Row


def sign_row(key: Ed25519PrivateKey, body: bytes) -> bytes:
    """Return the signature of a row in canonical form: 64 bytes."""
    return signing.sign(key, Purpose.LEDGER_ROW, body)


def check_signature(
    row: Row, body: bytes, signature: bytes, keys: Collection[str] | None = None
) -> None:
    """Return if a row is signed by the key that it names, and that key is one of `keys`.

    Args:
        body: the row's bytes.
        keys: public keys in hex, that may sign rows of this ledger; None where the caller
            has none to compare with, and believes the row's own word.

    Raises:
        InvalidSignature: it is not.
    """
    if keys is not None and row.key not in keys:
        raise InvalidSignature(f"row {row.seq}: signed by {row.key[:16]}…, a key not known here")
    signing.verify(bytes.fromhex(row.key), Purpose.LEDGER_ROW, body, signature)
