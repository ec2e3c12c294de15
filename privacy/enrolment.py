"""What a member asks of the federation's authority: to be enrolled, or certified again.

Both are signed by the member's own key, over the authority that it believes it speaks to: a
proof that was made for one coordinator is none for another.
"""

from dataclasses import dataclass
from typing import Annotated, Final

import msgspec

from .canonical import encode
from .errors import InvalidSignature, MalformedMessage
from .identifiers import Digest, ParticipantId, sha256_hex
from .roster import Member
from .signing import Purpose, digest, verify
from .words import REQUEST_WORDS, words_of

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
        authority: SHA-256 of the certificate of the authority that issues, as the link has it.
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
        """Return the four words that the member shows, operator and trainers compare; slow."""
        return words_of(self.digest(), REQUEST_WORDS)

    def check(self, proof: bytes) -> None:
        """Return if `proof` is a signature of this by the entry's own key.

        Raises:
            InvalidSignature: it is not.
        """
        verify(self.entry.signing_key, Purpose.ENROL, self.body(), proof)


@dataclass(frozen=True)
class Proven:
    """What a member has asked, with its own signature: anybody may check it, and hear the words.

    That the signature is the member's, and not of whoever hands this out, its words say: the
    member reads them by telephone.
    """

    asked: Asked
    proof: bytes

    def check(self) -> None:
        """Return if the entry's own key has signed what is asked.

        Raises:
            InvalidSignature: it has not.
        """
        self.asked.check(self.proof)

    def is_for(self, member: Member) -> bool:
        """Return whether a roster has this entry; its roles are for members to admit."""
        return approved_part(self.asked.entry) == approved_part(member)


def approved_part(entry: Member) -> tuple[object, ...]:
    """Return what a member proves of its entry, and an operator approves: all but the roles."""
    said = (entry.participant, entry.organisation, entry.payout_address)
    return (*said, entry.signing_key, entry.sealing_key)


class Renewal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A member asks for another certificate; signed by the key of its roster entry."""

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


def authority_fingerprint(issuing_der: bytes) -> Digest:
    """Return the fingerprint of an authority by the certificate that issues, in DER."""
    return sha256_hex(issuing_der)
