"""Ed25519 signatures over transcripts that cannot be read as anything else.

What is signed is never bare bytes but a transcript: the purpose, then each
field behind its length. A signature made for one purpose is therefore no
signature for another, and moving a byte over a field boundary breaks it.
"""

import hashlib
from enum import StrEnum
from typing import Final

from cryptography.exceptions import InvalidSignature as _Invalid
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from .errors import InvalidSignature, MalformedMessage

_WITHOUT_SIGN: Final = 2**255 - 1
_PRIME: Final = 2**255 - 19
_ORDER_8: Final = (
    0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826,
    _PRIME - 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826,
)
_SMALL: Final = frozenset((0, 1, *_ORDER_8, _PRIME - 1, _PRIME, _PRIME + 1))
"""Every encoding of a point of small order on edwards25519, without the sign of x."""


class Purpose(StrEnum):
    """What a signature is for; part of every transcript and of every digest."""

    ROSTER = "veilsum/roster/1"
    KEY_RECORD = "veilsum/key-record/1"
    PLAN = "veilsum/plan/1"
    CONTRIBUTION = "veilsum/contribution/1"
    RECEIPT = "veilsum/receipt/1"
    COHORT = "veilsum/cohort/1"
    SUM = "veilsum/sum/1"
    AUDIT_REPORT = "veilsum/audit-report/1"
    SEALED_MODEL = "veilsum/sealed-model/1"
    WRAPS = "veilsum/wraps/1"
    RELEASE = "veilsum/release/1"
    SHARED_CONTRIBUTION = "veilsum/shared-contribution/1"
    CANDIDATES = "veilsum/candidates/1"
    VERDICT = "veilsum/verdict/1"
    CERTIFICATE = "veilsum/certificate/1"
    SEAT_SUM = "veilsum/seat-sum/1"
    PLEDGE = "veilsum/pledge/1"
    SCORES = "veilsum/scores/1"
    PRODUCT = "veilsum/stated-product/1"
    RECOLLECTION = "veilsum/recollection/1"
    SEAT_CHANNEL = "veilsum/seat-channel/1"
    DISPUTE = "veilsum/dispute/1"
    DISPUTE_REPORT = "veilsum/dispute-report/1"
    EVIDENCE = "veilsum/evidence/1"
    LEDGER_ROW = "veilsum/ledger-row/1"
    LEDGER_POLICY = "veilsum/ledger-policy/1"
    LEDGER_APPROVAL = "veilsum/ledger-approval/1"
    BACKUP = "veilsum/backup/1"
    ENROL = "veilsum/enrol/1"
    RENEW = "veilsum/renew/1"


def transcript(purpose: str, *fields: bytes) -> bytes:
    """Return `purpose` and `fields`, each behind its length (8 bytes, big-endian)."""
    parts = (purpose.encode(), *fields)
    return b"".join(len(part).to_bytes(8, "big") + part for part in parts)


def digest(purpose: Purpose, body: bytes) -> str:
    """Return the SHA-256, in lowercase hex, by which documents name `body`."""
    return hashlib.sha256(transcript(purpose, body)).hexdigest()


def sign(key: Ed25519PrivateKey, purpose: Purpose, body: bytes) -> bytes:
    """Return the signature of `body` for `purpose`: 64 bytes.

    Source: RFC 8032, section 5.1.6.
    """
    return key.sign(transcript(purpose, body))


def verify(public_key: bytes, purpose: Purpose, body: bytes, signature: bytes) -> None:
    """Return if `signature` is that of `body` for `purpose` under `public_key`.

    Raises:
        InvalidSignature: it is not; the peer must sign again with its own key.
    """
    try:
        key = Ed25519PublicKey.from_public_bytes(public_key)
        key.verify(signature, transcript(purpose, body))
    except (_Invalid, ValueError):
        raise InvalidSignature(
            f"not a signature of this {purpose} by {public_key.hex()[:16]}…"
        ) from None


def check_key(public_key: bytes) -> None:
    """Return unless a signing key, 32 bytes, is one under which everybody can sign everything.

    Raises:
        MalformedMessage: it is a point of small order, whose owner has no key.

    Source: Cremers and Jackson (2019), "Prime, Order Please!", section 3: the orders divide 8.
    """
    if int.from_bytes(public_key, "little") & _WITHOUT_SIGN in _SMALL:
        raise MalformedMessage("a signing key is a point of small order, and nobody's")


def public_bytes(key: Ed25519PrivateKey) -> bytes:
    """Return the raw public key of `key`: 32 bytes."""
    return key.public_key().public_bytes_raw()
