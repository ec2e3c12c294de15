"""Open a round's protected sum, and nothing else, once.

Whoever opens checks first, by itself: the cohort, every header in it, the sum's
root. The coordinator's word is enough for none of them.
"""

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from participant.config import Policy
from privacy.certificate import check_certificate
from privacy.documents import Signed, check_signer
from privacy.errors import MalformedMessage, RootMismatch, SumOffGrid
from privacy.growth import SeenOf
from privacy.identifiers import Digest
from privacy.merkle import piece_root
from privacy.plan import SHARES, Plan
from privacy.roster import Roster
from privacy.schemes.base import Revealer
from privacy.schemes.ckks_sum import CkksCombiner
from privacy.signing import Purpose

from .frozen import Frozen, check_frozen
from .reveal_shares import root_of


def check(
    plan: Plan,
    policy: Policy,
    roster: Roster,
    signed_cohort: Signed,
    headers: Sequence[Signed],
    signed_sum: Signed,
    seen: SeenOf,
) -> Frozen:
    """Return the cohort and the sum's manifest, if all that is said of them holds.

    Raises:
        InvalidSignature: of the coordinator, of the auditor that the plan names, or of a
            site on its own header; under `shares`, the cohort has no certificate.
        WrongContext, MalformedMessage, WrongIdentity, CohortTooSmall, PeerLedgerRolledBack: as
            `check_frozen`.
    """
    if plan.arithmetic.scheme == SHARES:
        # Whoever has signed it signs no other cohort of the round, so there is one sum to open.
        check_certificate(signed_cohort, plan, roster)
    elif plan.terms.auditor is not None:
        # Fails until the auditor has re-added the contributions and signed the same manifest.
        auditor = roster.member(plan.terms.auditor)
        check_signer(signed_sum, Purpose.SUM, auditor.participant, auditor.signing_key)
    return check_frozen(plan, policy, roster, signed_cohort, headers, signed_sum, seen)


class Chunks(Protocol):
    """The chunks of a sum, in order, as often as they are asked for."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[bytes]: ...


def reveal(
    plan: Plan, frozen: Frozen, revealer: Revealer, chunks: Chunks
) -> Iterator[NDArray[np.int64]]:
    """Yield the sum of the cohort's updates chunk by chunk, in grid steps.

    Args:
        chunks: read twice; all are checked before the first is opened.

    Raises:
        RootMismatch: the chunks are not those the manifest names.
        SumOffGrid: what opens is no sum of grid values; it cannot be said whose fault. Raised
            after the last chunk, with zeros in the place of what did not open: when an opener
            refuses would tell which chunk it was.
    """
    if len(chunks) != plan.arithmetic.chunks:
        raise MalformedMessage(f"{len(chunks)} chunks of a sum of {plan.arithmetic.chunks}")
    if _root_of(plan, chunks) != frozen.sum.root:
        raise RootMismatch(f"round {plan.terms.round}: the sum's chunks have another root")
    geometry = plan.geometry()
    refused: SumOffGrid | None = None
    for index, chunk in enumerate(chunks):
        try:
            opened = revealer.reveal(index, chunk, len(frozen.cohort.entries))
        except SumOffGrid as error:
            refused = refused or error
            opened = np.zeros(geometry.values_in(index), np.int64)
        yield opened
    if refused is not None:
        raise refused


def _root_of(plan: Plan, chunks: Chunks) -> Digest:
    if plan.arithmetic.scheme == SHARES:
        return root_of(plan, chunks)
    combiner = CkksCombiner(plan.parameters(), plan.arithmetic.dimension)
    return piece_root([combiner.check(at, chunk) for at, chunk in enumerate(chunks)]).hex()
