"""What a member asks of the federation's authority: to be enrolled, or certified again.

Both are signed by the member's own key, over the authority that it believes it speaks to: a
proof that was made for one coordinator is none for another.
"""

from typing import Annotated, Final

import msgspec

from .canonical import encode
from .errors import InvalidSignature, MalformedMessage
from .identifiers import Digest, ParticipantId, sha256_hex
from .roster import Member
from .signing import Purpose, digest, verify
from .words import words_of

TOKEN_BYTES: Final = 32
LONGEST_REQUEST: Final = 1 << 13
"""Bytes of a certificate request in PEM; one for a P-256 key has about 500."""

CLOCKS_APART_SECONDS: Final = 300
"""How far a member's clock may be from the coordinator's where it says the time."""

RENEWABLE_SECONDS: Final = 7 * 86_400
"""For so long after its end a certificate is renewed by the member's signing key."""

RequestText = Annotated[str, msgspec.Meta(max_length=LONGEST_REQUEST)]


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A member asks to be enrolled; signed by the key of its entry.

    Attributes:
        authority: SHA-256 of the root's certificate, as the link has it.
        invitation: SHA-256 of the token, which itself stands nowhere.
        entry: as it is to stand in the roster.
        request: the certificate request, in PEM.
    """

    authority: Digest
    invitation: Digest
    entry: Member
    request: RequestText

    def body(self) -> bytes:
        """Return the bytes that are signed."""
        return encode(self)

    def digest(self) -> Digest:
        """Return what the four words are made of."""
        return digest(Purpose.ENROL, encode(self))

    def words(self) -> str:
        """Return the four words that the member shows and the operator compares; slow."""
        return words_of(self.digest())

    def check(self, proof: bytes) -> None:
        """Return if `proof` is a signature of this by the entry's own key.

        Raises:
            InvalidSignature: it is not.
        """
        verify(self.entry.signing_key, Purpose.ENROL, self.body(), proof)


class Renewal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A member whose certificate has ended asks for another; signed by its roster entry's key."""

    authority: Digest
    participant: ParticipantId
    request: RequestText
    at_seconds: int

    def body(self) -> bytes:
        """Return the bytes that are signed."""
        return encode(self)

    def check(self, key: bytes, proof: bytes, now_seconds: float) -> None:
        """Return if `proof` is a signature of this by `key`, made just now.

        Raises:
            InvalidSignature: it is not, or the clocks are too far apart.
        """
        verify(key, Purpose.RENEW, self.body(), proof)
        apart = abs(self.at_seconds - now_seconds)
        if apart > CLOCKS_APART_SECONDS:
            raise InvalidSignature(
                f"{self.participant}: signed at a time {apart:.0f} s away from this clock, at "
                f"most {CLOCKS_APART_SECONDS} s may be; set the clock"
            )


def token_digest(token: bytes) -> Digest:
    """Return the name of the invitation that a token belongs to.

    Raises:
        MalformedMessage: it is no token.
    """
    if len(token) != TOKEN_BYTES:
        raise MalformedMessage(f"a token has {TOKEN_BYTES} bytes, not {len(token)}")
    return sha256_hex(token)


def authority_fingerprint(root_der: bytes) -> Digest:
    """Return the fingerprint of an authority by its root's certificate in DER."""
    return sha256_hex(root_der)
