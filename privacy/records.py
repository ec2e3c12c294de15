"""What each party states, and signs, in the course of a round.

Each record names the one before it by digest, so that the last one, the release
of a model, commits to everything that led to it:

    roster ◀─ key record ◀─ plan ◀─ contributions ◀─ cohort ◀─ sum ◀─ release

Under `shares` there is no key record, and between contributions and release stand

    contributions ◀─ candidates ◀─ verdicts ◀─ cohort ◀─ seats' sums ◀─ sum ◀─ release
"""

from collections.abc import Mapping
from typing import Annotated

import msgspec

from .canonical import encode
from .events import Events
from .identifiers import Digest, FederationId, ParticipantId
from .ledger import Checkpoint
from .signing import Purpose, digest

Size = Annotated[int, msgspec.Meta(ge=0, le=1 << 50)]
Round = Annotated[int, msgspec.Meta(ge=1, le=100_000)]

Modulus = Annotated[str, msgspec.Meta(pattern=r"^[1-9][0-9]{0,19}\Z")]
"""A modulus in decimal; JSON numbers end at 2^53."""

Residue = Annotated[str, msgspec.Meta(pattern=r"^(0|[1-9][0-9]{0,19})\Z")]
"""A residue in decimal, for the same reason."""

MaybeDigest = Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{64})?\Z")]
"""A digest, or nothing where there is none yet."""

Seconds = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,9}(\.[0-9]{1,3})?\Z")]
"""A time span in decimal."""

COORDINATOR = "coordinator"
"""The recipient of a piece that the coordinator adds up."""

SEATS = "seats"
"""The recipient of a piece that the coordinator keeps for the seats of a plan."""


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
    values_per_half: int
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


class Header(Record, frozen=True, forbid_unknown_fields=True):
    """The header of a contribution; its signature binds every byte of its pieces.

    `claim` is the privacy event, in both views, that the site has put on its ledger for this
    release, as DpEvent JSON, under the unit and delta that the plan names. `ledger` is how far
    that ledger had come when the header was signed: with the reservation, and before the commit,
    which names the header. Whoever keeps it knows an older copy of the ledger for what it is.
    """

    plan: Digest
    participant: ParticipantId
    pieces: tuple[Piece, ...]
    claim: Events
    ledger: Checkpoint


class Contribution(Header, frozen=True, forbid_unknown_fields=True):
    """A contribution under `ckks`.

    `mask` is the commitment to the secret of the site's mask, and `masks` what was sealed
    of it to each of the plan's openers, in their order; the seals travel beside the header.
    """

    key_record: Digest
    mask: Digest
    masks: tuple[SealedSecret, ...]


class SealedParts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which seat a contribution's secrets were sealed to, and the SHA-256 of the sealed bytes."""

    seat: ParticipantId
    sealed: Digest


class SharedContribution(Header, frozen=True, forbid_unknown_fields=True):
    """A contribution under `shares`: its piece is the component that travels, encrypted.

    `roots` are the Merkle roots of components 0, 1 and 2 as seats will hold them; `seals`
    what was sealed to each of the plan's seats, in their order, and travels beside the header.
    """

    roots: tuple[Digest, Digest, Digest]
    seals: tuple[SealedParts, SealedParts, SealedParts]


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


class Candidates(Record, frozen=True, forbid_unknown_fields=True):
    """The contributions that seats are to judge: closed once, signed by the coordinator.

    Seats draw their coin over its digest, so that no update is chosen after the coin.
    """

    plan: Digest
    entries: tuple[Entry, ...]


