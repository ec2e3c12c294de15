"""What a challenge needs, in one file: the commit of a round, and the proof that it is false."""

from typing import Annotated

import msgspec

from privacy import canonical
from privacy.errors import MalformedMessage

from .commitment import Commit
from .sum_proof import Kind, Proof

_LARGEST_PROOF_HEX = 1 << 19


class Accusation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A commit and a proof against it; anyone may challenge with it, until the round matures.

    Attributes:
        kind: `bad_sum`, `bad_leaf`, `bad_top`, `malformed`, `omitted` or `bad_payout`.
        proof: the bytes that the contract takes, hexadecimal.
    """

    commit: Commit
    kind: Annotated[str, msgspec.Meta(pattern=r"^[a-z_]{1,16}\Z")]
    proof: Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{2})+\Z", max_length=_LARGEST_PROOF_HEX)]

    def number(self) -> Kind:
        """Return the kind as the contract numbers it.

        Raises:
            MalformedMessage: there is no such kind.
        """
        try:
            return Kind[self.kind.upper()]
        except KeyError:
            kinds = ", ".join(kind.name.lower() for kind in Kind)
            raise MalformedMessage(f"{self.kind!r} is no kind of proof; one of {kinds}") from None

    def body(self) -> bytes:
        """Return the bytes of the proof."""
        return bytes.fromhex(self.proof)


def accuse(commit: Commit, proof: Proof) -> Accusation:
    """Return the accusation of a commit by a proof."""
    return Accusation(commit, proof.kind.name.lower(), proof.encode().hex())


def encode(accusation: Accusation) -> bytes:
    """Return the bytes of the file: canonical JSON."""
    return canonical.encode(accusation)


def decode(body: bytes) -> Accusation:
    """Return what a file says.

    Raises:
        MalformedMessage: it is no accusation.
    """
    found = canonical.decode(body, Accusation)
    found.number()
    return found
