"""What each party states, and signs, in the course of a round.

Each record names the one before it by digest, so that the last one, the release
of a model, commits to everything that led to it:

    roster ◀─ key record ◀─ plan ◀─ contributions ◀─ cohort ◀─ sum ◀─ release
"""

from collections.abc import Mapping
from typing import Annotated

import msgspec

from .canonical import encode
from .events import DpEvent
from .identifiers import Digest, FederationId, ParticipantId
from .signing import Purpose, digest

Size = Annotated[int, msgspec.Meta(ge=0, le=1 << 50)]
Round = Annotated[int, msgspec.Meta(ge=1, le=100_000)]

Modulus = Annotated[str, msgspec.Meta(pattern=r"^[1-9][0-9]{0,19}\Z")]
"""A modulus in decimal; JSON numbers end at 2^53."""

COORDINATOR = "coordinator"
"""The recipient of a piece that the coordinator adds up."""


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A statement about one round of one federation."""

    federation: FederationId
    round: Round


class SealedSecret(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whom a secret was sealed to, and the SHA-256 of the sealed bytes."""

    opener: ParticipantId
    sealed: Digest


class KeySpecification(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a cohort key must be made for, and who will hold it."""

    roster: Digest
    scheme: str
    degree: int
    modulus: Modulus
    scale_log2: int
    value_bits: int
    cohort_max: int
    ciphertexts_per_chunk: int
    openers: tuple[ParticipantId, ...]


class KeyRecord(Record, frozen=True, forbid_unknown_fields=True):
    """A cohort key for one round: signed by each opener that has checked it."""

    specification: KeySpecification
    maker: ParticipantId
    public_key: Digest
    secrets: tuple[SealedSecret, ...]


class Piece(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One part of a contribution: who it is for, what it hashes to, how long it is."""

    recipient: str
    scheme: str
    root: Digest
    chunks: Size
    length: Size


class Contribution(Record, frozen=True, forbid_unknown_fields=True):
    """The header of a contribution; its signature binds every byte of its pieces.

    `claim` is the privacy event the site has put on its ledger for this release,
    as DpEvent JSON, under the unit and delta that the plan names.
    """

    plan: Digest
    key_record: Digest
    participant: ParticipantId
    pieces: tuple[Piece, ...]
    claim: DpEvent


class Receipt(Record, frozen=True, forbid_unknown_fields=True):
    """The coordinator's word that a contribution is complete and durable."""

    plan: Digest
    participant: ParticipantId
    contribution: Digest


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One contribution of a cohort: whose, which header, which roots."""

    participant: ParticipantId
    contribution: Digest
    roots: tuple[Digest, ...]


class Cohort(Record, frozen=True, forbid_unknown_fields=True):
    """The contributions that are summed: frozen once, signed by the coordinator."""

    plan: Digest
    entries: tuple[Entry, ...]


class Sum(Record, frozen=True, forbid_unknown_fields=True):
    """The protected sum: over which cohort, with which root, how long."""

    plan: Digest
    cohort: Digest
    contributions: Size
    root: Digest
    chunks: Size
    length: Size


class Wrap(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A content key, sealed to one trainer's public key."""

    participant: ParticipantId
    sealed_key: bytes


class SealedModel(Record, frozen=True, forbid_unknown_fields=True):
    """The envelope of a sealed model; the chunks it seals travel beside it."""

    plan: Digest
    sum: Digest
    model: Digest
    roster: Digest
    sealer: ParticipantId
    chunks: Size
    length: Size
    ciphertext: Digest
    wraps: tuple[Wrap, ...]


class Release(Record, frozen=True, forbid_unknown_fields=True):
    """A new global model: what it was made from, and where it is sealed.

    `previous` is the digest of the model it was made from; openers sign the
    release only after they have made the same model themselves.
    """

    plan: Digest
    cohort: Digest
    sum: Digest
    previous: Digest
    model: Digest
    sealed_model: Digest


PURPOSES: Mapping[type[Record], Purpose] = {
    KeyRecord: Purpose.KEY_RECORD,
    Contribution: Purpose.CONTRIBUTION,
    Receipt: Purpose.RECEIPT,
    Cohort: Purpose.COHORT,
    Sum: Purpose.SUM,
    SealedModel: Purpose.SEALED_MODEL,
    Release: Purpose.RELEASE,
}


def digest_of(record: Record) -> Digest:
    """Return the digest by which other records name this one."""
    return digest(PURPOSES[type(record)], encode(record))


def release_of(envelope: SealedModel, cohort: Digest, previous: Digest) -> Release:
    """Return the one release that a sealed model can become.

    Args:
        cohort: digest of the cohort whose sum the model was made from.
        previous: digest of the model that the round started from.
    """
    return Release(
        federation=envelope.federation,
        round=envelope.round,
        plan=envelope.plan,
        cohort=cohort,
        sum=envelope.sum,
        previous=previous,
        model=envelope.model,
        sealed_model=digest_of(envelope),
    )
