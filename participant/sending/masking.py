"""The secret of a contribution's mask: sealed to the openers by its site, opened by them.

Why there is a mask stands in `privacy.schemes.masks`. Each seal is bound to its site, so that
nobody can pass another's off as its own, and the signed header commits to the one secret that
all openers must find.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from privacy.errors import MalformedMessage
from privacy.identifiers import Digest, sha256_hex
from privacy.plan import Plan
from privacy.records import Contribution, SealedSecret
from privacy.roster import Roster
from privacy.schemes.masks import MASK_SECRET_BYTES
from privacy.sealing import HpkeKeyPair, Sealed, open_sealed, seal, seal_context
from privacy.signing import transcript

_COMMITMENT = "veilsum/mask-commitment/1"


@dataclass(frozen=True, slots=True)
class SealedMask:
    """A mask's secret as it travels: a commitment, and a seal for each opener in order."""

    commitment: Digest
    openers: tuple[str, ...]
    seals: tuple[bytes, ...] = field(repr=False)

    @property
    def named(self) -> tuple[SealedSecret, ...]:
        """What the signed header says of the seals."""
        pairs = zip(self.openers, self.seals, strict=True)
        return tuple(SealedSecret(opener, sha256_hex(sealed)) for opener, sealed in pairs)


def seal_mask(plan: Plan, roster: Roster, participant: str, secret: bytes) -> SealedMask:
    """Return the secret of a participant's mask, sealed to each opener of the plan."""
    openers = plan.terms.openers
    seals = tuple(
        seal(roster.member(opener).sealing_key, _info(plan, participant, opener), secret)
        for opener in openers
    )
    return SealedMask(_commitment(secret), openers, seals)


def open_masks(
    plan: Plan,
    contributions: Sequence[Contribution],
    seals: Mapping[str, bytes],
    opener: str,
    pair: HpkeKeyPair,
) -> tuple[bytes, ...]:
    """Return the secrets of a cohort's masks, in the order of its contributions.

    Args:
        contributions: verified headers.
        seals: what was sealed to this opener, by participant.

    Raises:
        MalformedMessage: a seal is missing, is not the one its site has signed, or does not
            hold the secret that its site has committed to; the message names the site.
    """
    return tuple(
        _open(plan, each, seals.get(each.participant, b""), opener, pair) for each in contributions
    )


def _open(plan: Plan, header: Contribution, sealed: bytes, opener: str, pair: HpkeKeyPair) -> bytes:
    site, number = header.participant, plan.terms.round
    named = {each.opener: each.sealed for each in header.masks}
    if named.get(opener) != sha256_hex(sealed):
        raise MalformedMessage(
            f"round {number}: not the mask that {site} has signed for {opener}; the "
            "coordinator must hand out what the site has sent"
        )
    try:
        secret = open_sealed(pair, _info(plan, site, opener), sealed)
    except MalformedMessage:
        raise MalformedMessage(f"round {number}: {site} sealed no mask to {opener}") from None
    if len(secret) != MASK_SECRET_BYTES or _commitment(secret) != header.mask:
        raise MalformedMessage(f"round {number}: {site} sealed another mask than it committed to")
    return secret


def _commitment(secret: bytes) -> Digest:
    return hashlib.sha256(transcript(_COMMITMENT, secret)).hexdigest()


def _info(plan: Plan, participant: str, opener: str) -> bytes:
    terms = plan.terms
    fields = (terms.federation, str(terms.round), plan.digest(), participant, opener)
    return seal_context(Sealed.MASK, *(each.encode() for each in fields))
