"""Whose norm is over the bound, asked in one session of the three seats; it blocks.

1. Seats tell each other which candidates they have taken, and ask about those that all have.
2. They toss a coin, now that no update can change any more. It gives the 64 rows by which
   updates are projected (`privacy.schemes.shares.norm_bound`).
3. Each seat goes through its parts once, chunk by chunk, and has a share of each projection and
   of each squared norm, modulo 2^64: of a projection the part of one of its two components, so
   that each component counts once; of a squared norm its share of products, and a share of zero.
4. One comparison on shares tells of each site whether all 65 are in their range (`privacy.mpc`).

*What it guarantees.* A seat that follows the protocol learns of each site one bit, and nothing
else: neither by how much a norm is over the bound, nor which number was out of its range.
*What it does not.* Seats are semi-honest. One that adds a number of its choice to its share can
have a site left out, or let in. And it chooses what the bit tells it: whether a squared norm, or
a projection, is beyond a threshold of its own, or whether the whole update is one that it guesses.
So a seat that does not follow the protocol learns one bit of its choice of each update and
session, and each seat lets at most three sessions of a round ask about one list of candidates
(`SeatMemory.asks`); bits of any number of sessions would be a whole update. Sums are checked
without this.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from privacy.identifiers import Digest
from privacy.mpc.compare import within
from privacy.mpc.link import Seat
from privacy.schemes.keystream import UpdateContext
from privacy.schemes.shares.layout import Words
from privacy.schemes.shares.norm_bound import PROJECTIONS, NormBound, Projections
from privacy.schemes.shares.replicated import ProductShare, zero_shares
from privacy.schemes.shares.seat_sum import Blocks
from privacy.sealing import Entropy
from privacy.signing import transcript

from .coin import toss
from .link import Session
from .updates import Updates, held_by_all

SITES_TOGETHER: Final = 32
"""Sites whose blocks of one chunk are in memory together: 17 MB of full chunks."""


@dataclass(frozen=True, slots=True)
class Norms:
    """What the three seats found together.

    Attributes:
        asked: the sites that were asked about; of any other nothing is known.
        over: those of them whose update is over the bound.
    """

    asked: tuple[str, ...] = ()
    over: tuple[str, ...] = ()


_COIN: Final = "veilsum/norm-coin/1"
_QUESTION: Final = "veilsum/norm-question/1"
_SQUARED_NORM: Final = "bounded-squared-norm"


def over_bound(
    session: Session,
    updates: Updates,
    bound: NormBound,
    candidates: Digest,
    entropy: Entropy,
    before_shares: Callable[[], None],
) -> Norms:
    """Return who was asked about and whose update is over the bound, the same at all three seats.

    Args:
        before_shares: records that shares leave this seat; called before the first does.

    Raises:
        MalformedMessage, SeatsDisagree: another seat does not follow the protocol.
        BrokenOff: the session is over.
        VeilsumError: what `before_shares` raises; nothing has left then.
    """
    names = held_by_all(session.link, session.seat, updates.participants)
    if not names:
        return Norms()
    fields = session.name, candidates.encode(), *(name.encode() for name in names)
    seed = toss(session.link, session.seat, transcript(_COIN, *fields), entropy)
    shares = _shares(session, updates, names, Projections(seed), bound)
    seat = Seat(session.link, session.pairs, entropy, before_shares)
    fine = within(seat, transcript(_QUESTION, *fields), shares, _largest(bound))
    over = tuple(name for name, passes in zip(names, fine, strict=True) if not passes)
    return Norms(names, over)


def _largest(bound: NormBound) -> Words:
    """Return the largest of each of the 65 numbers that passes, shape (65,)."""
    moved = 2 * bound.largest_projection
    return np.array([*[moved] * PROJECTIONS, bound.norm**2], np.uint64)


def _shares(
    session: Session,
    updates: Updates,
    names: Sequence[str],
    projections: Projections,
    bound: NormBound,
) -> Words:
    """Return this seat's shares of projections and squared norm of each site, (sites, 65)."""
    shares = np.zeros((len(names), PROJECTIONS + 1), np.uint64)
    squares = [ProductShare(updates.plan.shares()) for _ in names]
    for chunk, start, blocks in _passed(session, updates, names):
        some = slice(start, start + len(blocks))
        # The first component that a seat holds is no other seat's first.
        shares[some, :PROJECTIONS] += projections.project(chunk, [first for first, _ in blocks])
        for square, both in zip(squares[some], blocks, strict=True):
            square.add_square(both)
    if session.seat == 0:
        # Public numbers are one seat's to add: -T..T becomes 0..2·T.
        shares[:, :PROJECTIONS] += np.uint64(bound.largest_projection)
    masked = [
        square.masked(_zero(session, updates, name))
        for square, name in zip(squares, names, strict=True)
    ]
    shares[:, PROJECTIONS] = np.array(masked, np.uint64)
    return shares


def _passed(
    session: Session, updates: Updates, names: Sequence[str]
) -> Iterator[tuple[int, int, list[Blocks]]]:
    """Yield each chunk of some sites: which chunk, the first site's place, and their blocks."""
    spare: list[Blocks | None] = [None] * SITES_TOGETHER
    for chunk in range(updates.plan.geometry().chunks):
        for start in range(0, len(names), SITES_TOGETHER):
            session.link.check()
            some = names[start : start + SITES_TOGETHER]
            blocks = [
                updates.blocks(chunk, name, room) for name, room in zip(some, spare, strict=False)
            ]
            spare[: len(blocks)] = blocks
            yield chunk, start, blocks


def _zero(session: Session, updates: Updates, site: str) -> int:
    terms = updates.plan.terms
    context = UpdateContext(terms.federation, terms.round, site)
    return int(zero_shares(session.pairs, context, _SQUARED_NORM)[0])
