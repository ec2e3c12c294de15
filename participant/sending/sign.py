"""Sign a contribution: its pieces' roots, bound to round, plan, key and privacy claim."""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from privacy import canonical
from privacy.documents import Signed
from privacy.errors import MalformedMessage
from privacy.identifiers import Digest, sha256_hex
from privacy.ledger import Checkpoint
from privacy.mechanism import events_of
from privacy.plan import Plan
from privacy.records import (
    PURPOSES,
    Contribution,
    Piece,
    Record,
    SealedParts,
    SharedContribution,
)
from privacy.signing import sign as sign_body

from .masking import SealedMask


def contribution(
    plan: Plan,
    participant: str,
    pieces: tuple[Piece, ...],
    mask: SealedMask,
    ledger: Checkpoint,
) -> Contribution:
    """Return the header of a contribution to the round of `plan`, which is one of `ckks`.

    Args:
        ledger: head of the site's ledger, with the reservation for this round.
    """
    assert plan.terms.key_record is not None  # plans of that scheme name one
    return Contribution(
        federation=plan.terms.federation,
        round=plan.terms.round,
        plan=plan.digest(),
        key_record=plan.terms.key_record,
        participant=participant,
        pieces=pieces,
        claim=events_of(plan.terms.privacy.training),
        ledger=ledger,
        mask=mask.commitment,
        masks=mask.named,
    )


def shared_contribution(
    plan: Plan,
    participant: str,
    piece: Piece,
    roots: tuple[Digest, Digest, Digest],
    seals: tuple[bytes, bytes, bytes],
    ledger: Checkpoint,
) -> SharedContribution:
    """Return the header of a contribution to the round of `plan`, which is one of `shares`.

    Args:
        roots: Merkle roots of components 0, 1 and 2.
        seals: what is sealed to the plan's seats, in their order.
        ledger: head of the site's ledger, with the reservation for this round.
    """
    first, second, third = (
        SealedParts(seat, sha256_hex(sealed))
        for seat, sealed in zip(plan.terms.seats, seals, strict=True)
    )
    return SharedContribution(
        federation=plan.terms.federation,
        round=plan.terms.round,
        plan=plan.digest(),
        participant=participant,
        pieces=(piece,),
        claim=events_of(plan.terms.privacy.training),
        ledger=ledger,
        roots=roots,
        seals=(first, second, third),
    )


def read_header(body: bytes) -> Contribution | SharedContribution:
    """Return a contribution's header, under whichever scheme it was made.

    Raises:
        MalformedMessage: it is none.
    """
    try:
        return canonical.decode(body, SharedContribution)
    except MalformedMessage:
        return canonical.decode(body, Contribution)


def sign(record: Record, participant: str, key: Ed25519PrivateKey) -> Signed:
    """Return a record with the participant's signature on it."""
    body = canonical.encode(record)
    return Signed(body, {participant: sign_body(key, PURPOSES[type(record)], body)})
