"""Sites, three seats and an opener in one process, each with what it may hold and no more."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from privacy.merkle import tree_root
from privacy.schemes.base import Integers
from privacy.schemes.keystream import SECRET_BYTES, UpdateContext
from privacy.schemes.shares.layout import COMPONENTS, SEATS, SharesParameters
from privacy.schemes.shares.seat_sum import HeldShares, SeatCombiner, takes_payload
from privacy.schemes.shares.seat_total import SeatTotal
from privacy.schemes.shares.sharing import SharesProtector, UpdateSecrets

CONTEXT = UpdateContext("oncology", 7, "charite")
_LENGTH = COMPONENTS * SECRET_BYTES


@dataclass(frozen=True)
class Sent:
    """One update in shares: its secrets, and for each chunk what travels and the roots."""

    context: UpdateContext
    secrets: UpdateSecrets
    payloads: list[bytes]
    roots: list[tuple[bytes, bytes, bytes]]

    def held(self, parameters: SharesParameters, dimension: int, seat: int) -> HeldShares:
        return HeldShares(parameters, dimension, self.context, self.secrets.for_seat(seat))


def send(parameters: SharesParameters, update: Integers, context: UpdateContext = CONTEXT) -> Sent:
    """Split a whole update."""
    geometry = parameters.geometry(update.size)
    secrets = UpdateSecrets.generate(os.urandom)
    protector = SharesProtector(parameters, update.size, context, secrets)
    chunks = [
        protector.share(chunk, update[geometry.span(chunk)]) for chunk in range(geometry.chunks)
    ]
    return Sent(
        context, secrets, [each.payload for each in chunks], [each.roots for each in chunks]
    )


def totals(
    parameters: SharesParameters, dimension: int, updates: Sequence[Sent], chunk: int = 0
) -> list[SeatTotal]:
    """Add one chunk at all three seats."""
    statements = []
    for seat in range(SEATS):
        addition = SeatCombiner(parameters, dimension, seat).begin(chunk)
        for sent in updates:
            held = sent.held(parameters, dimension, seat)
            addition.add(held, sent.payloads[chunk] if takes_payload(seat) else None)
        statements.append(addition.total())
    return statements


class FreshProtector:
    """A site that draws new secrets for each chunk, and sends them beside it."""

    def __init__(self, parameters: SharesParameters, dimension: int) -> None:
        self._parameters, self._dimension = parameters, dimension

    def protect(self, chunk: int, values: Integers) -> bytes:
        secrets = UpdateSecrets.generate(os.urandom)
        protector = SharesProtector(self._parameters, self._dimension, CONTEXT, secrets)
        return b"".join(secrets.secrets) + protector.protect(chunk, values)


class ThreeSeats:
    """All three seats as one combiner; the sum is what seats 0 and 1 say of theirs."""

    def __init__(self, parameters: SharesParameters, dimension: int) -> None:
        self._parameters, self._dimension = parameters, dimension
        self._seats = [SeatCombiner(parameters, dimension, seat) for seat in range(SEATS)]

    def check(self, chunk: int, payload: bytes) -> bytes:
        self._parameters.geometry(self._dimension).values_in(chunk)
        first, second, third = (self._held(payload, seat) for seat in range(SEATS))
        sent = payload[_LENGTH:]
        roots = [first.roots(chunk, None), second.roots(chunk, sent), third.roots(chunk, sent)]
        holders = [{roots[c][0], roots[c - 1][1]} for c in range(COMPONENTS)]
        assert [len(each) for each in holders] == [1, 1, 1], "both holders have the same root"
        return tree_root([each.pop() for each in holders])

    def combine(self, chunk: int, payloads: Iterable[bytes]) -> bytes:
        additions = [seat.begin(chunk) for seat in self._seats]
        for payload in payloads:
            for seat, addition in enumerate(additions):
                addition.add(
                    self._held(payload, seat), payload[_LENGTH:] if takes_payload(seat) else None
                )
        first, second, _ = (addition.total() for addition in additions)
        return first.encode() + second.only(2).encode()

    def _held(self, payload: bytes, seat: int) -> HeldShares:
        parts = [payload[at : at + SECRET_BYTES] for at in range(0, _LENGTH, SECRET_BYTES)]
        secrets = UpdateSecrets((parts[0], parts[1], parts[2])).for_seat(seat)
        return HeldShares(self._parameters, self._dimension, CONTEXT, secrets)


def drawn(parameters: SharesParameters, dimension: int, seed: int) -> Integers:
    """Grid integers, uniform over the grid."""
    largest = parameters.largest_value
    return np.random.default_rng(seed).integers(-largest, largest, dimension, endpoint=True)
