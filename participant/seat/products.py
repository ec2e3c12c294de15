"""Squared norms, and products with the sum, of a cohort; asked in one session; it blocks.

1. Each seat says whether it knows that all norms are within the plan's bound. Where one does not,
   nothing is opened: of a site with 2^54 at one place, everyone's product with the sum would
   hold everyone's word at that place, above all that is random.
2. Chunk by chunk each seat adds its blocks to those of the sum, and multiplies every site's with
   themselves and with the sum's. So it has a share of each product, modulo 2^64.
3. Computed less declared squared norm is opened exactly: 0 for a site that has told the truth.
   If one is not, nothing else is opened, and there are no scores: its own norm, and its part in
   everyone's product with the sum, would tell of numbers beyond what products can hold.
4. The rest is opened rounded: lower bits stay shut (`privacy.mpc`).

*What it guarantees.* A seat that follows the protocol learns what is opened and nothing else:
each share that leaves a seat has a share of zero added, fresh for this session.
*What it does not.* Products are semi-honest: a seat that adds an error to its share shifts a
score by it, unnoticed, and so chooses where it is rounded: by at most three sessions a round
(`SeatMemory.asks`) it finds a score within a quarter of a step. And norms are checked among
semi-honest seats: **a dishonest seat that lets a site of its own past the bound reads by the
scores, of every other update, the words at places that this site has chosen**. A site that
does not accept that leaves scores off its list of releases. Scores decide nothing about a sum.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from privacy.errors import MalformedMessage
from privacy.mpc.compare import rounded
from privacy.mpc.link import Link, Seat
from privacy.records import Score
from privacy.schemes.keystream import UpdateContext
from privacy.schemes.shares.layout import SEATS, WORD_BYTES, Words
from privacy.schemes.shares.replicated import ProductShare, open_product, zero_shares
from privacy.schemes.shares.seat_sum import Blocks
from privacy.sealing import Entropy
from privacy.signing import transcript

from .link import Session
from .updates import Updates, require_same, unchecked_at

_QUESTION: Final = "veilsum/score-question/1"
_OPEN: Final = b"open:"
_RING: Final = 1 << 64


@dataclass(frozen=True, slots=True)
class Opened:
    """What was opened of a cohort: a score for each site, or why there are none."""

    scores: tuple[Score, ...]
    void: str = ""


def opened(
    session: Session,
    updates: Updates,
    step_log2: int,
    entropy: Entropy,
    before_shares: Callable[[], None],
    *,
    checked: bool,
) -> Opened:
    """Return the scores of the sites, in their order; the same at all three seats.

    Args:
        step_log2: scores are multiples of 2^this.
        before_shares: records that shares leave this seat; called before the first does.
        checked: whether this seat knows that all norms were held against the plan's bound.
            If one of the three does not, no share leaves.

    Raises:
        MalformedMessage, SeatsDisagree: another seat does not follow the protocol.
        BrokenOff: the session is over.
        VeilsumError: what `before_shares` raises; nothing has left then.
    """
    names = updates.participants
    unchecked = unchecked_at(session.link, session.seat, checked=checked)
    if unchecked:
        seats = ", ".join(updates.plan.terms.seats[each] for each in unchecked)
        return Opened((), f"not all norms were checked, say: {seats}"[:300])
    require_same(session.link, session.seat, names)
    squares, products = _products(session, updates)
    before_shares()
    untrue = _untrue(session, updates, squares)
    if untrue:
        return Opened((), f"not the squared norm that was declared: {', '.join(untrue)}"[:300])
    shares = np.concatenate(
        [
            _masked(session, updates, "squared-norm", squares),
            _masked(session, updates, "alignment", products),
        ]
    )
    values = _rounded(session, names, shares, step_log2, entropy)
    pairs = zip(values[: len(names)], values[len(names) :], strict=True)
    return Opened(
        tuple(
            Score(name, str(square), str(product))
            for name, (square, product) in zip(names, pairs, strict=True)
        )
    )


def _products(
    session: Session, updates: Updates
) -> tuple[Sequence[ProductShare], Sequence[ProductShare]]:
    parameters = updates.plan.shares()
    squares = [ProductShare(parameters) for _ in updates.participants]
    products = [ProductShare(parameters) for _ in updates.participants]
    spare: Blocks | None = None
    for chunk in range(updates.plan.geometry().chunks):
        session.link.check()
        total = updates.total(chunk)
        for at, name in enumerate(updates.participants):
            session.link.check()
            spare = updates.blocks(chunk, name, spare)
            squares[at].add_square(spare)
            products[at].add_product(spare, total)
    return squares, products


def _untrue(session: Session, updates: Updates, squares: Sequence[ProductShare]) -> list[str]:
    """Return the sites whose squared norm is not the one that they have declared."""
    shares = _masked(session, updates, "declared", squares, updates.declared_share)
    differences = _open(session.link, session.seat, shares)
    return [name for name, each in zip(updates.participants, differences, strict=True) if each != 0]


def _masked(
    session: Session,
    updates: Updates,
    question: str,
    shares: Sequence[ProductShare],
    less: Callable[[str], int] = lambda _: 0,
) -> Words:
    """Return what may be shown of shares, less another share of each site, shape (sites,)."""
    terms = updates.plan.terms
    shown = []
    for name, share in zip(updates.participants, shares, strict=True):
        context = UpdateContext(terms.federation, terms.round, name)
        zero = int(zero_shares(session.pairs, context, question)[0])
        shown.append((share.masked(zero) - less(name)) % _RING)
    return np.array(shown, np.uint64)


def _rounded(
    session: Session, names: Sequence[str], shares: Words, step_log2: int, entropy: Entropy
) -> list[int]:
    if step_log2 == 0:
        return _open(session.link, session.seat, shares)
    seat = Seat(session.link, session.pairs, entropy, _recorded)
    question = transcript(_QUESTION, session.name, *(name.encode() for name in names))
    return [int(steps) << step_log2 for steps in rounded(seat, question, shares, step_log2)]


def _recorded() -> None:
    """Return; the session was recorded before the first of its shares left."""


def _open(link: Link, seat: int, shares: Words) -> list[int]:
    """Return the numbers of which each seat shows its share, with all their bits."""
    others = [other for other in range(SEATS) if other != seat]
    for other in others:
        link.send(other, _OPEN + shares.astype("<u8").tobytes())
    theirs = [_shares(other, link.receive(other), shares.size) for other in others]
    columns = zip(shares, *theirs, strict=True)
    return [open_product([int(share) for share in column]) for column in columns]


def _shares(seat: int, message: bytes, count: int) -> Words:
    if not message.startswith(_OPEN) or len(message) != len(_OPEN) + WORD_BYTES * count:
        raise MalformedMessage(f"seat {seat} sends {len(message)} bytes in place of {count} shares")
    return np.frombuffer(message, "<u8", offset=len(_OPEN)).astype(np.uint64)