class Refused(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A contribution that a seat leaves out, and why, as an error's code and words."""

    participant: ParticipantId
    code: Annotated[str, msgspec.Meta(pattern=r"^[a-z_]{1,64}\Z")]
    reason: Annotated[str, msgspec.Meta(max_length=300)]


class Verdict(Record, frozen=True, forbid_unknown_fields=True):
    """What one seat says of the candidates, signed by it.

    `unasked` says why norms were not held against the plan's bound; empty where they were,
    or where the plan has none.
    """

    plan: Digest
    candidates: Digest
    seat: ParticipantId
    refused: tuple[Refused, ...]
    unasked: Annotated[str, msgspec.Meta(max_length=300)] = ""


class Wrap(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A content key, sealed to one trainer's public key."""

    participant: ParticipantId
    sealed_key: bytes


class SealedWords(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The sum of one component as a seat seals it: its Merkle root, and what was sealed."""

    component: Annotated[int, msgspec.Meta(ge=0, le=2)]
    root: Digest
    ciphertext: Digest
    length: Size


class SeatSum(Record, frozen=True, forbid_unknown_fields=True):
    """What one seat states as the sums of its two components over a certified cohort.

    The words of both are sealed under one content key, in streams of `chunks` chunks; the
    key is wrapped for every trainer of the roster.
    """

    plan: Digest
    cohort: Digest
    seat: ParticipantId
    roster: Digest
    chunks: Size
    sums: tuple[SealedWords, SealedWords]
    wraps: tuple[Wrap, ...]


Integer = Annotated[str, msgspec.Meta(pattern=r"^(0|-?[1-9][0-9]{0,19})\Z")]
"""An integer in decimal; JSON numbers end at 2^53."""

MaybeInteger = Annotated[str, msgspec.Meta(pattern=r"^(0|-?[1-9][0-9]{0,19})?\Z")]
"""An integer in decimal, or nothing where a scheme does not open it."""


class Score(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Rounded scalars of one hidden update: its squared norm, its product with the sum.

    Under `ckks` the squared norm is not opened, and the product is one with the released step.
    """

    participant: ParticipantId
    squared_norm: MaybeInteger
    alignment: Integer


class Scores(Record, frozen=True, forbid_unknown_fields=True):
    """What was opened about the updates of a cohort, in squared grid steps.

    Under `shares` it counts where all three seats sign the same, under `ckks` where as many
    openers do as must agree on the model. `void` says why there is none: a seat was away, a site
    stated nothing, or what sites stated cannot be true.
    """

    plan: Digest
    cohort: Digest
    step_log2: int
    scores: tuple[Score, ...]
    void: Annotated[str, msgspec.Meta(max_length=300)] = ""


class StatedProduct(Record, frozen=True, forbid_unknown_fields=True):
    """The product of one site's own update with a round's released step, as sealed to openers.

    `commitment` is to the one number that all openers must find, and `seals` what was sealed to
    each of them, in the plan's order; the seals travel beside it.
    """

    plan: Digest
    cohort: Digest
    release: Digest
    participant: ParticipantId
    commitment: Digest
    seals: tuple[SealedSecret, ...]


class Recollection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One signer's answer to a seat that has started: the newest round it has signed for.

    `nonce` is the asker's, fresh for each start, so that no old answer counts.
    """

    federation: FederationId
    asker: ParticipantId
    nonce: Digest
    signer: ParticipantId
    newest: Annotated[int, msgspec.Meta(ge=0, le=100_000)]


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a sum, or a contribution to it, is not what was signed.

    Attributes:
        participant: whose contribution; empty where the sum itself is wrong.
        chunk: the first wrong chunk; None where it cannot be told, as for a whole
            contribution that does not lead to its signed root.
        ciphertext, polynomial, modulus, word: the first wrong word of that chunk, counted
            from 0; None where the chunk cannot be read.
        expected: the residue that adding the contributions gives, in decimal.
        found: the one that the coordinator's sum has.
    """

    participant: str
    chunk: Size | None = None
    ciphertext: Size | None = None
    polynomial: Size | None = None
    modulus: Size | None = None
    word: Size | None = None
    expected: Residue | None = None
    found: Residue | None = None


class AuditReport(Record, frozen=True, forbid_unknown_fields=True):
    """What an auditor found of a round, signed by it: evidence that outlives the round.

    Attributes:
        code: empty if the sum is that of the contributions, else of the error found.
        reason: the same in words.
        plan, cohort, sum: digests of what was shown; empty for what was not got so far.
        contributions, chunks, length: what was added: how many, in how many chunks, bytes.
        seconds: how long it took, in decimal.
        found: root of the contributions' sum; empty if they were not all added.
        manifest: what the coordinator signed as the sum, and below its signature.
    """

    auditor: ParticipantId
    code: str
    reason: str
    plan: MaybeDigest = ""
    cohort: MaybeDigest = ""
    sum: MaybeDigest = ""
    contributions: Size = 0
    chunks: Size = 0
    length: Size = 0
    seconds: Seconds = "0"
    found: MaybeDigest = ""
    fault: Fault | None = None
    manifest: bytes = b""
    manifest_signature: bytes = b""


class Exhibit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A seat's statement of its sums as it was shown to an auditor, with the seat's signature."""

    seat: ParticipantId
    statement: bytes
    signature: bytes


class DisputeReport(Record, frozen=True, forbid_unknown_fields=True):
    """How an auditor settled what two seats disputed, signed by it: evidence that outlives it.

    It holds no word that a seat has shown: to the third seat those would open updates.

    Attributes:
        code: the error that it stands for.
        reason: the same in words.
        component: which of the three the two seats state different sums of.
        seats: the two, in the plan's order.
        plan, cohort: digests of what was shown; empty for what was not got so far.
        chunk, leaf: the first leaf in which the two differ; None where it was not found.
        liars: seats whose signed sum is not that of the sites there.
        withheld: seats that did not show all they must; a coordinator that drops letters makes
            any seat one of these, and none a liar.
        exhibits: what the two have signed.
    """

    auditor: ParticipantId
    code: str
    reason: str
    component: Annotated[int, msgspec.Meta(ge=0, le=2)]
    seats: tuple[ParticipantId, ParticipantId]
    plan: MaybeDigest = ""
    cohort: MaybeDigest = ""
    chunk: Size | None = None
    leaf: Size | None = None
    liars: tuple[ParticipantId, ...] = ()
    withheld: tuple[ParticipantId, ...] = ()
    exhibits: tuple[Exhibit, ...] = ()

    def named(self) -> tuple[ParticipantId, ...]:
        """Return whose sums no longer count; nobody's if it cannot be told which is wrong."""
        if not self.liars and len(self.withheld) == len(self.seats):
            return ()
        return tuple(sorted({*self.liars, *self.withheld}))


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


class Wraps(Record, frozen=True, forbid_unknown_fields=True):
    """The content key of a released model, sealed later to members its envelope leaves out.

    Signed by the trainer that made them; the chunks of the model stay as they are.
    """

    sealed_model: Digest
    roster: Digest
    maker: ParticipantId
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
    SharedContribution: Purpose.SHARED_CONTRIBUTION,
    Candidates: Purpose.CANDIDATES,
    Verdict: Purpose.VERDICT,
    SeatSum: Purpose.SEAT_SUM,
    Scores: Purpose.SCORES,
    StatedProduct: Purpose.PRODUCT,
    Receipt: Purpose.RECEIPT,
    Cohort: Purpose.COHORT,
    Sum: Purpose.SUM,
    AuditReport: Purpose.AUDIT_REPORT,
    DisputeReport: Purpose.DISPUTE_REPORT,
    SealedModel: Purpose.SEALED_MODEL,
    Wraps: Purpose.WRAPS,
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
