"""Sign a contribution: its pieces' roots, bound to round, plan, key and privacy claim."""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from privacy import canonical
from privacy.documents import Signed
from privacy.events import from_json
from privacy.local_training import privacy_event
from privacy.plan import Plan
from privacy.records import PURPOSES, Contribution, Piece, Record
from privacy.signing import sign as sign_body

from .masking import SealedMask


def contribution(
    plan: Plan, participant: str, pieces: tuple[Piece, ...], mask: SealedMask
) -> Contribution:
    """Return the header of a contribution to the round of `plan`, which is one of `ckks`."""
    assert plan.terms.key_record is not None  # plans of that scheme name one
    return Contribution(
        federation=plan.terms.federation,
        round=plan.terms.round,
        plan=plan.digest(),
        key_record=plan.terms.key_record,
        participant=participant,
        pieces=pieces,
        claim=from_json(privacy_event(plan.terms.privacy.training)),
        mask=mask.commitment,
        masks=mask.named,
    )


def sign(record: Record, participant: str, key: Ed25519PrivateKey) -> Signed:
    """Return a record with the participant's signature on it."""
    body = canonical.encode(record)
    return Signed(body, {participant: sign_body(key, PURPOSES[type(record)], body)})
