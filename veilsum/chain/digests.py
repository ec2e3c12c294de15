"""What is signed as typed data (EIP-712) by keys of the chain, and who has signed a digest.

A signature is the 65 bytes that a contract takes: r, s, and 27 or 28. One that OpenZeppelin's
`ECDSA` refuses is refused here, too.
"""

from typing import Final

from eth_keys.constants import SECPK1_N
from eth_keys.datatypes import Signature
from eth_keys.exceptions import BadSignature
from eth_utils.exceptions import ValidationError

from privacy.errors import InvalidSignature
from privacy.settlement.typed import TypedData

from .signing import Signer, refused

SIGNATURE_BYTES: Final = 65

_RECOVERY: Final = (27, 28)


def sign_typed(key: Signer, said: TypedData) -> bytes:
    """Return the signature of `key` over what is said: of all of it, and of nothing else.

    Whoever holds the key, our own digest is what the signature must be of.

    Raises:
        InvalidSignature: what came back is by another key, over something else, or of a form
            that no contract takes.
        ChainUnavailable: a signer elsewhere does not answer, or refuses.
    """
    asked = f"a signature of {said.message.name}"
    signature = bytes(key.sign_typed_data(full_message=said.document()).signature)
    try:
        signer = signer_of_digest(said.digest(), signature)
    except InvalidSignature as error:
        raise refused(key, asked, str(error)) from None
    if signer != key.address.lower():
        raise refused(key, asked, f"one by another key, or of something else ({signer})")
    return signature


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
