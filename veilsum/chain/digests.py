"""Digests signed by keys of the chain, such as those of EIP-712, and who has signed one.

A signature is the 65 bytes that a contract takes: r, s, and 27 or 28. One that OpenZeppelin's
`ECDSA` refuses is refused here, too.
"""

from typing import Final

from eth_account.signers.local import LocalAccount
from eth_keys.constants import SECPK1_N
from eth_keys.datatypes import Signature
from eth_keys.exceptions import BadSignature
from eth_utils.exceptions import ValidationError

from privacy.errors import ConfigError, InvalidSignature

from .signing import Signer

SIGNATURE_BYTES: Final = 65

_RECOVERY: Final = (27, 28)


def sign_digest(key: Signer, digest: bytes) -> bytes:
    """Return the signature of `key` over 32 bytes: 65 bytes, the same each time.

    Raises:
        ConfigError: the key is held by a remote signer, which signs transactions only.
    """
    require_signs_digests(key)
    assert isinstance(key, LocalAccount)  # it has just been required
    return bytes(key.unsafe_sign_hash(digest).signature)  # type: ignore[arg-type]


def require_signs_digests(key: Signer) -> None:
    """Return if `key` can sign digests, which are no transactions.

    Raises:
        ConfigError: the key is held by a remote signer.
    """
    if not isinstance(key, LocalAccount):
        raise ConfigError(
            f"settlement.signer: the signer of {key.address} signs transactions, and here a digest "
            "must be signed; set keystore and passphrase in place of it"
        )


def signer_of_digest(digest: bytes, signature: bytes) -> str:
    """Return the address, in lowercase, whose key has signed 32 bytes.

    Raises:
        InvalidSignature: no key has; whoever made it must sign again.
    """
    try:
        if len(signature) != SIGNATURE_BYTES or signature[64] not in _RECOVERY:
            raise BadSignature("not r, s, and 27 or 28")
        found = Signature(signature[:64] + bytes([signature[64] - 27]))
        if found.s > SECPK1_N // 2:
            raise BadSignature("the larger s of two")
        key = found.recover_public_key_from_msg_hash(digest)
    except (BadSignature, ValidationError) as error:
        raise InvalidSignature(
            f"no signature by a key of the chain: {error}; whoever made it must sign again"
        ) from None
    return str(key.to_address())
