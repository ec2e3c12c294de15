"""A digest is signed as a contract takes it, and what a contract refuses is refused here."""

from pathlib import Path

import pytest
from eth_account import Account

from privacy.errors import ConfigError, InvalidSignature
from privacy.settlement.payouts import keccak256
from veilsum.chain.access import SignerAccess
from veilsum.chain.digests import sign_digest, signer_of_digest
from veilsum.chain.signing import RemoteSigner

KEY = Account.from_key(b"\x07" * 32)
DIGEST = keccak256(b"anything")
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


def test_who_has_signed_a_digest_is_told_by_the_signature() -> None:
    """In the 65 bytes of `ECDSA.recover`, the same each time."""
    signature = sign_digest(KEY, DIGEST)

    assert signer_of_digest(DIGEST, signature) == KEY.address.lower()
    assert (len(signature), sign_digest(KEY, DIGEST)) == (65, signature)


def test_a_signature_over_another_digest_is_another_signers() -> None:
    """Recovery always finds somebody; whoever asks must compare."""
    signature = sign_digest(KEY, DIGEST)

    assert signer_of_digest(keccak256(b"another"), signature) != KEY.address.lower()


def _twin(signature: bytes) -> bytes:
    s = ORDER - int.from_bytes(signature[32:64], "big")
    return signature[:32] + s.to_bytes(32, "big") + bytes([55 - signature[64]])


@pytest.mark.parametrize(
    "spoil",
    [
        lambda signature: signature[:64],
        lambda signature: signature + b"\0",
        lambda signature: signature[:64] + b"\x00",
        lambda signature: signature[:64] + b"\x1d",
        lambda _: bytes(64) + b"\x1b",
        lambda _: b"\xff" * 64 + b"\x1b",
        _twin,
    ],
    ids=["short", "long", "parity", "v", "zeros", "ones", "twin"],
)
def test_what_a_contract_refuses_is_refused(spoil) -> None:
    """A verdict that reverts would cost gas; the twin of a signature counts nowhere twice."""
    with pytest.raises(InvalidSignature, match="no signature by a key of the chain"):
        signer_of_digest(DIGEST, spoil(sign_digest(KEY, DIGEST)))


def test_a_signer_elsewhere_signs_no_digests(tmp_path: Path) -> None:
    """It is asked for transactions that are then read; a digest says nothing to it."""
    remote = RemoteSigner(SignerAccess("http://127.0.0.1:1", KEY.address))

    with pytest.raises(ConfigError, match="set keystore and passphrase"):
        sign_digest(remote, DIGEST)
