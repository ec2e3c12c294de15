"""What a member remembers of a federation's rounds: what was signed for all to see.

Plans and cohorts have the coordinator's signature, releases those of openers. A coordinator that
was restored from an old backup has forgotten them, and believes none without its signatures.
"""

from collections.abc import Iterable
from typing import Final

import msgspec

from .documents import Signed
from .errors import MalformedMessage
from .identifiers import FederationId, ParticipantId
from .learned import learned
from .signing import Purpose

FORMAT: Final = "veilsum-rounds/1"

KINDS: Final = (Purpose.PLAN, Purpose.COHORT, Purpose.RELEASE)
"""What is remembered; nothing that the coordinator has not seen before."""


class Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A signed document of one round; a plan's body is its parts, as `plan.pack` puts them."""

    purpose: Purpose
    round: int
    body: bytes
    signatures: dict[str, bytes]

    def signed(self) -> Signed:
        """Return the document with its signatures."""
        return Signed(self.body, self.signatures)


class Remembered(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that one member remembers."""

    format: str
    federation: FederationId
    participant: ParticipantId
    documents: tuple[Document, ...]


def pack(
    federation: FederationId,
    participant: ParticipantId,
    documents: Iterable[tuple[Purpose, int, Signed]],
) -> bytes:
    """Return what a member remembers as bytes; documents of other kinds are left out."""
    found = tuple(
        Document(purpose, number, signed.body, dict(sorted(signed.signatures.items())))
        for purpose, number, signed in documents
        if purpose in KINDS
    )
    return msgspec.msgpack.encode(Remembered(FORMAT, federation, participant, found))


def unpack(body: bytes) -> Remembered:
    """Return what `pack` put together; no signature is checked yet.

    Raises:
        MalformedMessage: it is not that.
    """
    try:
        found = msgspec.msgpack.decode(body, type=learned(Remembered))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise MalformedMessage(f"{len(body)} bytes are not what a member remembers") from None
    if found.format != FORMAT or any(each.purpose not in KINDS for each in found.documents):
        raise MalformedMessage(f"what a member remembers is not of the format {FORMAT}")
    return found
