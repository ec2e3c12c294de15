"""Signed documents: canonical bytes, and who has signed them."""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from .errors import InvalidSignature, MalformedMessage
from .learned import learned
from .roster import Roster
from .signing import Purpose, verify


@dataclass(frozen=True, slots=True)
class Signed:
    """A document's canonical bytes with the signatures on them, by signer."""

    body: bytes
    signatures: Mapping[str, bytes]


def only_by(signed: Signed, *signers: str) -> Signed:
    """Return a document with the signatures of these signers, as far as they are there."""
    kept = {name: signed.signatures[name] for name in signers if name in signed.signatures}
    return Signed(signed.body, kept)


class _Stored(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    body: bytes
    signatures: dict[str, bytes]


def pack(signed: Signed) -> bytes:
    """Return a document and its signatures as bytes, to be stored where they were made."""
    return msgspec.msgpack.encode(_Stored(signed.body, dict(sorted(signed.signatures.items()))))


def unpack(stored: bytes) -> Signed:
    """Return the document that `pack` put away.

    Raises:
        MalformedMessage: `pack` makes no such bytes; the store is damaged.
    """
    try:
        document = msgspec.msgpack.decode(stored, type=learned(_Stored))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise MalformedMessage(f"a stored document of {len(stored)} bytes is damaged") from None
    signed = Signed(document.body, document.signatures)
    if pack(signed) != stored:
        raise MalformedMessage(f"a stored document of {len(stored)} bytes is not as it was stored")
    return signed


def check_signer(signed: Signed, purpose: Purpose, signer: str, key: bytes) -> None:
    """Return if `signer` has signed the document under `key`.

    Raises:
        InvalidSignature: it has not.
    """
    verify(key, purpose, signed.body, signed.signatures.get(signer, b""))


def check_agreement(
    signed: Signed, purpose: Purpose, signers: tuple[str, ...], needed: int, roster: Roster
) -> None:
    """Return if at least `needed` different `signers` have signed, under the roster's keys.

    Raises:
        InvalidSignature: fewer have, or a signature that is there is wrong.
    """
    present = sorted({name for name in signers if name in signed.signatures})
    for name in present:
        check_signer(signed, purpose, name, roster.member(name).signing_key)
    if len(present) < needed:
        raise InvalidSignature(f"{purpose}: {len(present)} signatures, {needed} are needed")
