"""What the three seats do, whatever they are asked: merge three shares into two, compute, tell.

1. Every two seats greet, under the question's name (`greeting`). Then each records that shares
   leave it (`Seat.before_shares`).
2. Each seat adds a share of zero to its share: words that it has in common with one seat, less
   those that it has in common with the other. Three such shares still add up to the value, and
   any one of them is uniform to each other seat, since it lacks one of the two streams. What a
   seat's own share was computed from does not show in it.
3. Seat 2 therefore can hand its share to seat 0, which adds it to its own. Now seats 0 and 1
   hold a value in two shares. Seat 0 has seen a uniform word and still lacks what seat 1 has.
4. Seat 2 deals triples (`triples`). Seats 0 and 1 compute and open the answer (`session`).
5. Both tell seat 2, which compares what it hears.

Rows are taken in batches, so that no message is longer than 1 MiB.
"""

from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Final, Protocol

import numpy as np

from privacy.errors import InternalError, SeatsDisagree
from privacy.schemes.keystream import Use
from privacy.signing import transcript

from .greeting import Pair, greet
from .link import Seat
from .messages import LARGEST_MESSAGE, Shape, Words
from .session import Reserved, reserved
from .triples import Triples, deal, words_of

DEALER: Final = 2
VALUES_TOGETHER: Final = 1 << 13
"""Values that are converted to bits together; their triples fit in one message."""


class Circuit(Protocol):
    """What is computed of each row of a table of values, and all that is public about it."""

    @property
    def name(self) -> bytes:
        """Which circuit it is, with its sizes and public numbers."""
        ...

    @property
    def shape(self) -> Shape:
        """Of the table; the first axis is rows."""
        ...

    @property
    def values_per_row(self) -> int:
        """How many values are converted to bits for each row."""
        ...

    def triples(self, rows: int) -> list[Shape]:
        """Return the triples that so many rows take, in the order of their use."""
        ...

    def compute(self, crypten: ModuleType, seat: int, rows: Words) -> Words:
        """Return the opened answer of each row, from one of two shares of them."""
        ...


def answer(seat: Seat, question: bytes, circuit: Circuit, shares: Words) -> Words:
    """Return what the circuit opens, an answer a row; the same at all three seats.

    Args:
        question: of whom it is asked, so that seats know that they mean the same.
        shares: this seat's; those of all three add up to the values modulo 2^64.

    Raises:
        InternalError: the shares have another shape than the circuit.
        MalformedMessage: a seat asks something else, or sends what does not come next.
        SeatsDisagree: seats 0 and 1 told seat 2 different answers.
        NotYet: this process is computing already; nothing has been sent.
        MissingDependency: CrypTen is not installed at seat 0 or 1.
    """
    if shares.shape != circuit.shape or shares.dtype != np.uint64:
        raise InternalError(f"shares {shares.dtype}{shares.shape}, not uint64{circuit.shape}")
    asked = transcript("veilsum/mpc-asked/1", question, circuit.name)
    if seat.number == DEALER:
        pairs = greet(seat, asked)
        seat.before_shares()
        return _deal(pairs, circuit, _masked(seat.number, pairs, shares))
    # Whoever cannot compute says so before others count on it.
    with reserved() as process:
        pairs = greet(seat, asked)
        seat.before_shares()
        masked = _masked(seat.number, pairs, shares)
        return _compute(process, seat.number, pairs, circuit, masked)


def _masked(seat: int, pairs: Mapping[int, Pair], shares: Words) -> Words:
    """Return the shares with shares of zero added.

    Of every two seats the one before the other on the ring adds what the other takes off.
    """
    following, previous = (seat + 1) % 3, (seat + 2) % 3
    added = pairs[following].draws(Use.MPC_ZERO).take(shares.shape)
    masked: Words = shares + added - pairs[previous].draws(Use.MPC_ZERO).take(shares.shape)
    return masked


def _deal(pairs: Mapping[int, Pair], circuit: Circuit, masked: Words) -> Words:
    first, second = (pairs[seat].draws(Use.MPC_TRIPLES) for seat in range(DEALER))
    for rows in _batches(circuit):
        pairs[0].channel.send(masked[rows])
        pairs[1].channel.send(deal(circuit.triples(len(masked[rows])), first, second))
    told, again = (pairs[seat].channel.receive((len(masked),)) for seat in range(DEALER))
    if not np.array_equal(told, again):
        raise SeatsDisagree("seats 0 and 1 told the dealer different answers to one question")
    return told


def _compute(
    process: Reserved, seat: int, pairs: Mapping[int, Pair], circuit: Circuit, masked: Words
) -> Words:
    dealer, other = pairs[DEALER], pairs[1 - seat]
    triples = Triples(dealer.draws(Use.MPC_TRIPLES))
    answers = np.empty(len(masked), np.uint64)
    with process.session(seat, other, triples) as crypten:
        for rows in _batches(circuit):
            shapes = circuit.triples(len(masked[rows]))
            merged = masked[rows]
            if seat == 0:
                merged = merged + dealer.channel.receive(merged.shape)
                triples.expect(shapes, None)
            else:
                triples.expect(shapes, dealer.channel.receive((words_of(shapes),)))
            answers[rows] = circuit.compute(crypten, seat, merged)
            triples.require_spent()
    dealer.channel.send(answers)
    return answers


def _batches(circuit: Circuit) -> Iterator[slice]:
    rows = VALUES_TOGETHER // circuit.values_per_row
    assert rows, "a circuit refuses rows that are too long"
    assert words_of(circuit.triples(rows)) <= LARGEST_MESSAGE, "less than 14 words a value"
    for start in range(0, circuit.shape[0], rows):
        yield slice(start, start + rows)
